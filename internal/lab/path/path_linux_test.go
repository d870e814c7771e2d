package path_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
	"linehaul/internal/lab/path"
	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// ping runs ping(8) at the client, as an ordinary user, and returns what it
// printed. It fails where nothing comes back, which is for the caller to judge.
func ping(t *testing.T, p *path.Path, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := p.User(exec.CommandContext(ctx, lab.Path("ping"), append([]string{"-n"}, args...)...)).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

// answers is how many replies ping(8) counts, without duplicates.
func answers(t *testing.T, out string) int {
	t.Helper()
	m := regexp.MustCompile(`(\d+) received`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("ping printed:\n%s", out)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// rtts are the times of the replies, in milliseconds.
func rtts(out string) []float64 {
	var all []float64
	for _, m := range regexp.MustCompile(`time=([\d.]+) ms`).FindAllStringSubmatch(out, -1) {
		ms, _ := strconv.ParseFloat(m[1], 64)
		all = append(all, ms)
	}
	slices.Sort(all)
	return all
}

// TestHops: thirty routers are there fast, and each of them answers for its
// TTL, in both families.
func TestHops(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping")
	const hops = 30
	began := time.Now()
	p := path.Start(t, path.Options{Hops: hops})
	took := time.Since(began)
	t.Logf("%d hops came up in %v", hops, took)
	if took > 15*time.Second {
		t.Errorf("%d hops took %v to come up", hops, took)
	}
	for _, to := range []netip.Addr{p.Server4, p.Server6} {
		if out := ping(t, p, "-c2", "-i0.2", "-W2", to.String()); answers(t, out) != 2 {
			t.Errorf("the server is not there:\n%s", out)
		}
		for _, ttl := range []int{1, 7, hops} {
			want := p.Addr(ttl)
			if to.Is6() {
				want = p.Addr6(ttl)
			}
			out := ping(t, p, "-c1", "-W2", "-t", strconv.Itoa(ttl), to.String())
			if !regexp.MustCompile(`From ` + regexp.QuoteMeta(want.String()) + `:? icmp_seq=1 Time.* exceeded`).MatchString(out) {
				t.Errorf("ttl %d of %v: want %v to answer:\n%s", ttl, to, want, out)
			}
		}
		// And each is reached by its address.
		for _, addr := range []netip.Addr{p.Addr(1), p.Addr6(15), p.Addr(hops)} {
			if out := ping(t, p, "-c1", "-W2", addr.String()); answers(t, out) != 1 {
				t.Errorf("%v does not answer:\n%s", addr, out)
			}
		}
	}
	// Errors are not held back: two hundred at once.
	out := ping(t, p, "-c200", "-i0.002", "-W2", "-t", "3", p.Server4.String())
	if got := strings.Count(out, "Time to live exceeded"); got != 200 {
		t.Errorf("router 3 answered %d of 200 probes", got)
	}
}

// TestLoss: ping(8) misses as many as the line has lost, and that is as many
// as chance allows.
func TestLoss(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping")
	const probes, loss = 1000, 0.05
	p := path.Start(t, path.Options{Hops: 2, Lines: []int{1}, Seed: 5})
	for name, to := range map[string]netip.Addr{"IPv4": p.Server4, "IPv6": p.Server6} {
		before, back := p.Line(1).Up(), p.Line(1).Down()
		p.Line(1).SetUp(path.Faults{Loss: loss})
		out := ping(t, p, "-c", strconv.Itoa(probes), "-i0.002", "-W1", to.String())
		p.Line(1).SetUp(path.Faults{})
		lost := p.Line(1).Up().Lost - before.Lost
		// Neighbours are asked for on other links; this one carries probes only.
		if got := p.Line(1).Up().Packets - before.Packets; got != probes {
			t.Errorf("%s: the line saw %d packets of %d probes", name, got, probes)
		}
		if got := p.Line(1).Down().Passed - back.Passed; got != probes-lost {
			t.Errorf("%s: %d answers came back of %d", name, got, probes-lost)
		}
		if got := probes - answers(t, out); got != lost {
			t.Errorf("%s: ping misses %d, the line lost %d", name, got, lost)
		}
		if !path.Likely(lost, probes, loss) {
			t.Errorf("%s: lost %d of %d, where %v is the loss", name, lost, probes, loss)
		}
		t.Logf("%s: lost %d of %d", name, lost, probes)
	}
}

// TestDelay: 80 ms are 80 ms, and jitter is as set and leaves the order. The
// line is this process's: on a machine with much else to do it is late at times,
// and has some tries.
func TestDelay(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping")
	p := path.Start(t, path.Options{Hops: 1, Lines: []int{0}})
	try := func(what string, count int, good func(sorted []float64) bool, args ...string) {
		t.Helper()
		const tries = 5
		var all []float64
		for range tries {
			out := ping(t, p, append(args, "-c"+strconv.Itoa(count))...)
			if all = rtts(out); len(all) != count {
				t.Fatalf("want %d answers:\n%s", count, out)
			}
			t.Logf("%s are %v to %v, median %v", what, all[0], all[count-1], all[count/2])
			if good(all) {
				return
			}
		}
		t.Errorf("%s are %v", what, all)
	}
	p.Line(0).Set(path.Faults{Delay: 40 * time.Millisecond})
	try("80 ms", 50, func(all []float64) bool { return all[0] >= 80 && all[25] <= 85 }, "-i0.02", p.Server4.String())
	p.Line(0).SetUp(path.Faults{Delay: 10 * time.Millisecond, Jitter: 40 * time.Millisecond})
	p.Line(0).SetDown(path.Faults{})
	// The last few may be late for other reasons.
	try("10 to 50 ms", 60, func(all []float64) bool {
		return all[0] >= 10 && all[3] <= 20 && all[30] >= 20 && all[30] <= 40 && all[54] >= 40 && all[54] <= 60
	}, "-i0.06", p.Server6.String())
}

// TestOrder: what is to be doubled or overtaken is.
func TestOrder(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping")
	const probes = 200
	p := path.Start(t, path.Options{Lines: []int{0}, Seed: 9})
	p.Line(0).SetUp(path.Faults{Duplicate: 0.1})
	out := ping(t, p, "-c", strconv.Itoa(probes), "-i0.002", "-W1", p.Server4.String())
	doubled := p.Line(0).Up().Doubled
	if got := strings.Count(out, "(DUP!)"); got != doubled || !path.Likely(doubled, probes, 0.1) {
		t.Errorf("ping saw %d duplicates, the line made %d of %d", got, doubled, probes)
	}
	p.Line(0).SetUp(path.Faults{Reorder: 0.1})
	out = ping(t, p, "-c", strconv.Itoa(probes), "-i0.005", "-W1", p.Server4.String())
	last, overtaken := 0, 0
	for _, m := range regexp.MustCompile(`icmp_seq=(\d+) ttl`).FindAllStringSubmatch(out, -1) {
		seq, _ := strconv.Atoi(m[1])
		if seq < last {
			overtaken++
		}
		last = max(last, seq)
	}
	late := p.Line(0).Up().Late
	// The last few have nobody behind them.
	if !path.Likely(late, probes, 0.1) || overtaken > late || overtaken < late-4 {
		t.Errorf("%d were late and %d were overtaken", late, overtaken)
	}
}

// TestTooBig: large packets that may not be cut are dropped, in silence or not.
func TestTooBig(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping")
	p := path.Start(t, path.Options{Hops: 1, Lines: []int{1}})
	four, six := p.Server4.String(), p.Server6.String()
	black := path.Faults{MTU: 1300}
	p.Line(1).Set(black)
	for _, to := range []string{four, six} {
		if out := ping(t, p, "-c1", "-W1", "-Mdo", "-s1200", to); answers(t, out) != 1 {
			t.Errorf("a small one does not pass to %s:\n%s", to, out)
		}
		if out := ping(t, p, "-c1", "-W1", "-Mdo", "-s1400", to); answers(t, out) != 0 || strings.Contains(out, "From") {
			t.Errorf("a large one passes to %s, or somebody speaks:\n%s", to, out)
		}
	}
	if out := ping(t, p, "-c1", "-W1", "-Mdont", "-s1400", four); answers(t, out) != 1 {
		t.Errorf("one without DF does not pass:\n%s", out)
	}
	if got := p.Line(1).Up().TooBig; got != 2 {
		t.Errorf("%d were too big, want 2", got)
	}
	black.Answer = true
	p.Line(1).Set(black)
	for to, want := range map[string]string{
		four: "From " + p.Addr(2).String() + " icmp_seq=1 Frag needed and DF set (mtu = 1300)",
		six:  "From " + p.Addr6(2).String() + " icmp_seq=1 Packet too big: mtu=1300",
	} {
		if out := ping(t, p, "-c1", "-W1", "-Mdo", "-s1400", to); !strings.Contains(out, want) {
			t.Errorf("want %q:\n%s", want, out)
		}
	}
	p.Line(1).Set(path.Faults{Drop: path.ICMP})
	if out := ping(t, p, "-c1", "-W1", four); answers(t, out) != 0 || p.Line(1).Up().Dropped != 1 {
		t.Errorf("ICMP passes, or is not counted (%+v):\n%s", p.Line(1).Up(), out)
	}
	if _, err := dial(p, 81); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("TCP does not pass: %v", err)
	}
}

// dial connects from the client to a port of the server's. Without delay, an
// ICMP error comes while the kernel is still busy with the call, and counts
// only for the next SYN, a second later.
func dial(p *path.Path, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2500*time.Millisecond)
	defer cancel()
	return p.Client.Dial(ctx, "tcp", netip.AddrPortFrom(p.Server4, uint16(port)).String())
}

// TestServer: names, SSH and closed ports are there for an ordinary user.
func TestServer(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ssh", "ping")
	p := path.Start(t, path.Options{Hops: 2, SSHD: &lab.SSHD{}})
	known := p.Dir + "/known_hosts"
	if err := os.WriteFile(known, []byte(p.SSH.KnownHosts()), 0o644); err != nil {
		t.Fatal(err)
	}
	ssh := exec.Command(lab.Path("ssh"), "-F", "none", "-i", p.Key, "-o", "BatchMode=yes", "-o", "UserKnownHostsFile="+known,
		"-o", "HostKeyAlias="+p.SSH.Host, p.SSH.User+"@"+path.ServerName, "echo", "here")
	if out, err := p.User(ssh).CombinedOutput(); err != nil || !strings.Contains(string(out), "here") {
		t.Errorf("ssh by name: %v\n%s", err, out)
	}
	conn, err := dial(p, 22)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, err := io.ReadAll(io.LimitReader(conn, 8)); err != nil || string(b) != "SSH-2.0-" {
		t.Errorf("port 22 says %q, %v", b, err)
	}
	if _, err := dial(p, 23); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("port 23: %v", err)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return p.Client.Dial(ctx, "udp", net.JoinHostPort(p.Server6.String(), "53"))
	}}
	if got, err := resolver.LookupAddr(t.Context(), p.Addr(2).String()); err != nil || !slices.Equal(got, []string{"r2.path.test."}) {
		t.Errorf("router 2 is called %q, %v", got, err)
	}
	if got, err := resolver.LookupAddr(t.Context(), p.Addr6(1).String()); err != nil || !slices.Equal(got, []string{"r1.path.test."}) {
		t.Errorf("router 1 is called %q, %v", got, err)
	}
	p.Names.Set(path.ServerName, netip.MustParseAddr("198.18.9.9"))
	p.Names.SetText("1.18.198.origin.test", "64500 | 198.18.0.0/15")
	if got, err := resolver.LookupTXT(t.Context(), "1.18.198.origin.test"); err != nil || got[0] != "64500 | 198.18.0.0/15" {
		t.Errorf("the text is %q, %v", got, err)
	}
	if got, err := resolver.LookupHost(t.Context(), path.ServerName); err != nil || got[0] != "198.18.9.9" {
		t.Errorf("a server that lies says %q, %v", got, err)
	}
	p.Client.AllowPing(false)
	if out := p.Client.Run("cat", "/proc/sys/net/ipv4/ping_group_range", "/etc/resolv.conf"); out != "1\t0\nnameserver "+p.Server4.String()+"\n" {
		t.Errorf("the client's settings are %q", out)
	}
}

// TestFaults goes through what hosts can be told to do wrong.
func TestFaults(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping")
	p := path.Start(t, path.Options{Hops: 3})
	r2, four, six := p.Host(2), p.Server4.String(), p.Server6.String()
	for name, c := range map[string]struct {
		fault func()
		want  error
	}{
		"refused":    {func() {}, syscall.ECONNREFUSED},
		"drop":       {func() { r2.Drop("tcp dport 25") }, context.DeadlineExceeded},
		"reset":      {func() { r2.Reset("tcp dport 25") }, syscall.ECONNREFUSED},
		"prohibit":   {func() { r2.Prohibit("tcp dport 25") }, syscall.EHOSTUNREACH},
		"no route":   {func() { p.NoRoute(2) }, syscall.ENETUNREACH},
		"here":       {func() { p.CutAt(0) }, syscall.ENETUNREACH},
		"cut":        {func() { p.CutAt(2) }, syscall.ENETUNREACH},
		"the server": {func() { p.Server.Drop("tcp dport 25") }, context.DeadlineExceeded},
	} {
		c.fault()
		_, err := dial(p, 25)
		var timeout net.Error
		if !errors.Is(err, c.want) && (c.want != context.DeadlineExceeded || !errors.As(err, &timeout) || !timeout.Timeout()) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		for _, h := range []int{0, 2} {
			p.Mend(h)
		}
		r2.Allow()
		p.Server.Allow()
		for _, to := range []string{four, six} {
			if out := ping(t, p, "-c1", "-W2", to); answers(t, out) != 1 {
				t.Fatalf("not mended after %s: %s", name, out)
			}
		}
	}
	r2.Mute("icmp type time-exceeded")
	if out := ping(t, p, "-c1", "-W1", "-t2", four); strings.Contains(out, "exceeded") {
		t.Errorf("a router that is mute speaks:\n%s", out)
	}
	r2.Allow()
	r2.Limit("icmp type echo-request", "1/second")
	if got := answers(t, ping(t, p, "-c10", "-i0.01", "-W1", four)); got < 1 || got > 3 {
		t.Errorf("%d of 10 pass a limit of one a second", got)
	}
	r2.Allow()
	r2.MuteAbove("icmp type time-exceeded", "1/second")
	if got := strings.Count(ping(t, p, "-c10", "-i0.01", "-W1", "-t2", four), "exceeded"); got < 1 || got > 3 {
		t.Errorf("%d of 10 answers above a limit of one a second", got)
	}
	p.DeadHop(1)
	want := fmt.Sprintf("From %v icmp_seq=1 Destination Host Unreachable", p.Addr(1))
	if out := ping(t, p, "-c1", "-W5", four); !strings.Contains(out, want) {
		t.Errorf("want %q:\n%s", want, out)
	}
}

// TestAgain: a test can go on at the client, as an ordinary user.
func TestAgain(t *testing.T) {
	if netns.Inside() {
		if os.Getuid() != netns.UserID {
			t.Errorf("user %d", os.Getuid())
		}
		got, err := net.DefaultResolver.LookupHost(t.Context(), path.ServerName)
		if err != nil || !slices.Contains(got, os.Getenv("SERVER")) {
			t.Errorf("the server's name is at %v, %v", got, err)
		}
		return
	}
	t.Parallel()
	p := path.Start(t, path.Options{})
	p.Again(t, "SERVER="+p.Server4.String())
}
