package main

import (
	"context"
	"os"
	"path/filepath"
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
	protocol       string
	legacy         []string
	connectTimeout time.Duration
	stallTimeout   time.Duration
}

func (o *hostFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVarP(&o.keys, "key", "i", nil, "private key `FILE`, or agent (repeatable)")
	f.StringVarP(&o.user, "user", "l", "", "user `NAME` on the server")
	f.IntVarP(&o.port, "port", "P", 0, "TCP port")
	f.StringArrayVar(&o.pins, "host-key", nil, "the server's key: a `FINGERPRINT` such as SHA256:... (repeatable)")
	f.StringVar(&o.knownHosts, "known-hosts", "", "known_hosts `FILE` (default: the user's and the system's)")
	f.StringVar(&o.password, "password", "", "password: a `REF` such as env:NAME, file:PATH or command:CMD")
	f.StringVar(&o.passphrase, "passphrase", "", "passphrase of the key: a `REF`, as for --password")
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
// command line alone. Flags win over the config.
func (a *app) host(t target, o hostFlags) (*remote.Host, error) {
	h, err := a.namedHost(t, o)
	if err != nil {
		return nil, err
	}
	if h == nil {
		if h, err = a.bareHost(t, o); err != nil {
			return nil, err
		}
	}
	return h, a.override(h, t, o)
}

// namedHost is the host of the config that a target names. It is nil when the
// target spells an address of its own.
func (a *app) namedHost(t target, o hostFlags) (*remote.Host, error) {
	if t.url || t.user != "" {
		return nil, nil
	}
	f, err := a.load()
	if err == nil && f.Hosts[t.address] != nil {
		return job.HostFromConfig(f, t.address, a.place())
	}
	switch {
	case o.user != "":
		return nil, nil
	case err == nil:
		return nil, fault.New(fault.Usage, "no host %q in %s", t.address, f.Path).
			WithHint("name one of its hosts, or write user@%s:PATH", t.address)
	case a.configPath != "" || !config.IsAbsent(err):
		return nil, err
	}
	return nil, fault.New(fault.Usage, "%q names a host of the config, and there is none", t.address).
		WithHint("write user@%s:PATH, or make a config with `linehaul config init`", t.address)
}

// bareHost is a host with what ssh would assume of it.
func (a *app) bareHost(t target, o hostFlags) (*remote.Host, error) {
	h := &remote.Host{
		Name: t.address, Address: t.address, Port: sshPort, User: o.user, Protocol: remote.Auto,
		ConnectTimeout: connectTimeout, StallTimeout: stallTimeout, Keepalive: keepalive,
	}
	if len(o.keys) == 0 {
		h.AgentSocket = a.agentSocket()
		h.KeyFiles = a.usualKeys()
	}
	if o.knownHosts == "" && len(o.pins) == 0 {
		var err error
		h.HostKeys, err = keys.NewHostKeys(keys.HostKeyOptions{Files: knownHostsFiles(a.knownHosts()), Warn: a.place().Warn, Legacy: o.legacy})
		if err != nil {
			return nil, err
		}
	}
	return h, nil
}

// knownHostsFiles are files that may be absent.
func knownHostsFiles(paths []string) []keys.KnownHostsFile {
	var files []keys.KnownHostsFile
	for _, p := range paths {
		files = append(files, keys.KnownHostsFile{Path: p})
	}
	return files
}

// usualKeys are the private keys that ssh would try, as far as they exist.
func (a *app) usualKeys() []string {
	var found []string
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		file := filepath.Join(a.home(), ".ssh", name)
		if _, err := os.Stat(file); err == nil && a.home() != "" {
			found = append(found, file)
		}
	}
	return found
}

// override puts what the command line says over the rest.
func (a *app) override(h *remote.Host, t target, o hostFlags) error {
	if t.user != "" {
		h.User = t.user
	}
	if o.user != "" {
		h.User = o.user
	}
	if t.port != 0 {
		h.Port = t.port
	}
	if o.port != 0 {
		if o.port < 1 || o.port > 65535 {
			return fault.New(fault.Usage, "port %d is not between 1 and 65535", o.port)
		}
		h.Port = o.port
	}
	if len(o.keys) > 0 {
		h.KeyFiles, h.AgentSocket = nil, ""
		for _, k := range o.keys {
			if k == "agent" {
				h.AgentSocket = a.agentSocket()
			} else {
				h.KeyFiles = append(h.KeyFiles, k)
			}
		}
	}
	for _, d := range []struct {
		flag string
		from time.Duration
		to   *time.Duration
	}{{"connect-timeout", o.connectTimeout, &h.ConnectTimeout}, {"stall-timeout", o.stallTimeout, &h.StallTimeout}} {
		if d.from != 0 {
			if d.from < minTimeout {
				return fault.New(fault.Usage, "--%s %s is too short", d.flag, d.from)
			}
			*d.to = d.from
		}
	}
	switch o.protocol {
	case "":
	case remote.Auto.String():
		h.Protocol = remote.Auto
	case remote.SFTP.String():
		h.Protocol = remote.SFTP
	case remote.SCP.String():
		h.Protocol = remote.SCP
	default:
		return fault.New(fault.Usage, "--protocol %q: want sftp, scp or auto", o.protocol)
	}
	for _, name := range o.legacy {
		if err := keys.CheckLegacy(name); err != nil {
			return fault.New(fault.Usage, "--legacy: %w", err)
		}
	}
	if len(o.legacy) > 0 {
		h.Legacy = o.legacy
	}
	if err := a.overrideSecrets(h, o); err != nil {
		return err
	}
	if err := a.overrideHostKeys(h, o); err != nil {
		return err
	}
	if h.User == "" {
		return fault.New(fault.Usage, "no user name for %s", h.Address).WithHint("write user@%s:PATH, or use -l NAME", h.Address)
	}
	return a.overrideJump(h, o)
}

func (a *app) overrideSecrets(h *remote.Host, o hostFlags) error {
	for _, s := range []struct {
		flag, ref string
		to        *keys.Secret
	}{{"password", o.password, &h.Password}, {"passphrase", o.passphrase, &h.Passphrase}} {
		if s.ref == "" {
			continue
		}
		secret, err := config.ParseSecret(s.ref, ".")
		if err != nil {
			return fault.New(fault.Usage, "--%s: %w", s.flag, err)
		}
		*s.to = secret.Resolve
	}
	return nil
}

func (a *app) overrideHostKeys(h *remote.Host, o hostFlags) error {
	if len(o.pins) == 0 && o.knownHosts == "" {
		return nil
	}
	options := keys.HostKeyOptions{Warn: a.place().Warn, Legacy: h.Legacy}
	for _, p := range o.pins {
		pin, err := keys.ParsePin(p)
		if err != nil {
			return fault.New(fault.Usage, "--host-key: %w", err)
		}
		options.Pins = append(options.Pins, pin)
	}
	if o.knownHosts != "" {
		options.Files = []keys.KnownHostsFile{{Path: o.knownHosts, Required: true}}
	}
	var err error
	h.HostKeys, err = keys.NewHostKeys(options)
	return err
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
	through.jump, through.user, through.port, through.pins = "", "", 0, nil
	if t.user == "" {
		if f, err := a.load(); err != nil || f.Hosts[t.address] == nil {
			through.user = h.User
		}
	}
	h.Jump, err = a.host(t, through)
	return err
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
	return remote.Dial(ctx, dialer(), *h, a.logger())
}
