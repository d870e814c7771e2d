// Package cron reads cron expressions and says when they fire next.
//
// An expression has five fields (minute, hour, day of month, month, day of
// week) or six (seconds first), as in crontab(5) of Vixie cron; or it is
// @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, or
// "@every 15m". If both the day of month and the day of week are restricted,
// that is, neither begins with *, a day that fits either of them counts. 7 is
// Sunday, as 0 is. Left out: @reboot, a zone inside the expression, and the
// letters of Quartz and Jenkins (L, W, #, H).
//
// # Daylight saving
//
// Expressions are read on the wall clock of the schedule's zone, which now and
// then skips a time or shows one twice. No firing is lost to that, and none is
// doubled:
//
//   - A time that the clock skips fires once, at the first instant after the
//     gap. "30 2 * * *" fires at 03:00 on the day on which 02:00 to 03:00 is
//     missing. Several skipped times are one firing, and if the first instant
//     after the gap is a time of the expression, it is that firing.
//   - A time that the clock shows twice fires the first time only.
//   - Expressions that stand for an interval are the exception, because what
//     counts for them is the time that passes. If the hour field names all
//     hours ("*/30 * * * *", "0 * * * *", @hourly), or the minute or second
//     field begins with * ("*/10 1-5 * * *"), the expression fires in a
//     repeated hour both times. If the hour field names all hours, nothing is
//     made up for an hour that is missing altogether either: no time passed.
//
// Vixie cron draws the same line between fixed times and intervals, with one
// difference: it counts a step in the hour field ("0 */6 * * *") as an
// interval, and so loses or doubles such a firing. Here that means the same as
// "0 0,6,12,18 * * *".
//
// # Intervals
//
// "@every" counts real time, in whole seconds, from midnight of Monday 1
// January 2024 in the schedule's zone. So a restart does not move it, every
// node of a cluster agrees, "@every 1h" is on the hour, "@every 24h" at
// midnight and "@every 168h" on Mondays: as long as the clock stands as it did
// on that day, which in half of the year it does not where there is daylight
// saving. For the same time of day all year, say @daily.
//
// # The parser
//
// github.com/robfig/cron/v3 reads the single fields, and nothing else of it is
// used: its Next loses or doubles firings when the clock changes, its day rule
// takes "*/2" for a restriction, and its parser panics on "TZ=UTC" alone.
package cron

import (
	"fmt"
	"strings"
	"time"

	// Windows has no zone database of its own, nor have small containers: a
	// job's zone must be found there too, and mean the same.
	_ "time/tzdata"
)

// Bounds of what Parse reads: far beyond any real schedule, so that a broken
// or hostile file costs little.
const (
	maxExprs = 100
	maxBytes = 1024
)

// A Schedule is one expression or the union of several, in a zone. It is
// immutable and safe for concurrent use.
type Schedule struct {
	loc   *time.Location
	exprs []string
	rules []rule
}

// A rule is one parsed expression.
type rule interface {
	// next returns the first firing after an instant, both in seconds since
	// the Unix epoch; ok is false if there is none within the horizon.
	next(loc *time.Location, after int64) (firing int64, ok bool)
}

// A SyntaxError says what is wrong with an expression.
type SyntaxError struct {
	Expr string // the expression as it was given
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("cron expression %q: %s", e.Expr, e.Msg) }

// Parse reads expressions for the wall clock of loc; nil is UTC. The schedule
// fires whenever one of them does, and once if several do at the same instant.
// Errors are *SyntaxError; an expression that can never fire, such as
// "0 0 31 2 *", is one.
func Parse(loc *time.Location, exprs ...string) (*Schedule, error) {
	if loc == nil {
		loc = time.UTC
	}
	switch {
	case len(exprs) == 0:
		return nil, &SyntaxError{Msg: "there is none"}
	case len(exprs) > maxExprs:
		return nil, &SyntaxError{Expr: exprs[maxExprs], Msg: fmt.Sprintf("one schedule takes at most %d expressions", maxExprs)}
	}
	s := &Schedule{loc: loc}
	for _, expr := range exprs {
		if len(expr) > maxBytes {
			return nil, &SyntaxError{Expr: expr[:40] + "...", Msg: fmt.Sprintf("longer than %d bytes", maxBytes)}
		}
		r, err := parse(loc, expr)
		if err != nil {
			return nil, &SyntaxError{Expr: expr, Msg: err.Error()}
		}
		s.exprs = append(s.exprs, strings.Join(strings.Fields(expr), " "))
		s.rules = append(s.rules, r)
	}
	return s, nil
}

// Next returns the first firing later than after, in the schedule's zone. It
// is the zero time if there is none in the next 41 years, which is only so
// near the end of year 9999.
func (s *Schedule) Next(after time.Time) time.Time {
	// Unix rounds down, so a firing is later than after whatever its
	// nanoseconds are.
	from := after.Unix()
	if from < firstSecond() || from > lastSecond() {
		return time.Time{}
	}
	var first int64
	found := false
	for _, r := range s.rules {
		if at, ok := r.next(s.loc, from); ok && (!found || at < first) {
			first, found = at, true
		}
	}
	if !found || first > lastSecond() {
		return time.Time{}
	}
	return time.Unix(first, 0).In(s.loc)
}

// firstSecond and lastSecond bound the times that Next works on. The first
// leaves room for the zero time.Time in any zone.
func firstSecond() int64 { return time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC).Unix() }
func lastSecond() int64  { return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).Unix() }

// Location returns the zone whose wall clock the schedule follows.
func (s *Schedule) Location() *time.Location { return s.loc }

// String returns the expressions, without needless spaces, separated by "; ".
func (s *Schedule) String() string { return strings.Join(s.exprs, "; ") }
