package ping

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
	"linehaul/internal/lab/path"
	"linehaul/preflight/echo"
)

// measure measures in a host's network.
func measure(t *testing.T, h *netns.Host, o Options) *Series {
	t.Helper()
	var s *Series
	err := h.Do(func() (err error) {
		s, err = Measure(t.Context(), o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSeries measures lines that lose, delay, double and overtake as they are
// told, by both kinds of sockets and both protocols.
func TestSeries(t *testing.T) {
	for _, way := range []string{echo.Unprivileged, echo.Raw} {
		t.Run(strings.ReplaceAll(way, " ", "-"), func(t *testing.T) {
			t.Parallel()
			p := path.Start(t, path.Options{Hops: 2, Lines: []int{1}, Seed: 5})
			p.Client.AllowPing(way == echo.Unprivileged)
			for _, to := range []netip.Addr{p.Server4, p.Server6} {
				p.Line(1).Set(path.Faults{})
				told := 0
				o := Options{To: to, Count: 50, Interval: 4 * time.Millisecond, Size: 200, Each: func(Sample) { told++ }}
				s := measure(t, p.Client, o)
				if s.Way != way || s.Size != 200 || s.Sent != 50 || s.Received != 50 || s.Loss != 0 || s.Duplicates+s.Late > 0 || len(s.Said) > 0 || told != 50 {
					t.Errorf("a clean line: %+v", s)
				}
				if s.MinMS <= 0 || s.MinMS > s.MedianMS || s.MedianMS > s.P95MS || s.P95MS > s.MaxMS || s.MaxMS > 2000 {
					t.Errorf("times: %+v", s)
				}
				if last := s.Samples[49]; last.Seq != 49 || last.AtMS < 196 {
					t.Errorf("the last one: %+v", last)
				}
				loss(t, p, to)
				delay(t, p, to, (way == echo.Raw) == to.Is6())
				disorder(t, p, to)
			}
		})
	}
}

// loss: what is missed is what the line has lost, and as much as chance allows.
func loss(t *testing.T, p *path.Path, to netip.Addr) {
	t.Helper()
	const probes, share = 1000, 0.05
	before := p.Line(1).Up().Lost
	p.Line(1).SetUp(path.Faults{Loss: share})
	s := measure(t, p.Client, Options{To: to, Count: probes, Interval: 2 * time.Millisecond, Timeout: 2 * time.Second})
	lost := p.Line(1).Up().Lost - before
	p.Line(1).SetUp(path.Faults{})
	t.Logf("%v: %d of %d lost, where the line lost %d", to, s.Sent-s.Received, s.Sent, lost)
	if s.Sent != probes || s.Sent-s.Received != lost || s.Late > 0 || !path.Likely(lost, probes, share) {
		t.Errorf("%v: sent %d, received %d, late %d; the line lost %d", to, s.Sent, s.Received, s.Late, lost)
	}
}

// delay: 80 ms are 80 ms, and so is jitter. On a machine with much else to do
// the line itself is late, so it has some tries. That of jitter takes long, and
// is for each way and each protocol once.
func delay(t *testing.T, p *path.Path, to netip.Addr, jitter bool) {
	t.Helper()
	const tries = 8
	try := func(what string, o Options, good func(s *Series) bool) {
		t.Helper()
		o.To = to
		for i := range tries {
			s := measure(t, p.Client, o)
			t.Logf("%v: %s are %v to %v, median %v, deviation %v, jitter %v", to, what, s.MinMS, s.MaxMS, s.MedianMS, s.StdDevMS, s.JitterMS)
			if s.Received == o.Count && good(s) {
				return
			}
			if i == tries-1 {
				t.Errorf("%v: %s are %+v", to, what, s)
			}
		}
	}
	p.Line(1).Set(path.Faults{Delay: 40 * time.Millisecond})
	try("80 ms", Options{Count: 50, Interval: 10 * time.Millisecond}, func(s *Series) bool { return s.MinMS >= 80 && s.MedianMS <= 85 })
	p.Line(1).Set(path.Faults{})
	if !jitter {
		return
	}
	p.Line(1).SetUp(path.Faults{Delay: 10 * time.Millisecond, Jitter: 30 * time.Millisecond})
	// Of even chances from 0 to 30, the mean difference is 10, and the deviation 8.7.
	try("10 to 40 ms", Options{Count: 100, Interval: 30 * time.Millisecond}, func(s *Series) bool {
		return s.MinMS >= 10 && s.MinMS <= 16 && s.MedianMS > 18 && s.MedianMS < 35 && s.JitterMS > 6 && s.JitterMS < 15 && s.StdDevMS > 6 && s.StdDevMS < 14
	})
	p.Line(1).Set(path.Faults{})
}

// disorder: what is doubled or overtaken is counted, and what comes late is not
// taken for an answer.
func disorder(t *testing.T, p *path.Path, to netip.Addr) {
	t.Helper()
	before := p.Line(1).Up()
	p.Line(1).SetUp(path.Faults{Duplicate: 0.1})
	s := measure(t, p.Client, Options{To: to, Count: 200, Interval: 2 * time.Millisecond})
	after := p.Line(1).Up()
	// The last one's second answer comes when the series is over.
	if d := after.Doubled - before.Doubled; s.Received != 200 || s.Duplicates > d || s.Duplicates < d-1 || !path.Likely(d, 200, 0.1) {
		t.Errorf("%v: %d duplicates, where the line made %d", to, s.Duplicates, d)
	}
	p.Line(1).SetUp(path.Faults{Reorder: 0.1, Late: 50 * time.Millisecond})
	s = measure(t, p.Client, Options{To: to, Count: 200, Interval: 5 * time.Millisecond})
	before, after = after, p.Line(1).Up()
	// The last ten have nobody behind them who could overtake.
	if d := after.Late - before.Late; s.Received != 200 || s.Reordered > d || s.Reordered < d-8 || !path.Likely(d, 200, 0.1) {
		t.Errorf("%v: %d overtaken, where the line held %d back", to, s.Reordered, d)
	}
	s = measure(t, p.Client, Options{To: to, Count: 200, Interval: 5 * time.Millisecond, Timeout: 25 * time.Millisecond})
	before, after = after, p.Line(1).Up()
	if d := after.Late - before.Late; s.Sent-s.Received < d || s.Late > s.Sent-s.Received || s.Late < d-8 {
		t.Errorf("%v: received %d and %d late, where the line held %d back", to, s.Received, s.Late, d)
	}
	p.Line(1).Set(path.Faults{})
}

// TestSaid has a router refuse, and then this machine.
func TestSaid(t *testing.T) {
	t.Parallel()
	p := path.Start(t, path.Options{Hops: 1})
	p.Client.AllowPing(true)
	o := Options{To: p.Server4, Count: 5, Interval: 10 * time.Millisecond, Timeout: 5 * time.Second}
	p.Host(1).Prohibit("ip daddr " + p.Server4.String())
	began := time.Now()
	s := measure(t, p.Client, o)
	if s.Sent != 5 || s.Received != 0 || len(s.Said) != 1 || s.Said[0] != p.Addr(1).String()+": prohibited by a firewall" || time.Since(began) > 3*time.Second {
		t.Errorf("a router that forbids it: %+v after %v", s, time.Since(began))
	}
	p.Host(1).Allow()
	p.Host(1).Drop("ip daddr " + p.Server4.String())
	o.Timeout = 100 * time.Millisecond
	if s := measure(t, p.Client, o); s.Sent != 5 || s.Received != 0 || s.Loss != 1 || s.MedianMS != 0 || !s.Samples[4].Lost || len(s.Said) > 0 {
		t.Errorf("a router that drops it: %+v", s)
	}
	o.To = netip.MustParseAddr("192.0.2.1")
	if s := measure(t, p.Client, o); s.Sent != 5 || s.Received != 0 || len(s.Said) != 1 || s.Said[0] != "this machine: network is unreachable" {
		t.Errorf("without a route: %+v", s)
	}
	stop := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	o = Options{To: p.Addr(1), Interval: time.Millisecond, Count: 1000, Each: func(s Sample) {
		if s.Seq == 20 {
			cancel(stop)
		}
	}}
	err := p.Client.Do(func() (err error) {
		s, err = Measure(ctx, o)
		return err
	})
	if !errors.Is(err, stop) || s.Received < 20 || s.Received > 500 {
		t.Errorf("stopped: %+v, %v", s, err)
	}
}

// TestBesidePing measures a line as ping(8) does: medians within a tenth, and
// the same deviation of a line that varies.
func TestBesidePing(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping")
	p := path.Start(t, path.Options{Hops: 1, Lines: []int{0}, Seed: 11})
	p.Client.AllowPing(true)
	p.Line(0).Set(path.Faults{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond})
	for _, to := range []netip.Addr{p.Server4, p.Server6} {
		const tries = 6 // on a machine with much else to do the line itself is late
		for i := range tries {
			// Both at the same time, so that one line is late for both.
			var out string
			var work sync.WaitGroup
			ping := exec.Command(lab.Path("ping"), "-n", "-c100", "-i0.02", to.String())
			work.Go(func() {
				b, err := p.Client.Command(ping).CombinedOutput()
				if out = string(b); err != nil {
					t.Errorf("%s: %v\n%s", ping, err, out)
				}
			})
			ours := measure(t, p.Client, Options{To: to, Count: 100, Interval: 20 * time.Millisecond})
			work.Wait()
			var theirs Series
			for _, m := range regexp.MustCompile(`time=([\d.]+) ms`).FindAllStringSubmatch(out, -1) {
				rtt, err := strconv.ParseFloat(m[1], 64)
				if err != nil {
					t.Fatal(err)
				}
				theirs.Samples = append(theirs.Samples, Sample{RTTMS: rtt})
			}
			theirs.Summarize()
			t.Logf("%v: ping %.3f/%.3f/%.3f ms, deviation %.3f; we %.3f/%.3f/%.3f ms, deviation %.3f", to,
				theirs.MinMS, theirs.MedianMS, theirs.MaxMS, theirs.StdDevMS, ours.MinMS, ours.MedianMS, ours.MaxMS, ours.StdDevMS)
			near := func(a, b, share float64) bool { return math.Abs(a-b) <= share*b }
			if theirs.Received == 100 && ours.Received == 100 && near(ours.MedianMS, theirs.MedianMS, 0.1) && near(ours.MinMS, theirs.MinMS, 0.1) && near(ours.StdDevMS, theirs.StdDevMS, 0.3) {
				break
			}
			if i == tries-1 {
				t.Errorf("%v: not the same in %d tries", to, tries)
			}
		}
	}
}
