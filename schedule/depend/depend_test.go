package depend_test

import (
	"testing"
	"time"

	"linehaul/schedule/depend"
	"linehaul/store"
)

// TestStates: the states are the record's.
func TestStates(t *testing.T) {
	for want, state := range map[store.State]depend.State{
		store.OK: depend.OK, store.Warning: depend.Warning, store.Running: depend.Running, store.Waiting: depend.Queued, store.Failed: depend.Failed,
		store.Skipped: depend.Skipped, store.Missed: depend.Missed, store.Interrupted: depend.Interrupted,
	} {
		if string(state) != string(want) {
			t.Errorf("%q is not the record's %q", state, want)
		}
		if got := state.Success(); got != (want == store.OK || want == store.Warning) {
			t.Errorf("%s: counts as a success: %v", state, got)
		}
	}
}

// at is a time of 28 November 2026, in UTC.
func at(h, min int) time.Time { return utc(2026, 11, 28, h, min) }

// ran is a run that ended then; its nominal time is an hour before.
func ran(state depend.State, ended time.Time) depend.Run {
	return depend.Run{ID: "r" + ended.Format("1504"), Nominal: ended.Add(-time.Hour), Started: ended.Add(-time.Hour), Ended: ended, State: state}
}

func runs(all ...depend.Run) depend.History { return depend.History{Runs: all} }

func byHand(r depend.Run) depend.Run {
	r.Nominal = time.Time{}
	return r
}

func TestDue(t *testing.T) {
	a, b := depend.Dep{Job: "a"}, depend.Dep{Job: "b"}
	today := depend.Dep{Job: "a", Today: true}
	early := depend.Dep{Job: "a", Today: true, Before: depend.Clock{Hour: 8, Minute: 30}}
	ok := func(h, min int) depend.Run { return ran(depend.OK, at(h, min)) }
	tests := []struct {
		name             string
		deps             []depend.Dep
		now, since, last time.Time
		known            map[string]depend.History
		want             depend.Verdict
		nominal          time.Time
		earliest, latest time.Time
	}{
		{name: "nothing known", deps: []depend.Dep{a}, now: at(9, 0), want: depend.Waiting},
		{name: "one", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": runs(ok(2, 0))}, want: depend.Met, nominal: at(1, 0)},
		{name: "a warning", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": runs(ran(depend.Warning, at(2, 0)))}, want: depend.Met, nominal: at(1, 0)},
		{name: "a later failure takes nothing back", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": runs(ok(2, 0), ran(depend.Failed, at(3, 0)))}, want: depend.Met, nominal: at(1, 0)},
		{name: "a failure", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": runs(ran(depend.Failed, at(2, 0)))}, want: depend.Waiting},
		{name: "skipped, missed, interrupted", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": runs(ran(depend.Skipped, at(2, 0)), ran(depend.Missed, at(3, 0)), ran(depend.Interrupted, at(4, 0)))}, want: depend.Waiting},
		{name: "used up by the last firing", deps: []depend.Dep{a}, now: at(9, 0), since: at(2, 0), known: map[string]depend.History{"a": runs(ok(2, 0))}, want: depend.Waiting},
		{name: "just after the last firing", deps: []depend.Dep{a}, now: at(9, 0), since: at(2, 0).Add(-time.Millisecond), known: map[string]depend.History{"a": runs(ok(2, 0))}, want: depend.Met, nominal: at(1, 0)},
		{name: "one of two", deps: []depend.Dep{a, b}, now: at(9, 0), known: map[string]depend.History{"a": runs(ok(2, 0)), "b": {Next: at(11, 0)}}, want: depend.Waiting, earliest: at(11, 0)},
		{name: "it runs", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": {Runs: []depend.Run{{Started: at(8, 0), State: depend.Running}}, Next: at(11, 0)}}, want: depend.Waiting, earliest: at(9, 0)},
		{name: "it waits in the queue", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": {Runs: []depend.Run{ran(depend.Failed, at(8, 0)), {Started: at(8, 30), State: depend.Queued}}, Next: at(11, 0)}}, want: depend.Waiting, earliest: at(9, 0)},
		{name: "the later of two to come", deps: []depend.Dep{a, b}, now: at(9, 0), known: map[string]depend.History{"a": {Next: at(12, 0)}, "b": {Next: at(11, 0)}}, want: depend.Waiting, earliest: at(12, 0)},
		{name: "the later of two to come, the other way round", deps: []depend.Dep{b, a}, now: at(9, 0), known: map[string]depend.History{"a": {Next: at(12, 0)}, "b": {Next: at(11, 0)}}, want: depend.Waiting, earliest: at(12, 0)},
		{name: "it should have come", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": {Next: at(8, 0)}}, want: depend.Waiting, earliest: at(9, 0)},
		{name: "the latest nominal time of two", deps: []depend.Dep{a, b}, now: at(9, 0), known: map[string]depend.History{"a": runs(ok(8, 0)), "b": runs(ok(6, 0))}, want: depend.Met, nominal: at(7, 0)},
		{name: "of several, the last that ended", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": runs(ok(4, 0), ok(8, 0), ok(6, 0))}, want: depend.Met, nominal: at(7, 0)},
		{name: "by hand", deps: []depend.Dep{a}, now: at(9, 0), known: map[string]depend.History{"a": runs(byHand(ok(8, 0)))}, want: depend.Met, nominal: at(7, 0)},
		{name: "a nominal time that was there already", deps: []depend.Dep{a}, now: at(9, 0), since: at(5, 0), last: at(7, 0), known: map[string]depend.History{"a": runs(ok(8, 0))}, want: depend.Met, nominal: at(8, 0)},
		{name: "a nominal time in the future", deps: []depend.Dep{a}, now: at(9, 0), last: at(23, 0), known: map[string]depend.History{"a": runs(ok(8, 0))}, want: depend.Met, nominal: at(23, 0).Add(time.Second)},
		{name: "today", deps: []depend.Dep{today}, now: at(9, 0), known: map[string]depend.History{"a": runs(ok(0, 0))}, want: depend.Met, nominal: at(-1, 0)},
		{name: "yesterday", deps: []depend.Dep{today}, now: at(9, 0), known: map[string]depend.History{"a": runs(ok(0, -1))}, want: depend.Waiting},
		{name: "today, and used up", deps: []depend.Dep{today}, now: at(9, 0), since: at(3, 0), known: map[string]depend.History{"a": runs(ok(2, 0))}, want: depend.Waiting},
		{name: "in time", deps: []depend.Dep{early}, now: at(9, 0), known: map[string]depend.History{"a": runs(ok(8, 29), ok(8, 45))}, want: depend.Met, nominal: at(7, 29)},
		{name: "there is time", deps: []depend.Dep{early}, now: at(8, 29), want: depend.Waiting, latest: at(8, 30)},
		{name: "too late, until the next day", deps: []depend.Dep{early}, now: at(8, 30), known: map[string]depend.History{"a": runs(ok(8, 30))}, want: depend.Never, earliest: at(24, 0)},
		{name: "one too late, one missing", deps: []depend.Dep{b, early}, now: at(10, 0), want: depend.Never, earliest: at(24, 0)},
		{name: "within", deps: []depend.Dep{{Job: "a", Within: 2 * time.Hour}}, now: at(9, 0), known: map[string]depend.History{"a": runs(ok(7, 0))}, want: depend.Met, nominal: at(6, 0)},
		{name: "too old", deps: []depend.Dep{{Job: "a", Within: 2 * time.Hour}}, now: at(9, 1), known: map[string]depend.History{"a": runs(ok(7, 0))}, want: depend.Waiting},
		{name: "nothing to depend on", now: at(9, 0), last: at(8, 0), want: depend.Waiting},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := depend.Condition{Deps: tt.deps}
			got := c.Due(tt.now, tt.since, tt.last, known(tt.known))
			if got.Verdict != tt.want || !got.Nominal.Equal(tt.nominal) || !got.Earliest.Equal(tt.earliest) || !got.Latest.Equal(tt.latest) {
				t.Errorf("got %s, nominal %v, between %v and %v\nwant %s, nominal %v, between %v and %v\n%s", got.Verdict, got.Nominal, got.Earliest, got.Latest,
					tt.want, tt.nominal, tt.earliest, tt.latest, got)
			}
			if len(got.Runs)+len(got.Missing) != len(tt.deps) || len(tt.deps) > 0 && (got.Verdict == depend.Met) != (len(got.Missing) == 0) {
				t.Errorf("%d runs and %d missing of %d entries", len(got.Runs), len(got.Missing), len(tt.deps))
			}
		})
	}
}

func TestMet(t *testing.T) {
	a := depend.Dep{Job: "a"}
	today := depend.Dep{Job: "a", Today: true}
	early := depend.Dep{Job: "a", Today: true, Before: depend.Clock{Hour: 8, Minute: 30}}
	ok := func(h, min int) depend.History { return runs(ran(depend.OK, at(h, min))) }
	six := depend.Firing{Nominal: at(6, 0), Came: at(6, 0)}
	tests := []struct {
		name       string
		dep        depend.Dep
		wait       time.Duration
		now, since time.Time
		firing     depend.Firing
		history    depend.History
		want       depend.Verdict
		latest     time.Time
	}{
		{"has succeeded", a, 0, at(6, 0), at(-18, 0), six, ok(2, 0), depend.Met, time.Time{}},
		{"at the same instant", a, 0, at(6, 0), at(-18, 0), six, ok(6, 0), depend.Met, time.Time{}},
		{"used up by the run before", a, 0, at(6, 0), at(2, 0), six, ok(2, 0), depend.Never, time.Time{}},
		{"no waiting", a, 0, at(6, 0), time.Time{}, six, runs(), depend.Never, time.Time{}},
		{"waiting", a, time.Hour, at(6, 59), time.Time{}, six, runs(), depend.Waiting, at(7, 0)},
		{"waited", a, time.Hour, at(6, 59), time.Time{}, six, ok(6, 45), depend.Met, time.Time{}},
		{"waited in vain", a, time.Hour, at(7, 0), time.Time{}, six, runs(), depend.Never, time.Time{}},
		{"looked late, and it had come", a, time.Hour, at(12, 0), time.Time{}, six, ok(7, 0), depend.Met, time.Time{}},
		{"looked late, and it had not", a, time.Hour, at(12, 0), time.Time{}, six, ok(7, 1), depend.Never, time.Time{}},
		{"waits from when it came", a, time.Hour, at(9, 30), time.Time{}, depend.Firing{Nominal: at(6, 0), Came: at(9, 0)}, runs(), depend.Waiting, at(10, 0)},
		{"today", today, 0, at(6, 0), at(5, 0), six, ok(0, 0), depend.Met, time.Time{}},
		{"today, for the second time", today, 0, at(6, 0), at(3, 0), six, ok(2, 0), depend.Met, time.Time{}},
		{"yesterday", today, 0, at(6, 0), time.Time{}, six, ok(0, -1), depend.Never, time.Time{}},
		{"of the day that was meant, by splay", today, 0, at(24, 3), time.Time{}, depend.Firing{Nominal: at(23, 58), Came: at(24, 3)}, ok(2, 0), depend.Met, time.Time{}},
		{"the day ends while it waits", today, time.Hour, at(23, 55), time.Time{}, depend.Firing{Nominal: at(23, 50), Came: at(23, 50)}, runs(), depend.Waiting, at(24, 0)},
		{"the day has ended while it waited", today, time.Hour, at(24, 10), time.Time{}, depend.Firing{Nominal: at(23, 50), Came: at(23, 50)}, ok(24, 5), depend.Never, time.Time{}},
		{"made up for on another day", today, time.Hour, at(33, 0), time.Time{}, depend.Firing{Nominal: at(6, 0), Came: at(33, 0)}, ok(32, 0), depend.Never, time.Time{}},
		{"before a time", early, 24 * time.Hour, at(8, 0), time.Time{}, six, runs(), depend.Waiting, at(8, 30)},
		{"at that time", early, 24 * time.Hour, at(8, 30), time.Time{}, six, ok(8, 30), depend.Never, time.Time{}},
		{"just before it", early, 24 * time.Hour, at(8, 30), time.Time{}, six, ok(8, 29), depend.Met, time.Time{}},
		{"within", depend.Dep{Job: "a", Within: 2 * time.Hour}, 0, at(6, 0), at(5, 0), six, ok(4, 0), depend.Met, time.Time{}},
		{"too old", depend.Dep{Job: "a", Within: 2 * time.Hour}, 0, at(6, 0), time.Time{}, six, ok(3, 59), depend.Never, time.Time{}},
		{"does not grow too old while it waits", depend.Dep{Job: "a", Within: 2 * time.Hour}, 5 * time.Hour, at(9, 0), time.Time{}, six, ok(4, 0), depend.Met, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := depend.Condition{Deps: []depend.Dep{tt.dep}, Wait: tt.wait}
			got := c.Met(tt.now, tt.since, tt.firing, known(map[string]depend.History{"a": tt.history}))
			if got.Verdict != tt.want || !got.Latest.Equal(tt.latest) || !got.Nominal.IsZero() {
				t.Errorf("got %s, at the latest %v; want %s, %v\n%s", got.Verdict, got.Latest, tt.want, tt.latest, got)
			}
		})
	}
}

// TestNothing: a firing of a job that depends on nothing waits for nothing.
func TestNothing(t *testing.T) {
	got := depend.Condition{}.Met(at(6, 0), time.Time{}, depend.Firing{Nominal: at(6, 0), Came: at(6, 0)}, known(nil))
	if got.Verdict != depend.Met || got.String() != "it depends on nothing" {
		t.Errorf("got %s: %s", got.Verdict, got)
	}
}

func TestParseClock(t *testing.T) {
	for text, want := range map[string]string{"08:30": "08:30", "8:30": "08:30", "23:59": "23:59", "00:01": "00:01"} {
		if c, err := depend.ParseClock(text); err != nil || c.String() != want || c.IsZero() {
			t.Errorf("%s: got %v, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "8", "24:00", "00:00", "0:00", "8:60", "-1:00", "08:30:00", "8.30", "8:30 ", "8:3", "noon", "08:30pm"} {
		if c, err := depend.ParseClock(text); err == nil || !c.IsZero() {
			t.Errorf("%q is taken for %v", text, c)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for v, want := range map[depend.Verdict]string{depend.Waiting: "waiting", depend.Met: "met", depend.Never: "never", 7: "verdict 7"} {
		if v.String() != want {
			t.Errorf("got %s, want %s", v, want)
		}
	}
}
