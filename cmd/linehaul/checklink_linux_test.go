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
	"linehaul/store"
	"linehaul/store/storetest"
)

// A checkLinkSite is a linkSite with hosts and jobs of all kinds behind it. The
// host behind the gateway is known by its name there only.
type checkLinkSite struct {
	*linkSite
	astray string // a name that leads out of the link
}

// checkLinkSize is how long the file on the server is.
const checkLinkSize = 8 << 20

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
		link("lab", gateway.LanNet, ", dead_after: 10s") + link("brief", gateway.LanNet, ", dpd: 1s, dead_after: 4s") + link("strange", "10.99.0.0/24", "") +
		strings.Replace(link("floated", gateway.LanNet, ""), gateway.Gate, gateway.Gate+":4500", 1) +
		strings.Replace(link("mistaken", gateway.LanNet, ", dead_after: 4s"), gateway.Gate, gateway.Road, 1) +
		"hosts:\n" + host("behind", gateway.LanName, "lab") + host("digits", gateway.Lan, "lab") + host("brief", gateway.Lan, "brief") +
		host("absent", "10.77.0.9", "lab") + host("shut", gateway.Lan+":23", "lab") + host("astray", s.astray, "lab") + host("elsewhere", "10.99.0.2", "strange") +
		strings.Replace(host("hasty", gateway.Lan, "lab"), "link: lab", "link: lab, stall_timeout: 4s", 1) +
		fmt.Sprintf(`jobs:
  nightly: {get: "behind:%[1]s", to: job/, retry: {attempts: 1}}
  careful: {get: "behind:%[1]s", to: careful/, retry: {attempts: 1}, checks: {mtu: warn}}
  heedless: {get: "hasty:%[1]s", to: heedless/, retry: {attempts: 1}}
  killed: {get: "brief:%[1]s", to: killed/, retry: {attempts: 1}, bandwidth: 1MB/s}
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
	t.Parallel() // it waits most of the time
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
	t.Run("link with a port", func(t *testing.T) {
		r, o := s.report(t, nil, "floated", "--count", "2")
		ports := r.Of(preflight.CheckPort).Ports
		if o.code != 0 || len(ports) != 1 || ports[0].Port != 4500 || ports[0].Payload != "IKE" || ports[0].State != port.Open {
			t.Errorf("%+v\n%s", ports, o)
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
		o := s.in(t, time.Minute, nil, "history", "careful", "--json")
		var runs []store.Run
		if err := json.Unmarshal([]byte(o.stdout), &runs); err != nil || len(runs) != 1 || runs[0].Checks == nil {
			t.Fatalf("%v: %s", err, o)
		}
		var r preflight.Report
		if ok, err := s.runs(t).Attachment(runs[0], "checks", &r); !ok || err != nil {
			t.Fatal(err)
		}
		want := "link-carries name-found ping-well port-open trace-inside mtu-inside space-enough"
		if c := runs[0].Checks; c.Verdict != "ok" || c.Sent != 5 || c.Loss != 0 || c.MedianMS <= 0 || codes(r) != want {
			t.Errorf("%+v, %s, want %s", c, codes(r), want)
		}
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
		{"gateway silent", []string{"digits"}, dropIKE, nil, 4, "ike", "link-down", "not answered", "UDP ports 500 and 4500"},
		{"gateway silent, the link", []string{"lab", "--trace", "--mtu", "--count", "2"}, dropIKE, nil, 4, "ike", "link-down ping-well port-untold trace-reached mtu-whole", "the gateway answers echoes, and nothing on UDP port 500, UDP port 4500", "a firewall on the way drops IKE"},
		{"port 4500 dropped, the link", []string{"lab", "--count", "2"}, func(s *checkLinkSite) { s.GateHost.Drop("udp dport 4500") }, nil,
			4, "ike", "link-down", "UDP port 500 answers (IKEv2, wants another key exchange), and nothing comes back from UDP port 4500", "both are needed"},
		{"gateway gone, the link", []string{"lab", "--count", "2"}, func(s *checkLinkSite) { s.GateHost.Drop("ip saddr " + gateway.Road) }, nil,
			4, "ike", "link-down", "nothing at all is heard of the gateway", "--trace"},
		{"no gateway there, the link", []string{"mistaken", "--count", "2"}, nil, nil, 4, "ike", "link-down", "UDP port 500 is closed", "no IKE program listens"},
		{"wrong pre-shared key", []string{"digits"}, nil, []string{"LAB_PSK=not the one"}, 4, "gateway login", "link-login", "does not let " + gateway.RoadID + " in", "another pre-shared key"},
		{"wrong pre-shared key, the link", []string{"lab", "--count", "2"}, nil, []string{"LAB_PSK=not the one"}, 4, "gateway login", "link-login", "does not let", "another pre-shared key"},
		{"networks that the gateway has not", []string{"elsewhere"}, nil, nil, 4, "ike", "link-down", "no policy for the networks 10.99.0.0/24", "the link's `networks`"},
		{"host behind is dead", []string{"absent", "--count", "2"}, nil, nil, 3, "route", "port-no-route", "10.77.0.9", "the host is down in its network"},
		{"host behind is silent", []string{"digits", "--count", "2"}, func(s *checkLinkSite) { s.LanHost.Drop("ip saddr != " + gateway.Lan) }, nil, 3, "tcp", "port-silent", "port 22 does not answer through the tunnel", "the host is down"},
		{"port behind filtered", []string{"digits", "--count", "2"}, func(s *checkLinkSite) { s.LanHost.Drop("tcp dport 22") }, nil, 3, "tcp", "port-silent", "port 22 does not answer through the tunnel, and nobody says why; the host answers echoes", "firewall behind the gateway or at the host drops it: ask"},
		{"port behind refused", []string{"shut", "--count", "2"}, nil, nil, 3, "tcp", "port-refused", "port 23", "nothing listens"},
		{"name leads out of the link", []string{"astray"}, nil, nil, 3, "name", "name-beyond", "198.51.100.7", "the record at that name server"},
		{"name server behind is silent", []string{"behind"}, func(s *checkLinkSite) { s.Names.Silence(true) }, nil, 3, "name", "name-mute", gateway.Lan + " is silent", "`dns` of the link"},
		{"name not known behind", []string{"behind"}, func(s *checkLinkSite) { s.Names.Set(gateway.LanName) }, nil, 3, "name", "name-unknown", gateway.LanName, "inner network"},
	}
}

// TestCheckLinkFaults breaks a tunnel, or the line behind it, in one way after
// another, and each is blamed on its layer.
func TestCheckLinkFaults(t *testing.T) {
	t.Parallel() // it waits most of the time
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

// TestCheckLinkBlackHole has large packets vanish, before the gateway and behind
// it. A job that looks at sizes sets its tunnel to what passes, and moves its
// file; one that does not stalls.
func TestCheckLinkBlackHole(t *testing.T) {
	t.Parallel() // it waits most of the time
	const hole = 1200
	s := newCheckLinkSite(t, gateway.Options{NAT: true})
	// Around an inner packet are the headers of IP, UDP and ESP, the IV and the
	// ICV of 16 bytes; with its two bytes of trailer it fills blocks of 16.
	// The server's kernel gives a virtual line many segments in one packet, whose
	// length would be theirs together.
	s.LanHost.IP("link set lan gso_max_segs 1\n")
	around := (hole-20-8-8-16-16)/16*16 - 2
	for _, tt := range []struct {
		name            string
		damage          func()
		inside, outside int
		heedless        bool // and see what becomes of a job that does not look
	}{
		{"before the gateway", func() { s.RouterHost.Drop(fmt.Sprintf("ip length > %d", hole)) }, around, hole, true},
		{"behind the gateway", func() {
			s.GateHost.Drop(fmt.Sprintf("oifname lan ip length > %d", hole))
			s.GateHost.Drop(fmt.Sprintf("iifname lan ip length > %d", hole))
		}, hole, 1500, false},
		{"from the server only", func() { s.GateHost.Drop(fmt.Sprintf("iifname lan ip length > %d", hole)) }, hole, 1500, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.damage()
			defer s.RouterHost.Allow()
			defer s.GateHost.Allow()
			r, o := s.report(t, nil, "careful", "--mtu", "--count", "2")
			f := r.Of(preflight.CheckMTU)
			if o.code != 0 || r.Verdict != preflight.Warn || r.Layer != "esp" || f.Code != "mtu-hole-link" || !strings.Contains(r.Next, fmt.Sprintf("mtu: %d", tt.inside)) {
				t.Fatalf("exit %d, %s, %s, blames %q, next %q\n%s", o.code, f.Code, r.Summary, r.Layer, r.Next, o)
			}
			if len(f.MTU) != 2 || f.MTU[0].MTU != tt.outside || f.MTU[0].BlackHole != (tt.outside < 1500) || f.MTU[1].MTU != tt.inside || !f.MTU[1].BlackHole {
				t.Errorf("%d and %d, want %d outside and %d inside: %+v", f.MTU[0].MTU, f.MTU[1].MTU, tt.outside, tt.inside, f.MTU)
			}
			if f.TookMS > 15_000 {
				t.Errorf("it took %.1f s to find", f.TookMS/1000)
			}
			if ssh := r.Of(preflight.CheckSSH); ssh.Code != "ssh-login" {
				t.Errorf("%s: %s", ssh.Code, ssh.Text)
			}
			t.Logf("found in %.1f s: %s", f.TookMS/1000, f.Text)
			s.pulls(t, tt.inside)
			if !tt.heedless {
				return
			}
			if o := s.in(t, 2*time.Minute, nil, "run", "heedless"); o.code != 8 {
				t.Errorf("a job that does not look at sizes: %s", o)
			}
		})
	}
}

// pulls has the careful job move its file through a black hole, and reads what
// its log says of that.
func (s *checkLinkSite) pulls(t *testing.T, mtu int) {
	t.Helper()
	target := filepath.Join(s.Home, "careful/backup.bin")
	o := s.in(t, 2*time.Minute, nil, "run", "careful")
	if got, err := fileSum(target); o.code != 0 || err != nil || got != s.sum {
		t.Fatalf("the job: %v, %s", err, o)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	log := s.in(t, time.Minute, nil, "logs", "careful")
	want := fmt.Sprintf(`a black hole inside of the tunnel: packets of up to %d bytes pass`, mtu)
	if !strings.Contains(log.stdout, want) || !strings.Contains(log.stdout, "layer=esp") {
		t.Errorf("the log has no %q: %s", want, log)
	}
	t.Logf("the job took %.1f s in all\n%s", o.took.Seconds(), log.stdout)
}

// TestCheckLinkSecondLook kills the gateway while a file moves: what the second
// look found is kept with the run, and with it what the tunnel had logged.
func TestCheckLinkSecondLook(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := newCheckLinkSite(t, gateway.Options{})
	cmd := s.command("run", "killed")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Await("the file moving", func() bool {
		files := temporaries(t, filepath.Join(s.Home, "killed"))
		if len(files) == 0 {
			return false
		}
		info, err := os.Stat(files[0])
		return err == nil && info.Size() > 0
	})
	s.Kill()
	killed := time.Now()
	err := cmd.Wait()
	t.Logf("ended %.1f s after the gateway, %.1f s after its start: %v\n%s", time.Since(killed).Seconds(), time.Since(began).Seconds(), err, out.String())
	if code := cmd.ProcessState.ExitCode(); code != 4 {
		t.Errorf("exit code %d, want 4", code)
	}
	r := s.evidence(t)
	if r.Verdict != preflight.Fail || r.Layer != "ike" || !strings.HasPrefix(codes(r), "link-down") || r.Link != "brief" {
		t.Errorf("%s, blames %q: %s (%s)", r.Verdict, r.Layer, r.Summary, codes(r))
	}
	log := strings.Join(r.Log, "\n")
	t.Logf("the tunnel's log:\n%s", log)
	for _, want := range []string{"the tunnel is up", "link=brief", "DEBUG"} {
		if !strings.Contains(log, want) {
			t.Errorf("the tunnel's log has no %q", want)
		}
	}
	if strings.Contains(log, gateway.PSK) {
		t.Error("it shows a secret")
	}
}

// evidence is what the second look of the killed job's run found.
func (s *checkLinkSite) evidence(t *testing.T) (r preflight.Report) {
	t.Helper()
	runs := s.runs(t)
	_, err := runs.Each(store.Filter{Job: "killed"}, func(run store.Run) bool {
		if found, err := runs.Attachment(run, "evidence", &r); !found || err != nil {
			t.Errorf("the run has no second look: %v", err)
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// falls has the VPN end while echoes are sent through it: they end, too.
func (s *linkSite) falls(t *testing.T) {
	t.Helper()
	cmd := s.command("check", "behind", "--json", "--only", "link,ping", "--count", "3000", "--interval", "20ms", "--max-loss", "100%")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.Await("a socket for echoes", func() bool { return strings.Count(s.RoadHost.Run("cat", "/proc/net/icmp"), "\n") > 1 })
	began := time.Now()
	<-time.After(500 * time.Millisecond)
	s.Client.Terminate()
	err := cmd.Wait()
	var r preflight.Report
	if jsonErr := json.Unmarshal(out.Bytes(), &r); jsonErr != nil {
		t.Fatalf("%v, %v\n%s", jsonErr, err, out.String())
	}
	took := time.Since(began)
	if cmd.ProcessState.ExitCode() != 3 || r.Layer != "route" || codes(r) != "name-address link-route ping-astray" || took > 20*time.Second {
		t.Errorf("%v after %s, %s: %s", err, took, codes(r), r.Summary)
	}
	t.Logf("the VPN ends under echoes: %s after %d -> %s", r.Summary, r.Of(preflight.CheckPing).Ping.Sent, r.Next)
}

// runs is the record of runs.
func (s *checkLinkSite) runs(t *testing.T) *store.Store {
	t.Helper()
	return storetest.Open(t, filepath.Join(s.Home, "state"))
}

// TestCheckRouteLink looks at a link that is a route, where a strongSwan on this
// side provides it, and when it is gone: then nothing is sent to what is behind
// it, whatever is asked for.
func TestCheckRouteLink(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := gateway.Start(t, gateway.Options{Client: true, Capture: true})
	g.RoadHost.Run("ip", "route", "add", "default", "via", gateway.Gate)
	if err := g.Client.Initiate(); err != nil {
		t.Fatal(err)
	}
	_, device, _ := strings.Cut(g.RoadHost.Run("ip", "route", "get", gateway.Lan), " dev ")
	device, _, _ = strings.Cut(device, " ")
	s := siteBehind(t, g, 1<<20, fmt.Sprintf(`  lab: {route: {networks: [%[1]s], interface: %[2]s}}
  upper: {route: {networks: [10.77.0.128/25], interface: %[2]s}}
  lone: {route: {networks: [%[3]s/32], interface: %[2]s}}
  two: {route: {networks: [%[1]s, 10.78.0.0/24], interface: %[2]s}}
`, gateway.LanNet, device, gateway.Lan))
	config, err := os.ReadFile(s.config)
	if err == nil {
		err = os.WriteFile(s.config, append(config, fmt.Sprintf("  once: {get: \"behind:%s\", to: once/, retry: {attempts: 1}}\n", s.source)...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		name  string
		args  []string
		code  int
		layer string
		find  string // all findings
		says  string
	}
	look := func(rows []row) {
		for _, tt := range rows {
			t.Run(tt.name, func(t *testing.T) {
				r, o := s.report(t, nil, append(tt.args, "--count", "2", "--wait", "1s")...)
				if o.code != tt.code || r.Layer != tt.layer || codes(r) != tt.find || !strings.Contains(r.Summary, tt.says) {
					t.Errorf("exit %d, blames %q, %s: %s\nwant %d, %q, %s, ...%s...\n%s", o.code, r.Layer, codes(r), r.Summary, tt.code, tt.layer, tt.find, tt.says, o)
				}
				t.Logf("exit %d, %s %s: %s -> %s", o.code, r.Verdict, r.Layer, r.Summary, r.Next)
			})
		}
	}
	all := "--only=name,link,ping,port,trace,mtu"
	look([]row{
		{"up, the host", []string{"behind"}, 0, "", "name-address link-route ping-well port-open ssh-login clock-equal", "as the link wants"},
		{"up, the link", []string{"lab"}, 0, "", "name-address link-route ping-well", "by " + device},
		{"up, nobody at its first address", []string{"upper"}, 0, "", "name-address link-route ping-nobody", "as the link wants"},
		{"up, a network of one", []string{"lone"}, 0, "", "name-address link-route ping-well", "by " + device},
		{"up, of two networks one", []string{"two"}, 3, "route", "name-address link-other skipped", "10.78.0.1 would be reached via " + gateway.Gate},
	})
	s.falls(t)
	gone := gateway.Lan + " would be reached via " + gateway.Gate
	look([]row{
		{"gone, the host", []string{"behind"}, 3, "route", "name-address link-other skipped skipped skipped skipped", gone},
		{"gone, the link", []string{"lab"}, 3, "route", "name-address link-other skipped", "10.77.0.1 would be reached via " + gateway.Gate},
		{"gone, all that can be asked", []string{"behind", all}, 3, "route", "name-address link-other skipped skipped skipped skipped", gone},
		{"gone, all but the link", []string{"behind", "--only=ping,port,trace,mtu"}, 3, "route", "name-address ping-failed port-no-route trace-failed mtu-failed", ""},
	})
	if o := s.in(t, time.Minute, nil, "run", "once"); o.code != 13 || !strings.Contains(o.stderr, "route: "+gone) {
		t.Errorf("the job: %s", o)
	}
	around, within := 0, 0
	for _, p := range g.Packets() {
		switch {
		case netip.MustParsePrefix(gateway.LanNet).Contains(p.To.Addr()) || p.To.Addr() == netip.MustParseAddr("10.78.0.1"):
			around++
			t.Errorf("a packet to %v went outside of the VPN", p.To)
		case p.To.Port() == 4500:
			within++
		}
	}
	if within < 10 {
		t.Errorf("%d packets of the VPN: nothing was recorded", within)
	}
	t.Logf("%d packets of the VPN, %d around it", within, around)
}
