package bandwidth

import (
	"fmt"
	"strings"
	"time"

	"linehaul/schedule/week"
)

// MaxRules bounds a timetable.
const MaxRules = 100

// A Rule is a rate that holds in a span.
type Rule struct {
	week.Span
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
		for minute := range week.MinutesADay {
			first := -1
			for i, r := range rules {
				switch {
				case !r.Holds(day, minute):
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
			if r.Holds(day, minute) {
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
		parts = append(parts, r.String()+" "+r.Rate.String())
	}
	if len(parts) == 0 {
		return t.other.String()
	}
	return strings.Join(append(parts, "else "+t.other.String()), ", ")
}
