package job

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"linehaul/internal/leak"
	"linehaul/preflight"
	"linehaul/preflight/tcpinfo"
	"linehaul/store"
)

// fakeLine is a connection that knows of itself what the test says.
type fakeLine struct {
	knows tcpinfo.Sample
	gone  bool
}

func (f *fakeLine) TCPInfo() (tcpinfo.Sample, error) {
	if f.gone {
		return tcpinfo.Sample{}, errors.New("gone")
	}
	return f.knows, nil
}

// lineBench is a meter whose clock goes on by a second with each tick. All that
// it knows changes in the meter's own goroutine.
type lineBench struct {
	*lineMeter
	at     time.Time
	moved  int64
	tick   chan time.Time
	change chan func()
}

func newLineBench() *lineBench {
	b := &lineBench{at: time.Date(2026, 11, 28, 2, 0, 0, 0, time.UTC), tick: make(chan time.Time), change: make(chan func())}
	b.lineMeter = newLineMeter(func() time.Time { return b.at }, nil)
	b.bytes = func() int64 { return b.moved }
	return b
}

// attempt has connections watched. Each call of step is a tick, before which
// something changes.
func (b *lineBench) attempt(lines ...tcpinfo.Teller) (step func(func()), stop func()) {
	end := b.watch(func() []tcpinfo.Teller {
		(<-b.change)()
		return lines
	}, b.tick, slog.New(slog.DiscardHandler))
	b.change <- func() {}
	step = func(f func()) {
		b.tick <- time.Time{}
		b.change <- func() {
			b.at = b.at.Add(time.Second)
			f()
		}
	}
	stop = func() {
		done := make(chan struct{})
		go func() { defer close(done); end() }()
		b.change <- func() {}
		<-done
	}
	return step, stop
}

// TestLineMeter: connections are summed up, over those that break and over
// attempts, and a counter that nobody can read any more counts as it was last.
func TestLineMeter(t *testing.T) {
	b := newLineBench()
	if b.line() != nil {
		t.Error("there is a line before any connection")
	}
	one := &fakeLine{knows: tcpinfo.Sample{RTTMS: 80, MinRTTMS: 79, Sent: 100, Resent: 1, SentBytes: 9000, Received: 1000}}
	two := &fakeLine{knows: tcpinfo.Sample{RTTMS: 90, MinRTTMS: 78, Sent: 300, Resent: 2, Received: 500, OutOfOrder: 7}}
	step, stop := b.attempt(one, two)
	step(func() { b.moved = 1 << 20 })
	step(func() {
		b.moved, one.gone = 2<<20, true
		two.knows.RTTMS, two.knows.Sent, two.knows.Resent = 100, 800, 4
	})
	stop()
	three := &fakeLine{knows: tcpinfo.Sample{RTTMS: 70, MinRTTMS: 70, Sent: 100, Resent: 3, Received: 500, OutOfOrder: 1}}
	step, stop = b.attempt(three)
	step(func() { b.moved = 3 << 20 })
	stop()

	want := &store.Line{
		By: store.ByTheSystem, Connections: 3, RTTMS: 80, RTT95MS: 100, MinRTTMS: 70,
		Sent: 1000, Resent: 8, ResentShare: 0.008, SentBytes: 9000, ReceivedBytes: 2000, OutOfOrder: 8,
	}
	got := b.line()
	want.Samples = got.Samples
	if !sameLine(got, want) || got.Samples < 8 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	rates := b.rates.list()
	if last := rates[len(rates)-1]; last != (preflight.Rate{AtMS: 3000, Bytes: 3 << 20, RTTMS: 70, Sent: 1000, Resent: 8}) {
		t.Errorf("the last point: %+v", last)
	}
	if first := rates[0]; first != (preflight.Rate{RTTMS: 85, Sent: 400, Resent: 3}) {
		t.Errorf("the first point: %+v", first)
	}
	if left := leak.Left(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func sameLine(a, b *store.Line) bool {
	x, y := *a, *b
	x.Unknown, y.Unknown = nil, nil
	return slices.Equal(a.Unknown, b.Unknown) &&
		x.By == y.By && x.Connections == y.Connections && x.Samples == y.Samples && x.RTTMS == y.RTTMS && x.RTT95MS == y.RTT95MS &&
		x.MinRTTMS == y.MinRTTMS && x.Sent == y.Sent && x.Resent == y.Resent && x.ResentShare == y.ResentShare &&
		x.SentBytes == y.SentBytes && x.ReceivedBytes == y.ReceivedBytes && x.OutOfOrder == y.OutOfOrder
}

// TestThinned: a long run keeps as many points as fit, evenly over its time,
// and the last of all.
func TestThinned(t *testing.T) {
	for _, n := range []int{1, 2, 9, 10, 11, 12, 39, 40, 41, 1000, 99_999} {
		l := thinned[int]{most: 10}
		for i := range n {
			l.add(i)
		}
		got := l.list()
		if len(got) == 0 || len(got) > 10 || n > 20 && len(got) < 5 || got[len(got)-1] != n-1 {
			t.Errorf("of %d: %v", n, got)
			continue
		}
		widest, narrowest := 0, n
		for i := 1; i < len(got)-1; i++ {
			widest, narrowest = max(widest, got[i]-got[i-1]), min(narrowest, got[i]-got[i-1])
		}
		if len(got) > 3 && widest != narrowest {
			t.Errorf("of %d: %v is not even", n, got)
		}
	}
}
