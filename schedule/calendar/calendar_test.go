package calendar_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/schedule/calendar"
)

func singapore(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Singapore")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func file(t *testing.T) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) { return os.ReadFile(filepath.Join("testdata", name)) }
}

func TestBlocks(t *testing.T) {
	zone := singapore(t)
	for _, tt := range []struct {
		texts []string
		at    string // in the zone
		why   string // empty: nothing is in the way
	}{
		{[]string{"2026-12-25"}, "2026-12-25T00:00:00", "2026-12-25"},
		{[]string{"2026-12-25"}, "2026-12-25T23:59:59", "2026-12-25"},
		{[]string{"2026-12-25"}, "2026-12-24T23:59:59", ""},
		{[]string{"2026-12-25"}, "2026-12-26T00:00:00", ""},
		{[]string{"2026-12-24..2027-01-02"}, "2027-01-02T12:00:00", "2026-12-24..2027-01-02"},
		{[]string{"2026-12-24..2027-01-02"}, "2027-01-03T00:00:00", ""},
		{[]string{"08:00-18:00 mon-fri"}, "2026-11-27T08:00:00", "08:00-18:00 mon-fri"},
		{[]string{"08:00-18:00 mon-fri"}, "2026-11-27T18:00:00", ""},
		{[]string{"08:00-18:00 mon-fri"}, "2026-11-28T09:00:00", ""},
		{[]string{"sat,sun"}, "2026-11-28T09:00:00", "sat,sun"},
		{[]string{"22:00-06:00 fri"}, "2026-11-28T05:59:00", "22:00-06:00 fri"},
		{[]string{"sat", "2026-11-30"}, "2026-11-30T09:00:00", "2026-11-30"},
		{nil, "2026-11-30T09:00:00", ""},

		{[]string{"holidays.ics"}, "2026-02-17T09:00:00", "Chinese New Year"},
		{[]string{"holidays.ics"}, "2026-02-18T23:00:00", "Chinese New Year"},
		{[]string{"holidays.ics"}, "2026-02-19T00:00:00", ""},
		{[]string{"holidays.ics"}, "2025-12-25T09:00:00", ""}, // before the first
		{[]string{"holidays.ics"}, "2026-12-25T09:00:00", "Christmas Day"},
		{[]string{"holidays.ics"}, "2031-12-25T09:00:00", "Christmas Day"},
		{[]string{"holidays.ics"}, "2026-05-01T09:00:00", "Labour Day, with a long name that is folded"},
		{[]string{"holidays.ics"}, "2028-05-01T09:00:00", "Labour Day, with a long name that is folded"},
		{[]string{"holidays.ics"}, "2029-05-01T09:00:00", ""}, // its third was the last
		{[]string{"holidays.ics"}, "2027-08-09T09:00:00", "National Day"},
		{[]string{"holidays.ics"}, "2028-08-09T09:00:00", ""}, // until the year before
		{[]string{"holidays.ics"}, "2028-02-29T09:00:00", "Leap day"},
		{[]string{"holidays.ics"}, "2029-02-28T09:00:00", ""},
		{[]string{"holidays.ics"}, "2029-03-01T09:00:00", ""},
		{[]string{"holidays.ics"}, "2026-07-04T05:00:00", "Maintenance"}, // 21:00 to 23:30 UTC of the 3rd
		{[]string{"holidays.ics"}, "2026-07-04T07:29:59", "Maintenance"},
		{[]string{"holidays.ics"}, "2026-07-04T07:30:00", ""},
		{[]string{"holidays.ics"}, "2026-07-05T02:00:00", "Line works"}, // New York's 14:00 of the 4th, for an hour and a half
		{[]string{"holidays.ics"}, "2026-07-05T03:30:00", ""},
		{[]string{"holidays.ics"}, "2026-06-01T09:00:00", ""}, // called off
	} {
		c, err := calendar.New(zone, tt.texts, file(t))
		if err != nil {
			t.Fatalf("%q: %v", tt.texts, err)
		}
		at, err := time.ParseInLocation("2006-01-02T15:04:05", tt.at, zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range []time.Time{at, at.UTC()} { // whoever asks
			if why, ok := c.Blocks(in); why != tt.why && ok || ok != (tt.why != "") {
				t.Errorf("%q at %s: %q, %v; want %q", tt.texts, tt.at, why, ok, tt.why)
			}
		}
	}
	var none *calendar.Calendar
	if _, ok := none.Blocks(time.Now()); ok {
		t.Error("no calendar blocks")
	}
}

func TestRefused(t *testing.T) {
	const head, foot = "BEGIN:VCALENDAR\r\n", "END:VCALENDAR\r\n"
	event := func(lines string) string { return head + "BEGIN:VEVENT\r\n" + lines + "END:VEVENT\r\n" + foot }
	for text, want := range map[string]string{
		"2026-13-01":             "no date",
		"2026-12-25..2026-12-24": "ends before it begins",
		"2026-12-25..":           "no date",
		"25.12.2026":             "no range of times",
		"":                       "no time and no day",
		"absent.ics":             "no such file",
	} {
		_, err := calendar.New(time.UTC, []string{"sat", text}, func(string) ([]byte, error) { return nil, errors.New("no such file") })
		var item *calendar.ItemError
		if !errors.As(err, &item) || item.Index != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want ...%s...", text, err, want)
		}
	}
	for data, want := range map[string]string{
		"":                              "no events",
		head + foot:                     "no events",
		"<html>":                        "line 1: it is none of an iCalendar file",
		"HTTP/1.1 404 Not Found: x\r\n": "line 1: it does not begin",
		head + "BEGIN:VEVENT\r\nDTSTART:20261225\r\n":                                        "cut off",
		event("SUMMARY:x\r\n"):                                                               "line 3: an event without DTSTART",
		event("DTSTART:2026-12-25\r\n"):                                                      "line 3: \"2026-12-25\" is no date",
		event("DTSTART;TZID=Mars/Olympus:20261225T080000\r\n"):                               "line 3: no time zone",
		event("DTSTART:20261225\r\nDTEND:20261224\r\n"):                                      "line 4: the event ends before",
		event("DTSTART:20261225\r\nDTEND:20261225T080000Z\r\n"):                              "line 4: DTEND is a",
		event("DTSTART:20261225\r\nDURATION:P\r\n"):                                          "line 4: \"P\" is no duration",
		event("DTSTART:20261225\r\nDURATION:-P1D\r\n"):                                       "is no duration",
		event("DTSTART:20261225\r\nRRULE:FREQ=WEEKLY\r\n"):                                   "line 4: the rule",
		event("DTSTART:20261225\r\nRRULE:FREQ=YEARLY;BYDAY=4TH\r\n"):                         "line 4: the rule",
		event("DTSTART:20261225\r\nRRULE:FREQ=YEARLY;INTERVAL=2\r\n"):                        "line 4: the rule",
		event("DTSTART:20261225\r\nRRULE:FREQ=YEARLY;COUNT=0\r\n"):                           "line 4: the rule",
		event("DTSTART:20261225\r\nEXDATE:20271225\r\n"):                                     "line 4: EXDATE is not understood",
		strings.Repeat("x", calendar.MaxFile+1):                                              "are the most",
		head + strings.Repeat("BEGIN:VEVENT\nDTSTART:20261225\nEND:VEVENT\n", 10_001) + foot: "more than 10000 events",
	} {
		_, err := calendar.New(time.UTC, []string{"a.ics"}, func(string) ([]byte, error) { return []byte(data), nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want ...%s...", data, err, want)
		}
	}
}

// FuzzFile: no file makes it panic or take long, and an event that is taken
// blocks the instant that it begins at.
func FuzzFile(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("testdata", "holidays.ics"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261225\nEND:VEVENT\nEND:VCALENDAR\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := calendar.New(time.UTC, []string{"a.ics"}, func(string) ([]byte, error) { return data, nil })
		if (c == nil) == (err == nil) {
			t.Fatalf("%v, %v", c, err)
		}
		for _, at := range []string{"2026-12-25T12:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
			when, err := time.Parse(time.RFC3339, at)
			if err != nil {
				t.Fatal(err)
			}
			why, ok := c.Blocks(when)
			if ok && (why == "" || strings.ContainsAny(why, "\r\n")) {
				t.Errorf("blocked by %q", why)
			}
		}
	})
}
