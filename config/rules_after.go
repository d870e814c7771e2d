package config

import (
	"errors"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"linehaul/retention"
	"linehaul/stamp"
	"linehaul/transfer"
)

// keep reads which copies stay. Their instants are read back from their names,
// so that the target must hold dates which can be.
func (r *rules) keep(j *Job, s *jobEntry) {
	k := &s.Keep
	j.Keep = retention.Policy{
		Last: k.Last.value, Daily: k.Daily.value, Weekly: k.Weekly.value, Monthly: k.Monthly.value, Yearly: k.Yearly.value,
		Within: k.Within.value,
	}
	if j.Keep.Empty() {
		for _, m := range []mark{k.Last.mark, k.Daily.mark, k.Weekly.mark, k.Monthly.mark, k.Yearly.mark, k.Within.mark} {
			if m.given {
				r.warn(m.at, "`keep` names no copies, so that none is ever removed").suggest("give one of its numbers, or remove it")
				return
			}
		}
		return
	}
	if j.To == nil {
		return // reported already
	}
	local := j.Put == nil && !s.Put.given
	layout := j.To
	if text := layout.String(); text == "" || !layout.PerFile() && strings.HasSuffix(text, "/") || local && isFolderText(text) && !layout.PerFile() {
		layout = layout.Below(local && runtime.GOOS == "windows")
	}
	_, err := layout.Matcher(stamp.Known{Job: j.Name, Host: j.Host, Zone: j.Timezone, Windows: local && runtime.GOOS == "windows"})
	if err == nil {
		return
	}
	at, message := s.To.at, err.Error()
	var syntax *stamp.SyntaxError
	if errors.As(err, &syntax) {
		// What stands in front of the template in the file and what was put
		// in front of it when it was read differ in length.
		at, message = s.To.part(syntax.Offset-(len(j.To.String())-len(s.To.value))), syntax.Msg
		if syntax.Offset == 0 {
			at = s.To.at
		}
	}
	r.problem(at, "`keep` tells copies apart by the dates in `to`: %s", shown(message)).
		suggest("write the whole date into `to`, as in {date}/{name} or {stem}-{date:%%Y%%m%%d-%%H%%M}{ext}")
}

// isFolderText reports a local path that ends in a separator.
func isFolderText(s string) bool {
	return s != "" && isSeparator(rune(s[len(s)-1]))
}

// sharedTargets warns of jobs that keep copies where another job puts the same
// names: each would count and remove those of the other.
func (r *rules) sharedTargets(items []item[jobEntry], jobs map[string]*Job) {
	first := make(map[string]*Job)
	for _, i := range items {
		j := jobs[i.name]
		if j.To == nil || strings.Contains(j.To.String(), "{job}") {
			continue
		}
		where := j.To.String()
		if len(j.Put) > 0 || strings.Contains(where, "{host}") {
			where += "\x00" + j.Host
		}
		for _, source := range slices.Concat(j.Get, j.Put) {
			last := source[strings.LastIndexFunc(source, func(c rune) bool { return c == '/' || isSeparator(c) })+1:]
			key := where + "\x00" + last
			other := first[key]
			switch {
			case other == nil:
				first[key] = j
			case other != j && (!j.Keep.Empty() || !other.Keep.Empty()):
				r.warn(i.value.To.at, "%s and %s write the same names to the same place, and `keep` would count and remove the copies of both", quote(other.Name), quote(j.Name)).
					suggest("tell them apart in `to`, by {job} or {host} or another folder")
			}
		}
	}
}

// after reads what becomes of the sources.
func (r *rules) after(j *Job, v *disposal) {
	j.After.Source = v.word
	if v.word != SourceMove {
		return
	}
	local := len(j.Put) > 0
	t := &v.move
	value := t.value
	name, _, found := strings.Cut(value, ":")
	switch {
	case found && len(name) > 1 && slices.Contains(r.hosts, name):
		r.problem(t.at, "`move` wants a path on the side of the source, and %s is a host", quote(name)).suggest("write the path alone")
		return
	case strings.HasPrefix(value, "~"):
		r.problem(t.at, "`move` starts in the folder of the source, and ~ does not").suggest("write the path in full, or relative to the source")
		return
	case local:
		if err := foreign(value, runtime.GOOS == "windows"); err != nil {
			r.problem(t.at, "`move` %s: %v", quote(value), err)
			return
		}
	}
	if j.After.Move = r.template(t, value, 0); j.After.Move == nil {
		return
	}
	r.movedAway(j, t, local)
}

// movedAway refuses a move that leaves a source where it is, and warns of one
// that the next run would take again. It is tried on a file that each source
// could stand for.
func (r *rules) movedAway(j *Job, t *text, local bool) {
	sources := slices.Concat(j.Get, j.Put)
	var parsed []transfer.Source
	for _, s := range sources {
		p, err := transfer.ParseSource(s, local, j.Recursive)
		if err != nil {
			return // the run says so
		}
		parsed = append(parsed, p)
	}
	for i, s := range sources {
		sample := sampleOf(s, local, j.Recursive)
		if !parsed[i].Matches(sample) {
			continue
		}
		v := stamp.Values{
			At: time.Date(2026, 11, 23, 2, 30, 0, 0, j.Timezone), Job: j.Name, Host: j.Host, Run: "20261123T023000Z-412k7m3q",
			Name: path.Base(filepath.ToSlash(sample)), MTime: time.Date(2026, 11, 22, 2, 30, 0, 0, j.Timezone),
		}
		v.Path = v.Name
		target, err := j.After.Target(sample, v, local)
		if err != nil {
			continue
		}
		same := path.Clean(filepath.ToSlash(target)) == path.Clean(filepath.ToSlash(sample))
		switch {
		case same:
			r.problem(t.at, "`move` %s leaves a source where it is", quote(t.value)).suggest("move it to a folder, such as done")
			return
		case slices.ContainsFunc(parsed, func(p transfer.Source) bool { return p.Matches(target) }):
			r.warn(t.at, "a source that was moved there would be taken again by the next run").
				suggest("move it to a folder that the sources do not match, or give it a name that they do not")
			return
		}
	}
}

// sampleOf is a path that a source could match, made by filling its wildcards.
func sampleOf(source string, local, recursive bool) string {
	escapes := !local || runtime.GOOS != "windows"
	if !escapes {
		source = filepath.ToSlash(source)
	}
	if !transfer.HasWildcard(source) {
		if recursive {
			return strings.TrimRight(source, "/") + "/sample"
		}
		return source
	}
	var b strings.Builder
	for i := 0; i < len(source); i++ {
		switch c := source[i]; {
		case c == '\\' && escapes && i+1 < len(source):
			i++
			b.WriteByte(source[i])
		case c == '*' && strings.HasPrefix(source[i:], "**"):
			b.WriteString("sample")
			i++
		case c == '*':
			b.WriteString("sample")
		case c == '?':
			b.WriteByte('s')
		case c == '[':
			end := strings.IndexByte(source[i:], ']')
			if end < 2 {
				return ""
			}
			b.WriteByte(source[i+1])
			i += end
		case c == '{':
			end := strings.IndexByte(source[i:], '}')
			if end < 0 {
				return ""
			}
			first, _, _ := strings.Cut(source[i+1:i+end], ",")
			b.WriteString(first)
			i += end
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
