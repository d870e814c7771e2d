package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/path"
	"linehaul/preflight"
)

// A checkSite is a line with three routers and a server behind it, and linehaul
// as an ordinary user at its other end.
type checkSite struct {
	*path.Path
	program, config string
}

const middle = 1 // the link that is a Line

func newCheckSite(t *testing.T) *checkSite {
	s := &checkSite{Path: path.Start(t, path.Options{Hops: 3, Lines: []int{middle}, Seed: 7, SSHD: &lab.SSHD{}})}
	s.Client.AllowPing(true)
	s.program = filepath.Join(s.Dir, "linehaul")
	s.config = filepath.Join(s.Dir, "linehaul.yaml")
	data, err := os.ReadFile(program(t))
	if err == nil {
		err = os.WriteFile(s.program, data, 0o755)
	}
	source := filepath.Join(s.Dir, "backup.sql")
	if err == nil {
		err = os.WriteFile(source, bytes.Repeat([]byte("x"), 1000), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	other := "SHA256:" + strings.Repeat("A", 43)
	stranger := lab.Keygen(t, filepath.Join(s.Home, "stranger"), "ed25519")
	if err := os.Chown(stranger, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`state: %[1]q
logs: {dir: %[2]q}
hosts:
  far: {address: %[3]s, user: %[4]s, keys: %[5]q, host_keys: %[6]q}
  changed: {address: %[7]s, user: %[4]s, keys: %[5]q, host_keys: %[8]q}
  unknown: {address: %[7]s, user: %[4]s, keys: %[5]q, known_hosts: none}
  direct: {address: %[7]s, user: %[4]s, keys: %[5]q, host_keys: %[6]q}
  stranger: {address: %[7]s, user: %[4]s, keys: %[9]q, host_keys: %[6]q}
jobs:
  nightly: {get: "far:%[10]s", to: %[13]q}
  strict: {get: "direct:%[10]s", to: %[13]q, checks: {ping: {count: 20, interval: 50ms, max_loss: 5%%, on_fail: require}}, retry: {attempts: 1}}
  forbidden: {get: "far:%[10]s", to: %[11]q}
  full: {get: "far:%[10]s", to: %[12]q}
`, filepath.Join(s.Home, "state"), filepath.Join(s.Home, "log"), path.ServerName, s.SSH.User, s.Key, s.SSH.Fingerprint(), s.Server4, other,
		stranger, source, filepath.Join(s.Dir, "closed")+"/", filepath.Join(s.Dir, "full")+"/", filepath.Join(s.Home, "got")+"/")
	err = os.WriteFile(s.config, []byte(text), 0o644)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Dir, "none"), nil, 0o644)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(s.Dir, "closed"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run is linehaul as the ordinary user, within a minute.
func (s *checkSite) run(t *testing.T, before []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	line := append(append(before, s.program, "-c", s.config), args...)
	cmd := s.User(exec.CommandContext(ctx, line[0], line[1:]...))
	cmd.Dir = s.Home
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

// listen answers each connection to a port of the server with a text, until the
// test ends.
func (s *checkSite) listen(t *testing.T, port int, text string) {
	t.Helper()
	l, err := s.Server.Listen(t.Context(), "tcp", net.JoinHostPort(s.Server4.String(), fmt.Sprint(port)))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				if _, err := c.Write([]byte(text)); err == nil {
					c.SetDeadline(time.Now().Add(time.Minute))
					c.Read(make([]byte, 1<<10)) // until it goes
					c.Read(make([]byte, 1<<10))
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
}

// A lineFault is what is done to the line, and what a check must make of it.
type lineFault struct {
	name   string
	args   []string
	damage func(t *testing.T, s *checkSite) (mend func())
	code   int
	layer  string // to blame
	find   string // the code of a finding
	says   string // in the summary
	next   string // in the next step
}

func lineFaults() []lineFault {
	none := func() {}
	names := func(addr string) func(*testing.T, *checkSite) func() {
		return func(_ *testing.T, s *checkSite) func() {
			if addr == "" {
				s.Names.Set(path.ServerName)
			} else {
				s.Names.Set(path.ServerName, netip.MustParseAddr(addr))
			}
			return func() { s.Names.Set(path.ServerName, s.Server4) }
		}
	}
	rule := func(host int, f func(s *checkSite)) func(*testing.T, *checkSite) func() {
		return func(_ *testing.T, s *checkSite) func() {
			f(s)
			return func() { s.Host(host).Allow() }
		}
	}
	line := func(f path.Faults) func(*testing.T, *checkSite) func() {
		return func(_ *testing.T, s *checkSite) func() {
			s.Line(middle).Set(f)
			return func() { s.Line(middle).Set(path.Faults{}) }
		}
	}
	whole := func(*testing.T, *checkSite) func() { return none }
	return []lineFault{
		{"nothing", []string{"far"}, whole, 0, "", "ssh-login", "logged in", ""},
		{"no such name", []string{"nosuch" + path.Domain + ":22"}, whole, 3, "name", "name-unknown", "there is no host", "spelling"},
		{"name server is silent", []string{"far"}, func(_ *testing.T, s *checkSite) func() {
			s.Names.Silence(true)
			return func() { s.Names.Silence(false) }
		}, 3, "name", "name-no-answer", "no answer", "DNS server"},
		{"name server lies: no host's address", []string{"far"}, names("0.0.0.0"), 3, "name", "name-nowhere", "no host's address", "filter"},
		{"name server lies: another host", []string{"far"}, names("198.18.0.2"), 3, "tcp", "port-refused", "198.18.0.2", "nothing listens"},
		{"this machine's interface is down", []string{"stranger"}, func(_ *testing.T, s *checkSite) func() {
			s.CutAt(0)
			return func() { s.Mend(0) }
		}, 3, "route", "link-none", "no route", "VPN"},
		{"router without a route", []string{"changed"}, func(_ *testing.T, s *checkSite) func() {
			s.NoRoute(2)
			return func() { s.Mend(2) }
		}, 3, "route", "port-no-route", "198.18.1.2", "no route"},
		{"dead next hop of a router", []string{"changed"}, func(_ *testing.T, s *checkSite) func() {
			s.DeadHop(2)
			return func() { s.Mend(2) }
		}, 3, "route", "port-no-route", "198.18.1.2", "route"},
		{"port closed", []string{"stranger", "-P", "23"}, whole, 3, "tcp", "port-refused", "refuses", "nothing listens"},
		{"port filtered", []string{"far", "--trace"}, rule(4, func(s *checkSite) { s.Server.Drop("tcp dport 22") }),
			3, "tcp", "port-filtered", "nobody answers behind hop 3 (r3.path.test, 198.18.2.2)", "firewall"},
		{"port forbidden by a router", []string{"far"}, rule(2, func(s *checkSite) { s.Host(2).Prohibit("tcp dport 22") }),
			3, "tcp", "port-prohibited", "198.18.1.2", "firewall"},
		{"a third is lost", []string{"far", "--count", "60", "--interval", "20ms", "--wait", "500ms", "--max-loss", "5%"}, line(path.Faults{Loss: 0.18}),
			3, "route", "ping-loss", "lost of 60", "max_loss"},
		{"the line is slow", []string{"far", "--max-rtt", "100ms"}, line(path.Faults{Delay: 80 * time.Millisecond}), 3, "route", "ping-slow", "16", "max_rtt"},
		{"black hole for large packets", []string{"far", "--mtu"}, line(path.Faults{MTU: 1200}), 0, "route", "mtu-hole", "up to 1200 bytes", "1200"},
		{"not an SSH server", []string{"stranger", "-P", "2121", "--connect-timeout", "3s"}, func(t *testing.T, s *checkSite) func() {
			s.listen(t, 2121, "220 ftp.example.net ready\r\n")
			return none
		}, 3, "ssh", "ssh-no-server", "220 ftp", "SSH server"},
		{"server says nothing", []string{"stranger", "-P", "2222", "--connect-timeout", "2s"}, func(t *testing.T, s *checkSite) func() {
			s.listen(t, 2222, "")
			return none
		}, 13, "stall", "ssh-mute", "says nothing", "firewall"},
		{"another host key", []string{"changed"}, whole, 5, "host key", "ssh-key-changed", "", "administrator"},
		{"no host key is known", []string{"unknown"}, whole, 5, "host key", "ssh-key-unknown", "", "fingerprint"},
		{"login refused", []string{"stranger"}, whole, 6, "login", "ssh-refused", "refused", "authorized_keys"},
		{"no permission in the target", []string{"forbidden"}, whole, 13, "local disk", "space-forbidden", "permission denied", "linehaul runs as"},
	}
}

// TestCheckFaults breaks the line in one way after another, and each is blamed on
// the layer that is broken, with a next step, by an ordinary user.
func TestCheckFaults(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := newCheckSite(t)
	var table strings.Builder
	fmt.Fprintf(&table, "%-38s %-12s %4s  %s\n", "what is broken", "blamed", "exit", "verdict")
	for _, f := range lineFaults() {
		t.Run(f.name, func(t *testing.T) {
			mend := f.damage(t, s)
			defer mend()
			o := s.run(t, nil, append([]string{"check", "--json"}, f.args...)...)
			var r preflight.Report
			if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
				t.Fatalf("%v\n%s", err, o)
			}
			fmt.Fprintf(&table, "%-38s %-12s %4d  %s\n", f.name, r.Layer, o.code, r.Summary)
			if o.code != f.code || r.Layer != f.layer {
				t.Errorf("exit %d, blames %q; want %d, %q\n%s", o.code, r.Layer, f.code, f.layer, o)
			}
			found := false
			for _, one := range r.Findings {
				found = found || one.Code == f.find
			}
			if !found || !strings.Contains(r.Summary, f.says) || !strings.Contains(r.Next, f.next) {
				t.Errorf("want the finding %s, ...%s..., next ...%s...\n%s", f.find, f.says, f.next, o)
			}
			if (o.code != 0) != (r.Verdict == preflight.Fail) {
				t.Errorf("exit %d, and the verdict is %s", o.code, r.Verdict)
			}
		})
	}
	t.Logf("\n%s", table.String())
}

// TestCheckFullDisk is the same for a disk that is full.
func TestCheckFullDisk(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := newCheckSite(t)
	lab.Need(t, "unshare", "mount")
	full := filepath.Join(s.Dir, "full")
	if err := os.Mkdir(full, 0o777); err != nil {
		t.Fatal(err)
	}
	script := `mount -t tmpfs -o size=1m,mode=777 none "$1" && { head -c 2000000 /dev/zero > "$1/x" 2>/dev/null; true; } && echo ready && exec sleep 600`
	within := lab.Start(t, filepath.Join(s.Dir, "mount.log"), nil, "unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", full)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(within.Log(), "ready"); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no mount: %s", within.Log())
		}
	}
	config, err := os.ReadFile(s.config)
	if err == nil {
		err = os.WriteFile(s.config, bytes.ReplaceAll(config, []byte(full), []byte(fmt.Sprintf("/proc/%d/root%s", within.Pid(), full))), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.Client.Command(exec.Command(s.program, "-c", s.config, "check", "full"))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 13 || !strings.Contains(string(out), "fail, local disk") || !strings.Contains(string(out), "make room") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestCheckNoPing: where ICMP is dropped and the port is open, a job runs, and its
// record says that ping cannot tell.
func TestCheckNoPing(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := newCheckSite(t)
	s.Line(middle).Set(path.Faults{Drop: path.ICMP})
	for try := 1; ; try++ { // a busy machine loses some packets of the line itself, which is what a record says first
		if o := s.run(t, nil, "run", "nightly"); o.code != 0 {
			t.Fatalf("the job does not run: %s", o)
		}
		o := s.run(t, nil, "history", "nightly", "-n", "1", "--json")
		if strings.Contains(o.stdout, "ICMP is filtered") && strings.Contains(o.stdout, "cannot tell") {
			return
		}
		if try == 3 || !strings.Contains(o.stdout, "loss begins") {
			t.Fatalf("the record does not say that ping cannot tell: %s", o)
		}
	}
}

// TestCheckBadNight: a job that ran well runs into loss; the required check ends
// it, and the second look says since when and where.
func TestCheckBadNight(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := newCheckSite(t)
	if o := s.run(t, nil, "run", "strict"); o.code != 0 {
		t.Fatalf("a good line: %s", o)
	}
	s.Line(middle).SetUp(path.Faults{Loss: 0.3})
	for try := 1; ; try++ { // a router may be lucky
		o := s.run(t, nil, "run", "strict", "-v")
		if o.code == 13 && strings.Contains(o.stderr, "layer=route") && strings.Contains(o.stderr, "looked at the line once more") &&
			strings.Contains(o.stderr, "loss starts at hop 2 (198.18.1.2), which was clean on ") {
			return
		}
		if try == 4 {
			t.Fatalf("the second look does not say where: %s", o)
		}
	}
}
