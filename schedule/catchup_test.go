package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/schedule"
	"linehaul/schedule/calendar"
	"linehaul/schedule/cron"
)

// take takes what is due by now, as "job nominal missed blocked passed".
func take(t *testing.T, q *schedule.Memory, now func() time.Time, until time.Time) []string {
	t.Helper()
	var got []string
	for {
		ctx, cancel := contextUntil(t, until.Sub(now()))
		f, err := q.Next(ctx)
		cancel()
		if err != nil {
			return got
		}
		line := fmt.Sprintf("%s %s", f.Job, f.Nominal.UTC().Format("02 15:04"))
		if f.Missed > 0 {
			line += fmt.Sprintf(" +%d", f.Missed)
		}
		if f.Blocked != "" {
			line += " blocked: " + f.Blocked
		}
		if f.Passed {
			line += " passed"
		}
		got = append(got, line)
	}
}

// TestCatchUp: what becomes of firings that passed before the process began. In a
// bubble it is midnight UTC, Saturday 1 January 2000.
func TestCatchUp(t *testing.T) {
	for name, tt := range map[string]struct {
		expr  string
		entry schedule.Entry
		last  string
		want  []string // until 03:00
	}{
		"nothing is known":    {"30 2 * * *", schedule.Entry{}, "", []string{"j 01 02:30"}},
		"nothing was missed":  {"30 2 * * *", schedule.Entry{}, "1999-12-31T02:30:00Z", []string{"j 01 02:30"}},
		"once is the default": {"30 2 * * *", schedule.Entry{}, "1999-12-28T02:30:00Z", []string{"j 31 02:30 +2", "j 01 02:30"}},
		"once":                {"0 12 * * *", schedule.Entry{CatchUp: schedule.CatchUpOnce}, "1999-12-30T12:00:00Z", []string{"j 31 12:00"}},
		"none":                {"0 12 * * *", schedule.Entry{CatchUp: schedule.CatchUpNone}, "1999-12-28T12:00:00Z", []string{"j 31 12:00 +2 passed"}},
		"all": {"0 12 * * *", schedule.Entry{CatchUp: schedule.CatchUpAll}, "1999-12-28T12:00:00Z",
			[]string{"j 29 12:00", "j 30 12:00", "j 31 12:00"}},
		"all, within the window": {"0 12 * * *", schedule.Entry{CatchUp: schedule.CatchUpAll, Window: 30 * time.Hour}, "1999-12-28T12:00:00Z",
			[]string{"j 31 12:00 +2"}},
		"all, of too many the last hundred": {"* * * * *", schedule.Entry{CatchUp: schedule.CatchUpAll}, "1999-12-31T21:00:00Z", nil},
		"once, out of the window": {"0 12 * * *", schedule.Entry{CatchUp: schedule.CatchUpOnce, Window: 6 * time.Hour}, "1999-12-28T12:00:00Z",
			[]string{"j 31 12:00 +2 passed"}},
		"the last was on a holiday": {"0 12 * * *", schedule.Entry{Calendar: days(t, "1999-12-31")}, "1999-12-28T12:00:00Z", []string{"j 30 12:00 +2"}},
		"all were on holidays": {"0 12 * * *", schedule.Entry{Calendar: days(t, "1999-12-29..1999-12-31")}, "1999-12-28T12:00:00Z",
			[]string{"j 31 12:00 +2 blocked: 1999-12-29..1999-12-31"}},
		"today is one": {"30 2 * * *", schedule.Entry{Calendar: days(t, "sat,sun")}, "", []string{"j 01 02:30 blocked: sat,sun"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := schedule.NewMemory(time.Now, quiet())
				e := tt.entry
				e.Job, e.Schedule = "j", must(cron.Parse(time.UTC, tt.expr))(t)
				if tt.last != "" {
					e.Last = at(t, tt.last)
				}
				q.Set([]schedule.Entry{e})
				if strings.Contains(name, "hundred") {
					got := take(t, q, time.Now, time.Now().Add(time.Second))
					if len(got) != 100 || got[0] != "j 31 22:21 +80" || got[99] != "j 01 00:00" {
						t.Errorf("%d: %q ... %q", len(got), got[0], got[len(got)-1])
					}
					return
				}
				if got := take(t, q, time.Now, at(t, "2000-01-01T03:00:00Z")); !slices.Equal(got, tt.want) {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
			})
		})
	}
}

func days(t *testing.T, texts ...string) *calendar.Calendar {
	t.Helper()
	return must(calendar.New(time.UTC, texts, nil))(t)
}

// TestSplay: a job comes by so much later as its name decides, on each machine and
// after each restart, and no firing is lost to a reload in between.
func TestSplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := schedule.NewMemory(time.Now, quiet())
		var entries []schedule.Entry
		for i := range 20 {
			entries = append(entries, schedule.Entry{
				Job: fmt.Sprintf("job-%d", i), Schedule: must(cron.Parse(time.UTC, "0 2 * * *"))(t), Splay: 10 * time.Minute,
			})
		}
		q.Set(entries)
		offsets := map[string]time.Duration{}
		nominal := at(t, "2000-01-01T02:00:00Z")
		for range 20 {
			f, err := q.Next(t.Context())
			if err != nil || !f.Nominal.Equal(nominal) {
				t.Fatalf("%+v, %v", f, err)
			}
			offsets[f.Job] = time.Since(nominal)
			q.Set(entries) // a reload
		}
		kinds := map[time.Duration]bool{}
		for job, d := range offsets {
			if d < 0 || d >= 10*time.Minute {
				t.Errorf("%s came %s after its time", job, d)
			}
			kinds[d] = true
		}
		if len(offsets) != 20 || len(kinds) < 15 {
			t.Errorf("%d jobs came at %d times", len(offsets), len(kinds))
		}
		for range 20 { // the day after
			f, err := q.Next(t.Context())
			if err != nil || time.Since(nominal.Add(24*time.Hour)) != offsets[f.Job] {
				t.Errorf("%+v, %v: came after %s, and after %s the day before", f, err, time.Since(nominal.Add(24*time.Hour)), offsets[f.Job])
			}
		}
	})
}

// TestSleepWithoutCatchUp: a machine that slept over a firing does not run it
// where nothing is made up for, and one that was only busy does.
func TestSleepWithoutCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
		q := schedule.NewMemory(c.now, quiet())
		e := entry(t, "j", "0 * * * *")
		e.CatchUp = schedule.CatchUpNone
		q.Set([]schedule.Entry{e})
		c.step(3*time.Hour + 30*time.Minute)
		f, err := q.Next(t.Context())
		if err != nil || !f.Passed || f.Missed != 2 {
			t.Errorf("%+v, %v: want one that has passed, after two others", f, err)
		}
		c.step(30*time.Minute + 30*time.Second)
		if f, err = q.Next(t.Context()); err != nil || f.Passed {
			t.Errorf("%+v, %v: half a minute late, and not run", f, err)
		}
	})
}
