//go:build linux && soak

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab/gateway"
)

// soakSeconds is how long the paced pull takes, LINEHAUL_SOAK if it is set.
func soakSeconds() int64 {
	if n, err := strconv.ParseInt(os.Getenv("LINEHAUL_SOAK"), 10, 64); err == nil && n > 0 {
		return n
	}
	return 300
}

// pause watches what comes in on the road until it is told to stop, and returns
// the longest time for which nothing did.
func pause(t *testing.T, g *gateway.Gateway, stop <-chan struct{}) time.Duration {
	received := func() int64 {
		out := g.RoadHost.Run("cat", "/proc/net/dev")
		for l := range strings.Lines(out) {
			if name, numbers, ok := strings.Cut(strings.TrimSpace(l), ":"); ok && name == "wan" {
				n, err := strconv.ParseInt(strings.Fields(numbers)[0], 10, 64)
				if err != nil {
					t.Error(err)
				}
				return n
			}
		}
		return 0
	}
	const little = 10_000 // less than this is IKE, or nothing
	longest, last, since := time.Duration(0), received(), time.Now()
	for {
		select {
		case <-stop:
			return longest
		case <-time.After(100 * time.Millisecond):
		}
		if n := received(); n-last > little {
			longest = max(longest, time.Since(since))
			last, since = n, time.Now()
		}
	}
}

// link is a link named lab to the gateway, with some more lines.
func soakLink(more string) string {
	return fmt.Sprintf(`  lab:
    ipsec:
      gateway: %s
      local: {id: %s, psk: env:LAB_PSK}
      remote: {id: %s}
      networks: [%s]
      ike: [aes256gcm16-prfsha256-x25519]
      esp: [aes256gcm16-x25519]
%s`, gateway.Gate, gateway.RoadID, gateway.GateID, gateway.LanNet, more)
}

// TestSoakRekeys pulls for five minutes at 8 MB/s while all keys are replaced,
// those of ESP every five seconds and those of IKE every 14, begun by the gateway
// and then by us, and 1 GiB as fast as it goes.
func TestSoakRekeys(t *testing.T) {
	const rate = 8_000_000
	row := gateway.Row{IKE: "aes256gcm16-prfsha256-x25519", ESP: "aes256gcm16-x25519"}
	theirs := row
	theirs.Gate, theirs.GateChild = "rekey_time = 14s\nover_time = 30s\nrand_time = 0", "rekey_time = 5s\nlife_time = 60s\nrand_time = 0"
	ours := "      esp_lifetime: 5500ms\n      ike_lifetime: 15s\n"
	for _, c := range []struct {
		name  string
		row   gateway.Row
		more  string
		size  int64
		paced bool
	}{
		{"the gateway", theirs, "", rate * soakSeconds(), true},
		{"us", row, ours, rate * soakSeconds(), true},
		{"the gateway, unpaced", theirs, "", 1 << 30, false},
		{"us, unpaced", row, ours, 1 << 30, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := gateway.Start(t, gateway.Options{Row: c.row})
			s := siteBehind(t, g, c.size, soakLink(c.more))
			args := []string{"get", "--progress", "none", "behind:" + s.source, "got/"}
			if c.paced {
				args = append(args, "--bandwidth", fmt.Sprint(rate, "B/s"))
			}
			stop, paused := make(chan struct{}), make(chan time.Duration, 1)
			began := time.Now()
			go func() { paused <- pause(t, g, stop) }()
			out, err := s.run(args...)
			close(stop)
			took, longest := time.Since(began), <-paused
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got, err := fileSum(filepath.Join(s.Home, "got", filepath.Base(s.source))); err != nil || got != s.sum {
				t.Errorf("the file is not what the source is: %v", err)
			}
			log := g.Log()
			children, ikes := strings.Count(log, "CHILD_SA net{"), strings.Count(log, "IKE_SA c[")
			rekeys := strings.Count(log, "generating CREATE_CHILD_SA response") + strings.Count(log, "generating CREATE_CHILD_SA request")
			t.Logf("begun by %s: %d bytes in %.0f s, %.1f MB/s, %d CREATE_CHILD_SA, longest pause %.1f s (%d and %d lines of SAs)",
				c.name, c.size, took.Seconds(), float64(c.size)/1e6/took.Seconds(), rekeys, longest.Seconds(), children, ikes)
			if least := int(took.Seconds()/5) - 3; rekeys < least {
				t.Errorf("%d rekeys, want %d at least", rekeys, least)
			}
			if longest > 2*time.Second {
				t.Errorf("nothing came for %v", longest)
			}
		})
	}
}

// TestSoakDeadGateway kills the gateway in the middle of a file and starts it
// again: the attempt ends with the tunnel's error within the time that the link
// says, the next one goes on where it was, and the file is right.
func TestSoakDeadGateway(t *testing.T) {
	g := gateway.Start(t, gateway.Options{Row: gateway.Row{IKE: "aes256gcm16-prfsha256-x25519", ESP: "aes256gcm16-x25519"}})
	s := siteBehind(t, g, 128<<20, soakLink("      dpd: 2s\n      dead_after: 5s\n"))
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("to: job/}"), []byte("to: job/, bandwidth: 10MB/s, retry: {attempts: 10, backoff: 1s..1s}}"), 1)
	if err := os.WriteFile(s.config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := s.command("run", "nightly")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(6 * time.Second)
	g.Kill()
	killed := time.Now()
	time.Sleep(9 * time.Second)
	g.Restart()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) || exit != nil {
		t.Errorf("the run: %v", err)
	}
	t.Logf("%.0f s after the gateway was killed:\n%s", time.Since(killed).Seconds(), out.String())
	if got, err := fileSum(filepath.Join(s.Home, "job", filepath.Base(s.source))); err != nil || got != s.sum {
		t.Errorf("the file is not what the source is: %v", err)
	}
	for _, want := range []string{"the gateway has not answered", "resumed"} {
		if history := s.must("history", "--json"); !strings.Contains(out.String()+history, want) {
			t.Errorf("nothing says %q:\n%s", want, history)
		}
	}
}
