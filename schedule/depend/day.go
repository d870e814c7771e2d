package depend

import "time"

// A day is a date of the calendar.
type day struct {
	year  int
	month time.Month
	day   int
}

func (d day) next() day {
	y, m, n := time.Date(d.year, d.month, d.day+1, 0, 0, 0, 0, time.UTC).Date()
	return day{y, m, n}
}

func (d day) String() string {
	return time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// dayAt is the day that it is in a zone: the last one that has begun.
func dayAt(loc *time.Location, at time.Time) day {
	y, m, n := at.In(loc).Date()
	d := day{y, m, n}
	for next := d.next(); !at.Before(next.begin(loc)); next = d.next() {
		d = next // the clock went back over midnight
	}
	return d
}

// begin is the first instant of the day.
func (d day) begin(loc *time.Location) time.Time { return d.at(loc, Clock{}) }

// at is the first instant at which the zone's clock shows a time of the day, or a
// later one.
func (d day) at(loc *time.Location, c Clock) time.Time {
	wall := time.Date(d.year, d.month, d.day, c.Hour, c.Minute, 0, 0, time.UTC).Unix()
	// Two days before, no clock of the world shows it yet.
	for at := wall - 2*secondsADay; ; {
		offset, end := stretch(loc, at)
		if shown := max(at, wall-offset); end == 0 || shown < end {
			return time.Unix(shown, 0).In(loc)
		}
		at = end
	}
}

const secondsADay = 24 * 60 * 60

// stretch is what a zone's clock is ahead of UTC at an instant, and when that may
// change; 0: never. All are seconds.
func stretch(loc *time.Location, at int64) (offset, end int64) {
	t := time.Unix(at, 0).In(loc)
	_, o := t.Zone()
	_, bound := t.ZoneBounds()
	if bound.IsZero() {
		return int64(o), 0
	}
	if end = bound.Unix(); end <= at {
		// Beyond the years that the zone database lists, ZoneBounds may be a day
		// early at the end of a year (golang/go#81583).
		end = time.Date(t.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return int64(o), end
}
