// Package week is parts of the week, as people write them: 08:00-18:00 mon-fri.
package week

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MinutesADay is the last minute of a day that a span may end with: 24:00.
const MinutesADay = 24 * 60

// A Span is a part of the week: on some days, from one minute of the day to
// another. One that ends before it begins goes over midnight, and belongs to
// the day on which it begins.
type Span struct {
	days     [7]bool // by time.Weekday
	from, to int     // minutes; to is not part of it
	text     string
}

// String returns the span as it was written.
func (s Span) String() string { return s.text }

// Parse reads a span such as `08:00-18:00 mon-fri`, `22:00-06:00` for every
// day, or `sat,sun` for whole days.
func Parse(text string) (Span, error) {
	s := Span{text: text, to: MinutesADay}
	words := strings.Fields(text)
	var days, times bool
	for _, w := range words {
		var err error
		switch {
		case strings.Contains(w, ":") && !times:
			times = true
			s.from, s.to, err = parseTimes(w)
		case !strings.ContainsAny(w, "0123456789:") && !days:
			days = true
			err = s.parseDays(w)
		case times && days:
			err = fmt.Errorf("%q is too much", w)
		default:
			err = fmt.Errorf("%q is no range of times such as 08:00-18:00", w)
		}
		if err != nil {
			return Span{}, err
		}
	}
	if !days && !times {
		return Span{}, errors.New("no time and no day")
	}
	if !days {
		for d := range s.days {
			s.days[d] = true
		}
	}
	return s, nil
}

// parseTimes reads 08:00-18:00.
func parseTimes(s string) (from, to int, err error) {
	a, b, two := strings.Cut(s, "-")
	if !two {
		return 0, 0, fmt.Errorf("%q is a time and no range such as 08:00-18:00", s)
	}
	if from, err = parseTime(a); err != nil {
		return 0, 0, err
	}
	if to, err = parseTime(b); err != nil {
		return 0, 0, err
	}
	switch from {
	case to:
		return 0, 0, fmt.Errorf("%q ends when it begins; a whole day is 00:00-24:00", s)
	case MinutesADay:
		return 0, 0, fmt.Errorf("%q begins at the end of a day; write 00:00", s)
	}
	return from, to, nil
}

func parseTime(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	hours, errH := strconv.Atoi(h)
	minutes, errM := strconv.Atoi(m)
	if !ok || errH != nil || errM != nil || len(h) > 2 || len(m) != 2 || strings.ContainsAny(s, "+-") ||
		minutes > 59 || hours*60+minutes > MinutesADay {
		return 0, fmt.Errorf("%q is no time of the day such as 08:00", s)
	}
	return hours*60 + minutes, nil
}

// parseDays reads mon-fri, sat,sun and the like.
func (s *Span) parseDays(text string) error {
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		a, b, two := strings.Cut(part, "-")
		first, err := parseDay(a)
		if err != nil {
			return err
		}
		last := first
		if two {
			if last, err = parseDay(b); err != nil {
				return err
			}
		}
		for d := first; ; d = (d + 1) % 7 {
			s.days[d] = true
			if d == last {
				break
			}
		}
	}
	return nil
}

func parseDay(s string) (int, error) {
	for d := range 7 {
		if name := strings.ToLower(time.Weekday(d).String()); s == name || s == name[:3] {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%q is no day: want mon, tue, wed, thu, fri, sat or sun", s)
}

// Holds reports whether a minute of a day, a time.Weekday, is in the span.
func (s Span) Holds(day, minute int) bool {
	if s.from < s.to {
		return s.days[day] && s.from <= minute && minute < s.to
	}
	return s.days[day] && minute >= s.from || s.days[(day+6)%7] && minute < s.to
}

// HoldsAt reports whether what the clock shows at an instant, in its zone, is in
// the span.
func (s Span) HoldsAt(at time.Time) bool {
	return s.Holds(int(at.Weekday()), at.Hour()*60+at.Minute())
}
