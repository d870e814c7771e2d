package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/keys"
	"linehaul/transfer/remote"
)

// scanned is one host key as `hosts scan --json` prints it.
type scanned struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	MD5         string `json:"md5"`
	KnownHosts  string `json:"known_hosts"`     // the line to add
	PuTTY       string `json:"putty,omitempty"` // what PuTTY's cache says of the key: same or other
}

func (a *app) hostsCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "hosts",
		Short: "Show servers' host keys, trust one after comparing, take over PuTTY's",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var scanFlags hostFlags
	scan := &cobra.Command{
		Use:   "scan HOST",
		Short: "Show the host keys that a server shows",
		Long: `Show the host keys that a server shows, with their fingerprints and the lines to
add to known_hosts or to the config. Nothing is added: what a server says of
itself proves nothing until somebody has compared it. HOST is a name in the
config or an address[:port].`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error { return a.hostsScan(c.Context(), args[0], scanFlags) },
	}
	scanFlags.add(scan)
	var trustFlags hostFlags
	fingerprint := ""
	trust := &cobra.Command{
		Use:   "trust HOST --fingerprint SHA256:...",
		Short: "Add a server's host key to known_hosts, if it has that fingerprint",
		Long: `Ask a server for its host keys, and add the one with the given fingerprint to
known_hosts. The fingerprint comes from the server's administrator, not from the
line that is to be trusted.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return a.hostsTrust(c.Context(), args[0], fingerprint, trustFlags)
		},
	}
	trustFlags.add(trust)
	trust.Flags().StringVar(&fingerprint, "fingerprint", "", "the `FINGERPRINT` that the server's key must have")
	c.AddCommand(scan, trust, a.hostsImportCmd())
	return c
}

// scanTarget makes the host that is asked for its keys. No login takes place,
// so any user will do.
func (a *app) scanTarget(arg string, o hostFlags) (*remote.Host, error) {
	t, err := parseJump(arg)
	if err != nil {
		return nil, fault.New(fault.Usage, "%q: want a host of the config, or address[:port]", arg)
	}
	f, loadErr := a.load()
	if named := loadErr == nil && f.Hosts[t.address] != nil; !named && o.user == "" && o.sshConfig == "" {
		o.user = "nobody"
	}
	o.anyUser = true
	t.url = t.url || t.port != 0
	return a.host(t, o)
}

func (a *app) hostsScan(ctx context.Context, arg string, o hostFlags) error {
	h, err := a.scanTarget(arg, o)
	if err != nil {
		return err
	}
	way, err := a.ways().Dialer(*h, dialer())
	if err != nil {
		return err
	}
	found, err := remote.Scan(ctx, way, *h, a.logger())
	if err != nil {
		return err
	}
	cached := a.puttyCache()
	rows := []scanned{}
	name, port := h.KnownAs()
	for _, k := range found {
		sha256, md5 := keys.Fingerprints(k)
		line := keys.KnownHostsLine(name, port, k)
		rows = append(rows, scanned{strings.Fields(line)[1], sha256, md5, line, cached.compare(name, port, k.Type(), k.Marshal())})
	}
	if a.json {
		return a.printJSON(rows)
	}
	fmt.Fprintf(a.stdout, "%s port %d shows these keys. Compare a fingerprint with the server's\nadministrator before you add one:\n\n", h.Address, h.Port)
	for _, r := range rows {
		fmt.Fprintf(a.stdout, "%s\n  %s\n  MD5:%s\n", r.Type, r.Fingerprint, r.MD5)
		switch r.PuTTY {
		case cacheSame:
			fmt.Fprintf(a.stdout, "  PuTTY on this machine knows this key: `linehaul hosts import` adds it\n")
		case cacheOther:
			fmt.Fprintf(a.stdout, "  PuTTY on this machine knows ANOTHER key of this type: one of them is not the server's\n")
		}
	}
	fmt.Fprintf(a.stdout, "\nIn the config, below the host:\n\n")
	for _, r := range rows {
		fmt.Fprintf(a.stdout, "  host_keys: %q   # %s\n", r.Fingerprint, r.Type)
	}
	fmt.Fprintf(a.stdout, "\nOr in known_hosts:\n\n")
	for _, r := range rows {
		fmt.Fprintln(a.stdout, r.KnownHosts)
	}
	return nil
}

func (a *app) hostsTrust(ctx context.Context, arg, fingerprint string, o hostFlags) error {
	if fingerprint == "" {
		return fault.New(fault.Usage, "no --fingerprint to compare with").
			WithHint("ask the server's administrator for it: `ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub` prints it there")
	}
	pin, err := keys.ParsePin(fingerprint)
	if err != nil {
		return fault.New(fault.Usage, "--fingerprint: %w", err)
	}
	file, err := a.ownKnownHosts(o.knownHosts)
	if err != nil {
		return err
	}
	o.knownHosts, o.pins = "", nil
	h, err := a.scanTarget(arg, o)
	if err != nil {
		return err
	}
	way, err := a.ways().Dialer(*h, dialer())
	if err != nil {
		return err
	}
	found, err := remote.Scan(ctx, way, *h, a.logger())
	if err != nil {
		return err
	}
	var shown []string
	name, port := h.KnownAs()
	for _, k := range found {
		if pin.Matches(k) {
			known, err := a.judge(file)
			if err != nil {
				return err
			}
			status, _ := judged(known.Check(name, port, k), k.Type())
			return a.trust(ctx, file, keys.KnownHostsLine(name, port, k), status)
		}
		sha256, _ := keys.Fingerprints(k)
		shown = append(shown, sha256)
	}
	return fault.New(fault.HostKeyChanged, "%s port %d has no key with the fingerprint %s; it shows %s", h.Address, h.Port, fingerprint, strings.Join(shown, ", ")).
		WithHint("nothing was added: either the fingerprint is another server's, or somebody stands in between")
}
