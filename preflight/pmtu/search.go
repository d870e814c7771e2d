package pmtu

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Limits of our own.
const (
	perSize   = 4               // packets of a size before it counts as too long
	perDoubt  = 10              // more of them before a black hole is named
	atOnce    = 4               // sizes that are tried at a time
	doubts    = 3               // times that a size which counted as too long may turn out to pass
	firstWait = 2 * time.Second // for an answer, while no round trip is known
	shortWait = 400 * time.Millisecond
	longWait  = 1200 * time.Millisecond
)

// A finder is a search that is under way.
type finder struct {
	p    Prober
	o    Options
	wait time.Duration // for answers to packets of one size
	rtt  time.Duration // the longest of those that were first

	low, high int  // the largest size that passed, the smallest that did not
	said      bool // a router said that high is too long
	local     bool // this machine does not send it
	made      Result
	tries     map[int]*Try
}

// A verdict is what came of the packets of one size.
type verdict struct {
	size   int
	probes int
	passed int
	rtt    time.Duration
	tooBig bool
	mtu    int
	by     netip.Addr
	words  string
	full   bool // all were sent, and waited for
}

// search finds the MTU within the limit.
func search(ctx context.Context, p Prober, way string, out int, o Options) (*Result, error) {
	if o.Most == 0 {
		o.Most = ordinary
	}
	f := &finder{p: p, o: o, wait: firstWait, high: o.Most + 1, tries: map[int]*Try{}, made: Result{To: o.To, Way: way, Interface: out}}
	limited, cancel := context.WithTimeout(ctx, o.Limit)
	defer cancel()
	f.find(limited)
	if ctx.Err() != nil {
		return f.result(), fmt.Errorf("find the path MTU to %v: %w", o.To, context.Cause(ctx))
	}
	return f.result(), nil
}

// find narrows low and high down until they are neighbours, and doubts the
// result where nobody but silence speaks for it.
func (f *finder) find(ctx context.Context) {
	sizes := []int{small(f.o.To)}
	if u := usual(f.o.To); u > sizes[0] && u < f.o.Most {
		sizes = append(sizes, u)
	}
	f.round(ctx, append(sizes, f.o.Most))
	if f.low == 0 {
		f.made.Unsure = f.made.Refused == ""
		return
	}
	for doubt := 0; ; doubt++ {
		for f.high-f.low > 1 && ctx.Err() == nil {
			f.round(ctx, f.between())
		}
		switch {
		case f.low >= f.o.Most:
			return
		case ctx.Err() != nil || doubt == doubts:
			f.made.Unsure = true
			return
		case f.said || f.local:
			return
		}
		if f.holds(ctx) {
			return
		}
	}
}

// between are the sizes to try next: what a router named and the size above it,
// or some that cut the rest into equal parts.
func (f *finder) between() []int {
	if m := f.made.Said; m > f.low && m < f.high {
		return []int{m}
	}
	var sizes []int
	for i := range atOnce {
		size := f.low + (f.high-f.low)*(i+1)/(atOnce+1)
		if size > f.low && size < f.high && !slices.Contains(sizes, size) {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// round tries sizes at the same time. A size that passes ends the trying of
// those below it, and one of which somebody says that it is too long ends that
// of those above.
func (f *finder) round(ctx context.Context, sizes []int) {
	verdicts := make(chan verdict)
	cancels := map[int]context.CancelFunc{}
	for _, size := range sizes {
		one, cancel := context.WithCancel(ctx)
		defer cancel()
		cancels[size] = cancel
		wait := f.wait
		go func() { verdicts <- f.volley(one, size, perSize, wait, true) }()
	}
	silent := []int{}
	for range sizes {
		v := <-verdicts
		f.note(v)
		switch {
		case v.passed > 0:
			f.low = max(f.low, v.size)
			f.rtt = max(f.rtt, v.rtt)
			f.wait = max(min(max(shortWait, 3*f.rtt+shortWait/2), longWait), f.rtt*3/2)
		case v.tooBig:
			f.lower(v)
		case v.full:
			silent = append(silent, v.size)
		}
		for size, cancel := range cancels {
			if size < f.low || size > f.high || v.tooBig && size > v.size {
				cancel()
			}
		}
	}
	// Silence counts only if it is heard to its end, and only above what passed.
	for _, size := range silent {
		if size > f.low && size < f.high && f.low > 0 {
			f.high, f.said, f.local = size, false, false
		}
	}
}

// lower takes somebody's word that a size is too long. What is known to pass
// speaks against it.
func (f *finder) lower(v verdict) {
	if v.size <= f.low || v.size > f.high {
		return
	}
	f.high, f.said, f.local = v.size, v.by.IsValid(), !v.by.IsValid()
	if !v.by.IsValid() {
		return
	}
	f.made.By = v.by
	if v.mtu >= small(f.o.To) && v.mtu < v.size {
		f.made.Said = v.mtu
		f.high = v.mtu + 1
	}
}

// volley sends packets of one size, and waits for their answers: for the first
// one, or for somebody's word that none will pass; or for all. They are spread
// over half of the wait, as losses come in bursts.
func (f *finder) volley(parent context.Context, size, count int, wait time.Duration, first bool) verdict {
	ctx, cancel := context.WithTimeout(parent, wait)
	defer cancel()
	type outcome struct {
		rtt time.Duration
		err error
	}
	outcomes := make(chan outcome)
	ticks := time.NewTicker(max(wait/2/time.Duration(count), time.Millisecond))
	defer ticks.Stop()
	v := verdict{size: size}
	open := 0
	send := func() {
		v.probes++
		open++
		go func() {
			rtt, err := f.p.PingWhole(ctx, f.o.To, size-headers(f.o.To))
			outcomes <- outcome{rtt, err}
		}()
	}
	send()
	for {
		var tick <-chan time.Time
		var over <-chan struct{}
		switch {
		case ctx.Err() == nil && v.probes < count:
			tick, over = ticks.C, ctx.Done()
		case open == 0:
			v.full = parent.Err() == nil && v.probes == count
			return v
		}
		select {
		case <-tick:
			send()
		case <-over:
		case o := <-outcomes:
			open--
			v.take(o.rtt, o.err, ctx.Err() != nil)
			if first && (v.passed > 0 || v.tooBig) {
				cancel()
			}
		}
	}
}

// take adds what came of one packet.
func (v *verdict) take(rtt time.Duration, err error, over bool) {
	big := TooBig(nil)
	switch {
	case err == nil:
		v.passed++
		if v.rtt == 0 || rtt < v.rtt {
			v.rtt = rtt
		}
	case errors.As(err, &big):
		mtu, by := big.TooBig()
		if !v.tooBig || by.IsValid() {
			v.tooBig, v.mtu, v.by = true, mtu, by
		}
	case !over:
		v.words = err.Error()
	}
}

// holds sends many more packets of the largest size that passed and of the
// smallest that did not, side by side. It reports whether the search is over:
// not if the latter pass after all.
func (f *finder) holds(ctx context.Context) bool {
	verdicts := make(chan verdict)
	for _, size := range []int{f.low, f.high} {
		wait := 2 * f.wait
		go func() { verdicts <- f.volley(ctx, size, perDoubt, wait, false) }()
	}
	a, b := <-verdicts, <-verdicts
	if a.size > b.size {
		a, b = b, a
	}
	f.note(a)
	f.note(b)
	switch {
	case b.passed > 0:
		f.low, f.high = b.size, f.o.Most+1
		return f.low >= f.o.Most
	case b.tooBig:
		f.lower(b)
		f.high = min(f.high, b.size)
		return f.high-f.low <= 1
	}
	// With six in ten lost by chance, one in 1,200 would see all of 14 lost.
	f.made.BlackHole = a.passed*10 >= perDoubt*4 && b.full
	f.made.Unsure = !f.made.BlackHole
	return true
}

// note adds to the tries.
func (f *finder) note(v verdict) {
	if v.probes == 0 {
		return
	}
	t := f.tries[v.size]
	if t == nil {
		t = &Try{Size: v.size}
		f.tries[v.size] = t
	}
	t.Probes += v.probes
	t.Passed = t.Passed || v.passed > 0
	if v.words != "" {
		f.made.Refused = v.words
	}
}

// result is what is known by now.
func (f *finder) result() *Result {
	f.made.MTU = f.low
	if f.low > 0 {
		f.made.Refused = ""
	}
	f.made.Tries = nil
	for _, t := range f.tries {
		t.Passed = t.Passed || t.Size <= f.low
		f.made.Tries = append(f.made.Tries, *t)
	}
	slices.SortFunc(f.made.Tries, func(a, b Try) int { return a.Size - b.Size })
	if len(f.made.Tries) > 0 {
		f.made.Least = f.made.Tries[0].Size
	}
	return &f.made
}
