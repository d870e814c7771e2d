// Package job runs jobs: one run is the attempts that one firing, or one
// person, gets to move a job's files, with its lock, its log and its record.
//
// It ties the packages below together and knows none of their formats: config
// reads the file, transfer/remote speaks SSH, transfer moves the bytes, stamp
// makes names, logs writes, store remembers.
package job

import (
	"linehaul/config"
	"linehaul/fault"
	"linehaul/keys"
	"linehaul/stamp"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"time"
)

// Job is what to transfer, from where to where, and what becomes of failures.
// It is not changed by running.
type Job struct {
	Name string
	Host remote.Host

	// Get holds remote paths and Put local ones; exactly one of them is used.
	// Both may hold wildcards.
	Get, Put []string
	// To is a local path for Get and a remote one for Put.
	To        *stamp.Template
	Recursive bool
	Select    transfer.Select // which of them
	IfNone    IfNone

	Zone    *time.Location // of stamps and log lines
	Retry   Retry
	Timeout time.Duration // of the whole run; 0 is none

	Log *stamp.Template // the name of the log below the log folder; nil: the runner's
}

// IfNone says what a run is that found nothing to move.
type IfNone string

// The three answers, as the config spells them.
const (
	NoneFails IfNone = "fail"
	NoneWarns IfNone = "warn"
	NoneOK    IfNone = "ok"
)

// Place is what of the machine and the user a job depends on.
type Place struct {
	AgentSocket string           // of ssh-agent; empty: none
	KnownHosts  []string         // files that apply where the config names none
	Warn        func(msg string) // told of lines in known_hosts that cannot be used
}

// FromConfig makes the job of that name.
func FromConfig(f *config.File, name string, p Place) (*Job, error) {
	c := f.Jobs[name]
	if c == nil {
		return nil, fault.New(fault.Usage, "no job %q in %s", name, f.Path).
			WithHint("`linehaul jobs` lists the jobs")
	}
	host, err := HostFromConfig(f, c.Host, p)
	if err != nil {
		return nil, err
	}
	return &Job{
		Name: c.Name, Host: *host,
		Get: c.Get, Put: c.Put, To: c.To, Recursive: c.Recursive, Select: c.Select, IfNone: IfNone(c.IfNone),
		Zone:    c.Timezone,
		Retry:   Retry{Attempts: c.Retry.Attempts, Min: c.Retry.BackoffMin, Max: c.Retry.BackoffMax},
		Timeout: c.Timeout, Log: c.Log,
	}, nil
}

// HostFromConfig makes the host of that name, with the hosts that it is
// reached through.
func HostFromConfig(f *config.File, name string, p Place) (*remote.Host, error) {
	c := f.Hosts[name]
	if c == nil {
		return nil, fault.New(fault.Usage, "no host %q in %s", name, f.Path)
	}
	h := &remote.Host{
		Name: c.Name, Address: c.Address, Port: c.Port, User: c.User,
		KeyFiles: c.Keys, Passphrase: secret(c.Passphrase), Password: secret(c.Password),
		Protocol:       protocol(c.Protocol),
		Legacy:         c.Legacy,
		ConnectTimeout: c.ConnectTimeout, StallTimeout: c.StallTimeout, Keepalive: c.Keepalive,
	}
	if c.Agent {
		h.AgentSocket = p.AgentSocket
	}
	if c.Keepalive == 0 {
		h.Keepalive = -1 // 0 asks for none in the config, and for the default below
	}
	files := knownHosts(c.KnownHosts, true)
	if len(files) == 0 {
		files = knownHosts(p.KnownHosts, false)
	}
	var err error
	h.HostKeys, err = keys.NewHostKeys(keys.HostKeyOptions{Pins: c.HostKeys, Files: files, Warn: p.Warn, Legacy: c.Legacy})
	if err != nil {
		return nil, err
	}
	if c.Jump != "" {
		// The config refuses circles.
		if h.Jump, err = HostFromConfig(f, c.Jump, p); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// knownHosts are files by their paths. Those that somebody named must be
// there.
func knownHosts(paths []string, named bool) []keys.KnownHostsFile {
	var files []keys.KnownHostsFile
	for _, p := range paths {
		files = append(files, keys.KnownHostsFile{Path: p, Required: named})
	}
	return files
}

// protocol is what the config calls by that word.
func protocol(word string) remote.Protocol {
	switch word {
	case "sftp":
		return remote.SFTP
	case "scp":
		return remote.SCP
	}
	return remote.Auto
}

// secret makes what fetches a secret out of a reference to it.
func secret(s config.Secret) keys.Secret {
	if s.IsZero() {
		return nil
	}
	return s.Resolve
}
