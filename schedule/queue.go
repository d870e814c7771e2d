// Package schedule says when jobs fire, and hands out each firing once.
//
// Memory keeps its state in the process: it forgets with it. What takes
// firings depends on the Queue interface of its own, so that a database can
// take over. Cron expressions and the rule for clock changes are in
// schedule/cron.
//
// A firing is known by its job and its nominal time, the instant that the
// schedule names; it may be handed out later, after the machine slept, but
// never a second time.
package schedule

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"linehaul/schedule/cron"
)

// look is how long the queue waits at most before it looks at the clock
// again. A timer alone would not do: timers stand still while a machine
// sleeps, and do not notice that its clock was set.
const look = time.Minute

// remember is how far a clock may be set back without repeating what was
// handed out. A clock that was further off than a day and an hour was plainly
// wrong, and what fired by it did not fire at the time that was meant.
const remember = 25 * time.Hour

// manyMissed is the number of missed firings after which they are no longer
// counted one by one.
const manyMissed = 10000

// Entry is a job with the schedule that it fires by.
type Entry struct {
	Job      string
	Schedule *cron.Schedule
}

// Firing is one occasion on which a job is to run.
type Firing struct {
	Job     string
	Nominal time.Time // the instant that the schedule names, in its zone
	Missed  int       // earlier ones that passed unnoticed, as in sleep; at least
}

// Memory is a queue of firings that lives with the process. Its methods may
// be called concurrently.
type Memory struct {
	now func() time.Time
	log *slog.Logger

	changed chan struct{} // holds a token when mu's fields were replaced

	mu   sync.Mutex
	jobs []*planned
	seen time.Time // the clock when it was last read
}

// planned is one job's place in the queue.
type planned struct {
	Entry
	next time.Time // zero if it never fires again
	last time.Time // the last nominal time that was handed out or missed
}

// NewMemory returns an empty queue that reads the time from now.
func NewMemory(now func() time.Time, log *slog.Logger) *Memory {
	return &Memory{now: now, log: log, changed: make(chan struct{}, 1), seen: wall(now())}
}

// wall drops the monotonic reading, so that comparisons see a clock that was
// set and a machine that slept.
func wall(t time.Time) time.Time { return t.Round(0) }

// Set replaces the jobs. One that stays keeps in mind what it has fired.
func (m *Memory) Set(entries []Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := map[string]*planned{}
	for _, p := range m.jobs {
		old[p.Job] = p
	}
	m.jobs = nil
	now := wall(m.now())
	for _, e := range entries {
		p := &planned{Entry: e}
		if o := old[e.Job]; o != nil {
			p.last = o.last
		}
		p.plan(now)
		m.jobs = append(m.jobs, p)
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// plan sets the first firing later than now and than all that were handed out.
func (p *planned) plan(now time.Time) {
	if p.last.Sub(now) > remember {
		p.last = time.Time{}
	}
	if p.last.After(now) {
		now = p.last
	}
	p.next = p.Schedule.Next(now)
}

// Next waits until a firing is due and takes it. It returns ctx's cause when
// ctx ends first. Firings that passed while nobody looked, as the machine
// slept or its clock was set forward, become one: the last of them, with the
// number of those before it.
func (m *Memory) Next(ctx context.Context) (Firing, error) {
	for {
		if ctx.Err() != nil {
			return Firing{}, context.Cause(ctx)
		}
		f, wait, due := m.take()
		if due {
			return f, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-m.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take returns the firing that is due, or how long to wait before looking
// again.
func (m *Memory) take() (Firing, time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := wall(m.now())
	m.noticeStepLocked(now)
	var first *planned
	for _, p := range m.jobs {
		if !p.next.IsZero() && (first == nil || p.next.Before(first.next)) {
			first = p
		}
	}
	if first == nil {
		return Firing{}, look, false
	}
	if first.next.After(now) {
		return Firing{}, min(first.next.Sub(now), look), false
	}
	return first.fire(now), 0, true
}

// noticeStepLocked plans anew when the clock was set back: what was planned
// may lie years ahead of the time that is now true.
func (m *Memory) noticeStepLocked(now time.Time) {
	if back := m.seen.Sub(now); back > time.Second {
		m.log.Warn("the clock was set back", "seconds", back.Seconds())
		for _, p := range m.jobs {
			p.plan(now)
		}
	}
	m.seen = now
}

// fire hands out the last firing that is due at now.
func (p *planned) fire(now time.Time) Firing {
	f := Firing{Job: p.Job, Nominal: p.next}
	for {
		p.last = f.Nominal
		p.next = p.Schedule.Next(p.last)
		if f.Missed == manyMissed {
			p.skipTo(now)
		}
		if p.next.IsZero() || p.next.After(now) {
			return f
		}
		f.Missed++
		f.Nominal = p.next
	}
}

// skipTo leaves out most of the firings that were missed before now, without
// walking through years of them one by one.
func (p *planned) skipTo(now time.Time) {
	recent := p.Schedule.Next(now.Add(-remember))
	if !recent.IsZero() && recent.After(p.next) && !recent.After(now) {
		p.next = recent
	}
}
