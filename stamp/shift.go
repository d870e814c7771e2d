package stamp

import (
	"strconv"
	"strings"
	"time"
)

// A shift moves a time: by months, by days, or by real time.
type shift struct {
	months, days int
	elapsed      time.Duration
}

// A unit is one step of a shift, and how many steps are allowed.
type unit struct {
	step shift
	most int // about a thousand years, far within all types
}

// units are those of {date-1d}.
func units() map[string]unit {
	return map[string]unit{
		"y":  {shift{months: 12}, 1000},
		"mo": {shift{months: 1}, 12_000},
		"w":  {shift{days: 7}, 52_000},
		"d":  {shift{days: 1}, 366_000},
		"h":  {shift{elapsed: time.Hour}, 1_000_000},
		"m":  {shift{elapsed: time.Minute}, 60_000_000},
		"s":  {shift{elapsed: time.Second}, 1_000_000_000},
	}
}

// winSCPUnits are those of %TIMESTAMP-1D%.
func winSCPUnits() map[string]unit {
	u := units()
	return map[string]unit{"y": u["y"], "d": u["d"], "h": u["h"], "n": u["m"], "s": u["s"]}
}

// maxShifts bounds how far several shifts may add up.
const maxShifts = 8

func parseShifts(source string) ([]shift, *mistake) {
	return parseShiftsIn(source, units(), "y, mo, w, d, h, m and s")
}

// parseShiftsIn reads text such as "-1mo+1d", with units in either case.
func parseShiftsIn(source string, units map[string]unit, names string) ([]shift, *mistake) {
	var shifts []shift
	for at := 0; at < len(source); {
		if len(shifts) == maxShifts {
			return nil, mistakef(at, "more than %d shifts", maxShifts)
		}
		next := len(source)
		if i := strings.IndexAny(source[at+1:], "+-"); i >= 0 {
			next = at + 1 + i
		}
		one := source[at+1 : next]
		letters := strings.TrimLeft(one, "0123456789")
		digits := strings.TrimSuffix(one, letters)
		u, ok := units[strings.ToLower(letters)]
		switch {
		case digits == "":
			return nil, mistakef(at, "a shift is + or -, a number and a unit, such as -1d")
		case !ok:
			return nil, mistakef(at+1+len(digits), "%q is not a unit: units are %s", letters, names)
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n > u.most {
			return nil, mistakef(at+1, "%s is too far: the most is %d%s", one, u.most, letters)
		}
		if source[at] == '-' {
			n = -n
		}
		shifts = append(shifts, shift{
			months:  n * u.step.months,
			days:    n * u.step.days,
			elapsed: time.Duration(n) * u.step.elapsed,
		})
		at = next
	}
	return shifts, nil
}

// apply moves t, which is in loc unless an earlier shift gave a time of day
// that loc's clock skips.
func (s shift) apply(t time.Time, loc *time.Location) time.Time {
	if s.months == 0 && s.days == 0 {
		return t.Add(s.elapsed).In(loc)
	}
	year, month, day := t.Date()
	if s.months != 0 {
		first := time.Date(year, month+time.Month(s.months), 1, 0, 0, 0, 0, time.UTC)
		last := first.AddDate(0, 1, -1).Day()
		year, month, day = first.Year(), first.Month(), min(day, last)
	}
	hour, minute, second := t.Clock()
	return onClock(time.Date(year, month, day+s.days, hour, minute, second, t.Nanosecond(), time.UTC), loc)
}

// onClock returns the time at which loc's clock shows what wall shows in UTC:
// the first if there are two. If loc's clock skips it, the result still shows
// it, with the offset from before the gap: time.Date would move it, and at
// midnight that could mean another day.
func onClock(wall time.Time, loc *time.Location) time.Time {
	// A day is more than any clock was ever moved at once, so one of these
	// offsets holds before a change that is near, and the other after it.
	// Where there is none, they are the same.
	_, before := wall.Add(-25 * time.Hour).In(loc).Zone()
	_, after := wall.Add(25 * time.Hour).In(loc).Zone()
	for _, offset := range []int{before, after} {
		if t := wall.Add(-time.Duration(offset) * time.Second).In(loc); sameClock(t, wall) {
			return t
		}
	}
	skipped := wall.Add(-time.Duration(before) * time.Second)
	zone, _ := wall.Add(-25 * time.Hour).In(loc).Zone()
	return skipped.In(time.FixedZone(zone, before))
}

func sameClock(a, b time.Time) bool {
	return a.Day() == b.Day() && a.Hour() == b.Hour() && a.Minute() == b.Minute() && a.Second() == b.Second()
}
