package cron_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/schedule/cron"
)

const form = "2006-01-02 15:04:05 -0700"

// TestNext looks at the calendar; what clock changes do is in TestGolden,
// TestAgainstModel and TestOddChanges.
func TestNext(t *testing.T) {
	tests := []struct {
		name  string
		exprs string // separated by ;
		after string // UTC
		want  []string
	}{
		{"every minute", "* * * * *", "2026-11-23 10:00:59", []string{"2026-11-23 10:01:00", "2026-11-23 10:02:00"}},
		{"seconds field", "*/20 * * * * *", "2026-11-23 10:00:20", []string{"2026-11-23 10:00:40", "2026-11-23 10:01:00"}},
		{"six fields", "30 2 10 * * mon-fri", "2026-11-23 10:02:30", []string{"2026-11-24 10:02:30"}},
		{"weekdays", "30 2 * * mon-fri", "2026-11-26 02:30:00", []string{"2026-11-27 02:30:00", "2026-11-30 02:30:00"}},
		{"7 is Sunday", "0 0 * * 7", "2026-11-23 00:00:00", []string{"2026-11-29 00:00:00", "2026-12-06 00:00:00"}},
		{"a list with 7", "0 0 * * 6,7", "2026-11-23 00:00:00", []string{"2026-11-28 00:00:00", "2026-11-29 00:00:00", "2026-12-05 00:00:00"}},
		{"a range to 7", "0 0 * * 5-7", "2026-11-23 00:00:00", []string{"2026-11-27 00:00:00", "2026-11-28 00:00:00", "2026-11-29 00:00:00", "2026-12-04 00:00:00"}},
		{"a range from 0 to 7", "0 0 * * 0-7", "2026-11-28 00:00:00", []string{"2026-11-29 00:00:00", "2026-11-30 00:00:00"}},
		{"a range to 7 with a step", "0 0 * * 1-7/3", "2026-11-23 00:00:00", []string{"2026-11-26 00:00:00", "2026-11-29 00:00:00", "2026-11-30 00:00:00"}},
		{"a range to sun", "0 0 * * Fri-SUN", "2026-11-23 00:00:00", []string{"2026-11-27 00:00:00", "2026-11-28 00:00:00", "2026-11-29 00:00:00", "2026-12-04 00:00:00"}},
		{"a range from sun", "0 0 * * sun-tue", "2026-11-24 00:00:00", []string{"2026-11-29 00:00:00", "2026-11-30 00:00:00", "2026-12-01 00:00:00"}},
		{"7-7", "0 0 * * 7-7", "2026-11-23 00:00:00", []string{"2026-11-29 00:00:00"}},
		{"month names", "0 0 1 JAN,jul *", "2026-11-23 00:00:00", []string{"2027-01-01 00:00:00", "2027-07-01 00:00:00"}},
		{"either day", "0 0 13 * fri", "2026-11-06 00:00:00", []string{"2026-11-13 00:00:00", "2026-11-20 00:00:00", "2026-11-27 00:00:00", "2026-12-04 00:00:00", "2026-12-11 00:00:00", "2026-12-13 00:00:00"}},
		{"both days, as one begins with a star", "0 0 */2 * mon", "2026-11-01 00:00:00", []string{"2026-11-09 00:00:00", "2026-11-23 00:00:00"}},
		{"first Monday, a known trick", "0 4 */100,1-7 * MON", "2026-11-23 00:00:00", []string{"2026-12-07 04:00:00", "2027-01-04 04:00:00"}},
		{"a question mark is a star", "0 0 ? * mon", "2026-11-23 00:00:00", []string{"2026-11-30 00:00:00"}},
		{"months without a 31st", "0 0 31 * *", "2026-01-31 00:00:00", []string{"2026-03-31 00:00:00", "2026-05-31 00:00:00"}},
		{"29 February", "0 0 29 2 *", "2026-11-23 00:00:00", []string{"2028-02-29 00:00:00", "2032-02-29 00:00:00"}},
		{"29 February over 2100", "0 0 29 2 *", "2096-02-29 00:00:00", []string{"2104-02-29 00:00:00"}},
		{"29 February on a Sunday, the rarest day", "0 0 29 2 */7", "2060-02-29 00:00:00", []string{"2088-02-29 00:00:00", "2128-02-29 00:00:00"}},
		{"a number with a step", "10/20 5 * * *", "2026-11-23 00:00:00", []string{"2026-11-23 05:10:00", "2026-11-23 05:30:00", "2026-11-23 05:50:00", "2026-11-24 05:10:00"}},
		{"last second of the year", "59 59 23 31 12 *", "2026-11-23 00:00:00", []string{"2026-12-31 23:59:59", "2027-12-31 23:59:59"}},
		{"@yearly", "@yearly", "2026-11-23 00:00:00", []string{"2027-01-01 00:00:00"}},
		{"@annually", "@Annually", "2026-11-23 00:00:00", []string{"2027-01-01 00:00:00"}},
		{"@monthly", "@monthly", "2026-11-23 00:00:00", []string{"2026-12-01 00:00:00"}},
		{"@weekly", "@weekly", "2026-11-23 00:00:00", []string{"2026-11-29 00:00:00"}},
		{"@midnight", "@midnight", "2026-11-23 00:00:00", []string{"2026-11-24 00:00:00"}},
		{"@hourly", "@hourly", "2026-11-23 00:00:00", []string{"2026-11-23 01:00:00"}},
		{"@every day", "@every 24h", "2026-11-23 00:00:00", []string{"2026-11-24 00:00:00", "2026-11-25 00:00:00"}},
		{"@every week", "@every 168h", "2026-11-24 00:00:00", []string{"2026-11-30 00:00:00"}},
		{"@every 90 minutes", "@every 1h30m", "2026-11-23 00:10:00", []string{"2026-11-23 01:30:00", "2026-11-23 03:00:00"}},
		{"@every before its anchor", "@every 7h", "2023-12-31 20:00:00", []string{"2024-01-01 00:00:00", "2024-01-01 07:00:00"}},
		{"a union", "0 9 * * *; 30 9,10 * * *; 0 10 * * *", "2026-11-23 09:00:00", []string{"2026-11-23 09:30:00", "2026-11-23 10:00:00", "2026-11-23 10:30:00", "2026-11-24 09:00:00"}},
		{"a union with itself", "0 9 * * *; 0 9 * * *", "2026-11-23 09:00:00", []string{"2026-11-24 09:00:00", "2026-11-25 09:00:00"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, time.UTC, strings.Split(tt.exprs, ";")...)
			at, err := time.Parse(time.DateTime, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				at = s.Next(at)
				if got := at.Format(time.DateTime); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
			}
		})
	}
}

// TestOddChanges has changes that are not an hour in the small hours.
func TestOddChanges(t *testing.T) {
	tests := []struct {
		name, zone, expr string
		after            time.Time
		want             []string
	}{
		{"a day that never was, daily", "Pacific/Apia", "30 2 * * *", utc(2011, 12, 29, 13, 0),
			[]string{"2011-12-31 00:00:00 +1400", "2011-12-31 02:30:00 +1400"}},
		{"a day that never was, midnight", "Pacific/Apia", "0 0 * * *", utc(2011, 12, 29, 9, 59),
			[]string{"2011-12-29 00:00:00 -1000", "2011-12-31 00:00:00 +1400", "2012-01-01 00:00:00 +1400"}},
		{"a day that never was, hourly", "Pacific/Apia", "0 * * * *", utc(2011, 12, 30, 8, 30),
			[]string{"2011-12-29 23:00:00 -1000", "2011-12-31 00:00:00 +1400", "2011-12-31 01:00:00 +1400"}},
		{"a day that never was, by its date", "Pacific/Apia", "0 12 30 12 *", utc(2011, 12, 1, 0, 0),
			[]string{"2011-12-31 00:00:00 +1400", "2012-12-30 12:00:00 +1400"}},
		{"Ramadan begins", "Africa/Casablanca", "30 2 * * *", utc(2026, 2, 14, 12, 0),
			[]string{"2026-02-15 02:30:00 +0100", "2026-02-16 02:30:00 +0000"}},
		{"Ramadan ends", "Africa/Casablanca", "30 2 * * *", utc(2026, 3, 21, 12, 0),
			[]string{"2026-03-22 03:00:00 +0100", "2026-03-23 02:30:00 +0100"}},
		{"two hours", "Antarctica/Troll", "30 1,2 * * *", utc(2026, 3, 28, 12, 0),
			[]string{"2026-03-29 03:00:00 +0200", "2026-03-30 01:30:00 +0200"}},
		{"a minute past midnight", "America/St_Johns", "0 0 * * *", utc(2010, 3, 14, 0, 0),
			[]string{"2010-03-14 00:00:00 -0330", "2010-03-15 00:00:00 -0230"}},
		{"an hour that is there in part", "America/St_Johns", "30 * * * *", utc(2010, 3, 14, 2, 0),
			[]string{"2010-03-13 23:30:00 -0330", "2010-03-14 01:01:00 -0230", "2010-03-14 01:30:00 -0230"}},
		{"half an hour before midnight", "Asia/Pyongyang", "45 23 4 5 *", utc(2018, 5, 4, 0, 0),
			[]string{"2018-05-05 00:00:00 +0900", "2019-05-04 23:45:00 +0900"}},
		{"the last midnight is a gap", "America/Santiago", "0 0 6 9 *", utc(2026, 9, 1, 0, 0),
			[]string{"2026-09-06 01:00:00 -0300"}},
		{"the last day of a leap year, golang/go#81583", "Europe/Berlin", "0 12 31 12 *", utc(2040, 12, 30, 23, 30),
			[]string{"2040-12-31 12:00:00 +0100", "2041-12-31 12:00:00 +0100"}},
		{"the far future", "America/Santiago", "0 0 * * *", utc(9000, 9, 6, 12, 0),
			[]string{"9000-09-07 01:00:00 -0300", "9000-09-08 00:00:00 -0300"}},
		{"before any change", "Europe/Berlin", "0 0 * * *", time.Time{},
			[]string{"0001-01-02 00:00:00 +0053"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, load(t, tt.zone), tt.expr)
			at := tt.after
			for _, want := range tt.want {
				at = s.Next(at)
				if got := at.Format(form); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
			}
		})
	}
}

func TestNextIsLaterThanFractions(t *testing.T) {
	s := parse(t, time.UTC, "* * * * * *")
	at := utc(2026, 11, 23, 10, 0)
	for _, after := range []time.Time{at.Add(-1), at.Add(-time.Second)} {
		if got := s.Next(after); !got.Equal(at) {
			t.Errorf("after %v: got %v, want %v", after, got, at)
		}
	}
}

func TestNextOutsideTheCalendar(t *testing.T) {
	s := parse(t, nil, "0 0 * * *")
	for _, after := range []time.Time{
		time.Date(-20, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		time.Unix(1<<62, 0),
		time.Unix(-1<<62, 0),
	} {
		if got := s.Next(after); !got.IsZero() {
			t.Errorf("after %v: got %v, want none", after, got)
		}
	}
}

func TestLocationAndString(t *testing.T) {
	berlin := load(t, "Europe/Berlin")
	s := parse(t, berlin, " 30  2 * *\tmon-fri ", "@every 1h")
	if s.Location() != berlin || s.Next(utc(2026, 1, 1, 0, 0)).Location() != berlin {
		t.Error("not in the zone that was asked for")
	}
	if got, want := s.String(), "30 2 * * mon-fri; @every 1h"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		name, expr, want string
	}{
		{"empty", "", "empty"},
		{"blank", " \t ", "empty"},
		{"four fields", "30 2 * *", "4 fields"},
		{"a whole crontab line", "30 2 * * * /usr/local/bin/backup now", "7 fields"},
		{"a zone that makes the library panic", "TZ=UTC", "`timezone:`"},
		{"a zone", "TZ=UTC 30 2 * * *", "`timezone:`"},
		{"a zone of cron", "CRON_TZ=Asia/Singapore 30 2 * * *", "`timezone:`"},
		{"an empty zone", "TZ= 30 2 * * *", "`timezone:`"},
		{"no zone at all", "TZ=0", "`timezone:`"},
		{"@reboot", "@reboot", "`catch_up:`"},
		{"unknown descriptor", "@fortnightly", "@weekly"},
		{"descriptor with more", "@daily 5", "nothing may follow @daily"},
		{"31 February", "0 0 31 2 *", "never fires"},
		{"30 February of the star kind", "0 0 30 2 ?", "never fires"},
		{"31st of short months", "0 0 31 4,6,9,11 *", "never fires"},
		{"minute 60", "60 * * * *", `minute "60"`},
		{"hour 24", "0 24 * * *", `hour "24"`},
		{"day 0", "0 0 0 * *", `day of month "0"`},
		{"month 13", "0 0 1 13 *", `month "13"`},
		{"weekday 8", "0 0 * * 8", `day of week "8"`},
		{"range to weekday 8", "0 0 * * 5-8", `day of week "5-8"`},
		{"range the wrong way", "0 0 * * 5-1", `day of week "5-1"`},
		{"range of names the wrong way", "0 0 * * fri-mon", `day of week "fri-mon"`},
		{"range from 9 to 7", "0 0 * * 9-7", `day of week "9-7"`},
		{"a name in the wrong field", "mon * * * *", `minute "mon"`},
		{"an unknown name", "0 0 * * son", `day of week "son"`},
		{"a long name", "0 0 * * monday", `"monday"`},
		{"step 0", "*/0 * * * *", `minute "*/0"`},
		{"step 0 of a range to 7", "0 0 * * 1-7/0", `day of week "1-7/0"`},
		{"an empty step", "*/ * * * *", `"*/"`},
		{"two steps", "*/2/3 * * * *", `"*/2/3"`},
		{"an empty element", "1,,2 * * * *", `minute "1,,2"`},
		{"only commas", ", * * * *", `minute ","`},
		{"a range from a star", "*-5 * * * *", `"*-5"`},
		{"a sign", "+5 * * * *", `"+5"`},
		{"three ends", "1-2-3 * * * *", `"1-2-3"`},
		{"a huge number", "99999999999999999999 * * * *", "is not a number"},
		{"last day of Quartz", "0 0 L * *", `"L"`},
		{"hash of Jenkins", "H 2 * * *", `"H"`},
		{"an escape", "0 0 * * \x1b[1m", "day of week"},
		{"too long", strings.Repeat("1,", 600) + "1 * * * *", "longer than 1024 bytes"},
		{"@every without", "@every", "duration"},
		{"@every with two", "@every 1h 30m", "one duration"},
		{"@every 0s", "@every 0s", "1s"},
		{"@every negative", "@every -5m", "1s"},
		{"@every half a second", "@every 500ms", "1s"},
		{"@every with a fraction", "@every 1.5s", "whole seconds"},
		{"@every day", "@every 1d", "24h"},
		{"@every nonsense", "@every now", "not a duration"},
		{"@every too long", "@every 9000h", "a year"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := cron.Parse(time.UTC, "@daily", tt.expr)
			var syntax *cron.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a *SyntaxError", err)
			}
			if !strings.Contains(syntax.Msg, tt.want) {
				t.Errorf("message %q, want it to say %q", syntax.Msg, tt.want)
			}
			if len(tt.expr) < 1000 && syntax.Expr != tt.expr {
				t.Errorf("expression %q, want %q", syntax.Expr, tt.expr)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("control character in %q", err)
			}
		})
	}
}

func TestNumberOfExpressions(t *testing.T) {
	if _, err := cron.Parse(time.UTC); err == nil {
		t.Error("no expression was accepted")
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = "@daily"
	}
	if _, err := cron.Parse(time.UTC, many...); err == nil {
		t.Error("101 expressions were accepted")
	}
	if _, err := cron.Parse(time.UTC, many[:100]...); err != nil {
		t.Error(err)
	}
}

// TestConcurrentUse gives the race detector something to see.
func TestConcurrentUse(t *testing.T) {
	s := parse(t, load(t, "Europe/Berlin"), "*/10 * * * *", "@every 1h")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			at := utc(2026, 10, 24, 0, 0)
			for range 100 {
				at = s.Next(at)
			}
		})
	}
	wg.Wait()
}

// BenchmarkNext is the usual case and the worst.
func BenchmarkNext(b *testing.B) {
	for _, expr := range []string{"30 2 * * mon-fri", "0 0 29 2 */7"} {
		b.Run(expr, func(b *testing.B) {
			s := parse(b, load(b, "Europe/Berlin"), expr)
			after := utc(2027, 3, 1, 0, 0)
			for b.Loop() {
				s.Next(after)
			}
		})
	}
}
