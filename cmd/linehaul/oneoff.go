package main

import (
	"cmp"
	"context"
	"maps"
	"os"
	"time"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
	"linehaul/keys"
	"linehaul/transfer/remote"
)

// hostFlags say how to reach and log in to a host without, or other than, the
// config says.
type hostFlags struct {
	keys           []string
	user           string
	port           int
	pins           []string
	knownHosts     string
	password       string
	passphrase     string
	jump           string
	link           string
	protocol       string
	legacy         []string
	connectTimeout time.Duration
	stallTimeout   time.Duration
	sshConfig      string
	certificates   []string

	anyUser bool // for verbs that do not log in
}

func (o *hostFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVarP(&o.keys, "key", "i", nil, "private key `FILE`, or agent (repeatable)")
	f.StringArrayVar(&o.certificates, "certificate", nil, "certificate `FILE` of a key that lies elsewhere (repeatable)")
	f.StringVarP(&o.sshConfig, "ssh-config", "F", "", "look up there what is not said, as ssh does: a `FILE` such as ~/.ssh/config")
	f.StringVarP(&o.user, "user", "l", "", "user `NAME` on the server")
	f.IntVarP(&o.port, "port", "P", 0, "TCP port")
	f.StringArrayVar(&o.pins, "host-key", nil, "the server's key: a `FINGERPRINT` such as SHA256:... (repeatable)")
	f.StringVar(&o.knownHosts, "known-hosts", "", "known_hosts `FILE` (default: the user's and the system's)")
	f.StringVar(&o.password, "password", "", "password: a `REF` such as env:NAME, file:PATH or command:CMD")
	f.StringVar(&o.passphrase, "passphrase", "", "passphrase of the key: a `REF`, as for --password")
	f.StringVar(&o.link, "link", "", "reach the host by this link of the config and by nothing else, or direct (default: the host's)")
	f.StringVar(&o.jump, "jump", "", "go through another `HOST`: a name in the config, or user@address[:port]")
	f.StringVar(&o.protocol, "protocol", "", "a `PROTOCOL`: sftp, scp, or auto for sftp where there is one (default auto)")
	f.StringSliceVar(&o.legacy, "legacy", nil, "allow algorithms of the past, each by its `NAME`, such as ssh-dss")
	f.DurationVar(&o.connectTimeout, "connect-timeout", 0, "longest time to connect and log in (default 30s)")
	f.DurationVar(&o.stallTimeout, "stall-timeout", 0, "longest silence of the server (default 60s)")
}

// Defaults of a host that no config describes; the config's are the same.
const (
	sshPort        = 22
	connectTimeout = 30 * time.Second
	stallTimeout   = 60 * time.Second
	keepalive      = 15 * time.Second
	minTimeout     = time.Millisecond
)

// host makes the host that a target names: one of the config, or one of the
// command line alone. Flags win over the config, and both over the OpenSSH
// configuration.
func (a *app) host(t target, o hostFlags) (*remote.Host, error) {
	if o.link != "" && o.link != "direct" {
		if _, err := a.load(); err != nil { // which has the link
			return nil, err
		}
	}
	c, f, err := a.namedHost(t, o)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = a.bareHost(t, o)
	}
	if err := a.override(c, t, o); err != nil {
		return nil, err
	}
	place := a.place()
	if f != nil && o.sshConfig == "" {
		place.Dir = f.Dir
	}
	h, err := job.NewHost(f, c, place)
	if err != nil {
		return nil, err
	}
	switch {
	case h.User != "":
	case o.anyUser:
		h.User = "nobody"
	case c.SSHConfig != "":
		return nil, fault.New(fault.Usage, "no user name for %s: none is said, and %s gives none for it", c.Name, c.SSHConfig).
			WithHint("write `User NAME` under `Host %s` there, or use -l NAME; the name of this account is not taken for it", c.Name)
	default:
		return nil, fault.New(fault.Usage, "no user name for %s", h.Address).WithHint("write user@%s:PATH, or use -l NAME", h.Address)
	}
	if !a.verbose { // the log has them
		for at := h; at != nil; at = at.Jump {
			for _, w := range at.Warnings {
				if !w.Minor {
					a.note("warning: %s: %s", at.Name, w)
				}
			}
		}
	}
	return h, a.overrideJump(h, o)
}

// namedHost is a copy of the host of the config that a target names. It is nil
// when the target spells an address of its own, or a name that --ssh-config
// may know.
func (a *app) namedHost(t target, o hostFlags) (*config.Host, *config.File, error) {
	if t.url || t.user != "" {
		return nil, nil, nil
	}
	f, err := a.load()
	if err == nil && f.Hosts[t.address] != nil {
		c := *f.Hosts[t.address]
		c.Given = maps.Clone(c.Given)
		return &c, f, nil
	}
	switch {
	case o.user != "", o.sshConfig != "" && (err == nil || a.configPath == "" && config.IsAbsent(err)):
		return nil, nil, nil
	case err == nil:
		return nil, nil, fault.New(fault.Usage, "no host %q in %s", t.address, f.Path).
			WithHint("name one of its hosts, or write user@%s:PATH; `-F ~/.ssh/config` looks the name up there", t.address)
	case a.configPath != "" || !config.IsAbsent(err):
		return nil, nil, err
	}
	return nil, nil, fault.New(fault.Usage, "%q names a host of the config, and there is none", t.address).
		WithHint("write user@%s:PATH, or make a config with `linehaul config init`; `-F ~/.ssh/config` looks the name up there", t.address)
}

// bareHost is a host with what ssh would assume of it.
func (a *app) bareHost(t target, o hostFlags) *config.Host {
	c := &config.Host{
		Name: t.address, Port: sshPort, Protocol: remote.Auto.String(), IdentitiesOnly: true, Agent: true, Given: map[string]bool{},
		ConnectTimeout: connectTimeout, StallTimeout: stallTimeout, Keepalive: keepalive,
	}
	if o.sshConfig != "" {
		return c
	}
	c.Address = t.address
	for _, file := range a.usualKeys() {
		if _, err := os.Stat(file); err == nil {
			c.Keys = append(c.Keys, file)
		}
	}
	return c
}

// override puts what the command line says over the rest.
func (a *app) override(c *config.Host, t target, o hostFlags) error {
	c.User = cmp.Or(o.user, t.user, c.User)
	if o.port != 0 && (o.port < 1 || o.port > 65535) {
		return fault.New(fault.Usage, "port %d is not between 1 and 65535", o.port)
	}
	if port := cmp.Or(o.port, t.port); port != 0 {
		c.Port, c.Given["port"] = port, true
	}
	if o.sshConfig != "" {
		c.SSHConfig = o.sshConfig
	}
	if len(o.keys) > 0 {
		c.Keys, c.Agent, c.IdentitiesOnly, c.Given["keys"] = nil, false, true, true
		for _, k := range o.keys {
			if k == "agent" {
				c.Agent = true
			} else {
				c.Keys = append(c.Keys, k)
			}
		}
	}
	if len(o.certificates) > 0 {
		c.Certificates = o.certificates
	}
	for _, d := range []struct {
		flag, key string
		from      time.Duration
		to        *time.Duration
	}{
		{"connect-timeout", "connect_timeout", o.connectTimeout, &c.ConnectTimeout},
		{"stall-timeout", "stall_timeout", o.stallTimeout, &c.StallTimeout},
	} {
		if d.from != 0 {
			if d.from < minTimeout {
				return fault.New(fault.Usage, "--%s %s is too short", d.flag, d.from)
			}
			*d.to, c.Given[d.key] = d.from, true
		}
	}
	switch o.protocol {
	case "":
	case remote.Auto.String(), remote.SFTP.String(), remote.SCP.String():
		c.Protocol = o.protocol
	default:
		return fault.New(fault.Usage, "--protocol %q: want sftp, scp or auto", o.protocol)
	}
	for _, name := range o.legacy {
		if err := keys.CheckLegacy(name); err != nil {
			return fault.New(fault.Usage, "--legacy: %w", err)
		}
	}
	if len(o.legacy) > 0 {
		c.Legacy = o.legacy
	}
	if o.link != "" {
		if c.Link = o.link; o.link == "direct" {
			c.Link = ""
		}
	}
	if o.jump != "" {
		c.Jump, c.Given["jump"] = "", true // overrideJump has the other one
	}
	if err := overrideSecrets(c, o); err != nil {
		return err
	}
	return overrideHostKeys(c, o)
}

func overrideSecrets(c *config.Host, o hostFlags) error {
	for _, s := range []struct {
		flag, ref string
		to        *config.Secret
	}{{"password", o.password, &c.Password}, {"passphrase", o.passphrase, &c.Passphrase}} {
		if s.ref == "" {
			continue
		}
		secret, err := config.ParseSecret(s.ref, ".")
		if err != nil {
			return fault.New(fault.Usage, "--%s: %w", s.flag, err)
		}
		*s.to = secret
	}
	return nil
}

func overrideHostKeys(c *config.Host, o hostFlags) error {
	if len(o.pins) == 0 && o.knownHosts == "" {
		return nil
	}
	c.HostKeys, c.KnownHosts = nil, nil
	for _, p := range o.pins {
		pin, err := keys.ParsePin(p)
		if err != nil {
			return fault.New(fault.Usage, "--host-key: %w", err)
		}
		c.HostKeys = append(c.HostKeys, pin)
	}
	if o.knownHosts != "" {
		c.KnownHosts = []string{o.knownHosts}
	}
	return nil
}

// overrideJump makes the host that --jump names. It logs in with the same
// keys, and its own key is looked up in the same known_hosts.
func (a *app) overrideJump(h *remote.Host, o hostFlags) error {
	if o.jump == "" {
		return nil
	}
	t, err := parseJump(o.jump)
	if err != nil {
		return err
	}
	through := o
	through.jump, through.user, through.port, through.pins, through.anyUser = "", "", 0, nil, false
	if t.user == "" && o.sshConfig == "" {
		if f, err := a.load(); err != nil || f.Hosts[t.address] == nil {
			through.user = h.User
		}
	}
	if h.Jump, err = a.host(t, through); err != nil {
		return err
	}
	for at := h.Jump; at != nil; at = at.Jump {
		at.Link = h.Link // one way has one link
	}
	return nil
}

// parseJump reads NAME or [user@]address[:port].
func parseJump(s string) (target, error) {
	if t, remote, err := parseTarget(s); err != nil {
		return target{}, err
	} else if remote && t.path == "" {
		return t, nil
	}
	t, err := parseURL("sftp://" + s)
	if err != nil || t.path != "" {
		return target{}, fault.New(fault.Usage, "--jump %q: want a host of the config, or user@address[:port]", s)
	}
	t.url = t.user != "" || t.port != 0
	return t, nil
}

// connect opens a connection for verbs that need no run.
func (a *app) connect(ctx context.Context, h *remote.Host) (*remote.Conn, error) {
	way, err := a.ways().Dialer(*h, dialer())
	if err != nil {
		return nil, err
	}
	return remote.Dial(ctx, way, *h, a.logger())
}
