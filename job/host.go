package job

import (
	"linehaul/config"
	"linehaul/fault"
	"linehaul/keys"
	"linehaul/keys/sshconfig"
	"linehaul/transfer/remote"
)

// Place is what of the machine and the user a job depends on.
type Place struct {
	AgentSocket string // of ssh-agent; empty: none

	// What applies where nothing names a file: known_hosts of the user and of
	// the system, and the private keys that ssh would try. They may be absent.
	KnownHosts, GlobalKnownHosts []string
	UsualKeys                    []string

	// Dir is where relative paths in an OpenSSH configuration start; empty: in
	// the working folder. SSH says who asks it; nil stands for sshconfig.Local.
	Dir string
	SSH func() (sshconfig.Options, error)

	Warn func(msg string) // told of lines in known_hosts that cannot be used
}

// HostFromConfig makes the host of that name, with the hosts that it is
// reached through.
func HostFromConfig(f *config.File, name string, p Place) (*remote.Host, error) {
	c := f.Hosts[name]
	if c == nil {
		return nil, fault.New(fault.Usage, "no host %q in %s", name, f.Path)
	}
	p.Dir = f.Dir
	h, err := NewHost(f, c, p)
	if err == nil && h.User == "" {
		return nil, noUser(c)
	}
	return h, err
}

// NewHost makes a host of what is said of it, with the hosts that it is reached
// through. What is not said comes from its OpenSSH configuration, if it has
// one; the user may be missing then all the same. The file has the hosts that a
// Jump can name.
func NewHost(f *config.File, c *config.Host, p Place) (*remote.Host, error) {
	h, err := p.host(c, []string{c.Name})
	if err != nil || c.Jump == "" {
		return h, err
	}
	// The config refuses circles.
	if h.Jump, err = HostFromConfig(f, c.Jump, p); err != nil {
		return nil, err
	}
	for at := h.Jump; at != nil; at = at.Jump {
		at.Link = h.Link // the config refuses another one
	}
	return h, nil
}

// host makes a host without the one that Jump names. The way has the names
// that led here.
func (p Place) host(c *config.Host, way []string) (*remote.Host, error) {
	h := &remote.Host{
		Name: c.Name, Address: c.Address, Port: c.Port, User: c.User,
		KeyFiles: c.Keys, Passphrase: secret(c.Passphrase), Password: secret(c.Password),
		Protocol:       protocol(c.Protocol),
		Legacy:         c.Legacy,
		Link:           c.Link,
		ConnectTimeout: c.ConnectTimeout, StallTimeout: c.StallTimeout, Keepalive: c.Keepalive,
	}
	for _, file := range c.Certificates {
		h.Certificates = append(h.Certificates, keys.CertificateFile{Path: file})
	}
	if c.Agent {
		h.AgentSocket = p.AgentSocket
	}
	if !c.IdentitiesOnly {
		h.AgentKeys = remote.AgentAll
	}
	if c.Keepalive == 0 {
		h.Keepalive = -1 // 0 asks for none in the config, and for the default below
	}
	trust := keys.HostKeyOptions{Pins: c.HostKeys, Files: knownHosts(c.KnownHosts, true), Warn: p.Warn, Legacy: c.Legacy}
	if len(c.KnownHosts) == 0 {
		trust.Files = append(knownHosts(p.KnownHosts, false), knownHosts(p.GlobalKnownHosts, false)...)
	}
	var err error
	if c.SSHConfig != "" {
		if err = p.fill(h, &trust, c, way); err != nil {
			return nil, err
		}
	}
	h.HostKeys, err = keys.NewHostKeys(trust)
	return h, err
}

// noUser says that a host has no user, and where one could stand.
func noUser(c *config.Host) error {
	return fault.New(fault.Config, "host %q has no user: none is said here, and %s gives none for it", c.Name, c.SSHConfig).
		WithHint("write `User NAME` under `Host %s` in %s, or say it here: `user: NAME` in the config, -l NAME by hand; the name of this account is not taken for it", c.Name, c.SSHConfig)
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
