package cron

import (
	"math/bits"
	"time"
)

// times is a set of wall-clock times: the fields of one expression. Bit n of a
// field says that it has the value n.
type times struct {
	second, minute, hour, dom, month, dow uint64

	eitherDay bool // dom or dow fits, where otherwise both must
	everyHour bool // the hour field names all hours
	interval  bool // fires both times in a repeated hour
}

const (
	hour = 60 * 60
	day  = 24 * hour

	// horizon bounds a search, in seconds. It is so long because 29 February
	// falls on a given day of the week as seldom as every 40 years: on Sundays
	// of 2088 and 2128, as 2100 is no leap year.
	horizon = 41*366*day + day
)

// everFires looks for a day that fits in a stretch of the calendar that has
// all days: every date on every day of the week.
func (t *times) everFires() bool {
	from := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	_, ok := t.find(from, from+horizon)
	return ok
}

// find returns the first time of the set in [from, to). Wall-clock times are
// counted in seconds as if they were UTC.
func (t *times) find(from, to int64) (int64, bool) {
	for midnight := floorDiv(from, day) * day; midnight < to; {
		date := time.Unix(midnight, 0).UTC()
		if !has(t.month, int(date.Month())) {
			midnight = time.Date(date.Year(), date.Month()+1, 1, 0, 0, 0, 0, time.UTC).Unix()
			continue
		}
		if t.fitsDay(date) {
			if clock, ok := t.timeOfDay(int(max(from-midnight, 0))); ok {
				at := midnight + int64(clock)
				return at, at < to
			}
		}
		midnight += day
	}
	return 0, false
}

func (t *times) fitsDay(date time.Time) bool {
	dom, dow := has(t.dom, date.Day()), has(t.dow, int(date.Weekday()))
	if t.eitherDay {
		return dom || dow
	}
	return dom && dow
}

// timeOfDay returns the first second of the day, not before from, that fits.
func (t *times) timeOfDay(from int) (int, bool) {
	h, m, s := from/hour, from/60%60, from%60
	if !has(t.hour, h) {
		m, s = 0, 0
		if h = following(t.hour, h); h < 0 {
			return 0, false
		}
	}
	if !has(t.minute, m) {
		s = 0
		m = following(t.minute, m)
	}
	if m >= 0 {
		if s = following(t.second, s); s >= 0 {
			return h*hour + m*60 + s, true
		}
		m = following(t.minute, m+1)
	}
	if m < 0 {
		if h = following(t.hour, h+1); h < 0 {
			return 0, false
		}
		m = following(t.minute, 0)
	}
	return h*hour + m*60 + following(t.second, 0), true
}

func has(set uint64, value int) bool { return set&(1<<value) != 0 }

// following returns the least value of set that is not below from, or -1.
func following(set uint64, from int) int {
	if rest := set >> from; rest != 0 {
		return from + bits.TrailingZeros64(rest)
	}
	return -1
}
