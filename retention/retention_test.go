package retention_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	_ "time/tzdata"

	"linehaul/retention"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// at reads "2026-11-23 02:30", with seconds, an offset or a mark such as ! behind it.
func at(t testing.TB, z *time.Location, clock string) time.Time {
	t.Helper()
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02 15:04 -0700"} {
		if when, err := time.ParseInLocation(layout, clock, z); err == nil {
			return when
		}
	}
	t.Fatalf("%q is no time", clock)
	return time.Time{}
}

// copies makes a copy of each line: an instant, with " bad" or " new" behind
// it. "-" has no date.
func copies(t testing.TB, z *time.Location, lines ...string) []retention.Copy {
	t.Helper()
	var all []retention.Copy
	for _, line := range lines {
		c := retention.Copy{Name: line}
		line, c.Bad = strings.CutSuffix(line, " bad")
		line, c.New = strings.CutSuffix(line, " new")
		if line != "-" {
			c.At = at(t, z, line)
		}
		all = append(all, c)
	}
	return all
}

func TestRules(t *testing.T) {
	tests := []struct {
		name   string
		policy retention.Policy
		zone   string
		// want are the copies with what is decided: "INSTANT: reasons".
		want []string
	}{
		{"no rule", retention.Policy{}, "UTC", []string{
			"2026-11-01 00:00: nothing is to be removed",
			"2020-01-01 00:00: nothing is to be removed",
			"-: nothing is to be removed",
		}},
		{"a number below nothing is no rule", retention.Policy{Last: -1, Daily: -7, Within: -1}, "UTC", []string{
			"2026-11-01 00:00: nothing is to be removed",
		}},
		{"last", retention.Policy{Last: 2}, "UTC", []string{
			"2026-11-20 00:00: last 2",
			"2026-11-22 00:00: last 2",
			"2026-11-18 00:00: no rule keeps it",
		}},
		{"the newest of each of the last days that have a copy", retention.Policy{Daily: 2}, "UTC", []string{
			"2026-11-22 03:00: daily 2026-11-22",
			"2026-11-22 02:00: no rule keeps it",
			"2026-11-10 02:00: daily 2026-11-10",
			"2026-11-09 02:00: no rule keeps it",
		}},
		{"weeks begin on Monday", retention.Policy{Weekly: 2}, "UTC", []string{
			"2026-11-23 00:00: weekly 2026-W48",
			"2026-11-22 23:59: weekly 2026-W47",
			"2026-11-22 23:58: no rule keeps it",
			"2026-11-16 00:00: no rule keeps it",
			"2026-11-15 23:59: no rule keeps it",
		}},
		{"the week of a new year", retention.Policy{Weekly: 5}, "UTC", []string{
			"2026-01-04 00:00: weekly 2026-W01",
			"2025-12-29 00:00: no rule keeps it",
			"2025-12-28 00:00: weekly 2025-W52",
			"2021-01-03 00:00: weekly 2020-W53",
			"2021-01-01 00:00: no rule keeps it",
			"2020-12-27 00:00: weekly 2020-W52",
		}},
		{"months and years", retention.Policy{Monthly: 2, Yearly: 3}, "UTC", []string{
			"2026-11-22 00:00: monthly 2026-11, yearly 2026",
			"2026-10-31 00:00: monthly 2026-10",
			"2026-09-30 00:00: no rule keeps it",
			"2025-12-31 00:00: yearly 2025",
			"2023-01-01 00:00: yearly 2023",
			"2022-12-31 00:00: no rule keeps it",
		}},
		{"within hours", retention.Policy{Within: 90 * time.Minute}, "UTC", []string{
			"2026-11-22 12:00: within 1h30m",
			"2026-11-22 10:30: within 1h30m",
			"2026-11-22 10:29: no rule keeps it",
		}},
		{"within days goes to the beginning of the day", retention.Policy{Within: 50 * time.Hour}, "UTC", []string{
			"2026-11-22 12:00: within 2d2h",
			"2026-11-20 00:00: within 2d2h",
			"2026-11-19 23:59: no rule keeps it",
		}},
		{"within counts from the newest, not from now", retention.Policy{Within: 24 * time.Hour}, "UTC", []string{
			"2020-05-02 12:00: within 1d",
			"2020-05-01 01:00: within 1d",
			"2020-04-30 12:00: no rule keeps it",
		}},
		{"the future, and no date", retention.Policy{Last: 1}, "UTC", []string{
			"2026-11-23 12:01: dated in the future",
			"2026-11-23 12:00: last 1",
			"-: no date in its name",
			"2026-11-23 11:59: no rule keeps it",
		}},
		{"the newest good copy", retention.Policy{Last: 1}, "UTC", []string{
			"2026-11-22 00:00 bad: last 1",
			"2026-11-21 00:00 bad: no rule keeps it",
			"2026-11-20 00:00: last 1",
			"2026-11-19 00:00: no rule keeps it",
		}},
		{"the newest good copy, where no rule keeps it", retention.Policy{Within: time.Hour, Last: 0}, "UTC", []string{
			"2026-11-22 00:00 bad: within 1h",
			"2026-11-20 00:00: within 1h",
			"2026-11-19 00:00: no rule keeps it",
		}},
		{"bad copies take no place", retention.Policy{Daily: 2}, "UTC", []string{
			"2026-11-22 00:00 bad: daily 2026-11-22",
			"2026-11-21 02:00 bad: daily 2026-11-21",
			"2026-11-21 01:00: daily 2026-11-21",
			"2026-11-20 00:00 bad: no rule keeps it",
			"2026-11-19 00:00: daily 2026-11-19",
			"2026-11-18 00:00: no rule keeps it",
		}},
		{"the newest good copy is older than any rule reaches", retention.Policy{Within: time.Hour}, "UTC", []string{
			"2026-11-22 00:00: within 1h",
			"2026-11-20 00:00: no rule keeps it",
		}},
		{"where all are bad, all stay", retention.Policy{Yearly: 1}, "UTC", []string{
			"2026-11-22 00:00 bad: yearly 2026, no copy is known to be good",
			"2026-11-21 00:00 bad: no copy is known to be good",
			"2026-11-24 00:00: dated in the future",
		}},
		{"made by this run", retention.Policy{Last: 1}, "UTC", []string{
			"2026-11-22 00:00: last 1",
			"2026-11-20 00:00 new: made by this run",
		}},
		{"days of another zone", retention.Policy{Daily: 9}, "Asia/Singapore", []string{
			"2026-11-22 23:59: daily 2026-11-22",
			"2026-11-22 00:00: no rule keeps it",
			"2026-11-21 23:59: daily 2026-11-21",
		}},
		{"a day of 23 hours", retention.Policy{Daily: 9}, "Europe/Berlin", []string{
			"2026-03-29 23:59: daily 2026-03-29",
			"2026-03-29 03:00: no rule keeps it",
			"2026-03-29 01:59: no rule keeps it",
			"2026-03-29 00:00: no rule keeps it",
			"2026-03-28 23:59: daily 2026-03-28",
			"2026-03-30 00:00: daily 2026-03-30",
		}},
		{"a day of 25 hours", retention.Policy{Daily: 9}, "America/New_York", []string{
			"2025-11-01 23:59: daily 2025-11-01",
			"2025-11-02 00:00 -0400: no rule keeps it",
			"2025-11-02 01:30 -0400: no rule keeps it",
			"2025-11-02 01:30 -0500: no rule keeps it",
			"2025-11-02 23:59 -0500: daily 2025-11-02",
			"2025-11-03 00:00: daily 2025-11-03",
		}},
		{"the same clock twice: the second is newer", retention.Policy{Last: 1}, "Australia/Lord_Howe", []string{
			"2026-04-05 01:45 +1100: no rule keeps it",
			"2026-04-05 01:45 +1030: last 1",
		}},
		{"seven days over a day of 25 hours", retention.Policy{Within: 7 * 24 * time.Hour}, "Europe/Berlin", []string{
			"2025-10-30 02:30: within 7d",
			"2025-10-23 02:30: within 7d", // 169 hours before
			"2025-10-23 00:00: within 7d",
			"2025-10-22 23:59: no rule keeps it",
		}},
		{"a midnight that is skipped", retention.Policy{Within: 24 * time.Hour}, "America/Santiago", []string{
			"2025-09-08 01:30: within 1d",
			"2025-09-07 01:00: within 1d", // the first instant of that day
			"2025-09-06 23:59: no rule keeps it",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z := zone(t, tt.zone)
			var lines []string
			for _, w := range tt.want {
				line, _, _ := strings.Cut(w, ": ")
				lines = append(lines, line)
			}
			ds := retention.Apply(tt.policy, copies(t, z, lines...), at(t, z, "2026-11-23 12:00"), z)
			if len(ds) != len(lines) {
				t.Fatalf("%d decisions about %d copies", len(ds), len(lines))
			}
			for i, d := range ds {
				if got := lines[i] + ": " + d.Why(); got != tt.want[i] {
					t.Errorf("got %q, want %q", got, tt.want[i])
				}
				if d.Keep == strings.HasSuffix(tt.want[i], ": no rule keeps it") {
					t.Errorf("%q is kept: %v", tt.want[i], d.Keep)
				}
			}
		})
	}
}

// TestOrderDoesNotMatter: what is decided of a copy does not depend on where
// it stands, also where several have the same instant.
func TestOrderDoesNotMatter(t *testing.T) {
	z := zone(t, "Europe/Berlin")
	all := copies(t, z, "2026-11-22 00:00", "2026-11-21 00:00", "2026-11-21 00:00", "2026-11-21 00:00", "2026-11-20 00:00 bad", "2026-11-23 00:00 new")
	for i := range all {
		all[i].Name = fmt.Sprint(i)
	}
	decided := func(order []int) map[string]string {
		var cs []retention.Copy
		for _, i := range order {
			cs = append(cs, all[i])
		}
		m := map[string]string{}
		for _, d := range retention.Apply(retention.Policy{Last: 2, Daily: 2}, cs, at(t, z, "2026-11-22 12:00"), z) {
			m[d.Copy.Name] = d.Why()
		}
		return m
	}
	order := []int{0, 1, 2, 3, 4, 5}
	want := decided(order)
	if want["3"] != "last 2, daily 2026-11-21" || want["2"] != "no rule keeps it" {
		t.Errorf("of the same instant: %v", want)
	}
	for range 50 {
		slices.Reverse(order)
		order = append(order[2:], order[:2]...)
		if got := decided(order); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("in the order %v: %v, want %v", order, got, want)
		}
	}
}
