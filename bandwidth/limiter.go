package bandwidth

import (
	"context"
	"sync"
	"time"
)

// burst is for how long nobody may have moved anything and catch up: it hides
// that timers are late, and no more.
const burst = 100 * time.Millisecond

// A Limiter lets bytes pass as its timetable says, all who wait together. Who
// comes first passes first. Its methods may be called concurrently.
//
// It is a token bucket that may go below zero: a piece passes when all before
// it are paid for, however large it is, and what comes next waits for it.
type Limiter struct {
	now  func() time.Time
	turn chan struct{} // held by the one that passes next

	mu      sync.Mutex
	table   *Timetable
	changed chan struct{} // closed when table is replaced
	rate    Rate          // that holds since last
	last    time.Time
	balance float64 // bytes that may pass now; below 0: that must be waited for
}

// NewLimiter returns a limiter that goes by a timetable and a clock.
func NewLimiter(t *Timetable, now func() time.Time) *Limiter {
	l := &Limiter{now: now, turn: make(chan struct{}, 1), table: t, changed: make(chan struct{}), last: now()}
	l.rate = t.At(l.last)
	return l
}

// Set replaces the timetable, also for those who wait.
func (l *Limiter) Set(t *Timetable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.table == t {
		return
	}
	l.table = t
	close(l.changed)
	l.changed = make(chan struct{})
}

// Rate returns what holds now.
func (l *Limiter) Rate() Rate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.At(l.now())
}

// Wait waits until n bytes may pass. It returns the cause of ctx if that ends
// first, and they do not count then.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	if n <= 0 || l.Rate() == Off {
		return nil
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.turn }()
	for {
		wait, changed := l.take(n)
		if wait == 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
}

// take lets n bytes pass, or says how long to wait before it is asked again.
func (l *Limiter) take(n int) (time.Duration, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.earn(now)
	switch {
	case l.rate == Off:
		return 0, nil
	case l.balance >= 0:
		l.balance -= float64(n)
		return 0, nil
	}
	wait := time.Duration(-l.balance / float64(l.rate) * float64(time.Second))
	return max(min(wait, l.table.steady(now)), time.Microsecond), l.changed
}

// earn adds what the time since it was last called is worth, and then takes up
// the rate that holds now. What has to be waited for still takes no longer than
// it would have taken, at a rate that falls, and is paid faster by one that
// rises. The caller holds mu.
func (l *Limiter) earn(now time.Time) {
	passed := max(now.Sub(l.last), 0) // a clock may be set back
	l.last = now
	l.balance = min(l.balance+passed.Seconds()*float64(l.rate), burst.Seconds()*float64(l.rate))
	rate := l.table.At(now)
	switch {
	case rate == Off, l.rate == Off:
		l.balance = 0
	case rate < l.rate:
		l.balance *= float64(rate) / float64(l.rate)
	}
	l.rate = rate
}

// quantum is how much of a run passes a limit before another run has its turn.
const quantum = 32 << 10

// A Gate is what one run passes: every limit that it is under. One piece of a
// run waits at the limits at a time, and a part of it after the other, so that
// runs that share one take turns and get the same, however many files each has
// under way, and however large its pieces are. A nil Gate lets everything pass.
type Gate struct {
	turn   chan struct{}
	limits []*Limiter
}

// NewGate makes a gate of limits.
func NewGate(limits ...*Limiter) *Gate { return &Gate{turn: make(chan struct{}, 1), limits: limits} }

// Wait waits until n bytes may pass all of the limits.
func (g *Gate) Wait(ctx context.Context, n int) error {
	if g.Rate() == Off {
		return nil
	}
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-g.turn }()
	for ; n > 0; n -= quantum {
		for _, l := range g.limits {
			if err := l.Wait(ctx, min(n, quantum)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Rate returns the least of the rates that hold now.
func (g *Gate) Rate() Rate {
	least := Off
	if g == nil {
		return least
	}
	for _, l := range g.limits {
		if r := l.Rate(); r != Off && (least == Off || r < least) {
			least = r
		}
	}
	return least
}

// Shared are limiters by name, for all runs of a process. Its methods may be
// called concurrently.
type Shared struct {
	now func() time.Time

	mu  sync.Mutex
	all map[string]*Limiter
}

// NewShared returns a set without limiters.
func NewShared(now func() time.Time) *Shared {
	return &Shared{now: now, all: make(map[string]*Limiter)}
}

// Limiter returns the limiter of that name, which goes by this timetable from
// now on, for those too who have it already.
func (s *Shared) Limiter(name string, t *Timetable) *Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.all[name]
	if l == nil {
		l = NewLimiter(t, s.now)
		s.all[name] = l
	}
	l.Set(t)
	return l
}

// Keep replaces the timetables of all limiters, by a config that is read anew:
// those that it does not name set no limit any more.
func (s *Shared) Keep(tables map[string]*Timetable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range s.all {
		l.Set(tables[name])
	}
}
