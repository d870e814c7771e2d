package bandwidth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// minutesADay is the last minute of a day that a span may end with: 24:00.
const minutesADay = 24 * 60

// MaxRules bounds a timetable.
const MaxRules = 100

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

// ParseSpan reads a span such as `08:00-18:00 mon-fri`, `22:00-06:00` for every
// day, or `sat,sun` for whole days.
func ParseSpan(text string) (Span, error) {
	s := Span{text: text, to: minutesADay}
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
	case minutesADay:
		return 0, 0, fmt.Errorf("%q begins at the end of a day; write 00:00", s)
	}
	return from, to, nil
}

func parseTime(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	hours, errH := strconv.Atoi(h)
	minutes, errM := strconv.Atoi(m)
	if !ok || errH != nil || errM != nil || len(h) > 2 || len(m) != 2 || strings.ContainsAny(s, "+-") ||
		minutes > 59 || hours*60+minutes > minutesADay {
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

// holds reports whether a minute of a day is in the span.
func (s Span) holds(day, minute int) bool {
	if s.from < s.to {
		return s.days[day] && s.from <= minute && minute < s.to
	}
	return s.days[day] && minute >= s.from || s.days[(day+6)%7] && minute < s.to
}

// A Rule is a rate that holds in a span.
type Rule struct {
	Span
	Rate Rate
}

// A Timetable says which rate holds when. It goes by what the clocks of its
// zone show: in the hour that a change to daylight saving leaves out nothing
// holds, and what a change back shows twice holds twice. Nothing changes it,
// so it may be used concurrently; nil sets no limit.
type Timetable struct {
	zone  *time.Location
	other Rate // when no rule holds
	rules []Rule
}

// An OverlapError says that two rules hold at the same time.
type OverlapError struct {
	A, B int // their indices
	When string
}

func (e *OverlapError) Error() string { return "two of its times overlap on " + e.When }

// NewTimetable makes a timetable of rules that do not overlap; the error is an
// *OverlapError otherwise. other holds at all other times.
func NewTimetable(zone *time.Location, other Rate, rules ...Rule) (*Timetable, error) {
	if len(rules) > MaxRules {
		return nil, fmt.Errorf("more than %d times", MaxRules)
	}
	for day := range 7 {
		for minute := range minutesADay {
			first := -1
			for i, r := range rules {
				switch {
				case !r.holds(day, minute):
				case first < 0:
					first = i
				default:
					return nil, &OverlapError{first, i, fmt.Sprintf("%s at %02d:%02d", time.Weekday(day), minute/60, minute%60)}
				}
			}
		}
	}
	return &Timetable{zone: zone, other: other, rules: rules}, nil
}

// Always is the timetable of one rate.
func Always(r Rate) *Timetable { return &Timetable{zone: time.UTC, other: r} }

// At returns the rate that holds at an instant.
func (t *Timetable) At(at time.Time) Rate {
	if t == nil {
		return Off
	}
	if len(t.rules) > 0 {
		at = at.In(t.zone)
		day, minute := int(at.Weekday()), at.Hour()*60+at.Minute()
		for _, r := range t.rules {
			if r.holds(day, minute) {
				return r.Rate
			}
		}
	}
	return t.other
}

// steady returns for how long the rate at an instant is sure to hold: to the end
// of the minute that the clock shows.
func (t *Timetable) steady(at time.Time) time.Duration {
	if t == nil || len(t.rules) == 0 {
		return time.Hour
	}
	at = at.In(t.zone)
	return time.Minute - time.Duration(at.Second())*time.Second - time.Duration(at.Nanosecond())
}

// String writes the timetable on one line, for people.
func (t *Timetable) String() string {
	if t == nil {
		return offWord
	}
	parts := make([]string, 0, len(t.rules)+1)
	for _, r := range t.rules {
		parts = append(parts, r.text+" "+r.Rate.String())
	}
	if len(parts) == 0 {
		return t.other.String()
	}
	return strings.Join(append(parts, "else "+t.other.String()), ", ")
}
