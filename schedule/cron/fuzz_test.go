package cron_test

import (
	"errors"
	"testing"
	"time"

	"linehaul/schedule/cron"
)

// FuzzParse feeds anything to Parse. What is accepted fires, later than asked
// for, on a whole second, at no time in between; and a union fires as soon as
// one of its expressions does.
func FuzzParse(f *testing.F) {
	for _, expr := range []string{
		"* * * * *", "*/5 * * * *", "*/15 * * * *", "0 * * * *", "17 * * * *",
		"0 0 * * *", "25 6 * * *", "47 6 * * 7", "52 6 1 * *", "0 2 * * *",
		"30 2 * * mon-fri", "0 22 * * 1-5", "23 0-20/2 * * *", "5 4 * * sun",
		"15 14 1 * *", "0 4 8-14 * *", "0 0 1,15 * 3", "0 0 1 1 *", "@reboot",
		"*/10 8-18 * * 1-5", "0 9,17 * * mon,wed,fri", "1-59/2 * * * *",
		"30 3 * * fri-sun", "0 4 */100,1-7 * MON", "0 0 29 2 *", "0 0 31 2 *",
		"@daily", "@hourly", "@weekly", "@every 15m", "@every 1h30m", "@every 1s",
		"TZ=UTC", "CRON_TZ=Asia/Tokyo 30 04 * * *", "0 30 2 * * *", "*/30 * * * * *",
		"? ? ? ? ?", "0 0 ? * 0-7/2", "59 23 28-31 * *", "0 0 * * 5-7",
	} {
		f.Add(expr, "30 2 * * *", uint8(0), int64(1772953200)) // New York, 8 March 2026
		f.Add(expr, "@hourly", uint8(2), int64(1788670800))    // Santiago, 6 September 2026
		f.Add(expr, "0 */6 * * *", uint8(3), int64(-62135596800))
	}
	zones := []*time.Location{
		load(f, "America/New_York"), load(f, "Europe/Berlin"), load(f, "America/Santiago"),
		load(f, "Australia/Lord_Howe"), load(f, "Pacific/Apia"), load(f, "Africa/Casablanca"), time.UTC,
	}
	f.Fuzz(func(t *testing.T, first, second string, zone uint8, unix int64) {
		loc := zones[int(zone)%len(zones)]
		after := time.Unix(unix, 0)
		inCalendar := after.Year() > 0 && after.Year() < 9900

		var earliest time.Time
		for _, expr := range []string{first, second} {
			s, err := cron.Parse(loc, expr)
			if err != nil {
				if syntax := (*cron.SyntaxError)(nil); !errors.As(err, &syntax) || syntax.Msg == "" {
					t.Fatalf("%q: got %v, want a *SyntaxError", expr, err)
				}
				return
			}
			next := s.Next(after)
			if !inCalendar {
				if !next.IsZero() && !next.After(after) {
					t.Fatalf("%q after %v: got %v", expr, after, next)
				}
				continue
			}
			if !next.After(after) || next.Nanosecond() != 0 || next.Location() != loc {
				t.Fatalf("%q after %v: got %v", expr, after, next)
			}
			if again := s.Next(next.Add(-1)); !again.Equal(next) {
				t.Fatalf("%q: %v follows %v, but %v follows the second before", expr, next, after, again)
			}
			if earliest.IsZero() || next.Before(earliest) {
				earliest = next
			}
			if reread, err := cron.Parse(loc, s.String()); err != nil || !reread.Next(after).Equal(next) {
				t.Fatalf("%q says that it is %q, which is %v, %v", expr, s, reread, err)
			}
		}
		union, err := cron.Parse(loc, first, second)
		if err != nil {
			t.Fatal(err)
		}
		if inCalendar && !union.Next(after).Equal(earliest) {
			t.Fatalf("%q and %q after %v: got %v, want %v", first, second, after, union.Next(after), earliest)
		}
	})
}
