package depend_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"linehaul/schedule/depend"
)

// A model knows each minute that a zone's clock shows in some days. It knows
// nothing of offsets: which day it is, and whether a time of the day has come, it
// sees on the clock, one minute after the other.
type model struct {
	loc   *time.Location
	from  time.Time
	walls []string // what the clock shows
	days  []string // the latest date that it has shown
}

func newModel(loc *time.Location, near time.Time) *model {
	m := &model{loc: loc, from: near.Add(-40 * time.Hour)}
	day := ""
	for at := m.from; at.Before(near.Add(40 * time.Hour)); at = at.Add(time.Minute) {
		wall := at.In(loc).Format("2006-01-02 15:04")
		day = max(day, wall[:10])
		m.walls, m.days = append(m.walls, wall), append(m.days, day)
	}
	return m
}

func (m *model) at(minute int) time.Time { return m.from.Add(time.Duration(minute) * time.Minute) }

// come reports whether a time of a minute's day has come by then.
func (m *model) come(minute int, c depend.Clock) bool {
	wants := m.days[minute] + " " + c.String()
	for i := minute; i >= 0 && m.days[i] == m.days[minute]; i-- {
		if m.walls[i] >= wants {
			return true
		}
	}
	return false
}

// A success is a run of the model, by its minutes.
type success struct {
	job     string
	ended   int
	state   depend.State
	nominal int // negative: by hand
}

// question is one of the model, in minutes; came is negative of a job without a
// schedule.
type question struct {
	deps            []depend.Dep
	runs            []success
	since, nominal  int
	came, wait, now int
}

// counts says whether a run counts for an entry.
func (m *model) counts(q question, d depend.Dep, r success) bool {
	if r.job != d.Job || r.state != depend.OK && r.state != depend.Warning {
		return false
	}
	scheduled := q.came >= 0
	if plain := d.Within == 0 && !d.Today; (plain || !scheduled) && r.ended <= q.since {
		return false
	}
	day, firing := q.now, q.now
	if scheduled {
		day, firing = q.nominal, q.came
		if r.ended > q.came+q.wait {
			return false
		}
	}
	if d.Today && (m.days[r.ended] != m.days[day] || !d.Before.IsZero() && m.come(r.ended, d.Before)) {
		return false
	}
	return d.Within == 0 || firing-r.ended <= int(d.Within/time.Minute)
}

// over says whether nothing that ends from now on can count for an entry.
func (m *model) over(q question, d depend.Dep) bool {
	if q.came < 0 {
		return d.Today && !d.Before.IsZero() && m.come(q.now, d.Before)
	}
	return q.now >= q.came+q.wait ||
		d.Today && (m.days[q.now] != m.days[q.nominal] || !d.Before.IsZero() && m.come(q.now, d.Before))
}

func (m *model) verdict(q question) depend.Verdict {
	v := depend.Met
	for _, d := range q.deps {
		met := false
		for _, r := range q.runs {
			met = met || m.counts(q, d, r)
		}
		switch {
		case met:
		case m.over(q, d):
			return depend.Never
		default:
			v = depend.Waiting
		}
	}
	return v
}

// ask puts the question to the package.
func (m *model) ask(q question) depend.Answer {
	histories := map[string]depend.History{}
	for i, r := range q.runs {
		h := histories[r.job]
		run := depend.Run{ID: fmt.Sprint(i), Started: m.at(r.ended - 5), Ended: m.at(r.ended), State: r.state}
		if r.nominal >= 0 {
			run.Nominal = m.at(r.nominal)
		}
		h.Runs = append(h.Runs, run)
		histories[r.job] = h
	}
	c := depend.Condition{Deps: q.deps, Zone: m.loc, Wait: time.Duration(q.wait) * time.Minute}
	if q.came < 0 {
		return c.Due(m.at(q.now), m.at(q.since), m.at(q.since), known(histories))
	}
	return c.Met(m.at(q.now), m.at(q.since), depend.Firing{Nominal: m.at(q.nominal), Came: m.at(q.came)}, known(histories))
}

// random makes a question about a time near the middle.
func (m *model) random(r *rand.Rand, scheduled bool) question {
	middle := len(m.walls) / 2
	near := func(least, most int) int { return middle + least + r.IntN(most-least) }
	q := question{came: -1, since: near(-1500, 300), now: near(-600, 1500)}
	if scheduled {
		q.nominal = near(-600, 900)
		q.came = q.nominal + r.IntN(2)*r.IntN(200)
		q.wait = r.IntN(3) * r.IntN(400)
		q.now = q.came + r.IntN(2)*r.IntN(400)
	}
	for _, job := range []string{"a", "b"}[:1+r.IntN(2)] {
		d := depend.Dep{Job: job}
		switch r.IntN(4) {
		case 0:
			d.Within = time.Duration(1+r.IntN(900)) * time.Minute
		case 1:
			d.Today = true
		case 2:
			d.Today = true
			d.Before = depend.Clock{Hour: r.IntN(4), Minute: 1 + r.IntN(59)}
			if r.IntN(3) == 0 {
				d.Before.Hour = r.IntN(24)
			}
		}
		q.deps = append(q.deps, d)
	}
	states := []depend.State{depend.OK, depend.OK, depend.Warning, depend.Failed, depend.Skipped}
	for range r.IntN(5) {
		ended := q.now - r.IntN(1200)
		run := success{job: []string{"a", "b"}[r.IntN(2)], ended: ended, state: states[r.IntN(len(states))], nominal: -1}
		if r.IntN(3) > 0 {
			run.nominal = ended - r.IntN(60)
		}
		q.runs = append(q.runs, run)
	}
	return q
}

// TestAgainstModel holds answers against the model's, around clock changes both
// ways and others.
func TestAgainstModel(t *testing.T) {
	changes := []struct {
		zone string
		near time.Time
	}{
		{"America/New_York", utc(2026, 3, 8, 7, 0)}, {"America/New_York", utc(2026, 11, 1, 6, 0)},
		{"Europe/Berlin", utc(2026, 3, 29, 1, 0)}, {"Europe/Berlin", utc(2026, 10, 25, 1, 0)},
		{"America/Santiago", utc(2026, 4, 5, 3, 0)}, {"America/Santiago", utc(2026, 9, 6, 4, 0)},
		{"Australia/Lord_Howe", utc(2026, 4, 4, 15, 0)}, {"Australia/Lord_Howe", utc(2026, 10, 3, 15, 30)},
		{"America/St_Johns", utc(2010, 3, 14, 3, 31)}, {"America/St_Johns", utc(2010, 11, 7, 2, 31)},
		{"Pacific/Apia", utc(2011, 12, 30, 10, 0)}, {"Asia/Singapore", utc(2026, 3, 8, 7, 0)},
	}
	random := rand.New(rand.NewPCG(20, 26))
	seen := map[depend.Verdict]int{}
	for _, c := range changes {
		t.Run(c.zone+" "+c.near.Format(time.DateOnly), func(t *testing.T) {
			m := newModel(load(t, c.zone), c.near)
			for n := range 600 {
				q := m.random(random, n%2 == 0)
				got, want := m.ask(q), m.verdict(q)
				if seen[want]++; got.Verdict != want {
					t.Fatalf("got %s, want %s: %+v\nat %s: %s", got.Verdict, want, q, m.walls[q.now], got)
				}
				m.checkLater(t, q, got)
				m.checkNominal(t, q, got)
			}
		})
	}
	for _, v := range []depend.Verdict{depend.Met, depend.Waiting, depend.Never} {
		if seen[v] < 500 {
			t.Errorf("%s was the answer %d times only", v, seen[v])
		}
	}
}

// checkLater looks at what an answer says of the time to come: if nothing more
// ends, it stays until then, and changes then.
func (m *model) checkLater(t *testing.T, q question, a depend.Answer) {
	t.Helper()
	later := func(at time.Time) depend.Verdict {
		q := q
		q.now = int(at.Sub(m.from) / time.Minute)
		return m.ask(q).Verdict
	}
	end := m.at(q.now + 24*60)
	switch {
	case a.Verdict == depend.Waiting && !a.Latest.IsZero():
		if !a.Latest.After(m.at(q.now)) || later(a.Latest.Add(-time.Minute)) != depend.Waiting || later(a.Latest) != depend.Never {
			t.Fatalf("waits until %v, and then it is %s, and before %s: %+v", a.Latest, later(a.Latest), later(a.Latest.Add(-time.Minute)), q)
		}
	case a.Verdict == depend.Waiting && q.came >= 0:
		t.Fatalf("a firing waits without end: %+v", q)
	case a.Verdict == depend.Never && q.came < 0:
		if later(a.Earliest.Add(-time.Minute)) != depend.Never || later(a.Earliest) == depend.Never {
			t.Fatalf("never until %v: %+v", a.Earliest, q)
		}
	case a.Verdict != depend.Waiting && q.came >= 0:
		if later(end) != a.Verdict || !a.Earliest.IsZero() || !a.Latest.IsZero() {
			t.Fatalf("%s changes, to %s: %+v", a.Verdict, later(end), q)
		}
	}
}

// checkNominal: what is due has a nominal time that is that of a run, or when one
// ended, and later than the one before.
func (m *model) checkNominal(t *testing.T, q question, a depend.Answer) {
	t.Helper()
	if a.Verdict != depend.Met || q.came >= 0 {
		if !a.Nominal.IsZero() {
			t.Fatalf("a nominal time where nothing is due: %v: %+v", a.Nominal, q)
		}
		return
	}
	if !a.Nominal.After(m.at(q.since)) {
		t.Fatalf("nominal time %v is not after %v", a.Nominal, m.at(q.since))
	}
	latest, ended := time.Time{}, time.Time{}
	for _, d := range q.deps {
		last := success{ended: -1}
		for _, r := range q.runs {
			if m.counts(q, d, r) && r.ended >= last.ended {
				last = r
			}
		}
		at := m.at(last.nominal)
		if last.nominal < 0 {
			at = m.at(last.ended - 5)
		}
		if at.After(latest) {
			latest = at
		}
		if m.at(last.ended).After(ended) {
			ended = m.at(last.ended)
		}
	}
	want := latest
	if !latest.After(m.at(q.since)) {
		want = ended
	}
	if !a.Nominal.Equal(want) {
		t.Fatalf("nominal time %v, want %v: %+v", a.Nominal, want, q)
	}
}
