package config

import (
	"errors"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"linehaul/bandwidth"
	"linehaul/schedule/week"
)

// timetable is a rate, or a mapping of times to rates, or a list of texts that
// have a time and a rate each. A rate without a time holds at all others.
type timetable struct {
	mark
	other text // not given: off
	zone  text
	rules []timedRate
}

// timedRate is one line of a timetable, with the place of its time.
type timedRate struct {
	at   spot
	span week.Span
	rate text
}

const (
	wantsRate = "a rate such as 2MB/s, 16Mbit/s or off"
	wantsRule = "a time and a rate, such as 08:00-18:00 mon-fri 2MB/s"
	// Keys of the mapping that are no times.
	otherKey, zoneKey = "default", "timezone"
)

func (v *timetable) take(d *decoder, n ast.Node, at spot, _ field) {
	switch n := n.(type) {
	case *ast.MappingNode:
		v.takeMapping(d, n, at)
	case *ast.SequenceNode:
		v.takeList(d, n, at)
	default:
		v.takeRate(d, n, at, &v.other)
	}
	v.set(d.place(n, at), true)
}

// takeRate reads one rate.
func (v *timetable) takeRate(d *decoder, n ast.Node, at spot, into *text) bool {
	var t text
	if !t.read(d, n, at, wantsRate) {
		return false
	}
	if _, err := bandwidth.ParseRate(t.value); err != nil {
		d.problem(t.at, "`%s`: %s", at.name, shown(err.Error())).suggest("bytes are 500kB/s, 2MB/s or 2MiB/s, bits 16Mbit/s; off sets no limit")
		return false
	}
	*into = t
	return true
}

func (v *timetable) takeMapping(d *decoder, m *ast.MappingNode, at spot) {
	for _, e := range d.entries(m, at) {
		n := d.follow(e.value, e.at)
		if n == nil {
			continue
		}
		switch e.name {
		case otherKey:
			v.takeRate(d, n, e.at, &v.other)
		case zoneKey:
			v.zone.read(d, n, e.at, wantsText)
		default:
			r := timedRate{at: e.at}
			if v.span(d, &r, e.name, e.at) && v.takeRate(d, n, e.at, &r.rate) {
				v.rules = append(v.rules, r)
			}
		}
	}
}

func (v *timetable) takeList(d *decoder, list *ast.SequenceNode, at spot) {
	for _, n := range list.Values {
		var t text
		if n = d.follow(n, at); n == nil || !t.read(d, n, at, wantsRule) {
			continue
		}
		split := strings.LastIndexByte(t.value, ' ')
		if _, err := bandwidth.ParseRate(t.value[split+1:]); err != nil {
			d.problem(t.at, "`%s` wants %s, got %s", at.name, wantsRule, quote(t.value)).suggest("put the rate last")
			continue
		}
		rate := t.after(split + 1)
		if split < 0 {
			if v.other.given {
				d.problem(t.at, "`%s` has two rates without a time", at.name)
			}
			v.other = *rate
			continue
		}
		r := timedRate{at: t.at, rate: *rate}
		if v.span(d, &r, strings.TrimSpace(t.value[:split]), at) {
			v.rules = append(v.rules, r)
		}
	}
	if len(list.Values) == 0 {
		d.problem(d.place(list, at), "`%s` is empty", at.name).suggest("give it a value, or remove the line")
	}
}

// span reads the time of a rule.
func (v *timetable) span(d *decoder, r *timedRate, text string, at spot) bool {
	var err error
	if r.span, err = week.Parse(text); err != nil {
		d.problem(r.at, "`%s`: %s is no time: %s", at.name, quote(text), shown(err.Error())).
			suggest(`write it as "08:00-18:00 mon-fri", "22:00-06:00" or "sat,sun"`)
		return false
	}
	return true
}

func (v *timetable) preset(_ string, at spot) { v.set(at, false) }

// bandwidth makes a timetable of what a key says, nil if the file does not name
// it. It goes by the zone, unless it names one of its own.
func (r *rules) bandwidth(v *timetable, zone *time.Location) *bandwidth.Timetable {
	if !v.given {
		return nil
	}
	if v.zone.given {
		zone = r.timezone(&v.zone)
	}
	other, _ := bandwidth.ParseRate(v.other.value) // it was read before, or is off
	all := make([]bandwidth.Rule, 0, len(v.rules))
	for _, t := range v.rules {
		rate, _ := bandwidth.ParseRate(t.rate.value) // it was read before
		all = append(all, bandwidth.Rule{Span: t.span, Rate: rate})
	}
	table, err := bandwidth.NewTimetable(zone, other, all...)
	var overlap *bandwidth.OverlapError
	switch {
	case errors.As(err, &overlap):
		r.problem(v.rules[overlap.B].at, "%s and %s overlap, on %s", quote(all[overlap.A].String()), quote(all[overlap.B].String()), overlap.When).
			suggest("give each its own days or hours, so that one rate holds at a time")
	case err != nil:
		r.problem(v.at, "`%s`: %v", v.at.name, err)
	}
	return table
}
