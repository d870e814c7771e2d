//go:build linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/internal/lab/gateway"
)

// TestRouteLink pulls a file through a VPN that strongSwan provides, and nothing
// when it is down and the system would send in clear.
func TestRouteLink(t *testing.T) {
	g := gateway.Start(t, gateway.Options{Client: true})
	g.RoadHost.Run("ip", "route", "add", "default", "via", gateway.Gate)
	if err := g.Client.Initiate(); err != nil {
		t.Fatal(err)
	}
	_, device, _ := strings.Cut(g.RoadHost.Run("ip", "route", "get", gateway.Lan), " dev ")
	device, _, _ = strings.Cut(device, " ")
	s := siteBehind(t, g, 1<<20, fmt.Sprintf("  lab: {route: {networks: [%s], interface: %s}}\n", gateway.LanNet, device))
	run := func(args ...string) (string, int) {
		cmd := s.command(args...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := run("get", "behind:"+s.source, "got/"); code != 0 {
		t.Fatalf("through the VPN: exit code %d\n%s", code, out)
	}
	if got, err := fileSum(filepath.Join(g.Home, "got/backup.bin")); err != nil || got != s.sum {
		t.Errorf("it is not what the source is: %v", err)
	}
	if out, code := run("ls", "--link", "lab", s.SSH.User+"@"+gateway.Gate+":/"); code != 3 || !strings.Contains(out, "in none of the networks") {
		t.Errorf("a host that is not behind the link: exit code %d\n%s", code, out)
	}
	g.Client.Terminate()
	out, code := run("get", "behind:"+s.source, "again/")
	if want := "would be reached via " + gateway.Gate + " by wan"; code != 3 || !strings.Contains(out, want) || !strings.Contains(out, "nothing was sent") {
		t.Errorf("with the VPN down: exit code %d, want 3 and %q\n%s", code, want, out)
	}
}
