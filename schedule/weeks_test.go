package schedule_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/schedule"
	"linehaul/schedule/calendar"
	"linehaul/schedule/cron"
)

func update() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// TestWeeks plays two weeks around each clock change in Berlin, with a machine
// that sleeps, a restart and holidays, and holds what fires against a list that
// was gone through by hand.
func TestWeeks(t *testing.T) {
	for name, begin := range map[string]string{"spring": "2026-03-23T00:00:00+01:00", "autumn": "2026-10-19T00:00:00+02:00"} {
		t.Run(name, func(t *testing.T) {
			var got string
			synctest.Test(t, func(t *testing.T) { got = weeks(t, at(t, begin)) })
			file := filepath.Join("testdata", name+".txt")
			if update() {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func weeks(t *testing.T, begin time.Time) string {
	berlin := must(time.LoadLocation("Europe/Berlin"))(t)
	cal := func(texts ...string) *calendar.Calendar { return must(calendar.New(berlin, texts, nil))(t) }
	friday := begin.AddDate(0, 0, 11).Format("2006-01-02")
	entries := []schedule.Entry{
		{Job: "nightly", Schedule: must(cron.Parse(berlin, "30 2 * * *"))(t), CatchUp: schedule.CatchUpOnce, Window: 24 * time.Hour, Calendar: cal(friday)},
		{Job: "office", Schedule: must(cron.Parse(berlin, "0 8,16 * * *"))(t), CatchUp: schedule.CatchUpAll, Window: 48 * time.Hour, Calendar: cal("sat,sun")},
		{Job: "early", Schedule: must(cron.Parse(berlin, "0 6 * * mon-fri"))(t), CatchUp: schedule.CatchUpNone, Splay: 20 * time.Minute},
		{Job: "weekly", Schedule: must(cron.Parse(berlin, "0 12 * * sun"))(t), CatchUp: schedule.CatchUpOnce},
	}
	c := &clock{}
	c.step(time.Until(begin))
	q := schedule.NewMemory(c.now, quiet())
	q.Set(entries)
	last := map[string]time.Time{}
	var b strings.Builder
	run := func(days float64) {
		until := c.now().Add(time.Duration(days * 24 * float64(time.Hour)))
		for {
			ctx, cancel := contextUntil(t, until.Sub(c.now()))
			f, err := q.Next(ctx)
			cancel()
			if err != nil {
				return
			}
			last[f.Job] = f.Nominal
			note := ""
			if f.Missed > 0 {
				note += fmt.Sprintf(", for %d before it", f.Missed)
			}
			if f.Blocked != "" {
				note += ", blocked by " + f.Blocked
			}
			if f.Passed {
				note += ", missed"
			}
			fmt.Fprintf(&b, "%s  %-7s of %s%s\n", c.now().In(berlin).Format("Mon 02 Jan 15:04:05 MST"), f.Job, f.Nominal.In(berlin).Format("Mon 02 15:04 MST"), note)
		}
	}
	run(2) // Monday and Tuesday
	b.WriteString("-- the machine sleeps until Thursday noon\n")
	c.step(36 * time.Hour)
	run(6.5) // until Wednesday, over the Sunday on which the clock changes
	b.WriteString("-- linehaul is stopped, and started again on Saturday\n")
	c.step(73 * time.Hour)
	for i := range entries {
		entries[i].Last = last[entries[i].Job]
	}
	q = schedule.NewMemory(c.now, quiet())
	q.Set(entries)
	run(2)
	return b.String()
}
