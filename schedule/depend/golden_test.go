package depend_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"linehaul/schedule/depend"
)

// scene is what is told of one question.
type scene struct {
	title   string
	deps    []depend.Dep
	wait    time.Duration
	now     time.Time
	since   time.Time
	firing  *depend.Firing // nil: the job has no schedule
	history map[string]depend.History
}

func scenes(t *testing.T) []scene {
	berlin := load(t, "Europe/Berlin")
	local := func(day, hour, min int) time.Time { return time.Date(2026, 10, day, hour, min, 0, 0, berlin) }
	run := func(id string, state depend.State, ended time.Time) depend.History {
		return depend.History{Runs: []depend.Run{{ID: id, Nominal: ended.Add(-10 * time.Minute), Started: ended.Add(-10 * time.Minute), Ended: ended, State: state}}}
	}
	plain := []depend.Dep{{Job: "export"}}
	both := []depend.Dep{{Job: "export"}, {Job: "rates", Today: true, Before: depend.Clock{Hour: 8, Minute: 30}}}
	twice := []depend.Dep{{Job: "export", Today: true, Before: depend.Clock{Hour: 2, Minute: 30}}}
	six := &depend.Firing{Nominal: local(23, 6, 0), Came: local(23, 6, 0)}
	second := utc(2026, 10, 25, 1, 30) // 02:30 for the second time
	return []scene{
		{title: "nothing is known", deps: plain, now: local(23, 6, 0)},
		{title: "due", deps: both, now: local(23, 8, 0), since: local(22, 8, 0), history: map[string]depend.History{
			"export": run("E1", depend.OK, local(23, 2, 0)), "rates": run("R1", depend.Warning, local(23, 8, 0)),
		}},
		{title: "one has come, and one fires later", deps: both, now: local(23, 7, 0), since: local(22, 8, 0), history: map[string]depend.History{
			"export": run("E1", depend.OK, local(23, 2, 0)), "rates": {Next: local(23, 8, 0)},
		}},
		{title: "one has come, and one is too late", deps: both, now: local(23, 9, 0), since: local(22, 8, 0), history: map[string]depend.History{
			"export": run("E1", depend.OK, local(23, 2, 0)), "rates": run("R1", depend.OK, local(23, 8, 30)),
		}},
		{title: "used up", deps: plain, now: local(23, 9, 0), since: local(23, 2, 1), history: map[string]depend.History{"export": run("E1", depend.OK, local(23, 2, 0))}},
		{title: "used up today", deps: both[1:], now: local(23, 8, 0), since: local(23, 7, 1), history: map[string]depend.History{"rates": run("R1", depend.OK, local(23, 7, 0))}},
		{title: "it runs", deps: plain, now: local(23, 2, 5), since: local(22, 8, 0), history: map[string]depend.History{
			"export": {Runs: []depend.Run{{Started: local(23, 2, 0), State: depend.Running}}, Next: local(24, 2, 0)},
		}},
		{title: "it waits in the queue", deps: plain, now: local(23, 2, 5), since: local(22, 8, 0), history: map[string]depend.History{
			"export": {Runs: []depend.Run{{Started: local(23, 1, 0), Ended: local(23, 1, 5), State: depend.Failed}, {Started: local(23, 2, 0), State: depend.Queued}}, Next: local(24, 2, 0)},
		}},
		{title: "a state of a later version", deps: plain, now: local(23, 2, 5), since: local(22, 8, 0), history: map[string]depend.History{
			"export": {Runs: []depend.Run{{Started: local(23, 1, 0), Ended: local(23, 1, 5), State: "postponed"}}},
		}},
		{title: "a firing, and no success", deps: plain, now: local(23, 6, 0), since: local(22, 6, 0), firing: six, history: map[string]depend.History{"export": run("E1", depend.Failed, local(23, 2, 0))}},
		{title: "a firing that waits", deps: both, wait: 3 * time.Hour, now: local(23, 6, 0), since: local(22, 6, 0), firing: six, history: map[string]depend.History{
			"export": run("E1", depend.Interrupted, local(23, 2, 0)), "rates": {Next: local(23, 8, 0)},
		}},
		{title: "a firing that waited", deps: plain, wait: time.Hour, now: local(23, 7, 0), since: local(22, 6, 0), firing: six, history: map[string]depend.History{"export": run("E1", depend.Skipped, local(23, 2, 0))}},
		{title: "a firing that waited over the time of one entry", deps: both, wait: 3 * time.Hour, now: local(23, 8, 30), since: local(22, 6, 0), firing: six, history: map[string]depend.History{
			"export": run("E1", depend.OK, local(23, 7, 0)), "rates": run("R1", depend.Missed, local(23, 8, 20)),
		}},
		{title: "too old", deps: []depend.Dep{{Job: "export", Within: 2 * time.Hour}}, now: local(23, 6, 0), firing: six, history: map[string]depend.History{"export": run("E1", depend.OK, local(23, 3, 59))}},
		{title: "before 02:30, where that comes twice, in the first hour", deps: twice, now: local(25, 3, 0), history: map[string]depend.History{"export": run("E1", depend.OK, second.Add(-61*time.Minute))}},
		{title: "before 02:30, where that comes twice, in the second hour", deps: twice, now: local(25, 3, 0), history: map[string]depend.History{"export": run("E1", depend.OK, second.Add(-10*time.Minute))}},
		{title: "the same, while there is time", deps: twice, wait: 24 * time.Hour, now: local(25, 1, 0), firing: &depend.Firing{Nominal: local(25, 1, 0), Came: local(25, 1, 0)}},
	}
}

// TestGolden writes what logs and records say. It is to be read.
func TestGolden(t *testing.T) {
	const name = "testdata/answers.golden"
	var b strings.Builder
	b.WriteString("# What is said of jobs in Europe/Berlin that depend on others.\n# Written by `go test -run TestGolden -update`.\n")
	for _, s := range scenes(t) {
		c := depend.Condition{Deps: s.deps, Zone: load(t, "Europe/Berlin"), Wait: s.wait}
		var a depend.Answer
		if s.firing == nil {
			a = c.Due(s.now, s.since, s.since, known(s.history))
		} else {
			a = c.Met(s.now, s.since, *s.firing, known(s.history))
		}
		var entries []string
		for _, d := range s.deps {
			entries = append(entries, d.String())
		}
		fmt.Fprintf(&b, "\n## %s\ndepends on: %s\n%s: %s\n", s.title, strings.Join(entries, ", "), a.Verdict, a)
		for _, line := range []struct {
			what string
			at   time.Time
		}{{"nominal", a.Nominal}, {"earliest", a.Earliest}, {"latest", a.Latest}} {
			if !line.at.IsZero() {
				fmt.Fprintf(&b, "%s: %s\n", line.what, line.at.Format(time.DateTime+" -0700"))
			}
		}
	}
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
