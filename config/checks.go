package config

import (
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/trace"
)

// Checks is what a job asks before each attempt.
type Checks struct {
	preflight.Policy
	// WaitEvery is how long a run waits when a check says that it is not the time
	// (preflight.Wait), and WaitAtMost how long in all, from the first time on.
	WaitEvery, WaitAtMost time.Duration
	// Evidence: after an attempt that failed in the network, the tunnel or SSH,
	// the line is looked at once more.
	Evidence bool
}

// levels are the words that a check may be, beside a mapping.
func levels() []string {
	var all []string
	for _, l := range preflight.Levels() {
		all = append(all, string(l))
	}
	return all
}

// checkOf is a check: one of the levels, or a mapping with more of it.
type checkOf[T any] struct {
	mark
	level preflight.Level
	more  T
}

func (v *checkOf[T]) take(d *decoder, n ast.Node, at spot, f field) {
	v.preset(f.preset, at)
	wants := "one of " + strings.Join(levels(), ", ") + ", or a mapping"
	if m, ok := n.(*ast.MappingNode); ok {
		v.set(d.place(n, at), true)
		d.section(reflect.ValueOf(&v.more), m, at)
		if l, ok := any(&v.more).(interface{ onFail() *choice }); ok && l.onFail().given {
			v.level = preflight.Level(l.onFail().value)
		} else if v.level == preflight.Off { // who says how it is to be asked wants it asked
			v.level = preflight.Warning
		}
		return
	}
	var t text
	if !t.read(d, n, at, wants) {
		return
	}
	if !slices.Contains(levels(), t.value) {
		a := d.problem(t.at, "`%s` wants %s, got %s", at.name, wants, quote(t.value))
		switch near := Nearest(t.value, levels()); {
		case near != "":
			a.suggest("did you mean `%s`?", near)
		case t.value == "required" || t.value == "fail":
			a.suggest("did you mean `%s`?", preflight.Require)
		}
		return
	}
	v.set(t.at, true)
	v.level = preflight.Level(t.value)
}

func (v *checkOf[T]) preset(word string, at spot) {
	v.set(at, false)
	v.level = preflight.Level(word)
	absentSection(reflect.ValueOf(&v.more).Elem(), at)
}

// ports is one port or a list of them.
type ports struct {
	mark
	items []preflight.Port
}

const (
	portPattern = `^[0-9]{1,5}(/(tcp|udp))?$`
	wantsPorts  = "a port such as 8022 or 123/udp, or a list of them"
)

func (v *ports) take(d *decoder, n ast.Node, at spot, _ field) {
	all := []ast.Node{n}
	if list, ok := n.(*ast.SequenceNode); ok {
		all = list.Values
	}
	for _, n := range all {
		if n = d.follow(n, at); n == nil {
			continue
		}
		value, place := "", d.place(n, at)
		if i, ok := n.(*ast.IntegerNode); ok {
			value = i.Token.Value
		} else {
			var t text
			if !t.read(d, n, at, wantsPorts) {
				continue
			}
			value = t.value
		}
		port, err := preflight.ParsePort(value)
		if err != nil || strings.HasPrefix(value, "0") {
			d.problem(place, "`%s` wants %s, got %s", at.name, wantsPorts, quote(value))
			continue
		}
		v.items = append(v.items, port)
	}
	v.set(d.place(n, at), true)
}

func (v *ports) preset(_ string, at spot) { v.set(at, false) }

// percentage is a share of all, from 0% to 100%.
type percentage struct {
	mark
	value float64 // from 0 to 1
}

const (
	percentPattern = `^(100|[0-9]{1,2}(\.[0-9]{1,3})?)%$`
	wantsPercent   = "a percentage such as 5% or 0.5%"
)

func (v *percentage) take(d *decoder, n ast.Node, at spot, _ field) {
	var t text
	if !t.read(d, n, at, wantsPercent) {
		return
	}
	value, ok := ParsePercent(t.value)
	if !ok {
		d.problem(t.at, "`%s` wants %s, got %s", at.name, wantsPercent, quote(t.value))
		return
	}
	v.set(t.at, true)
	v.value = value
}

func (v *percentage) preset(text string, at spot) {
	v.set(at, false)
	v.value, _ = ParsePercent(text)
}

// ParsePercent reads a percentage such as 0.5% as a share from 0 to 1.
func ParsePercent(text string) (float64, bool) {
	if ok, err := regexp.MatchString(percentPattern, text); err != nil || !ok {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	return n / 100, err == nil
}

func (e *plainCheck) onFail() *choice { return &e.OnFail }
func (e *pingEntry) onFail() *choice  { return &e.OnFail }
func (e *portEntry) onFail() *choice  { return &e.OnFail }
func (e *traceEntry) onFail() *choice { return &e.OnFail }

// checks makes the policy of a job.
func (r *rules) checks(s *checksEntry) Checks {
	p := preflight.ForJob()
	for name, level := range map[string]preflight.Level{
		preflight.CheckName: s.Name.level, preflight.CheckLink: s.Link.level, preflight.CheckPing: s.Ping.level,
		preflight.CheckPort: s.Port.level, preflight.CheckTrace: s.Trace.level, preflight.CheckMTU: s.MTU.level,
		preflight.CheckSpace: s.Space.level, preflight.CheckClock: s.Clock.level,
	} {
		p.Levels[name] = level
	}
	e := &s.Ping.more
	p.Ping = ping.Options{Count: e.Count.value, Interval: e.Interval.value, Size: e.Size.value, Timeout: r.positive(&e.Timeout)}
	if e.Interval.given && e.Interval.value < minInterval {
		r.problem(e.Interval.at, "`interval` wants at least %s", minInterval)
	}
	p.Limits = preflight.Limits{MaxLoss: -1, MaxRTT: e.MaxRTT.value, MaxJitter: e.MaxJitter.value}
	if e.MaxLoss.given {
		p.Limits.MaxLoss = e.MaxLoss.value
	}
	p.Ports = s.Port.more.Also.items
	p.Traces = []trace.Options{preflight.ShortTrace(trace.Method(s.Trace.more.Method.value), 0)}
	return Checks{Policy: p, WaitEvery: r.positive(&s.WaitEvery), WaitAtMost: s.WaitAtMost.value, Evidence: s.Evidence.value}
}

// minInterval is the least time between two echoes: what a host may be asked
// without being flooded.
const minInterval = 10 * time.Millisecond
