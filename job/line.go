package job

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"linehaul/logs"
	"linehaul/preflight"
	"linehaul/preflight/tcpinfo"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

const (
	// lineEvery is how often a run's connections are asked.
	lineEvery = time.Second
	// maxRates is how many points a run keeps of how it went on. From a run
	// that takes longer than as many seconds, every second one goes, again and
	// again.
	maxRates = 600
	// maxTrips is how many round trips a median is taken from, likewise.
	maxTrips = 8192
)

// A lineMeter asks the TCP connections of a run what they know of the line,
// over all attempts. Only one attempt goes on at a time.
type lineMeter struct {
	now   func() time.Time
	bytes func() int64 // moved by now
	by    string       // who counts

	began time.Time                         // zero: nobody was asked yet
	last  map[tcpinfo.Teller]tcpinfo.Sample // of the attempt's connections, what each said last
	ended tcpinfo.Sample                    // the sums of earlier attempts
	conns int
	least float64
	asked int
	trips thinned[float64]
	rates thinned[preflight.Rate]
}

func newLineMeter(now func() time.Time, m *transfer.Meter) *lineMeter {
	return &lineMeter{
		now: now, by: store.ByTheSystem, last: map[tcpinfo.Teller]tcpinfo.Sample{},
		bytes: func() int64 { r, _ := m.Read(); return r.Bytes },
		trips: thinned[float64]{most: maxTrips}, rates: thinned[preflight.Rate]{most: maxRates},
	}
}

// watch asks the connections at each tick, until the function that it returns
// is called, which asks once more. The connections are to be open until then.
func (m *lineMeter) watch(lines func() []tcpinfo.Teller, tick <-chan time.Time, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			m.sample(lines(), log)
			select {
			case <-tick:
			case <-ctx.Done():
				m.sample(lines(), log)
				m.fold()
				return
			}
		}
	})
	return func() {
		cancel()
		work.Wait()
	}
}

// sample asks each connection. One that is gone has said what it had to say.
func (m *lineMeter) sample(lines []tcpinfo.Teller, log *slog.Logger) {
	trip, answers := 0.0, 0
	for _, c := range lines {
		s, err := c.TCPInfo()
		if err != nil {
			log.Debug("what the connection knows of the line could not be read", logs.Error, err.Error())
			continue
		}
		if _, known := m.last[c]; !known {
			m.conns++
		}
		m.last[c] = s
		if s.MinRTTMS > 0 && (m.least == 0 || s.MinRTTMS < m.least) {
			m.least = s.MinRTTMS
		}
		if s.RTTMS > 0 {
			m.trips.add(s.RTTMS)
			m.asked++
			trip += s.RTTMS
			answers++
		}
	}
	if len(m.last) == 0 {
		return
	}
	now := m.now()
	if m.began.IsZero() {
		m.began = now
	}
	sum := m.sum()
	rate := preflight.Rate{AtMS: float64(now.Sub(m.began).Milliseconds()), Bytes: m.bytes(), Sent: sum.Sent, Resent: sum.Resent}
	if answers > 0 {
		rate.RTTMS = round(trip / float64(answers))
	}
	m.rates.add(rate)
}

// sum is what all connections of the run have said, one attempt after another.
func (m *lineMeter) sum() tcpinfo.Sample {
	sum := m.ended
	for _, s := range m.last {
		sum.Sent += s.Sent
		sum.Resent += s.Resent
		sum.SentBytes += s.SentBytes
		sum.Received += s.Received
		sum.OutOfOrder += s.OutOfOrder
	}
	return sum
}

// fold ends an attempt, whose connections are forgotten.
func (m *lineMeter) fold() {
	m.ended = m.sum()
	clear(m.last)
}

// line is what it has come to; nil if no connection said anything.
func (m *lineMeter) line() *store.Line {
	if m.conns == 0 {
		return nil
	}
	sum := m.sum()
	l := &store.Line{
		By: m.by, Connections: m.conns, Samples: m.asked, MinRTTMS: round(m.least),
		Sent: sum.Sent, Resent: sum.Resent, OutOfOrder: sum.OutOfOrder, SentBytes: sum.SentBytes, ReceivedBytes: sum.Received,
	}
	if trips := slices.Sorted(slices.Values(m.trips.kept)); len(trips) > 0 {
		l.RTTMS, l.RTT95MS = round(quantile(trips, 0.5)), round(quantile(trips, 0.95))
	}
	if sum.Sent > 0 {
		l.ResentShare = math.Round(float64(sum.Resent)/float64(sum.Sent)*1e6) / 1e6
	}
	if m.least == 0 {
		l.Unknown = append(l.Unknown, "min_rtt_ms")
	}
	if sum.Sent == 0 {
		l.Unknown = append(l.Unknown, "sent", "resent_share")
	}
	if m.by == store.ByTheTunnel {
		l.Unknown = append(l.Unknown, "out_of_order")
	}
	return l
}

// quantile is that of a sorted list.
func quantile(sorted []float64, q float64) float64 {
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}

// round leaves microseconds.
func round(ms float64) float64 { return math.Round(ms*1000) / 1000 }

// thinned keeps a list at half its length or more: when it is full, every
// second one goes, and of those to come every second, fourth and so on is kept
// only. What is summed up in each is kept, as the later one has it.
type thinned[T any] struct {
	most   int
	kept   []T
	stride int // of how many one is kept; 0: of 1
	since  int
	last   T // added
}

// list is what is kept, and the last one of all in any case.
func (t *thinned[T]) list() []T {
	switch {
	case t.since == 0:
		return t.kept
	case len(t.kept) == t.most:
		return append(slices.Clone(t.kept[:t.most-1]), t.last)
	}
	return append(slices.Clone(t.kept), t.last)
}

func (t *thinned[T]) add(v T) {
	t.stride, t.last = max(t.stride, 1), v
	if t.since++; t.since < t.stride {
		return
	}
	t.since = 0
	if len(t.kept) == t.most {
		half := t.kept[:0]
		for i := 1; i < len(t.kept); i += 2 {
			half = append(half, t.kept[i])
		}
		t.kept = half
		t.stride *= 2
		t.since = t.stride / 2
		return
	}
	t.kept = append(t.kept, v)
}

// watchLine keeps what the attempt's connections tell of the line, until the
// function that it returns is called.
func (a *attempt) watchLine(pool *remote.Pool) (stop func()) {
	if a.line == nil {
		return func() {}
	}
	conns := func() []tcpinfo.Teller {
		var all []tcpinfo.Teller
		for _, c := range pool.Conns() {
			all = append(all, c)
		}
		return all
	}
	tick := time.NewTicker(lineEvery)
	stopMeter := a.line.watch(conns, tick.C, a.log)
	return func() {
		stopMeter()
		tick.Stop()
	}
}

// keepLine enters what the connections told into a run, and beside its record
// how it went on.
func (r *Runner) keepLine(run *store.Run, m *lineMeter, log *slog.Logger) {
	run.Line = m.line()
	if r.Store == nil || run.Line == nil {
		return
	}
	if err := r.Store.Attach(*run, store.LineRates, m.rates.list()); err != nil {
		log.Warn("what the connections told of the line could not be kept", logs.Error, err.Error())
	}
}

// lineFields are what the last line of a run's log says of the line.
func lineFields(l *store.Line) []any {
	if l == nil {
		return nil
	}
	fields := []any{logs.RTT, time.Duration(l.RTTMS * float64(time.Millisecond)).Round(100 * time.Microsecond)}
	switch {
	case l.Outward() && l.Knows("resent_share"):
		fields = append(fields, logs.Retransmitted, l.Retransmitted())
	case !l.Outward() && l.Knows("out_of_order"):
		fields = append(fields, logs.OutOfOrder, l.OutOfOrder)
	}
	return fields
}
