package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab/gateway"
	"linehaul/preflight"
	"linehaul/preflight/port"
)

// A checkLinkSite is a linkSite with hosts and jobs of all kinds behind it. The
// host behind the gateway is known by its name there only.
type checkLinkSite struct {
	*linkSite
	astray string // a name that leads out of the link
}

// checkLinkSize is how long the file on the server is.
const checkLinkSize = 64 << 20

func newCheckLinkSite(t *testing.T, o gateway.Options) *checkLinkSite {
	t.Helper()
	g := gateway.Start(t, o)
	s := &checkLinkSite{linkSite: siteBehind(t, g, checkLinkSize, "  lab: {route: {networks: [192.0.2.0/24], interface: wan}}\n"), astray: "astray.lab.test"}
	g.Names.Set(s.astray, netip.MustParseAddr("198.51.100.7"))
	link := func(name, networks, more string) string {
		return fmt.Sprintf("  %s:\n    ipsec: {gateway: %s, local: {id: %s, psk: env:LAB_PSK}, remote: {id: %s}, networks: [%s], ike: [aes128-sha256-modp2048], esp: [aes128-sha256]%s}\n",
			name, gateway.Gate, gateway.RoadID, gateway.GateID, networks, more)
	}
	host := func(name, address, link string) string {
		return fmt.Sprintf("  %s: {address: %q, user: %s, keys: %q, host_keys: %q, link: %s}\n", name, address, g.SSH.User, g.Key, g.SSH.Fingerprint(), link)
	}
	text := fmt.Sprintf("state: %q\nlogs: {dir: %q}\nlinks:\n", filepath.Join(g.Home, "state"), filepath.Join(g.Home, "log")) +
		link("lab", gateway.LanNet, "") + link("brief", gateway.LanNet, ", dpd: 1s, dead_after: 4s") + link("strange", "10.99.0.0/24", "") +
		"hosts:\n" + host("behind", gateway.LanName, "lab") + host("digits", gateway.Lan, "lab") + host("brief", gateway.Lan, "brief") +
		host("absent", "10.77.0.9", "lab") + host("shut", gateway.Lan+":23", "lab") + host("astray", s.astray, "lab") + host("elsewhere", "10.99.0.2", "strange") +
		fmt.Sprintf(`jobs:
  nightly: {get: "behind:%[1]s", to: job/, retry: {attempts: 1}}
  careful: {get: "behind:%[1]s", to: careful/, retry: {attempts: 1}, checks: {mtu: warn}}
  killed: {get: "brief:%[1]s", to: killed/, retry: {attempts: 1}, bandwidth: 4MB/s}
`, s.source)
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// in runs linehaul as the ordinary user to its end. More variables are
// NAME=VALUE.
func (s *linkSite) in(t *testing.T, limit time.Duration, env []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program, append([]string{"-c", s.config}, args...)...)
	cmd.Env, cmd.Dir = append(append(os.Environ(), "LAB_PSK="+gateway.PSK), env...), s.Home
	s.RoadUser(cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	o := outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(began)}
	if ctx.Err() != nil {
		t.Fatalf("%q did not end: %v\n%s", args, err, o)
	}
	return o
}

// report is what `check --json` prints.
func (s *linkSite) report(t *testing.T, env []string, args ...string) (preflight.Report, outcome) {
	t.Helper()
	o := s.in(t, 2*time.Minute, env, append([]string{"check", "--json"}, args...)...)
	var r preflight.Report
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatalf("%v\n%s", err, o)
	}
	return r, o
}

// codes are what the checks found, as in "name-found link-carries".
func codes(r preflight.Report) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.Code)
	}
	return strings.Join(all, " ")
}

// TestCheckLink looks at a host behind strongSwan, at the link and at a job, as
// an ordinary user, where all is well: what is asked inside and what outside.
func TestCheckLink(t *testing.T) {
	s := newCheckLinkSite(t, gateway.Options{})
	t.Run("host", func(t *testing.T) {
		r, o := s.report(t, nil, "behind", "--mtu", "--trace", "--count", "5")
		t.Logf("%s", o)
		want := "link-carries name-found ping-well port-open trace-inside mtu-inside ssh-login clock-equal"
		if o.code != 0 || codes(r) != want {
			t.Fatalf("%s, want %s", codes(r), want)
		}
		link, name, ping := r.Of(preflight.CheckLink).Link, r.Of(preflight.CheckName).Name, r.Of(preflight.CheckPing).Ping
		if len(link.SAs) != 1 || link.Gateway != gateway.Gate || link.Remote.Addr().String() != gateway.Gate || link.RTTMS <= 0 || link.Inside.String() != gateway.Lan {
			t.Errorf("the link: %+v", link)
		}
		for spi := range strings.SplitSeq(strings.Fields(link.SAs[0])[0], "/") {
			if !strings.Contains(s.Log(), spi) {
				t.Errorf("the gateway's log has no SPI %s", spi)
			}
		}
		if name.Server != gateway.Lan || !strings.Contains(fmt.Sprint(name.Addresses), gateway.Lan) {
			t.Errorf("the name: %+v", name)
		}
		if ping.Received != 5 || ping.Way != "the tunnel" {
			t.Errorf("echoes: %+v", ping)
		}
		mtu := r.Of(preflight.CheckMTU).MTU
		if len(mtu) != 2 || mtu[0].To.String() != gateway.Gate || mtu[0].MTU != 1500 || mtu[1].To.String() != gateway.Lan || mtu[1].MTU != 1400 {
			t.Errorf("sizes: %+v", mtu)
		}
	})
	t.Run("address", func(t *testing.T) {
		r, o := s.report(t, nil, "digits", "--count", "2")
		if l := r.Of(preflight.CheckLink).Link; o.code != 0 || l.RTTMS <= 0 || l.Inside.String() != gateway.Lan {
			t.Errorf("%+v\n%s", l, o)
		}
	})
	t.Run("link", func(t *testing.T) {
		r, o := s.report(t, nil, "lab", "--trace", "--mtu", "--count", "2")
		want := "name-address link-carries ping-well port-answers trace-reached mtu-whole"
		if o.code != 0 || codes(r) != want {
			t.Fatalf("%s, want %s\n%s", codes(r), want, o)
		}
		// Its login went by the same ports, of which each was asked in IKE's words.
		for _, p := range r.Of(preflight.CheckPort).Ports {
			if p.Addr.String() != gateway.Gate || p.Payload != "IKE" || p.Mismatch || p.State != port.Open {
				t.Errorf("%+v", p)
			}
		}
		if !strings.Contains(r.Summary, "the tunnel to "+gateway.Gate+" is up, a round trip to "+gateway.Lan+" inside takes ") {
			t.Errorf("summary: %s", r.Summary)
		}
	})
	t.Run("job", func(t *testing.T) {
		r, o := s.report(t, nil, "nightly", "--count", "2")
		want := "link-carries name-found ping-well port-open ssh-login space-enough clock-equal"
		if o.code != 0 || codes(r) != want || r.Link != "lab" {
			t.Errorf("%s, want %s\n%s", codes(r), want, o)
		}
	})
	t.Run("run", func(t *testing.T) {
		if o := s.in(t, time.Minute, nil, "run", "careful"); o.code != 0 {
			t.Fatal(o)
		}
		o := s.in(t, time.Minute, nil, "logs", "careful")
		t.Logf("%s", o)
	})
}

// A linkFault is something that breaks a link, or a line behind one.
type linkFault struct {
	name   string
	args   []string
	damage func(s *checkLinkSite)
	env    []string

	code             int
	layer            string
	find, says, next string
}

func linkFaults() []linkFault {
	dropIKE := func(s *checkLinkSite) { s.GateHost.Drop("udp dport { 500, 4500 }") }
	return []linkFault{
		{"gateway silent", []string{"digits"}, dropIKE, nil, 4, "ike", "link-down", "not answered", "linehaul check LINK"},
		{"gateway silent, the link", []string{"lab", "--trace", "--mtu", "--count", "2"}, dropIKE, nil, 4, "ike", "link-down", "the gateway answers echoes, and nothing on udp port 500, udp port 4500", "a firewall on the way drops IKE"},
		{"port 4500 dropped, the link", []string{"lab", "--count", "2"}, func(s *checkLinkSite) { s.GateHost.Drop("udp dport 4500") }, nil,
			4, "ike", "link-down", "udp port 500 answers (IKEv2, wants another key exchange), and nothing comes back from udp port 4500", "both are needed"},
		{"gateway gone, the link", []string{"lab", "--count", "2"}, func(s *checkLinkSite) { s.GateHost.Drop("ip saddr " + gateway.Road) }, nil,
			4, "ike", "link-down", "nothing at all is heard of the gateway", "--trace"},
		{"wrong pre-shared key", []string{"digits"}, nil, []string{"LAB_PSK=not the one"}, 4, "gateway login", "link-login", "", "secrets"},
		{"wrong pre-shared key, the link", []string{"lab", "--count", "2"}, nil, []string{"LAB_PSK=not the one"}, 4, "gateway login", "link-login", "", "secrets"},
		{"networks that the gateway has not", []string{"elsewhere"}, nil, nil, 4, "ike", "link-down", "networks", ""},
		{"host behind is dead", []string{"absent", "--count", "2"}, nil, nil, 3, "route", "port-no-route", "10.77.0.9", "the host is down in its network"},
		{"port behind filtered", []string{"digits", "--count", "2"}, func(s *checkLinkSite) { s.LanHost.Drop("tcp dport 22") }, nil, 3, "tcp", "port-filtered", "tcp port 22", "firewall"},
		{"port behind refused", []string{"shut", "--count", "2"}, nil, nil, 3, "tcp", "port-refused", "tcp port 23", "nothing listens"},
		{"name leads out of the link", []string{"astray"}, nil, nil, 3, "name", "name-beyond", "198.51.100.7", "the record at that name server"},
		{"name server behind is silent", []string{"behind"}, func(s *checkLinkSite) { s.Names.Silence(true) }, nil, 3, "name", "name-no-answer", gateway.LanName, ""},
		{"name not known behind", []string{"behind"}, func(s *checkLinkSite) { s.Names.Set(gateway.LanName) }, nil, 3, "name", "name-unknown", gateway.LanName, "inner network"},
	}
}

// TestCheckLinkFaults breaks a tunnel, or the line behind it, in one way after
// another, and each is blamed on its layer.
func TestCheckLinkFaults(t *testing.T) {
	s := newCheckLinkSite(t, gateway.Options{})
	var table strings.Builder
	fmt.Fprintf(&table, "%-34s %-13s %4s %6s  %s\n", "what is broken", "blamed", "exit", "took", "verdict, next step")
	for _, f := range linkFaults() {
		t.Run(f.name, func(t *testing.T) {
			if f.damage != nil {
				f.damage(s)
				defer func() {
					s.GateHost.Allow()
					s.LanHost.Allow()
					s.Names.Silence(false)
					s.Names.Set(gateway.LanName, netip.MustParseAddr(gateway.Lan))
				}()
			}
			r, o := s.report(t, f.env, f.args...)
			fmt.Fprintf(&table, "%-34s %-13s %4d %5.1fs  %s\n%67s%s\n", f.name, r.Layer, o.code, o.took.Seconds(), r.Summary, "-> ", r.Next)
			if o.code != f.code || r.Layer != f.layer || r.Verdict != preflight.Fail {
				t.Errorf("exit %d, %s, blames %q; want %d, fail, %q\n%s", o.code, r.Verdict, r.Layer, f.code, f.layer, o)
			}
			if !strings.Contains(" "+codes(r)+" ", " "+f.find+" ") || !strings.Contains(r.Summary, f.says) || r.Next == "" || !strings.Contains(r.Next, f.next) {
				t.Errorf("%s: want %s, ...%s..., next ...%s...\n%s\n%s", codes(r), f.find, f.says, f.next, r.Summary, r.Next)
			}
			if strings.Contains(o.String(), gateway.PSK) || strings.Contains(o.String(), "not the one") {
				t.Errorf("it shows a secret: %s", o)
			}
		})
	}
	t.Logf("\n%s", table.String())
}
