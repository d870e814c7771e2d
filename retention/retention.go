// Package retention decides which of the dated copies of one file are kept and
// which may go. It reads no clock and no disk: instants come in, decisions go
// out.
//
// # The rules
//
// The copies of a series are looked at from the newest to the oldest, by the
// instant in the name of each. A copy that at least one rule keeps is kept.
//
//	Last n      the n newest copies
//	Daily n     of each of the last n days that have a copy, the newest of it
//	Weekly n    of each of the last n weeks that have a copy, the newest of it
//	Monthly n   likewise for months
//	Yearly n    likewise for years
//	Within d    every copy that is at most d older than the newest
//
// Days, weeks, months and years are those of the calendar in the given zone: a
// day at a change of the clock has 23 or 25 hours, and is one day. Weeks are
// those of ISO 8601: they begin on Monday, and the first week of a year is the
// one with its first Thursday. A day without a copy is not counted, so that a
// job which stood still for a month keeps as many copies as one which did not.
//
// Within counts real time from the newest copy, not from now, for the same
// reason. With a day or more, it goes back to the beginning of the calendar
// day that it arrives in, so that a change of the clock drops no copy an hour
// too early.
//
// # What is never removed
//
// Whatever the rules say, these are kept: every copy, if the policy names no
// rule; a copy without a date; a copy dated after now; a copy that the run
// which asks has just made; the newest copy that is not known to be bad; and
// every copy, where all of them are.
//
// A copy that is known to be bad takes no place from another: the rules are
// applied to the others as if it were not there. Whether it is kept itself is
// decided with all copies in view.
//
// # What follows from them
//
// Deciding again about what was kept keeps all of it. Of two policies with a
// rule, the one that is nowhere smaller keeps all that the other keeps.
// Deciding every day about what the day before left ends with the same copies
// as deciding once about all that there ever were.
package retention

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy says what is kept. Each rule keeps copies by itself; a number below 1
// is no rule. The zero value removes nothing.
type Policy struct {
	Last, Daily, Weekly, Monthly, Yearly int
	Within                               time.Duration
}

// Empty reports whether the policy names no rule, so that nothing is removed.
func (p Policy) Empty() bool {
	return p.Last < 1 && p.Daily < 1 && p.Weekly < 1 && p.Monthly < 1 && p.Yearly < 1 && p.Within <= 0
}

// Copy is one copy of a series.
type Copy struct {
	Name string    // tells it from the others of its series
	At   time.Time // read from its name; zero if that holds no date
	Bad  bool      // it is known not to be what was copied
	New  bool      // the run that asks has made it
}

// Decision is what becomes of a copy, and why.
type Decision struct {
	Copy    Copy
	Keep    bool
	Reasons []Reason // all that hold; at least one
}

// Why returns the reasons on one line.
func (d Decision) Why() string {
	texts := make([]string, len(d.Reasons))
	for i, r := range d.Reasons {
		texts[i] = r.String()
	}
	return strings.Join(texts, ", ")
}

// Rule is the kind of a reason.
type Rule string

// All reasons that there are. Those up to Within name what they count.
const (
	Last    Rule = "last"    // the number of the policy: last 3
	Daily   Rule = "daily"   // the day: daily 2026-11-23
	Weekly  Rule = "weekly"  // the week: weekly 2026-W48
	Monthly Rule = "monthly" // the month: monthly 2026-11
	Yearly  Rule = "yearly"  // the year: yearly 2026
	Within  Rule = "within"  // the duration of the policy: within 30d

	NewestGood Rule = "newest good copy" // and no other rule keeps it
	MadeNow    Rule = "made by this run"
	Future     Rule = "dated in the future"
	Undated    Rule = "no date in its name"
	NoneGood   Rule = "no copy is known to be good"
	NoPolicy   Rule = "nothing is to be removed"

	None Rule = "no rule keeps it" // the one reason to remove a copy
)

// Reason is a rule, with what it counts if it counts.
type Reason struct {
	Rule Rule
	What string
}

// String returns the reason as people read it.
func (r Reason) String() string {
	if r.What == "" {
		return string(r.Rule)
	}
	return string(r.Rule) + " " + r.What
}

// Apply decides about the copies of one series, in the order in which they
// come. The order does not matter to what is decided; of copies with the same
// instant, the one whose name sorts last counts as the newest.
func Apply(p Policy, copies []Copy, now time.Time, zone *time.Location) []Decision {
	decisions := make([]Decision, len(copies))
	var all, good []*Decision
	for i, c := range copies {
		d := &decisions[i]
		d.Copy = c
		if c.New {
			d.add(MadeNow, "")
		}
		switch {
		case p.Empty():
			d.add(NoPolicy, "")
		case c.At.IsZero():
			d.add(Undated, "")
		case c.At.After(now):
			d.add(Future, "")
		default:
			all = append(all, d)
			if !c.Bad {
				good = append(good, d)
			}
		}
	}
	sortNewestFirst(all)
	sortNewestFirst(good)
	p.rules(good, zone, func(*Decision) bool { return true })
	p.rules(all, zone, func(d *Decision) bool { return d.Copy.Bad })
	if len(good) == 0 {
		for _, d := range all {
			d.add(NoneGood, "")
		}
	} else if len(good[0].Reasons) == 0 {
		good[0].add(NewestGood, "")
	}
	for i := range decisions {
		if d := &decisions[i]; len(d.Reasons) > 0 {
			d.Keep = true
		} else {
			d.add(None, "")
		}
	}
	return decisions
}

func (d *Decision) add(r Rule, what string) { d.Reasons = append(d.Reasons, Reason{r, what}) }

func sortNewestFirst(ds []*Decision) {
	slices.SortFunc(ds, func(a, b *Decision) int {
		return cmp.Or(b.Copy.At.Compare(a.Copy.At), cmp.Compare(b.Copy.Name, a.Copy.Name))
	})
}

// rules applies each rule to copies that are sorted from the newest on, and
// notes the outcome of those that count.
func (p Policy) rules(ds []*Decision, zone *time.Location, counts func(*Decision) bool) {
	keep := func(d *Decision, r Rule, what string) {
		if counts(d) {
			d.add(r, what)
		}
	}
	for _, d := range ds[:min(len(ds), max(0, p.Last))] {
		keep(d, Last, strconv.Itoa(p.Last))
	}
	for _, period := range []struct {
		rule Rule
		n    int
		name func(time.Time) string
	}{
		{Daily, p.Daily, day}, {Weekly, p.Weekly, week}, {Monthly, p.Monthly, month}, {Yearly, p.Yearly, year},
	} {
		for _, d := range newestOfEach(ds, period.n, func(t time.Time) string { return period.name(t.In(zone)) }) {
			keep(d, period.rule, period.name(d.Copy.At.In(zone)))
		}
	}
	if p.Within > 0 && len(ds) > 0 {
		first := begin(ds[0].Copy.At, p.Within, zone)
		for _, d := range ds {
			if !d.Copy.At.Before(first) {
				keep(d, Within, durationText(p.Within))
			}
		}
	}
}

// newestOfEach returns the newest copy of each of the last n periods that have
// one. The names of periods sort as the periods do.
func newestOfEach(ds []*Decision, n int, period func(time.Time) string) []*Decision {
	if n < 1 {
		return nil
	}
	newest := map[string]*Decision{}
	var names []string
	for _, d := range ds {
		name := period(d.Copy.At)
		if newest[name] == nil {
			newest[name] = d
			names = append(names, name)
		}
	}
	// A clock that is set back over midnight shows the same date twice, with
	// another between.
	slices.Sort(names)
	slices.Reverse(names)
	var kept []*Decision
	for _, name := range names[:min(n, len(names))] {
		kept = append(kept, newest[name])
	}
	return kept
}

func day(t time.Time) string   { return t.Format(time.DateOnly) }
func month(t time.Time) string { return t.Format("2006-01") }
func year(t time.Time) string  { return t.Format("2006") }

func week(t time.Time) string {
	y, w := t.ISOWeek()
	return padded(y, 4) + "-W" + padded(w, 2)
}

func padded(n, width int) string {
	s := strconv.Itoa(n)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

const wholeDay = 24 * time.Hour

// begin is the earliest instant that lies within d of the newest.
func begin(newest time.Time, d time.Duration, zone *time.Location) time.Time {
	t := newest.Add(-d)
	if d < wholeDay {
		return t
	}
	return startOfDay(t.In(zone))
}

// startOfDay is the first instant of t's calendar day in t's zone. It is not
// always shown as midnight: some zones skip that, or show it twice.
func startOfDay(t time.Time) time.Time {
	y, m, d := t.Date()
	wall := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	_, before := wall.Add(-wholeDay).In(t.Location()).Zone()
	_, after := wall.Add(wholeDay).In(t.Location()).Zone()
	// The larger offset gives the earlier instant.
	for _, offset := range []int{max(before, after), min(before, after)} {
		start := wall.Add(-time.Duration(offset) * time.Second).In(t.Location())
		if sy, sm, sd := start.Date(); sd == d && sm == m && sy == y && isMidnight(start) {
			return start
		}
	}
	// Midnight is skipped: the day begins with the change, which is the first
	// instant of the zone's rule that holds after it.
	change, _ := wall.Add(-time.Duration(before) * time.Second).In(t.Location()).ZoneBounds()
	return change
}

func isMidnight(t time.Time) bool {
	h, m, s := t.Clock()
	return h == 0 && m == 0 && s == 0
}

// durationText writes a duration as the configuration has it: in days where it
// is some, and in the smaller units of Go.
func durationText(d time.Duration) string {
	text := ""
	if days := d / wholeDay; days > 0 {
		text = strconv.FormatInt(int64(days), 10) + "d"
		d -= days * wholeDay
	}
	if d == 0 && text != "" {
		return text
	}
	rest := d.String()
	// 1h0m0s is 1h.
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	return text + rest
}
