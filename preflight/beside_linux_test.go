package preflight_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
	"linehaul/internal/lab/path"
	"linehaul/preflight/ping"
	"linehaul/preflight/port"
	"linehaul/preflight/trace"
)

// What the line of TestBeside does, and how it is held against it.
const (
	besideHops  = 3
	besideLink  = 1 // hops from the second one on are behind it
	besideLoss  = 0.05
	besideDelay = 80.0 // milliseconds, there and back
	besideOff   = 5.0  // milliseconds that a median of ours may be off
	besideApart = 0.1  // of each other's, two medians
	besidePings = 1000
	besideTries = 3
	besideOdd   = "ODD: " // before what is not as it should be: which comparison, a semicolon, what it found
)

// TestBeside measures one line by our probes and by other people's programs, in
// one run and at the same time, as an ordinary user, and prints a table: hops
// must be equal, medians of round trips within 10 %, and losses such as chance
// allows. On a machine with much else to do, the line and the programs are late
// at times, each for itself: then all is measured once more, until each
// comparison has come out right.
func TestBeside(t *testing.T) {
	if netns.Inside() {
		server, err := netip.ParseAddr(os.Getenv("SERVER"))
		if err != nil {
			t.Fatal(err)
		}
		b := &beside{t: t, server: server, hops: strings.Fields(os.Getenv("HOPS"))}
		b.measure()
		b.compare()
		return
	}
	lab.Need(t, "ping", "mtr", "traceroute", "tcptraceroute", "nc")
	p := path.Start(t, path.Options{Hops: besideHops, Lines: []int{besideLink}, Seed: 17, SSHD: &lab.SSHD{}})
	half := time.Duration(besideDelay / 2 * float64(time.Millisecond))
	p.Line(besideLink).SetUp(path.Faults{Loss: besideLoss, Delay: half})
	p.Line(besideLink).SetDown(path.Faults{Delay: half})
	var hops []string
	for i := range besideHops + 1 {
		hops = append(hops, p.Addr(i+1).String())
	}
	var odd map[string]string
	for try := range besideTries {
		out := p.Again(t, "SERVER="+p.Server4.String(), "HOPS="+strings.Join(hops, " "))
		up := p.Line(besideLink).Up()
		t.Logf("the line has lost %d of %d packets:\n%s", up.Lost, up.Packets, out)
		if !path.Likely(up.Lost, up.Packets, besideLoss) {
			t.Errorf("the line lost %d of %d packets", up.Lost, up.Packets)
		}
		now := map[string]string{}
		for line := range strings.Lines(out) {
			if _, text, is := strings.Cut(line, besideOdd); is {
				which, what, _ := strings.Cut(strings.TrimSpace(text), "; ")
				now[which] = what
			}
		}
		if try == 0 {
			odd = now
		}
		maps.DeleteFunc(odd, func(which, _ string) bool { return now[which] == "" })
		if len(odd) == 0 {
			return
		}
	}
	for which, what := range odd {
		t.Errorf("%s: in each of %d measurements it is odd, at first as %s", which, besideTries, what)
	}
}

// A measured is what a program found at one hop.
type measured struct {
	who    string
	ttl    int
	addr   string
	sent   int
	rttsMS []float64 // of the answers
}

func (m measured) lost() int { return m.sent - len(m.rttsMS) }

func (m measured) median() float64 {
	if len(m.rttsMS) == 0 {
		return math.NaN()
	}
	all := slices.Sorted(slices.Values(m.rttsMS))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func (m measured) least() float64 {
	if len(m.rttsMS) == 0 {
		return math.NaN()
	}
	return slices.Min(m.rttsMS)
}

// beside is the measurement at the client.
type beside struct {
	t      *testing.T
	server netip.Addr
	hops   []string

	mu    sync.Mutex
	found []measured
}

func (b *beside) add(m ...measured) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.found = append(b.found, m...)
}

// run runs a program to its end and returns what it printed.
func (b *beside) run(program string, args ...string) string {
	ctx, cancel := context.WithTimeout(b.t.Context(), 90*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, lab.Path(program), args...).CombinedOutput()
	if err != nil {
		b.t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// measure has all measure at the same time, in a few rows of their own.
func (b *beside) measure() {
	to := b.server.String()
	var work sync.WaitGroup
	for _, row := range [][]func(){
		{b.ownPing},
		{func() { b.ping(b.run("ping", "-n", "-c", strconv.Itoa(besidePings), "-i", "0.01", "-W", "2", to)) }},
		// An ordinary user may not have it faster.
		{func() { b.mtr(b.run("mtr", "-n", "--raw", "-c", "12", "-i", "1", "-G", "1", to)) }},
		{func() { b.own(trace.ICMP, 100) }, func() { b.own(trace.TCP, 30) }},
		{func() { b.own(trace.UDP, 100) }, b.connects},
		{
			// One probe at a time: of several, traceroute misses answers.
			func() { b.lines("traceroute", b.run("traceroute", "-n", "-N", "1", "-q", "10", "-w", "1", to)) },
			func() {
				b.lines("traceroute -I", b.run("traceroute", "-n", "-I", "-N", "1", "-q", "10", "-w", "1", to))
			},
		},
		{
			func() { b.lines("tcptraceroute", b.run("tcptraceroute", "-n", "-q", "10", "-w", "1", to, "22")) },
		},
	} {
		work.Go(func() {
			for _, f := range row {
				f()
			}
		})
	}
	work.Wait()
}

func (b *beside) ownPing() {
	s, err := ping.Measure(b.t.Context(), ping.Options{To: b.server, Count: besidePings, Interval: 10 * time.Millisecond})
	if err != nil {
		b.t.Error(err)
		return
	}
	m := measured{who: "linehaul ping", addr: s.To.String(), ttl: len(b.hops), sent: s.Sent}
	for _, sample := range s.Samples {
		if !sample.Lost {
			m.rttsMS = append(m.rttsMS, sample.RTTMS)
		}
	}
	if off := math.Abs(s.MedianMS - m.median()); off > 0.1 || s.Received != len(m.rttsMS) || s.Loss != float64(m.lost())/float64(m.sent) {
		b.t.Errorf("the series' own sums %v, %v, %v are not those of its samples: %+v", s.MedianMS, s.Received, s.Loss, m.median())
	}
	b.add(m)
}

func (b *beside) own(method trace.Method, probes int) {
	got, err := trace.Run(b.t.Context(), trace.Options{To: b.server, Method: method, Probes: probes, Interval: 100 * time.Millisecond})
	if err != nil || got.Missing != "" || !got.Reached {
		b.t.Errorf("trace by %s: %+v, %v", method, got, err)
		return
	}
	for _, h := range got.Hops {
		m := measured{who: "linehaul trace " + string(method), ttl: h.TTL, sent: h.Sent, rttsMS: h.RTTsMS}
		if len(h.Routers) == 1 {
			m.addr = h.Routers[0].Addr.String()
		}
		if off := math.Abs(h.MedMS - m.median()); off > 0.1 || h.Recv != len(h.RTTsMS) {
			b.t.Errorf("hop %d: its sums are not those of its round trips: %+v", h.TTL, h)
		}
		b.add(m)
	}
}

// connects asks the SSH port in turn by ours and by nc, whose own time is taken
// off: that of the quickest nc for a port of this host. What it takes to start a
// program hangs on what else the machine does: nc's quickest run is held against
// our quickest one.
func (b *beside) connects() {
	// A lost SYN is sent again after 1, 2, 4 and 8 seconds: that all five are lost
	// comes by chance once in 80,000 runs.
	const times, patience = 20, 20 * time.Second
	seconds := strconv.Itoa(int(patience.Seconds()))
	here, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Error(err)
		return
	}
	defer here.Close()
	_, herePort, _ := net.SplitHostPort(here.Addr().String())
	own, nc := measured{who: "linehaul port", sent: times}, measured{who: "nc", sent: times}
	alone := math.Inf(1)
	timed := func(host, port string) float64 {
		began := time.Now()
		b.run("nc", "-n", "-z", "-w", seconds, host, port)
		return float64(time.Since(began)) / float64(time.Millisecond)
	}
	for range times {
		r := port.TCP(b.t.Context(), netip.AddrPortFrom(b.server, 22), port.Options{Timeout: patience})
		if r.State != port.Open {
			b.t.Errorf("port 22: %+v", r)
		}
		own.rttsMS = append(own.rttsMS, r.ConnectMS)
		alone = min(alone, timed("127.0.0.1", herePort))
		nc.rttsMS = append(nc.rttsMS, timed(b.server.String(), "22"))
	}
	for i := range nc.rttsMS {
		nc.rttsMS[i] -= alone
	}
	own.addr, nc.addr, own.ttl, nc.ttl = b.server.String(), b.server.String(), len(b.hops), len(b.hops)
	b.add(own, nc)
}

// ping reads what ping(8) printed.
func (b *beside) ping(out string) {
	m := measured{who: "ping", addr: b.server.String(), ttl: len(b.hops), sent: besidePings}
	for _, line := range regexp.MustCompile(`time=([\d.]+) ms`).FindAllStringSubmatch(out, -1) {
		m.rttsMS = append(m.rttsMS, number(line[1]))
	}
	if want := fmt.Sprintf("%d packets transmitted, %d received", besidePings, len(m.rttsMS)); !strings.Contains(out, want) {
		b.t.Errorf("ping does not say %q:\n%s", want, tail(out))
	}
	b.add(m)
}

// mtr reads what mtr --raw printed: x HOP SEQ of what it sends, h HOP ADDRESS,
// and p HOP MICROSECONDS SEQ of what came back, with hops from 0.
func (b *beside) mtr(out string) {
	hops := make([]measured, len(b.hops))
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		hop, err := strconv.Atoi(f[1])
		if err != nil || hop >= len(hops) {
			continue // mtr looks beyond the host until it has an answer
		}
		switch f[0] {
		case "x":
			hops[hop].sent++
		case "h":
			hops[hop].addr = f[2]
		case "p":
			hops[hop].rttsMS = append(hops[hop].rttsMS, number(f[2])/1000)
		}
	}
	for i := range hops {
		hops[i].who, hops[i].ttl = "mtr", i+1
	}
	b.add(hops...)
}

// lines reads what traceroute and tcptraceroute print: the hop, its address,
// and a time or an asterisk for each probe.
func (b *beside) lines(who, out string) {
	hop := regexp.MustCompile(`^ *(\d+) +(.*)`)
	address := regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`)
	times := regexp.MustCompile(`([\d.]+) ms`)
	for line := range strings.Lines(out) {
		f := hop.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if f == nil {
			continue
		}
		ttl, _ := strconv.Atoi(f[1])
		m := measured{who: who, ttl: ttl, addr: strings.Join(slices.Compact(address.FindAllString(f[2], -1)), " ")}
		for _, ms := range times.FindAllStringSubmatch(f[2], -1) {
			m.rttsMS = append(m.rttsMS, number(ms[1]))
		}
		m.sent = len(m.rttsMS) + strings.Count(f[2], "*")
		b.add(m)
	}
}

// odd tells of what may come of a machine with much else to do.
func (b *beside) odd(format string, args ...any) { b.t.Logf(besideOdd+format, args...) }

// compare prints the table, and holds each row against the line and against
// that of ours for the same hop.
func (b *beside) compare() {
	order := []string{
		"linehaul ping", "ping", "linehaul trace icmp", "mtr", "traceroute -I", "linehaul trace udp", "traceroute",
		"linehaul trace tcp", "tcptraceroute", "linehaul port", "nc",
	}
	beside := map[string]string{
		"ping": "linehaul ping", "mtr": "linehaul trace icmp", "traceroute -I": "linehaul trace icmp", "traceroute": "linehaul trace udp",
		"tcptraceroute": "linehaul trace tcp", "nc": "linehaul port",
	}
	slices.SortStableFunc(b.found, func(x, y measured) int {
		return slices.Index(order, x.who) - slices.Index(order, y.who)
	})
	ours := map[string]measured{}
	hops := map[string][]string{}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "who\thop\taddress\tprobes\tlost\tloss\tleast\tmedian RTT\t")
	for _, m := range b.found {
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%.1f %%\t%.2f ms\t%.2f ms\t\n", m.who, m.ttl, m.addr, m.sent, m.lost(), 100*float64(m.lost())/float64(m.sent), m.least(), m.median())
		hops[m.who] = append(hops[m.who], m.addr)
		ours[fmt.Sprint(m.who, m.ttl)] = m
	}
	w.Flush()
	b.t.Logf("\n%s", table.String())

	for _, who := range order {
		want := b.hops
		if !strings.Contains(who, "trace") && who != "mtr" {
			want = b.hops[len(b.hops)-1:]
		}
		if !slices.Equal(hops[who], want) {
			b.t.Errorf("%s found the hops %q, want %q", who, hops[who], want)
		}
	}
	for _, m := range b.found {
		behind := m.ttl > besideLink
		loss, delay := 0.0, 0.0
		if behind {
			loss, delay = besideLoss, besideDelay
		}
		if m.who == "nc" || m.who == "linehaul port" {
			loss = 0 // TCP sends again
		}
		if !path.Likely(m.lost(), m.sent, loss) {
			b.odd("%s, hop %d, loss; %d of %d lost, where %v is the loss", m.who, m.ttl, m.lost(), m.sent, loss)
		}
		switch ours := strings.HasPrefix(m.who, "linehaul"); {
		case ours && (math.IsNaN(m.median()) || m.median() < delay):
			b.t.Errorf("%s, hop %d: %.2f ms, which the line does not allow", m.who, m.ttl, m.median())
		case ours && m.median() > delay+besideOff:
			b.odd("%s, hop %d, time; %.2f ms, where the line takes %v ms", m.who, m.ttl, m.median(), delay)
		}
		own, has := ours[fmt.Sprint(beside[m.who], m.ttl)]
		theirs, mine := m.median(), own.median()
		if m.who == "nc" {
			theirs, mine = m.least(), own.least()
		}
		if has && behind && !(math.Abs(mine-theirs) <= besideApart*theirs) {
			b.odd("%s, hop %d, beside ours; %.2f ms, and %s has %.2f ms", m.who, m.ttl, theirs, own.who, mine)
		}
	}
}

func number(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64)
	return f
}

// tail is the end of a long text.
func tail(s string) string { return s[max(0, len(s)-500):] }
