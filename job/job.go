// Package job runs jobs: one run is the attempts that one firing, or one
// person, gets to move a job's files, with its lock, its log and its record.
//
// It ties the packages below together and knows none of their formats: config
// reads the file, transfer/remote speaks SSH, transfer moves the bytes, stamp
// makes names, logs writes, store remembers.
package job

import (
	"cmp"
	"linehaul/bandwidth"
	"linehaul/config"
	"linehaul/fault"
	"linehaul/retention"
	"linehaul/stamp"
	"linehaul/store"
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
	All       bool            // those too that Select.OnlyNew would leave out
	IfNone    IfNone
	// Connections is how many connections large files are moved over; 0: as
	// many as help.
	Connections   int
	Verify        Verify        // empty: VerifySize
	Checks        config.Checks // before each attempt; the zero value makes none
	FilesInFlight int           // how many files are moved at a time; 0: as the protocol allows

	Limits       Limits
	Preserve     bool // files get exactly the permission bits of their sources
	KeepBad      bool // copies that are not what their sources are
	NoSpaceCheck bool

	// Sync makes a mirror of the one folder that Get or Put names; nil: no.
	Sync *Sync

	After config.After     // what becomes of the sources; the zero value keeps them
	Keep  retention.Policy // which copies stay; the zero value removes none

	Rooms   []store.Room   // how many runs there may be at a time, with others of their host and link
	RunOn   []string       // names and labels of the machines that may run it; empty: any
	Overlap config.Overlap // what becomes of a firing while another run goes on; empty: it is left out

	Zone    *time.Location // of stamps and log lines
	Retry   Retry
	Timeout time.Duration // of the whole run; 0 is none

	Log *stamp.Template // the name of the log below the log folder; nil: the runner's
}

// Limits are what a run may take at most. The zero value sets none.
type Limits struct {
	Bandwidth   *bandwidth.Timetable // of this run alone
	Shared      []SharedLimit        // with other runs
	MaxTransfer int64                // bytes; 0: any amount
	MaxDuration time.Duration        // after which it stops; 0: none
}

// A SharedLimit is the bandwidth of all runs in a process that name it.
type SharedLimit struct {
	Name  string
	Table *bandwidth.Timetable
}

// SharedLimits are those that a run to and from a host is under, reached by a
// link: of the host and of the hosts that lie before it, of the link, and of all
// runs together. The name of either may be empty, or that of none.
func SharedLimits(f *config.File, host, link string) []SharedLimit {
	var all []SharedLimit
	if f.Bandwidth != nil {
		all = append(all, SharedLimit{"all", f.Bandwidth})
	}
	if l := f.Links[link]; l != nil && l.Bandwidth != nil {
		all = append(all, SharedLimit{"link " + l.Name, l.Bandwidth})
	}
	for c := f.Hosts[host]; c != nil; c = f.Hosts[c.Jump] {
		if c.Bandwidth != nil {
			all = append(all, SharedLimit{"host " + c.Name, c.Bandwidth})
		}
	}
	return all
}

// SharedTables are the timetables of all shared limits of a config, by name.
func SharedTables(f *config.File) map[string]*bandwidth.Timetable {
	tables := make(map[string]*bandwidth.Timetable)
	keep := func(host, link string) {
		for _, l := range SharedLimits(f, host, link) {
			tables[l.Name] = l.Table
		}
	}
	keep("", "")
	for _, name := range f.HostOrder {
		keep(name, "")
	}
	for name := range f.Links {
		keep("", name)
	}
	return tables
}

// IfNone says what a run is that found nothing to move.
type IfNone string

// The three answers, as the config spells them.
const (
	NoneFails IfNone = "fail"
	NoneWarns IfNone = "warn"
	NoneOK    IfNone = "ok"
)

// rooms are the limits of runs at a time to a host and through its link.
func rooms(f *config.File, host *remote.Host) []store.Room {
	var all []store.Room
	var ofHost, ofLink int
	if h := f.Hosts[host.Name]; h != nil {
		ofHost = h.Runs
	}
	if l := f.Links[host.Link]; l != nil {
		ofLink = l.Runs
	}
	if n := cmp.Or(ofHost, f.Limits.PerHost); n > 0 {
		all = append(all, store.Room{Host: host.Name, Runs: n})
	}
	if n := cmp.Or(ofLink, f.Limits.PerLink); n > 0 && host.Link != "" {
		all = append(all, store.Room{Link: host.Link, Runs: n})
	}
	return all
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
	var mirror *Sync
	if c.Sync != nil {
		mirror = &Sync{*c.Sync}
	}
	return &Job{
		Sync: mirror, Name: c.Name, Host: *host,
		Get: c.Get, Put: c.Put, To: c.To, Recursive: c.Recursive, Select: c.Select, IfNone: IfNone(c.IfNone),
		After: c.After, Keep: c.Keep, Verify: Verify(c.Verify), Checks: c.Checks, Connections: c.Connections, FilesInFlight: c.FilesInFlight,
		Limits: Limits{
			Bandwidth: c.Bandwidth, Shared: SharedLimits(f, c.Host, host.Link), MaxTransfer: c.MaxTransfer, MaxDuration: c.MaxDuration,
		},
		Preserve: c.Preserve, KeepBad: c.KeepBad, NoSpaceCheck: c.NoSpaceCheck,
		Overlap: c.Overlap, RunOn: c.RunOn, Rooms: rooms(f, host),
		Zone:    c.Timezone,
		Retry:   Retry{Attempts: c.Retry.Attempts, Min: c.Retry.BackoffMin, Max: c.Retry.BackoffMax, Reconnect: c.Retry.Attempts > 1},
		Timeout: c.Timeout, Log: c.Log,
	}, nil
}
