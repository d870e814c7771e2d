package stamp

import (
	"slices"
	"strings"
	"time"

	"linehaul/fault"
)

// values are the numbers that the conversions of one group of stamps say, by
// their letters.
type values map[byte]int64

// A reading says how instants are read from a template: by the stamps that
// have the same shifts as one of them, and what these say.
type reading struct {
	shifts []shift
	parts  map[int]bool // whose values are taken; the others are compared only
	clock  map[int]bool // whose time of day is taken besides
	step   time.Duration
}

// readingOf chooses the stamps by which instants are read: those that say the
// most.
func readingOf(parts []part) (reading, *mistake) {
	var best reading
	var first *mistake
	offset := 0
	for i, p := range parts {
		if p.stamp == date {
			r, says := groupOf(parts, i)
			step, why := says.step()
			if why != "" && first == nil {
				first = mistakef(offset, "no name can be read back: %s", why)
			}
			if r.step = step; why == "" && (best.step == 0 || step < best.step) {
				best = r
			}
		}
		offset += len(p.source)
	}
	switch {
	case best.step > 0:
		return best, nil
	case first != nil:
		return best, first
	}
	return best, mistakef(0, "no name can be read back: there is no {date} or {time} in it")
}

// groupOf collects the stamps that are shifted as one of them is, and what
// they say together. Shifts by the calendar leave the time of day as it is, so
// that stamps which are shifted otherwise may still say it.
func groupOf(parts []part, of int) (reading, values) {
	r := reading{shifts: parts[of].shifts, parts: map[int]bool{}, clock: map[int]bool{}}
	says := values{}
	for i, p := range parts {
		if p.stamp != date {
			continue
		}
		same := slices.Equal(p.shifts, r.shifts)
		if !same && (!byCalendar(p.shifts) || !byCalendar(r.shifts)) {
			continue
		}
		r.parts[i], r.clock[i] = same, !same
		for _, c := range conversionsOf(p.format) {
			if c.letter != 0 && (same || ofClock(c.letter)) {
				says[c.letter] = 1
			}
		}
	}
	return r, says
}

func byCalendar(shifts []shift) bool {
	return !slices.ContainsFunc(shifts, func(s shift) bool { return s.elapsed != 0 })
}

// ofClock: a conversion that says something of the time of day.
func ofClock(letter byte) bool { return strings.IndexByte("HkIlpPMSLfN", letter) >= 0 }

func (v values) has(letters string) bool {
	return strings.ContainsFunc(letters, func(r rune) bool { _, ok := v[byte(r)]; return ok })
}

// step is the longest time in which what the letters say stays the same, or
// what is missing to read an instant from them. Nothing may be left out
// between the year and the smallest unit: what is said then would come again.
func (v values) step() (time.Duration, string) {
	const day = 24 * time.Hour
	var step time.Duration
	switch iso, years := v.has("Gg"), v.has("Yy"); {
	case v.has("s"):
		return time.Second, ""
	case !iso && !years:
		return 0, "the date in it has no year"
	case years && v.has("mbBh") && v.has("de"), years && v.has("j"), iso && v.has("V") && v.has("aAuw"), years && v.has("UW") && v.has("aAuw"):
		step = day + 2*time.Hour
	case v.has("de"):
		return 0, "it has the day of a month, and not the month and the year"
	case iso && v.has("V"), years && v.has("UW"):
		step = 7*day + 2*time.Hour
	case iso && !years:
		return 0, "%G is the year of the week %V: for days and months, the year is %Y"
	case v.has("V"):
		return 0, "%V is the week of the year %G, and not of %Y"
	case v.has("aAuw"):
		return 0, "it has the day of a week, and not which week"
	case v.has("mbBh"):
		step = 31*day + 2*time.Hour
	default:
		step = 366*day + 2*time.Hour
	}
	hour := v.has("Hk") || v.has("Il") && v.has("pP")
	switch {
	case v.has("Il") && !hour:
		return 0, "it has the hours of a clock to 12, and not %p"
	case step > 2*day && v.has("HkIlpPMSLfN"):
		return 0, "it has the time, and not the day"
	case !hour && v.has("pPMSLfN"):
		return 0, "it has a part of an hour, and not the hour"
	case !v.has("M") && v.has("SLfN"):
		return 0, "it has a part of a minute, and not the minute"
	case !v.has("S") && v.has("LfN"):
		return 0, "it has a part of a second, and not the second"
	case v.has("S"):
		return 2*time.Hour + time.Second, "" // two hours: the clock may show it twice
	case v.has("M"):
		return 2*time.Hour + time.Minute, ""
	case hour:
		return 3 * time.Hour, ""
	}
	return step, ""
}

// wall is the earliest time on the clock's face that shows the values, as if
// in UTC. It is false for a date that there is none of.
func (v values) wall() (time.Time, bool) {
	get := func(letters string) (int, bool) {
		for _, l := range []byte(letters) {
			if n, ok := v[l]; ok {
				return int(n), true
			}
		}
		return 0, false
	}
	year, hasYear := get("Y")
	if short, ok := get("y"); ok && !hasYear {
		year, hasYear = pivot(v, short), true
	}
	month, hasMonth := get("mbBh")
	day, hasDay := get("de")
	weekday, hasWeekday := get("waA")
	if n, ok := get("u"); ok {
		weekday, hasWeekday = n%7, true
	}
	var t time.Time
	switch {
	case hasYear && hasMonth && hasDay:
		t = time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
		if t.Day() != day {
			return t, false
		}
	case hasYear && v.has("j"):
		t = time.Date(year, 1, int(v['j']), 0, 0, 0, 0, time.UTC)
		if t.Year() != year {
			return t, false
		}
	case v.has("Gg") && v.has("V"):
		iso, ok := get("G")
		if !ok {
			iso = pivot(v, int(v['g']))
		}
		t = isoWeek(iso, int(v['V']))
		if hasWeekday {
			t = t.AddDate(0, 0, (weekday+6)%7)
		}
	case hasYear && v.has("UW"):
		first, week := time.Sunday, v['U']
		if n, ok := v['W']; ok {
			first, week = time.Monday, n
		}
		t = weekOf(year, int(week), first)
		if hasWeekday {
			t = t.AddDate(0, 0, (weekday-int(t.Weekday())+7)%7)
		}
	case hasYear && hasMonth:
		t = time.Date(year, time.Month(month), 1, 0, 0, 0, 0, time.UTC)
	case hasYear:
		t = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	default:
		return t, false
	}
	hour, ok := get("Hk")
	if h, has := get("Il"); has && !ok {
		half, _ := get("pP")
		hour = h%12 + 12*half
	}
	minute, _ := get("M")
	second, _ := get("S")
	return t.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second + v.fraction()), true
}

func (v values) fraction() time.Duration {
	for letter, unit := range map[byte]time.Duration{'N': time.Nanosecond, 'f': time.Microsecond, 'L': time.Millisecond} {
		if n, ok := v[letter]; ok && (letter == 'N' || !v.has("N") && (letter == 'f' || !v.has("f"))) {
			return time.Duration(n) * unit
		}
	}
	return 0
}

// pivot is the year that two digits stand for: in the century that is given,
// or else as POSIX has it for %y in strptime.
func pivot(v values, short int) int {
	century, ok := v['C']
	switch {
	case ok:
		return int(century)*100 + short
	case short < 69:
		return 2000 + short
	}
	return 1900 + short
}

// isoWeek is the Monday of a week of ISO 8601: week 1 has 4 January.
func isoWeek(year, week int) time.Time {
	fourth := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC)
	return fourth.AddDate(0, 0, -(int(fourth.Weekday())+6)%7+7*(week-1))
}

// weekOf is the first day in a year of a week by %U or %W: week 1 begins with
// the first such weekday, and week 0 is what is before it.
func weekOf(year, week int, first time.Weekday) time.Time {
	january := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	if week == 0 {
		return january
	}
	return january.AddDate(0, 0, (int(first-january.Weekday())+7)%7+7*(week-1))
}

// maxCandidates bounds how many instants are tried for one name.
const maxCandidates = 256

// An inverter undoes shifts. What it gives are candidates: whether the name
// comes out of them is seen by making it.
type inverter struct {
	zone *time.Location
	all  []time.Time
}

// fromWall finds what may be shown as wall after the shifts.
func (c *inverter) fromWall(shifts []shift, wall time.Time) {
	if len(c.all) >= maxCandidates {
		return
	}
	n := len(shifts)
	if n == 0 || shifts[n-1].elapsed != 0 {
		for _, t := range instants(wall, c.zone) {
			c.fromInstant(shifts, t)
		}
		return
	}
	for _, w := range shifts[n-1].undo(wall) {
		c.fromWall(shifts[:n-1], w)
	}
}

// fromInstant finds what may be t after the shifts.
func (c *inverter) fromInstant(shifts []shift, t time.Time) {
	n := len(shifts)
	switch {
	case len(c.all) >= maxCandidates:
	case n == 0:
		c.all = append(c.all, t)
	case shifts[n-1].elapsed != 0:
		c.fromInstant(shifts[:n-1], t.Add(-shifts[n-1].elapsed))
	default:
		for _, w := range walls(t, c.zone) {
			c.fromWall(shifts, w)
		}
	}
}

// undo returns the walls that a shift by the calendar moves to wall: several
// where the end of a month cut them down to its last day.
func (s shift) undo(wall time.Time) []time.Time {
	if s.months == 0 {
		return []time.Time{wall.AddDate(0, 0, -s.days)}
	}
	y, m, d := wall.Date()
	first := time.Date(y, m-time.Month(s.months), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	isLast := midnight.AddDate(0, 0, 1).Day() == 1
	var all []time.Time
	for day := d; day <= last && (day == d || isLast); day++ {
		all = append(all, first.AddDate(0, 0, day-1).Add(wall.Sub(midnight)))
	}
	return all
}

// offsets are those that a zone has about a time on its clock's face.
func offsets(wall time.Time, zone *time.Location) []time.Duration {
	_, before := wall.Add(-25 * time.Hour).In(zone).Zone()
	_, after := wall.Add(25 * time.Hour).In(zone).Zone()
	all := []time.Duration{time.Duration(before) * time.Second}
	if after != before {
		all = append(all, time.Duration(after)*time.Second)
	}
	return all
}

// instants are when a zone's clock may show wall.
func instants(wall time.Time, zone *time.Location) []time.Time {
	var all []time.Time
	for _, o := range offsets(wall, zone) {
		all = append(all, wall.Add(-o))
	}
	return all
}

// walls are what a zone's clock may show at t, if a shift had it skip a time.
func walls(t time.Time, zone *time.Location) []time.Time {
	var all []time.Time
	for _, o := range offsets(t, zone) {
		all = append(all, t.UTC().Add(o))
	}
	return all
}

// instant finds the earliest instant for which the stamps give what the name
// has.
func (m *Matcher) instant(dates map[int]values, texts map[int]string) (time.Time, bool) {
	says := values{}
	for i, v := range dates {
		for letter, n := range v {
			if m.when.parts[i] || m.when.clock[i] && ofClock(letter) {
				says[letter] = n
			}
		}
	}
	c := inverter{zone: m.zone}
	if n, ok := says['s']; ok {
		c.fromInstant(m.when.shifts, time.Unix(n, 0).Add(says.fraction()))
	} else if wall, ok := says.wall(); ok {
		c.fromWall(m.when.shifts, wall)
	}
	slices.SortFunc(c.all, time.Time.Compare)
	for _, t := range c.all {
		if m.gives(t, texts) {
			return t.In(m.zone), true
		}
	}
	return time.Time{}, false
}

// gives reports whether the stamps say at t what the name has.
func (m *Matcher) gives(t time.Time, texts map[int]string) bool {
	for i, want := range texts {
		if m.parts[i].stamp != date {
			continue
		}
		got, err := m.parts[i].expandTime(t, m.zone, fault.Internal)
		if err != nil || got != want {
			return false
		}
	}
	return true
}

// probe reads back names that the template gives, so that one which cannot be
// read is refused before any file depends on it.
func (m *Matcher) probe(t *Template, k Known) *mistake {
	at := time.Date(2023, 12, 28, 23, 58, 59, 987654321, k.Zone)
	for range 24 {
		v := Values{
			At: at, Job: k.Job, Host: k.Host, Run: "20231231T235959Z-0a1b2c3d",
			Name: "probe.one", Path: "folder/probe.one", MTime: at.Add(-time.Hour),
		}
		at = at.Add(73*24*time.Hour + 7*time.Hour + 13*time.Minute + 7*time.Second)
		name, err := t.Expand(v)
		if err != nil {
			return mistakef(0, "no name can be read back: %v", err)
		}
		below := name[len(m.dir):]
		if k.Windows {
			below = strings.ReplaceAll(below, `\`, "/")
		}
		switch found, ok := m.Match(below); {
		case !ok, found.At.After(v.At):
			return mistakef(0, "no name can be read back: %q does not tell the whole date", below)
		case found.At.IsZero():
			return mistakef(0, "no name can be read back: %q could be read in more than one way", below)
		case v.At.Sub(found.At) > m.when.step+5*24*time.Hour:
			return mistakef(0, "no name can be read back: %q would be the same at another time, as on %s", below, found.At.Format(time.DateOnly))
		}
	}
	return nil
}
