package depend_test

import (
	"fmt"
	"testing"
	"time"

	"linehaul/schedule/cron"
	"linehaul/schedule/depend"
)

// zones have their clock changes at the usual hour, at midnight, by half an hour,
// over midnight, by a whole day, and never.
func zones() map[string]time.Time {
	return map[string]time.Time{
		"America/New_York": utc(2026, 3, 8, 7, 0), "Europe/Berlin": utc(2026, 10, 25, 1, 0), "America/Santiago": utc(2026, 9, 6, 4, 0),
		"Australia/Lord_Howe": utc(2026, 4, 4, 15, 0), "America/St_Johns": utc(2010, 11, 7, 2, 31), "Pacific/Apia": utc(2011, 12, 30, 10, 0),
		"Asia/Pyongyang": utc(2018, 5, 4, 15, 0), "Asia/Singapore": utc(2026, 3, 8, 7, 0), "Africa/Casablanca": utc(2026, 2, 15, 2, 0),
		"UTC": utc(2040, 12, 31, 0, 0), "America/Chicago": utc(2040, 12, 31, 12, 0),
	}
}

// TestTimesAreCrons: the time until which a success counts is when a schedule of
// that time fires.
func TestTimesAreCrons(t *testing.T) {
	for zone, near := range zones() {
		t.Run(zone, func(t *testing.T) {
			loc := load(t, zone)
			for days := -2; days <= 2; days++ {
				date := near.In(loc).AddDate(0, 0, days)
				for minute := 1; minute < 24*60; minute += 29 {
					clock := depend.Clock{Hour: minute / 60, Minute: minute % 60}
					s, err := cron.Parse(loc, fmt.Sprintf("%d %d %d %d *", clock.Minute, clock.Hour, date.Day(), int(date.Month())))
					if err != nil {
						t.Fatal(err)
					}
					want := s.Next(date.AddDate(0, 0, -3))
					c := depend.Condition{Zone: loc, Wait: 100 * 24 * time.Hour, Deps: []depend.Dep{{Job: "a", Today: true, Before: clock}}}
					noon := time.Date(date.Year(), date.Month(), date.Day(), 12, 0, 0, 0, loc)
					if noon.Day() != date.Day() {
						continue // a day that is not there
					}
					got := c.Met(noon.AddDate(0, 0, -5), time.Time{}, depend.Firing{Nominal: noon, Came: noon}, known(nil))
					if got.Verdict != depend.Waiting || !got.Latest.Equal(want) {
						t.Fatalf("%s before %s: %s until %v, and a schedule fires at %v", date.Format(time.DateOnly), clock, got.Verdict, got.Latest, want)
					}
				}
			}
		})
	}
}

// TestDays: when a day begins and ends.
func TestDays(t *testing.T) {
	tests := []struct {
		name, zone  string
		in          time.Time // of the day
		begin, last string    // its first and its last second
	}{
		{"usual", "Asia/Singapore", utc(2026, 11, 28, 0, 0), "2026-11-28 00:00:00 +0800", "2026-11-28 23:59:59 +0800"},
		{"23 hours", "Europe/Berlin", utc(2026, 3, 29, 12, 0), "2026-03-29 00:00:00 +0100", "2026-03-29 23:59:59 +0200"},
		{"25 hours", "Europe/Berlin", utc(2026, 10, 25, 12, 0), "2026-10-25 00:00:00 +0200", "2026-10-25 23:59:59 +0100"},
		{"without midnight", "America/Santiago", utc(2026, 9, 6, 12, 0), "2026-09-06 01:00:00 -0300", "2026-09-06 23:59:59 -0300"},
		{"before it", "America/Santiago", utc(2026, 9, 5, 12, 0), "2026-09-05 00:00:00 -0400", "2026-09-05 23:59:59 -0400"},
		{"its last hour comes twice", "America/Santiago", utc(2026, 4, 4, 12, 0), "2026-04-04 00:00:00 -0300", "2026-04-04 23:59:59 -0400"},
		{"the clock goes back over midnight: the day before", "America/St_Johns", utc(2010, 11, 6, 12, 0), "2010-11-06 00:00:00 -0230", "2010-11-06 23:59:59 -0230"},
		{"the day that has begun", "America/St_Johns", utc(2010, 11, 7, 12, 0), "2010-11-07 00:00:00 -0230", "2010-11-07 23:59:59 -0330"},
		{"the hour that is shown as the day before", "America/St_Johns", utc(2010, 11, 7, 3, 0), "2010-11-07 00:00:00 -0230", "2010-11-07 23:59:59 -0330"},
		{"the day before one that is not there", "Pacific/Apia", utc(2011, 12, 30, 9, 0), "2011-12-29 00:00:00 -1000", "2011-12-29 23:59:59 -1000"},
		{"the day behind it", "Pacific/Apia", utc(2011, 12, 30, 11, 0), "2011-12-31 00:00:00 +1400", "2011-12-31 23:59:59 +1400"},
		{"the last of a leap year, golang/go#81583", "Europe/Berlin", utc(2040, 12, 31, 12, 0), "2040-12-31 00:00:00 +0100", "2040-12-31 23:59:59 +0100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			loc := load(t, tt.zone)
			c := depend.Condition{Zone: loc, Deps: []depend.Dep{{Job: "a", Today: true}}}
			verdict := func(ended time.Time) depend.Verdict {
				f := depend.Firing{Nominal: tt.in, Came: tt.in.AddDate(0, 0, 7)}
				return c.Met(f.Came, time.Time{}, f, known(map[string]depend.History{"a": runs(ran(depend.OK, ended))})).Verdict
			}
			for text, step := range map[string]time.Duration{tt.begin: -time.Second, tt.last: time.Second} {
				edge, err := time.Parse(time.DateTime+" -0700", text)
				if err != nil {
					t.Fatal(err)
				}
				if got := verdict(edge); got != depend.Met {
					t.Errorf("%s is of the day: got %s", text, got)
				}
				if got := verdict(edge.Add(step)); got == depend.Met {
					t.Errorf("%s by %v is of another: got %s", text, step, got)
				}
			}
		})
	}
}
