package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"linehaul/fault"
	"linehaul/transfer/remote/remotetest"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/tunneltest"
)

// demoKey is no secret: the gateway that takes it lives for seconds, on
// loopback.
const demoKey = "demo-pre-shared-key"

// throughTunnel is the second act: an IPsec gateway in this process, a server
// behind it that listens in the gateway's own TCP/IP and nowhere else, and a job
// that pulls from it.
func (d *demonstration) throughTunnel(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, demoLimit, fault.New(fault.Timeout, "the demo's tunnel did not end within %s", demoLimit))
	defer cancel()
	id, err := ikev2.ParseIdentity("vpn.example.net")
	if err != nil {
		return err
	}
	gateway, err := tunneltest.Start(tunneltest.ServerOptions{
		Options: tunneltest.Options{PSK: []byte(demoKey), ID: id, Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}},
		Inside:  []netip.Addr{netip.MustParseAddr("10.20.0.5")}, Now: d.now,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Close()) }()
	listener, err := gateway.Listen(22)
	if err != nil {
		return err
	}
	served := filepath.Join(d.dir, "behind")
	want := strings.Repeat("2026-11-28,nails,12\n", 200_000)
	config := d.tunnelConfig(gateway.Addr())
	for name, text := range map[string]string{"behind/ledger.csv": want, "tunnel.psk": demoKey + "\n"} {
		path := filepath.Join(d.dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return fault.New(fault.LocalDisk, "make the demo's files: %w", err)
		}
	}
	server, err := remotetest.Start(ctx, remotetest.Options{Root: served, Password: demoPassword, Listener: listener})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	config = strings.ReplaceAll(config, "FINGERPRINT", server.Fingerprint())
	fmt.Fprintf(d.stdout, `
The second act: an IPsec gateway runs inside this process at UDP %s. Behind it is
another SSH server, at %s. It has no socket on this machine: it listens in the
gateway's own TCP/IP, and can be reached through the tunnel only. The config for it:

%s
`, gateway.Addr(), server.Addr(), indent(config))
	file := filepath.Join(d.dir, "tunnel.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return fault.New(fault.LocalDisk, "write the demo's config: %w", err)
	}
	d.configPath = file
	err = d.run(ctx, []string{"ledger"}, runFlags{}, "")
	d.ways().Close()
	if err != nil {
		return err
	}
	return d.showTunnel(gateway, want)
}

func (d *demonstration) tunnelConfig(gateway string) string {
	return `state: state2
logs:
  dir: log2
links:
  office:
    ipsec:
      gateway: ` + gateway + `
      local: {id: branch@example.net, psk: file:tunnel.psk}
      remote: {id: vpn.example.net}
      networks: [10.20.0.0/16]
hosts:
  vault:
    address: 10.20.0.5
    link: office                 # by this link, and in no other way
    user: jephe
    password: file:password
    host_keys: "FINGERPRINT"
jobs:
  ledger:
    get: vault:ledger.csv
    to: backup/{date}/{name}
`
}

// showTunnel prints the log of the run, checks what came of it, and says what the
// gateway saw.
func (d *demonstration) showTunnel(gateway *tunneltest.Server, want string) error {
	runs, err := d.showRuns("ledger", 1)
	if err != nil {
		return err
	}
	if runs != 1 {
		return fmt.Errorf("the demo saw %d good runs through the tunnel, want 1", runs)
	}
	found, err := filepath.Glob(filepath.Join(d.dir, "backup", "*", "ledger.csv"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("the demo pulled %d files through the tunnel, want 1", len(found))
	}
	got, err := os.ReadFile(found[0])
	if err != nil {
		return fault.Wrap(fault.LocalDisk, err)
	}
	if string(got) != want {
		return fmt.Errorf("the demo pulled %d bytes through the tunnel that are not what is behind it", len(got))
	}
	carried := gateway.Stack().Stats()
	if carried.BytesOut < uint64(len(want)) || gateway.Stats().Logins != 1 || gateway.Logins() != 0 {
		return fmt.Errorf("the demo's gateway carried %d bytes in %d logins, of which %d are still there", carried.BytesOut, gateway.Stats().Logins, gateway.Logins())
	}
	rel, err := filepath.Rel(d.dir, found[0])
	fmt.Fprintf(d.stdout, "\n    %-44s %9d bytes\n\nThe gateway saw one login, carried %d packets to the client and %d from it in ESP, and was told\nof the end. No driver, route or right was needed, and nothing of this machine was changed.\n",
		rel, len(got), carried.PacketsOut, carried.PacketsIn)
	return err
}
