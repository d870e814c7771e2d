package cron

import (
	"math"
	"time"
)

// A stretch is a time in which a zone's clock runs evenly: from one change of
// its offset, or of its name, or the turn of a year, to the next. Its fields are
// seconds; start and end count from the Unix epoch.
type stretch struct {
	start, end int64
	offset     int64 // wall clock less UTC
}

// Where a zone has no first or last change. The numbers leave room to add to.
const (
	farPast   = math.MinInt64 / 4
	farFuture = math.MaxInt64 / 4
)

// stretchAt returns the stretch that holds an instant: start <= at < end.
func stretchAt(loc *time.Location, at int64) stretch {
	t := time.Unix(at, 0).In(loc)
	_, offset := t.Zone()
	s := stretch{start: farPast, end: farFuture, offset: int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		s.start = min(start.Unix(), at)
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	if s.end <= at {
		// Beyond the years that the zone database lists, ZoneBounds ends a
		// stretch with the 365th day of the year. In a leap year that is a day
		// early, and on 31 December in the past (golang/go#81583).
		s.end = time.Date(t.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return s
}

// maxShift is more than any zone ever moved its clock at once: Samoa skipped
// 30 December 2011.
const maxShift = 25 * hour

// shownBefore returns the wall-clock time up to which loc's clock had run when
// the stretch began. Where the stretch begins later than that, there is a gap;
// where it begins earlier, times are shown again.
func shownBefore(loc *time.Location, s stretch) int64 {
	shown := int64(farPast)
	for at := s.start; at > s.start-maxShift && at > farPast; {
		p := stretchAt(loc, at-1)
		shown = max(shown, at+p.offset)
		at = p.start
	}
	return shown
}

// next walks along the stretches of the zone from the second after an instant.
func (t *times) next(loc *time.Location, after int64) (int64, bool) {
	limit := after + horizon
	for at := after + 1; at < limit; {
		s := stretchAt(loc, at)
		from := at + s.offset
		if s.start != farPast && at-s.start < maxShift {
			shown := shownBefore(loc, s)
			if at == s.start && t.missed(shown, from) {
				return at, true
			}
			if !t.interval {
				from = max(from, shown)
			}
		}
		if wall, ok := t.find(from, min(s.end, limit)+s.offset); ok {
			return wall - s.offset, true
		}
		at = s.end
	}
	return 0, false
}

// missed reports whether a gap of the wall clock, [from, to), holds a time
// that is to be made up. It is empty if from is not before to.
func (t *times) missed(from, to int64) bool {
	if !t.everyHour {
		_, ok := t.find(from, to)
		return ok
	}
	// An hour that is missing altogether did not pass. One that is there in
	// part did: Lord Howe Island's clock goes from 02:00 to 02:30.
	_, head := t.find(from, min(to, -floorDiv(-from, hour)*hour))
	_, tail := t.find(max(from, floorDiv(to, hour)*hour), to)
	return head || tail
}
