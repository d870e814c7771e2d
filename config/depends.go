package config

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"linehaul/schedule/depend"
)

// dependencies are the jobs that one waits for: one entry or a list of them, each
// a job's name or a mapping with more of it.
type dependencies struct {
	mark
	items []dependency
}

// dependency is one entry.
type dependency struct {
	at    spot
	entry dependEntry
}

type dependEntry struct {
	Job    text   `yaml:"job,required" doc:"Name of the job that must have succeeded." example:"fetch-rates"`
	Within recent `yaml:"within" doc:"How long before the firing it may have succeeded; today: on the same day, by the clock of the timezone of the job that waits. If left out, since that job's own last run." example:"today"`
	Before clock  `yaml:"before" doc:"Until which time of the same day it must have succeeded, by the same clock." example:"08:30"`
}

const (
	wantsDependency = "the name of a job, or a mapping such as {job: a, within: today}"
	// today is what within may be beside a duration.
	today = "today"
)

func (v *dependencies) take(d *decoder, n ast.Node, at spot, _ field) {
	v.set(at, true)
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		v.takeOne(d, n, at)
		return
	}
	for _, n := range list.Values {
		if n = d.follow(n, at); n != nil {
			v.takeOne(d, n, at)
		}
	}
	if len(list.Values) == 0 {
		d.problem(d.place(n, at), "`%s` is empty", at.name).suggest("give it a value, or remove the line")
	}
}

func (v *dependencies) takeOne(d *decoder, n ast.Node, at spot) {
	one := dependency{at: d.place(n, at)}
	if m, ok := n.(*ast.MappingNode); ok {
		d.section(reflect.ValueOf(&one.entry), m, one.at)
	} else {
		one.entry.Job.read(d, n, at, wantsDependency)
	}
	if one.entry.Job.given {
		v.items = append(v.items, one)
	}
}

func (v *dependencies) preset(_ string, at spot) { v.set(at, false) }

// recent is a duration, or the word today.
type recent struct {
	mark
	today bool
	value time.Duration
}

func (v *recent) take(d *decoder, n ast.Node, at spot, _ field) {
	const wants = "today, or a duration such as 6h"
	var t text
	if !t.read(d, n, at, wants) {
		return
	}
	value, ok := parseDuration(t.value)
	switch {
	case t.value == today:
		v.today = true
	case !ok:
		a := d.problem(t.at, "`%s` wants %s, got %s", at.name, wants, quote(t.value))
		if Nearest(t.value, []string{today}) != "" {
			a.suggest("did you mean `%s`?", today)
		}
		return
	case value == 0:
		d.problem(t.at, "`%s` wants more than 0", at.name).suggest("remove it, if any success since the job's own last run counts")
		return
	}
	v.set(t.at, true)
	v.value = value
}

func (v *recent) preset(_ string, at spot) { v.set(at, false) }

// clock is a time of the day.
type clock struct {
	mark
	value depend.Clock
}

// clockPattern is what a clock looks like: any time of the day but its beginning.
const clockPattern = `^(0?[1-9]|1[0-9]|2[0-3]):[0-5][0-9]$|^0?0:(0[1-9]|[1-5][0-9])$`

func (v *clock) take(d *decoder, n ast.Node, at spot, _ field) {
	var t text
	if !t.read(d, n, at, "a time of the day such as 08:30") {
		return
	}
	value, err := depend.ParseClock(t.value)
	if err != nil {
		d.problem(t.at, "`%s`: %s", at.name, shown(err.Error()))
		return
	}
	v.set(t.at, true)
	v.value = value
}

func (v *clock) preset(_ string, at spot) { v.set(at, false) }

// depends reads what a job depends on; whether there are such jobs is seen when
// all are read.
func (r *rules) depends(j *Job, s *jobEntry) depend.Condition {
	c := depend.Condition{Zone: j.Timezone, Wait: s.DependsWait.value}
	for _, one := range s.DependsOn.items {
		e := &one.entry
		dep := depend.Dep{Job: e.Job.value, Within: e.Within.value, Today: e.Within.today || e.Before.given, Before: e.Before.value}
		switch {
		case e.Before.given && e.Within.value > 0:
			r.problem(e.Before.at, "`before` is a time of one day, and `within: %s` may reach into another", short(e.Within.value)).
				suggest("write `within: today`, or leave one of them out")
			continue
		case slices.ContainsFunc(c.Deps, func(d depend.Dep) bool { return d.Job == dep.Job }):
			r.problem(e.Job.at, "%s stands in `%s` twice", quote(dep.Job), s.DependsOn.at.name).suggest("keep one of them")
			continue
		}
		c.Deps = append(c.Deps, dep)
	}
	switch {
	case !s.DependsWait.given:
	case !s.DependsOn.given:
		r.problem(s.DependsWait.at, "`depends_wait` is how long a firing waits for other jobs, and there is no `depends_on`").suggest("name the jobs, or remove the line")
	case s.Schedule.absent():
		r.problem(s.DependsWait.at, "`depends_wait` is for a job with a `schedule`: without one, it fires whenever the others have succeeded").suggest("remove the line")
	}
	return c
}

// short is a duration as people write it: 2h, not 2h0m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if rest, ok := strings.CutSuffix(text, zero); ok && strings.HasSuffix(rest, map[string]string{"0s": "m", "0m": "h"}[zero]) {
			text = rest
		}
	}
	return text
}

// dependents reports jobs that wait for what is not there, for themselves, or for
// what does not run.
func (r *rules) dependents(items []item[jobEntry], jobs map[string]*Job) {
	var names []string
	entries := make(map[string][]dependency)
	for _, i := range items {
		names = append(names, i.name)
		entries[i.name] = i.value.DependsOn.items
	}
	for _, i := range items {
		for _, one := range i.value.DependsOn.items {
			name := &one.entry.Job
			on := jobs[name.value]
			if on == nil {
				a := r.problem(name.at, "no job %s in this file", quote(name.value))
				if near := Nearest(name.value, names); near != "" {
					a.suggest("did you mean `%s`?", near)
				} else {
					a.suggest("the jobs are %s", shown(strings.Join(names, ", ")))
				}
				continue
			}
			if on.Disabled && !jobs[i.name].Disabled && name.value != i.name {
				r.warn(name.at, "%s depends on %s, which is disabled: it waits until somebody runs that by hand", quote(i.name), quote(name.value)).
					suggest("enable %s, or leave it out here", name.value)
			}
		}
	}
	g := depend.NewGraph(names, func(job string) []depend.Dep { return jobs[job].DependsOn.Deps })
	for _, c := range g.Cycles(maxProblems) {
		for _, one := range entries[c[0]] {
			if one.entry.Job.value == c[1] {
				r.problem(one.entry.Job.at, "the jobs wait for each other in a circle: %s", circle(c)).suggest("none of them would ever run: leave out one of them")
				break
			}
		}
	}
}

// maxCircle is how many jobs of a circle are written out.
const maxCircle = 20

func circle(jobs []string) string {
	var all []string
	for _, j := range jobs {
		all = append(all, shown(j))
	}
	if n := len(all); n > maxCircle {
		all = append(append(all[:maxCircle-1], "…"), all[n-1])
	}
	return strings.Join(all, " -> ")
}
