package depend

import (
	"strings"
	"time"
)

// String says what the answer rests on, in one line for a log or a record.
func (a Answer) String() string {
	if len(a.Runs) == 0 && len(a.Missing) == 0 {
		return "it depends on nothing"
	}
	var parts []string
	switch a.Verdict {
	case Met:
		for _, r := range a.Runs {
			parts = append(parts, r.Job+" succeeded at "+a.when(r.Ended)+" (run "+r.ID+")")
		}
		return strings.Join(parts, "; ")
	case Waiting, Never:
	}
	for _, m := range a.Missing {
		parts = append(parts, m.Dep.Job+" "+m.Why)
	}
	text := strings.Join(parts, "; ")
	if !a.waited.IsZero() {
		text += "; it was waited for until " + a.when(a.waited)
	}
	if a.Verdict == Waiting && !a.Latest.IsZero() {
		text += "; there is time until " + a.when(a.Latest)
	}
	return text
}

func (a Answer) when(t time.Time) string { return when(t, a.zone) }

// when has the offset with it, as an hour may come twice.
func when(t time.Time, loc *time.Location) string {
	if loc == nil {
		loc = time.UTC
	}
	return t.In(loc).Format(time.DateTime + " -0700")
}

// why says what of an entry does not hold, and what is known instead.
func (c Condition) why(now time.Time, d Dep, w window, h History) string {
	var b strings.Builder
	b.WriteString("has not succeeded")
	start := w.start()
	switch {
	case w.day != (day{}) && start.Equal(w.from):
		b.WriteString(" on " + w.day.String())
	case !w.after.IsZero() && start.Equal(w.after):
		b.WriteString(" since the firing before, at " + when(start, c.zone()))
	case !start.IsZero():
		b.WriteString(" since " + when(start, c.zone()))
	default:
		b.WriteString(" yet")
	}
	if !d.Before.IsZero() {
		b.WriteString(" before " + d.Before.String())
	}
	b.WriteString(": " + c.latest(w, h))
	if !h.Next.IsZero() && h.early(now).Equal(h.Next) && !w.over(now) {
		b.WriteString(", and it fires next at " + when(h.Next, c.zone()))
	}
	return b.String()
}

// latest says what a job did last.
func (c Condition) latest(w window, h History) string {
	var last Run
	for _, r := range h.Runs {
		if r.newer(last) {
			last = r
		}
	}
	at := when(last.Ended, c.zone())
	switch last.State {
	case Queued:
		return "it is to run since " + when(last.Started, c.zone()) + ", and waits for its turn"
	case Running:
		return "it has been running since " + when(last.Started, c.zone())
	case OK, Warning:
		if w.late(last.Ended) {
			return "it succeeded at " + at + ", which is too late"
		}
		return "it last succeeded at " + at
	case Failed:
		return "its last run failed at " + at
	case Interrupted:
		return "its last run was interrupted at " + at
	case Skipped:
		return "its last firing was skipped at " + at
	case Missed:
		return "its last firing was missed, as was noticed at " + at
	}
	if last.State != "" {
		return "its last run is " + string(last.State)
	}
	return "no run of it is known"
}

// newer reports whether a run tells more of the present than another: one that
// goes on, or else the one that ended last.
func (r Run) newer(than Run) bool {
	switch {
	case than.State == "":
		return true
	case r.State.open() != than.State.open():
		return r.State.open()
	case r.State.open():
		return r.Started.After(than.Started)
	}
	return r.Ended.After(than.Ended)
}

// String is the entry as the config means it.
func (d Dep) String() string {
	switch {
	case d.Today && !d.Before.IsZero():
		return d.Job + " today before " + d.Before.String()
	case d.Today:
		return d.Job + " today"
	case d.Within > 0:
		return d.Job + " within " + d.Within.String()
	}
	return d.Job
}
