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
	"container/heap"
	"context"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"linehaul/schedule/calendar"
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

// CatchUp says what becomes of firings that passed while nobody looked: linehaul
// did not run, the machine slept, or its clock was set forward.
type CatchUp string

// The answers, as the config spells them.
const (
	CatchUpNone CatchUp = "none" // none of them runs
	CatchUpOnce CatchUp = "once" // the last of them, for all
	CatchUpAll  CatchUp = "all"  // each, up to maxCatchUp
)

const (
	// late is by how much a firing must have been missed to count as one that
	// passed: less is how long it takes to look, and a busy machine.
	late = 2 * look
	// maxCatchUp is how many firings are made up for one by one.
	maxCatchUp = 100
)

// Entry is a job with the schedule that it fires by.
type Entry struct {
	Job      string
	Schedule *cron.Schedule
	// RunOn are names and labels of the machines that may run it; empty: any. Here
	// it is whether this one may.
	RunOn []string
	Here  bool
	// Splay is by how much later than its nominal time a firing comes at most:
	// by how much, the job's name decides, so that it is the same after a
	// restart and on each machine.
	Splay    time.Duration
	Calendar *calendar.Calendar // when it does not run; nil: never
	CatchUp  CatchUp            // empty: CatchUpOnce
	// Window is how long ago a firing may have passed and still be made up for;
	// 0: any time.
	Window time.Duration
	// Last is the nominal time of the last firing that is known of, before this
	// process; zero: none is, and there is nothing to make up for.
	Last time.Time
}

// Firing is one occasion on which a job is to run, unless it is blocked or has
// passed.
type Firing struct {
	Job     string
	Nominal time.Time // the instant that the schedule names, in its zone
	Missed  int       // earlier ones that passed unnoticed and for which there is nothing else; at least
	Blocked string    // what in the job's calendar is in the way; empty: nothing
	Passed  bool      // it came too late to be made up for
	MadeUp  bool      // it is one of several that are made up for each in its turn
}

// Memory is a queue of firings that lives with the process. Its methods may
// be called concurrently.
type Memory struct {
	now func() time.Time
	log *slog.Logger

	changed chan struct{} // holds a token when mu's fields were replaced

	mu   sync.Mutex
	jobs map[string]*planned
	line line      // those of them that fire again
	seen time.Time // the clock when it was last read
}

// planned is one job's place in the queue.
type planned struct {
	Entry
	offset time.Duration // by which it comes later than it is nominally
	next   time.Time     // nominal; zero if it never fires again
	last   time.Time     // the last nominal time that was handed out or missed
}

func newPlanned(e Entry) *planned {
	p := &planned{Entry: e}
	if e.CatchUp == "" {
		p.CatchUp = CatchUpOnce
	}
	p.offset = e.offset()
	return p
}

// offset is by how much a firing comes later than it is nominally.
func (e Entry) offset() time.Duration {
	if e.Splay <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(e.Job))
	return time.Duration(h.Sum64() % uint64(e.Splay)).Truncate(time.Second)
}

// Since is the instant after which the nominal times are of a job that is not known
// before now: one that has passed may still be due.
func (e Entry) Since(now time.Time) time.Time { return now.Add(-e.offset()) }

// due is when the next firing is to come.
func (p *planned) due() time.Time { return p.next.Add(p.offset) }

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
	old := m.jobs
	m.jobs = make(map[string]*planned, len(entries))
	now := wall(m.now())
	for _, e := range entries {
		p := newPlanned(e)
		if o := old[e.Job]; o != nil {
			p.last = o.last
			p.plan(now)
		} else {
			p.resume(now)
		}
		m.jobs[e.Job] = p
	}
	m.lineUpLocked()
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// resume sets the first firing after the last one that is known of, which may have
// passed.
func (p *planned) resume(now time.Time) {
	from := wall(p.Last)
	if from.IsZero() || from.After(now) {
		p.last = from
		p.plan(now)
		return
	}
	p.last = from
	p.next = p.Schedule.Next(from)
}

// plan sets the first firing later than now and than all that were handed out.
func (p *planned) plan(now time.Time) {
	if p.last.Sub(now) > remember {
		p.last = time.Time{}
	}
	// One whose nominal time has passed may still be due.
	from := now.Add(-p.offset)
	if p.last.After(from) {
		from = p.last
	}
	p.next = p.Schedule.Next(from)
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

// Due waits until firings are due and takes them, so many at most, those that are
// due first before others. It returns ctx's cause when ctx ends first.
func (m *Memory) Due(ctx context.Context, most int) ([]Firing, error) {
	first, err := m.Next(ctx)
	if err != nil {
		return nil, err
	}
	due := []Firing{first}
	for len(due) < most {
		f, _, more := m.take()
		if !more {
			break
		}
		due = append(due, f)
	}
	return due, nil
}

// Between is how many firings a job has after one instant and before another.
func (m *Memory) Between(job string, after, before time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, n := m.jobs[job], 0
	if p == nil {
		return 0
	}
	for t := p.Schedule.Next(after); !t.IsZero() && t.Before(before) && n < manyMissed; t = p.Schedule.Next(t) {
		n++
	}
	return n
}

// line has the job that is due first at its head, of several that are due at once the
// one whose name is first: it is a heap.
type line []*planned

func (l line) Len() int { return len(l) }
func (l line) Less(i, j int) bool {
	if c := l[i].due().Compare(l[j].due()); c != 0 {
		return c < 0
	}
	return l[i].Job < l[j].Job
}
func (l line) Swap(i, j int) { l[i], l[j] = l[j], l[i] }

// Push is for package heap.
func (l *line) Push(x any) { *l = append(*l, x.(*planned)) }

// Pop is for package heap.
func (l *line) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// lineUpLocked lines up the jobs that fire again.
func (m *Memory) lineUpLocked() {
	m.line = m.line[:0]
	for _, p := range m.jobs {
		if !p.next.IsZero() {
			m.line = append(m.line, p)
		}
	}
	heap.Init(&m.line)
}

// take returns the firing that is due, or how long to wait before looking
// again.
func (m *Memory) take() (Firing, time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := wall(m.now())
	m.noticeStepLocked(now)
	if len(m.line) == 0 {
		return Firing{}, look, false
	}
	first := m.line[0]
	if first.due().After(now) {
		return Firing{}, min(first.due().Sub(now), look), false
	}
	f := first.fire(now)
	if first.next.IsZero() {
		heap.Pop(&m.line)
	} else {
		heap.Fix(&m.line, 0)
	}
	return f, 0, true
}

// noticeStepLocked plans anew when the clock was set back: what was planned
// may lie years ahead of the time that is now true.
func (m *Memory) noticeStepLocked(now time.Time) {
	if back := m.seen.Sub(now); back > time.Second {
		m.log.Warn("the clock was set back", "seconds", back.Seconds())
		for _, p := range m.jobs {
			p.plan(now)
		}
		m.lineUpLocked()
	}
	m.seen = now
}

// fire hands out a firing that is due at now: the last one, or each in its turn
// where all are made up for.
func (p *planned) fire(now time.Time) Firing {
	var run, blocked *Firing // the last that may run, and the last that may not
	missed := 0
	for n := 0; ; n++ {
		f := Firing{Job: p.Job, Nominal: p.next}
		f.Blocked, _ = p.Calendar.Blocks(p.next)
		f.Passed = p.passed(now)
		p.last = p.next
		p.next = p.Schedule.Next(p.last)
		if n == manyMissed {
			p.skipTo(now)
		}
		more := !p.next.IsZero() && !p.due().After(now)
		switch {
		case f.Blocked != "":
			blocked = &f
		default:
			run = &f
		}
		if p.CatchUp == CatchUpAll && !f.Passed && p.within(now) {
			f.Missed, f.MadeUp = missed, now.Sub(p.last.Add(p.offset)) > late || more
			return f
		}
		if !more {
			break
		}
		missed++
	}
	f := run
	if f == nil {
		f = blocked
	}
	f.Missed = missed
	return *f
}

// passed reports whether the next firing comes too late to be made up for.
func (p *planned) passed(now time.Time) bool {
	behind := now.Sub(p.due())
	return behind > late && (p.CatchUp == CatchUpNone || p.Window > 0 && behind > p.Window)
}

// within reports whether no more firings are due than are made up for one by one.
func (p *planned) within(now time.Time) bool {
	next, n := p.next, 0
	for !next.IsZero() && !next.Add(p.offset).After(now) {
		if n++; n >= maxCatchUp {
			return false
		}
		next = p.Schedule.Next(next)
	}
	return true
}

// skipTo leaves out most of the firings that were missed before now, without
// walking through years of them one by one.
func (p *planned) skipTo(now time.Time) {
	recent := p.Schedule.Next(now.Add(-remember))
	if !recent.IsZero() && recent.After(p.next) && !recent.After(now) {
		p.next = recent
	}
}
