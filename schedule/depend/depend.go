// Package depend says whether what a job depends on has happened: that other
// jobs have succeeded, of late or on the same day.
//
// It is pure. What has run, the caller gives; what the time is, too, and by one
// clock for all of it: where several machines share a record, by that of the
// database. It starts nothing, waits for nothing, and remembers nothing.
//
// # What counts
//
// A run counts if it ended as ok or with a warning, and by when it ended. A later
// run that failed takes nothing back. There are three kinds of entries:
//
//   - A plain one wants a success since the job's own last firing that led to a
//     run, so that each success is used once.
//   - Within a duration: one that is at most so old when the firing comes.
//   - Today: one of the same day, perhaps before a time of that day.
//
// A job without a schedule fires when all entries hold (Due). Each success is
// used once there whatever the entry says, as it would fire without end
// otherwise; the day is the one that it is.
//
// A job with a schedule is held against its entries when it fires (Met), and may
// wait for a time. The day is that of the firing's nominal time, as for stamps: it
// does not depend on how late the firing comes, or how long it waits. Entries
// with a duration or a day look at nothing but that. What ends while the firing
// waits counts, and what ends later does not, however late somebody looks.
//
// # Clock changes
//
// Days and times of the day are those of the job's zone, and begin when a
// schedule of package cron would fire: a time that the clock skips is at the
// first instant after the gap, and one that it shows twice is at the first. So the
// day on which 02:00 to 03:00 is missing has 02:30 at 03:00; where midnight is
// missing, the day begins at 01:00; and where the clock goes back over midnight,
// the new day has begun, and the hour that comes again belongs to it.
package depend

import (
	"fmt"
	"slices"
	"time"
)

// State is how a run is or ended, as the record spells it.
type State string

// The states.
const (
	Queued      State = "waiting" // for somebody to run it
	Running     State = "running"
	OK          State = "ok"
	Warning     State = "warning"
	Failed      State = "failed"
	Skipped     State = "skipped"
	Missed      State = "missed"
	Interrupted State = "interrupted"
)

// Success reports whether it is one that others wait for.
func (s State) Success() bool { return s == OK || s == Warning }

// open reports whether it may become another.
func (s State) open() bool { return s == Queued || s == Running }

// A Run is one execution of a job, or a firing that led to none.
type Run struct {
	Job     string // in answers; histories need not say it
	ID      string
	Nominal time.Time // the instant that the schedule named; zero: it ran by hand
	Started time.Time
	Ended   time.Time // zero: it goes on
	State   State
}

// A History is what is known of a job.
type History struct {
	// Runs are those that ended since a time, or go on, and the last one whenever
	// that was; in any order. More do no harm.
	Runs []Run
	// Next is when it fires next; zero: nobody knows.
	Next time.Time
}

// A Lookup gives the history of a job since a time; the zero time is the
// beginning.
type Lookup func(job string, since time.Time) History

// A Dep is an entry: a job that must have succeeded.
type Dep struct {
	Job    string
	Within time.Duration // 0: any time since the last firing
	Today  bool          // on the same day; goes with no Within
	Before Clock         // a time of that day; goes with Today
}

// A Clock is a time of the day. The zero value is none.
type Clock struct {
	Hour, Minute int
}

// IsZero reports that it is none. Midnight is: nothing is before it.
func (c Clock) IsZero() bool { return c == Clock{} }

func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c.Hour, c.Minute) }

// ParseClock reads a time of the day such as 08:30, after 00:00.
func ParseClock(text string) (Clock, error) {
	t, err := time.Parse("15:04", text)
	c := Clock{t.Hour(), t.Minute()}
	switch {
	case err != nil:
		return Clock{}, fmt.Errorf("%q is no time of the day such as 08:30", text)
	case c.IsZero():
		return Clock{}, fmt.Errorf("nothing of a day is before %q", text)
	}
	return c, nil
}

// A Condition is all that a job depends on. The zero value depends on nothing.
type Condition struct {
	Deps []Dep
	Zone *time.Location // nil: UTC
	// Wait is how long a firing of a job with a schedule of its own waits.
	Wait time.Duration
}

// Jobs are the names of what it depends on.
func (c Condition) Jobs() []string {
	names := make([]string, len(c.Deps))
	for i, d := range c.Deps {
		names[i] = d.Job
	}
	return names
}

// Verdict says whether a condition holds.
type Verdict int

// The verdicts. Of a firing, Waiting turns into one of the others, and these
// never change. Of a job without a schedule, Never holds for the day.
const (
	Waiting Verdict = iota
	Met
	Never
)

func (v Verdict) String() string {
	switch v {
	case Waiting:
		return "waiting"
	case Met:
		return "met"
	case Never:
		return "never"
	}
	return fmt.Sprintf("verdict %d", int(v))
}

// An Answer is what became of a question.
type Answer struct {
	Verdict Verdict
	// Missing are the entries that do not hold, in their order.
	Missing []Missing
	// Runs are those that the entries rest on, one for each that holds.
	Runs []Run
	// Nominal is the nominal time of the firing that is due, by Due alone.
	Nominal time.Time
	// Earliest is when it can be met: now if all that is missing runs already, or
	// when the last of it fires next; of a Never, when it ceases to be one. Runs by
	// hand may be earlier. Zero: nobody knows, or it stays as it is.
	Earliest time.Time
	// Latest is when Waiting turns into Never if nothing more succeeds; zero: it
	// does not.
	Latest time.Time

	zone   *time.Location
	waited time.Time // until when the firing waited, which was too long
}

// A Missing is an entry that does not hold.
type Missing struct {
	Dep Dep
	Why string // in words, behind the job's name: "has not succeeded since …"
}

// A Firing is one of a job with a schedule.
type Firing struct {
	Nominal time.Time
	// Came is when it was handed out: what it waits for, and a Within, count from
	// then.
	Came time.Time
}

// Due says whether a job without a schedule is to fire. Since is when its last
// firing led to a run, and last the nominal time of that; of one that never fired,
// since is when it came into force, lest it fires for what is long past. The
// nominal time of the firing is the latest of those of the runs that it rests on,
// where one by hand has its start; if that is not later than last, it is when the
// last of them ended. A job that depends on nothing is never due.
func (c Condition) Due(now, since, last time.Time, look Lookup) Answer {
	day := dayAt(c.zone(), now)
	windows := make([]window, len(c.Deps))
	for i, d := range c.Deps {
		w := window{after: since}
		switch {
		case d.Today:
			w.day = day
			if w.from, w.end = c.day(day, d); d.Before.IsZero() {
				w.end = time.Time{} // the next day is as good
			}
		case d.Within > 0:
			w.from = now.Add(-d.Within)
		}
		windows[i] = w
	}
	a := c.judge(now, windows, look)
	if len(c.Deps) == 0 {
		a.Verdict = Waiting // or it would fire without end
	}
	switch a.Verdict {
	case Never:
		a.Earliest, a.Latest = c.reopen(day), time.Time{}
	case Met:
		a.Nominal = nominal(a.Runs, last).In(c.zone())
	case Waiting:
	}
	return a
}

// Met says whether a firing may run. Since is when the job's last firing led to a
// run.
func (c Condition) Met(now, since time.Time, f Firing, look Lookup) Answer {
	day := dayAt(c.zone(), f.Nominal)
	by := f.Came.Add(c.Wait)
	windows := make([]window, len(c.Deps))
	for i, d := range c.Deps {
		w := window{by: by}
		switch {
		case d.Today:
			w.from, w.end = c.day(day, d)
			w.day = day
		case d.Within > 0:
			w.from = f.Came.Add(-d.Within)
		default:
			w.after = since
		}
		windows[i] = w
	}
	a := c.judge(now, windows, look)
	if a.Verdict == Never {
		a.Earliest, a.Latest = time.Time{}, time.Time{}
		if c.Wait > 0 && !now.Before(by) {
			a.waited = by
		}
	}
	return a
}

func (c Condition) zone() *time.Location {
	if c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

// day is the part of a day in which a success counts for an entry.
func (c Condition) day(d day, of Dep) (from, end time.Time) {
	if !of.Before.IsZero() {
		return d.begin(c.zone()), d.at(c.zone(), of.Before)
	}
	return d.begin(c.zone()), d.next().begin(c.zone())
}

// reopen is when the next day begins on which each entry has time: where midnight
// is missing, nothing is before 00:45.
func (c Condition) reopen(d day) time.Time {
	for d = d.next(); ; d = d.next() {
		none := func(of Dep) bool {
			from, end := c.day(d, of)
			return !of.Before.IsZero() && !from.Before(end)
		}
		if !slices.ContainsFunc(c.Deps, none) {
			return d.begin(c.zone())
		}
	}
}

// A window is the time in which a success must have ended. Of its bounds, those
// that are zero do not hold.
type window struct {
	after time.Time // itself too early
	from  time.Time
	end   time.Time // itself too late
	by    time.Time
	day   day // where from and end are parts of one
}

func (w window) late(t time.Time) bool {
	return !w.end.IsZero() && !t.Before(w.end) || !w.by.IsZero() && t.After(w.by)
}

func (w window) has(t time.Time) bool {
	return t.After(w.after) && !t.Before(w.from) && !w.late(t)
}

// start is the earliest instant that may be in it.
func (w window) start() time.Time {
	if w.after.After(w.from) {
		return w.after
	}
	return w.from
}

// over reports whether nothing that ends from now on can count.
func (w window) over(now time.Time) bool {
	return w.late(now) || !w.by.IsZero() && !now.Before(w.by)
}

// until is the instant from which on it is over; zero: there is none.
func (w window) until() time.Time {
	if w.end.IsZero() || !w.by.IsZero() && w.by.Before(w.end) {
		return w.by
	}
	return w.end
}

// judge holds what has run against a window for each entry.
func (c Condition) judge(now time.Time, windows []window, look Lookup) Answer {
	a := Answer{Verdict: Met, zone: c.zone()}
	for i, d := range c.Deps {
		w := windows[i]
		h := look(d.Job, w.start())
		if best, ok := h.success(w); ok {
			best.Job = d.Job
			a.Runs = append(a.Runs, best)
			continue
		}
		a.Missing = append(a.Missing, Missing{Dep: d, Why: c.why(now, d, w, h)})
		if until := w.until(); !until.IsZero() && (a.Latest.IsZero() || until.Before(a.Latest)) {
			a.Latest = until
		}
		if early := h.early(now); early.After(a.Earliest) {
			a.Earliest = early
		}
		if w.over(now) {
			a.Verdict = Never
		} else if a.Verdict == Met {
			a.Verdict = Waiting
		}
	}
	return a
}

// success is the last one in a window.
func (h History) success(w window) (best Run, ok bool) {
	for _, r := range h.Runs {
		if r.State.Success() && w.has(r.Ended) && (!ok || r.Ended.After(best.Ended)) {
			best, ok = r, true
		}
	}
	return best, ok
}

// early is when a further run may end; zero: nobody knows.
func (h History) early(now time.Time) time.Time {
	for _, r := range h.Runs {
		if r.State.open() {
			return now
		}
	}
	if !h.Next.IsZero() && h.Next.Before(now) {
		return now
	}
	return h.Next
}

// nominal is the nominal time of a firing that rests on some runs, later than the
// last one.
func nominal(runs []Run, last time.Time) time.Time {
	var latest, ended time.Time
	for _, r := range runs {
		at := r.Nominal
		if at.IsZero() {
			at = r.Started
		}
		if at.After(latest) {
			latest = at
		}
		if r.Ended.After(ended) {
			ended = r.Ended
		}
	}
	switch {
	case latest.After(last):
		return latest
	case ended.After(last):
		return ended
	}
	return last.Add(time.Second) // the clock was set back since
}
