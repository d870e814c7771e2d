//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/gateway"
	"linehaul/store"
)

// A linkSite is a gateway with a server behind it, and linehaul as an ordinary
// user before it, with a config.
type linkSite struct {
	*gateway.Gateway
	t       *testing.T
	program string
	config  string
	source  string   // a file on the server
	sum     [32]byte // of it
}

// linkBytes is how long the file on the server is.
const linkBytes = 256 << 20

func newLinkSite(t *testing.T, size int64) *linkSite {
	t.Helper()
	g := gateway.Start(t, gateway.Options{Capture: true})
	return siteBehind(t, g, size, labLink())
}

// labLink is the link to the lab's gateway, with a PSK.
func labLink() string {
	return fmt.Sprintf(`  lab:
    ipsec:
      gateway: %s
      local: {id: %s, psk: env:LAB_PSK}
      remote: {id: %s}
      networks: [%s]
      ike: [aes128-sha256-modp2048]
      esp: [aes128-sha256]
`, gateway.Gate, gateway.RoadID, gateway.GateID, gateway.LanNet)
}

// siteBehind has one link, which is called lab.
func siteBehind(t *testing.T, g *gateway.Gateway, size int64, link string) *linkSite {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s := &linkSite{Gateway: g, t: t, program: filepath.Join(g.Dir, "linehaul"), config: filepath.Join(g.Home, "linehaul.yaml"), source: filepath.Join(g.Dir, "backup.bin")}
	data, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(s.program, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.sum = randomFile(t, s.source, size)
	if err := os.Chmod(s.source, 0o644); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`state: %q
links:
%shosts:
  behind: {address: %s, user: %s, keys: %q, host_keys: %q, link: lab}
jobs:
  nightly: {get: "behind:%s", to: job/}
`, filepath.Join(g.Home, "state"), link, gateway.Lan, g.SSH.User, g.Key, g.SSH.Fingerprint(), s.source)
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// command is linehaul as the ordinary user.
func (s *linkSite) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, append([]string{"-c", s.config}, args...)...)
	cmd.Env, cmd.Dir = append(os.Environ(), "LAB_PSK="+gateway.PSK), s.Home
	return s.RoadUser(cmd)
}

func (s *linkSite) run(args ...string) (string, error) {
	out, err := s.command(args...).CombinedOutput()
	return string(out), err
}

func (s *linkSite) must(args ...string) string {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// machine is what a VPN usually changes: addresses and devices, routes, rules
// and the firewall.
func (s *linkSite) machine() string {
	s.t.Helper()
	lab.Need(s.t, "nft")
	var lines []string
	for _, args := range [][]string{{"ip", "-o", "link"}, {"ip", "-o", "addr"}, {"ip", "route", "show", "table", "all"}, {"ip", "-6", "route", "show", "table", "all"}, {"ip", "rule"}, {"ip", "xfrm", "state"}, {"nft", "list", "ruleset"}} {
		for l := range strings.Lines(s.RoadHost.Run(args[0], args[1:]...)) {
			if !strings.Contains(l, "multicast") { // which comes when the line is there
				lines = append(lines, l)
			}
		}
	}
	return strings.Join(lines, "")
}

// onlyTunnel checks that nothing but IKE and ESP in UDP went over the line.
func (s *linkSite) onlyTunnel() {
	s.t.Helper()
	tcpdump := func(filter string) (lines []string) {
		out := lab.Run(s.t, "tcpdump", "-Z", "root", "-n", "-q", "-t", "-r", s.Wire(), filter)
		for l := range strings.Lines(out) {
			if strings.HasPrefix(l, "IP") || strings.HasPrefix(l, "ARP") {
				lines = append(lines, l)
			}
		}
		return lines
	}
	tunnel := "(udp and host " + gateway.Gate + " and (port 500 or port 4500))"
	// A packet that the gateway had on the way when the tunnel ended finds the
	// port closed, which the machine says to the gateway.
	late := "(icmp and host " + gateway.Gate + " and icmp[0]==3 and icmp[1]==3 and icmp[17]==17 and (icmp[28:2]==500 or icmp[28:2]==4500))"
	// How neighbours find each other, and groups, is no packet to anybody else.
	if around := tcpdump("not arp and not icmp6 and not ip6 multicast and not " + tunnel + " and not " + late); len(around) > 0 {
		s.t.Errorf("%d packets went outside of the tunnel:\n%s", len(around), strings.Join(around, ""))
	}
	if n := len(tcpdump(tunnel)); n < 1000 {
		s.t.Errorf("%d packets of the tunnel: nothing was recorded", n)
	}
}

// TestLink pulls 256 MiB through strongSwan, as an ordinary user who changes
// nothing on the machine, by hand and as a job, and the record says by what.
func TestLink(t *testing.T) {
	s := newLinkSite(t, linkBytes)
	before := s.machine()
	// The kernel says a moment later that the line is there.
	for deadline := time.Now().Add(10 * time.Second); strings.Contains(before, "NO-CARRIER"); before = s.machine() {
		if time.Now().After(deadline) {
			t.Fatalf("the line does not come up:\n%s", before)
		}
		time.Sleep(20 * time.Millisecond)
	}
	out := s.must("get", "behind:"+s.source, "hand/")
	if !strings.Contains(out, "; by link lab: 2") {
		t.Errorf("get says: %s", out)
	}
	t.Logf("%s", out)
	s.must("run", "nightly")
	for _, name := range []string{"hand/backup.bin", "job/backup.bin"} {
		if got, err := fileSum(filepath.Join(s.Home, name)); err != nil || got != s.sum {
			t.Errorf("%s is not what the source is: %v", name, err)
		}
	}
	if out := s.must("ls", "behind:"+s.source); !strings.Contains(out, "backup.bin") {
		t.Errorf("ls: %s", out)
	}
	// What a link does not carry cannot be had through it, and without the link
	// there is no way at all.
	if out, err := s.run("ls", "--link", "direct", "--connect-timeout", "2s", "behind:"+s.source); err == nil {
		t.Errorf("without the link: %s", out)
	}
	if after := s.machine(); after != before {
		t.Errorf("the machine is not what it was:\n%s\n%s", before, after)
	}
	s.recorded()
	s.onlyTunnel()
}

// recorded checks what the record of the job's run says of the link.
func (s *linkSite) recorded() {
	s.t.Helper()
	var runs []store.Run
	if err := json.Unmarshal([]byte(s.must("history", "nightly", "--json")), &runs); err != nil || len(runs) != 1 {
		s.t.Fatalf("%d runs, %v", len(runs), err)
	}
	l := runs[0].Link
	if l == nil || l.Name != "lab" || len(l.SPIs) != 1 || l.Received < linkBytes || l.Received > linkBytes+linkBytes/20 || l.Sent < 1000 || l.Sent > linkBytes/20 {
		s.t.Errorf("the record says of the link: %+v", l)
		return
	}
	// The gateway knows the SPIs, too.
	for spi := range strings.SplitSeq(l.SPIs[0], "/") {
		if !strings.Contains(s.Log(), spi) {
			s.t.Errorf("the gateway's log has no SPI %s", spi)
		}
	}
	log := s.must("logs", "nightly")
	if want := fmt.Sprintf("link=lab spi=%s sent=%d received=%d", l.SPIs[0], l.Sent, l.Received); !strings.Contains(log, want) {
		s.t.Errorf("the log has no %q:\n%s", want, log)
	}
	// The tunnel's own TCP knows how long the line is, and not what was lost on
	// its way here.
	line := runs[0].Line
	if line == nil || line.By != store.ByTheTunnel || line.Connections < 1 || line.RTTMS <= 0 || line.RTTMS > 5000 || line.Sent == 0 || line.Outward() || line.Knows("out_of_order") {
		s.t.Errorf("the record says of the line: %+v", line)
	}
	if out := s.must("history", runs[0].ID); !strings.Contains(out, "nobody counts what was lost") || !strings.Contains(log, " rtt=") {
		s.t.Errorf("the run: %s", out)
	}
	if out := s.must("history"); !strings.Contains(out, "LINK") || !strings.Contains(out, "lab") {
		s.t.Errorf("history: %s", out)
	}
}
