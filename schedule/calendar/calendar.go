// Package calendar is the days and times on which a job does not run: single
// dates, ranges of them, parts of the week, and the events of an iCalendar file
// (RFC 5545), as authorities publish their holidays.
//
// Of iCalendar it reads events with a date or a time, and those that come every
// year. What it does not read (other recurrence rules, further and excepted
// dates) it refuses, with the line: a holiday that is left out without a word is
// a run on a holiday.
package calendar

import (
	"fmt"
	"strings"
	"time"

	"linehaul/schedule/week"
)

// MaxItems bounds a calendar, and maxEvents each file of it.
const (
	MaxItems  = 100
	maxEvents = 10_000
	// MaxFile is how large a file may be, in bytes.
	MaxFile = 4 << 20
)

// A Calendar says on which days and at which times nothing runs. Nothing changes
// it, so that it may be used concurrently; nil blocks nothing.
type Calendar struct {
	zone  *time.Location
	items []item
}

// An item blocks some instants.
type item interface {
	// holds says why it blocks an instant, which is in the calendar's zone.
	holds(at time.Time) (why string, ok bool)
}

// New makes a calendar of texts, each one of
//
//	2026-12-25                a day
//	2026-12-24..2027-01-02    several, both included
//	08:00-18:00 mon-fri       a part of the week, as package week reads it
//	holidays.ics              a file, of which read returns the content
//
// by what clocks show in the zone. The error is an *ItemError.
func New(zone *time.Location, texts []string, read func(name string) ([]byte, error)) (*Calendar, error) {
	c := &Calendar{zone: zone}
	for i, text := range texts {
		more, err := parse(zone, text, read)
		if err == nil && i >= MaxItems {
			err = fmt.Errorf("more than %d of them", MaxItems)
		}
		if err != nil {
			return nil, &ItemError{Index: i, Err: err}
		}
		c.items = append(c.items, more...)
	}
	return c, nil
}

// An ItemError says which text cannot be read.
type ItemError struct {
	Index int
	Err   error
}

func (e *ItemError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *ItemError) Unwrap() error { return e.Err }

func parse(zone *time.Location, text string, read func(name string) ([]byte, error)) ([]item, error) {
	switch {
	case IsFile(text):
		data, err := read(text)
		if err != nil {
			return nil, err
		}
		return parseFile(zone, data)
	case strings.Count(text, "-") >= 2 && !strings.Contains(text, ":"):
		d, err := parseDays(text)
		return []item{d}, err
	}
	s, err := week.Parse(text)
	return []item{window{s}}, err
}

// IsFile reports whether a text names a file.
func IsFile(text string) bool { return strings.HasSuffix(strings.ToLower(text), ".ics") }

// Blocks says why nothing is to run at an instant, if so.
func (c *Calendar) Blocks(at time.Time) (why string, ok bool) {
	if c == nil {
		return "", false
	}
	at = at.In(c.zone)
	for _, i := range c.items {
		if why, ok := i.holds(at); ok {
			return why, true
		}
	}
	return "", false
}

// window is a part of the week.
type window struct{ week.Span }

func (w window) holds(at time.Time) (string, bool) { return w.String(), w.HoldsAt(at) }

// A day is a date of the calendar, as a number that grows by the day.
type day int

// dayOf is the date that the clock shows.
func dayOf(at time.Time) day {
	y, m, d := at.Date()
	return day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

const dateForm = "2006-01-02"

// days are several days, the first and the last included.
type days struct {
	first, last day
	why         string
}

func (d days) holds(at time.Time) (string, bool) {
	n := dayOf(at)
	return d.why, d.first <= n && n <= d.last
}

func parseDays(text string) (days, error) {
	a, b, two := strings.Cut(text, "..")
	if !two {
		b = a
	}
	first, err := time.Parse(dateForm, strings.TrimSpace(a))
	last, lastErr := time.Parse(dateForm, strings.TrimSpace(b))
	switch {
	case err != nil || lastErr != nil:
		return days{}, fmt.Errorf("%q is no date such as 2026-12-25, and no range such as 2026-12-24..2027-01-02", text)
	case last.Before(first):
		return days{}, fmt.Errorf("%q ends before it begins", text)
	}
	return days{dayOf(first), dayOf(last), text}, nil
}
