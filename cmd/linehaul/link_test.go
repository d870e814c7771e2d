//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/internal/lab"
	"linehaul/internal/lab/gateway"
)

// TestLink pulls a file and puts one through strongSwan, as an ordinary user
// who changes nothing on the machine, and by hand and as a job.
func TestLink(t *testing.T) {
	lab.Need(t, "tshark")
	g := gateway.Start(t, gateway.Options{Capture: true})
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(g.Dir, "linehaul")
	data, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(here, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(g.Dir, "backup.bin")
	sum := randomFile(t, source, 8<<20)
	if err := os.Chmod(source, 0o644); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(g.Home, "linehaul.yaml")
	text := fmt.Sprintf(`state: %q
links:
  lab:
    ipsec:
      gateway: %s
      local: {id: %s, psk: env:LAB_PSK}
      remote: {id: %s}
      networks: [%s]
      ike: [aes128-sha256-modp2048]
      esp: [aes128-sha256]
hosts:
  behind: {address: %s, user: %s, keys: %q, host_keys: %q, link: lab}
jobs:
  nightly: {get: "behind:%s", to: job/}
`, filepath.Join(g.Home, "state"), gateway.Gate, gateway.RoadID, gateway.GateID, gateway.LanNet, gateway.Lan, g.SSH.User, g.Key, g.SSH.Fingerprint(), source)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	machine := func() string {
		var lines []string
		for l := range strings.Lines(g.RoadHost.Run("ip", "-o", "addr") + g.RoadHost.Run("ip", "route", "show", "table", "all")) {
			if !strings.Contains(l, "multicast") { // which comes when the line is there
				lines = append(lines, l)
			}
		}
		return strings.Join(lines, "")
	}
	before := machine()
	run := func(args ...string) (string, error) {
		cmd := exec.Command(here, append([]string{"-c", config}, args...)...)
		cmd.Env, cmd.Dir = append(os.Environ(), "LAB_PSK="+gateway.PSK), g.Home
		out, err := g.RoadUser(cmd).CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return out
	}
	must("get", "behind:"+source, "hand/")
	must("run", "nightly")
	for _, name := range []string{"hand/backup.bin", "job/backup.bin"} {
		if got, err := fileSum(filepath.Join(g.Home, name)); err != nil || got != sum {
			t.Errorf("%s is not what the source is: %v", name, err)
		}
	}
	if out := must("ls", "behind:"+source); !strings.Contains(out, "backup.bin") {
		t.Errorf("ls: %s", out)
	}
	// What a link does not carry cannot be had through it, and without the link
	// there is no way at all.
	if out, err := run("ls", "--link", "direct", "--connect-timeout", "2s", "behind:"+source); err == nil {
		t.Errorf("without the link: %s", out)
	}
	if after := machine(); after != before {
		t.Errorf("the machine is not what it was:\n%s\n%s", before, after)
	}
}
