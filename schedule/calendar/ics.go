package calendar

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An event is one of an iCalendar file: whole days, or from an instant on.
type event struct {
	summary string
	start   time.Time // of whole days, midnight UTC of the first
	whole   bool
	days    int           // of whole days: how many
	lasts   time.Duration // else
	yearly  bool
	count   int       // of yearly: how often it comes; 0: for ever
	until   time.Time // likewise: the last start; zero: for ever
}

func (e *event) holds(at time.Time) (string, bool) {
	if !e.yearly {
		return e.summary, e.during(e.start, at)
	}
	for _, year := range []int{at.Year() - 1, at.Year(), at.Year() + 1} {
		n := year - e.start.Year()
		start := time.Date(year, e.start.Month(), e.start.Day(), e.start.Hour(), e.start.Minute(), e.start.Second(), 0, e.start.Location())
		switch {
		case n < 0, e.count > 0 && n >= e.count, start.Day() != e.start.Day(): // a day that the year lacks: RFC 5545 3.3.10
		case !e.until.IsZero() && start.After(e.until):
		case e.during(start, at):
			return e.summary, true
		}
	}
	return "", false
}

// during reports whether an instant is within the event that begins at start.
func (e *event) during(start, at time.Time) bool {
	if e.whole {
		first := dayOf(start)
		n := dayOf(at)
		return first <= n && n < first+day(e.days)
	}
	return !at.Before(start) && at.Before(start.Add(e.lasts))
}

// A property is a line of a file: NAME;PARAM=VALUE:VALUE (RFC 5545 3.1).
type property struct {
	line   int
	name   string
	params map[string]string
	value  string
}

// parseFile reads the events of a file.
func parseFile(zone *time.Location, data []byte) ([]item, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("it has %d bytes, and %d are the most", len(data), MaxFile)
	}
	var items []item
	var open []property // of the event that is being read
	inside, begun := false, false
	nested := 0 // components within an event, such as alarms
	for _, l := range unfold(data) {
		p, err := parseLine(l)
		if err != nil {
			return nil, err
		}
		switch value := strings.ToUpper(p.value); {
		case p.name == "BEGIN" && value == "VCALENDAR":
			begun = true
		case !begun:
			return nil, fmt.Errorf("line %d: it does not begin with BEGIN:VCALENDAR", p.line)
		case p.name == "BEGIN" && value == "VEVENT" && !inside:
			inside, open, nested = true, nil, 0
		case p.name == "BEGIN" && inside:
			nested++
		case p.name == "END" && inside && nested > 0:
			nested--
		case p.name == "END" && value == "VEVENT" && inside:
			inside = false
			e, err := newEvent(zone, open)
			if err != nil {
				return nil, err
			}
			if e != nil {
				items = append(items, e)
			}
			if len(items) > maxEvents {
				return nil, fmt.Errorf("line %d: more than %d events", p.line, maxEvents)
			}
		case inside && nested == 0:
			open = append(open, p)
		}
	}
	switch {
	case inside:
		return nil, errors.New("its last event has no END:VEVENT: the file was cut off")
	case len(items) == 0:
		return nil, errors.New("it has no events")
	}
	return items, nil
}

// A line is what stands on one, or on several that are folded (RFC 5545 3.1).
type line struct {
	number int
	text   string
}

func unfold(data []byte) []line {
	var all []line
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	n := 0
	for l := range bytes.Lines(data) {
		n++
		text := strings.TrimRight(string(l), "\r\n")
		switch {
		case len(all) > 0 && (strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t")):
			all[len(all)-1].text += text[1:]
		case text != "":
			all = append(all, line{n, text})
		}
	}
	return all
}

// parseLine splits a line at the colon that stands in no quotes.
func parseLine(l line) (property, error) {
	quoted := false
	at := -1
	for i := 0; i < len(l.text) && at < 0; i++ {
		switch l.text[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				at = i
			}
		}
	}
	if at < 0 {
		return property{}, fmt.Errorf("line %d: it is none of an iCalendar file", l.number)
	}
	parts := strings.Split(l.text[:at], ";")
	p := property{line: l.number, name: strings.ToUpper(parts[0]), params: map[string]string{}, value: strings.TrimSpace(l.text[at+1:])}
	for _, param := range parts[1:] {
		name, value, _ := strings.Cut(param, "=")
		p.params[strings.ToUpper(name)] = strings.Trim(value, `"`)
	}
	return p, nil
}

// newEvent makes an event of its properties (RFC 5545 3.6.1); nil: it was called
// off.
func newEvent(zone *time.Location, all []property) (*event, error) {
	e := &event{summary: "an event of the calendar"}
	var start, end, duration, rule *property
	for i := range all {
		p := &all[i]
		switch p.name {
		case "DTSTART":
			start = p
		case "DTEND":
			end = p
		case "DURATION":
			duration = p
		case "RRULE":
			rule = p
		case "SUMMARY":
			if text := unescape(p.value); text != "" {
				e.summary = text
			}
		case "STATUS":
			if strings.EqualFold(p.value, "CANCELLED") {
				return nil, nil
			}
		case "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID":
			return nil, fmt.Errorf("line %d: %s is not understood: write the days as events of their own", p.line, p.name)
		}
	}
	if start == nil {
		line := 0
		if len(all) > 0 {
			line = all[0].line
		}
		return nil, fmt.Errorf("line %d: an event without DTSTART", line)
	}
	var err error
	if e.start, e.whole, err = start.time(zone); err != nil {
		return nil, err
	}
	if err := e.setEnd(zone, end, duration); err != nil {
		return nil, err
	}
	if rule != nil {
		if err := e.setRule(zone, rule); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// setEnd says how long an event lasts: one day, or no time at all, if it does not
// say.
func (e *event) setEnd(zone *time.Location, end, duration *property) error {
	e.days = 1
	switch {
	case end != nil:
		at, whole, err := end.time(zone)
		switch {
		case err != nil:
			return err
		case whole != e.whole:
			return fmt.Errorf("line %d: DTEND is a date and DTSTART a time, or the other way round", end.line)
		case at.Before(e.start):
			return fmt.Errorf("line %d: the event ends before it begins", end.line)
		}
		e.lasts, e.days = at.Sub(e.start), max(1, int(dayOf(at)-dayOf(e.start)))
	case duration != nil:
		d, err := parseDuration(duration.value)
		if err != nil {
			return fmt.Errorf("line %d: %w", duration.line, err)
		}
		e.lasts, e.days = d, max(1, int(d/(24*time.Hour)))
	}
	return nil
}

// setRule takes rules that come every year, on the day of the first.
func (e *event) setRule(zone *time.Location, p *property) error {
	refused := fmt.Errorf("line %d: the rule %q is not understood: only FREQ=YEARLY with COUNT or UNTIL is; write the days as events of their own", p.line, p.value)
	for part := range strings.SplitSeq(strings.ToUpper(p.value), ";") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "FREQ":
			e.yearly = value == "YEARLY"
		case "INTERVAL":
			if value != "1" {
				return refused
			}
		case "COUNT":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return refused
			}
			e.count = n
		case "UNTIL":
			until := property{line: p.line, value: value}
			at, _, err := until.time(zone)
			if err != nil {
				return err
			}
			e.until = at
		case "BYMONTH":
			if value != strconv.Itoa(int(e.start.Month())) {
				return refused
			}
		case "BYMONTHDAY":
			if value != strconv.Itoa(e.start.Day()) {
				return refused
			}
		case "WKST":
		default:
			return refused
		}
	}
	if !e.yearly {
		return refused
	}
	return nil
}

// time reads a date or a time (RFC 5545 3.3.4 and 3.3.5): in UTC, in the zone that
// it names, or in the calendar's own.
func (p *property) time(zone *time.Location) (at time.Time, whole bool, err error) {
	const date, local, utc = "20060102", "20060102T150405", "20060102T150405Z"
	if name := p.params["TZID"]; name != "" {
		if zone, err = time.LoadLocation(name); err != nil || name == "Local" {
			return at, false, fmt.Errorf("line %d: no time zone %q is known", p.line, name)
		}
	}
	switch len(p.value) {
	case len(date):
		at, err = time.Parse(date, p.value)
		whole = true
	case len(utc):
		at, err = time.Parse(utc, p.value)
	default:
		at, err = time.ParseInLocation(local, p.value, zone)
	}
	if err != nil {
		return at, false, fmt.Errorf("line %d: %q is no date and no time", p.line, p.value)
	}
	return at, whole, nil
}

// parseDuration reads P1D, PT8H30M and the like (RFC 5545 3.3.6).
func parseDuration(s string) (time.Duration, error) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(s, "+"), "P")
	var sum time.Duration
	units := map[byte]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour}
	for ok && rest != "" {
		if after, found := strings.CutPrefix(rest, "T"); found {
			rest, units = after, map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}
		}
		i := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
		if i < 1 || i > 5 || units[rest[i]] == 0 {
			ok = false
			break
		}
		n, err := strconv.Atoi(rest[:i])
		if err != nil {
			ok = false
			break
		}
		sum += time.Duration(n) * units[rest[i]]
		rest = rest[i+1:]
	}
	if !ok || sum <= 0 {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	return sum, nil
}

// unescape takes the escapes out of a text (RFC 5545 3.3.11), and what would not
// fit on one line.
func unescape(s string) string {
	const most = 200
	s = strings.NewReplacer(`\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";", `\\`, `\`).Replace(s)
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(s); len(r) > most {
		s = string(r[:most])
	}
	return strings.TrimSpace(s)
}
