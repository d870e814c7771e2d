package stamp

import (
	"slices"
	"strings"
)

// maxSteps bounds the work for one name, and stepBytes is how much of it a step
// may look at: names come from a server. What takes longer is not read.
const (
	maxSteps  = 50_000
	stepBytes = 32
)

// A search looks for every way to read one name.
type search struct {
	m      *Matcher
	whole  string
	budget int // of steps; below 0, the search was given up

	prefix  bool // whole is a folder on the way
	entered bool

	// What the atoms so far have taken.
	dates map[int]values // by part
	begun map[int]int    // where the text of a date begins
	texts map[int]string // the text of a date
	bound map[stamp]string

	all []Found // that differ
}

func newSearch(m *Matcher, name string) *search {
	return &search{
		m: m, whole: name, budget: maxSteps,
		dates: map[int]values{}, begun: map[int]int{}, texts: map[int]string{}, bound: map[stamp]string{},
	}
}

// step matches the atoms from i on with what is left of the name.
func (s *search) step(i int, rest string) {
	if s.budget--; s.budget < 0 || s.entered || len(s.all) > 1 {
		return
	}
	if i == len(s.m.atoms) {
		if rest == "" && !s.prefix {
			s.found()
		}
		return
	}
	switch a := s.m.atoms[i]; a.kind {
	case fixed:
		if after, ok := strings.CutPrefix(rest, a.text); ok {
			s.step(i+1, after)
		}
	case separator:
		if s.prefix && rest == "" {
			s.entered = true
		} else if after, ok := strings.CutPrefix(rest, "/"); ok {
			s.step(i+1, after)
		}
	case converted:
		s.convert(i, a, rest)
	case opens:
		s.begun[a.part] = len(s.whole) - len(rest)
		s.step(i+1, rest)
	case closes:
		s.texts[a.part] = s.whole[s.begun[a.part] : len(s.whole)-len(rest)]
		s.step(i+1, rest)
	case whole:
		s.takeWhole(i, s.m.parts[a.part].stamp, rest)
	}
}

// convert takes what one conversion may have made.
func (s *search) convert(i int, a atom, rest string) {
	if s.dates[a.part] == nil {
		s.dates[a.part] = values{}
	}
	v := s.dates[a.part]
	old, had := v[a.conv.letter]
	for _, r := range a.conv.read(rest) {
		if had && a.conv.letter != 'Z' && a.conv.letter != 'z' && old != r.value {
			continue
		}
		v[a.conv.letter] = r.value
		s.step(i+1, rest[r.length:])
	}
	if had {
		v[a.conv.letter] = old
	} else {
		delete(v, a.conv.letter)
	}
}

// runForm is the form of a run's id: 0 stands for a digit, a for a digit or
// lower-case letter, anything else for itself.
const runForm = "00000000T000000Z-aaaaaaaa"

func isRun(s string) bool {
	for i := range len(runForm) {
		c := s[i]
		digit := '0' <= c && c <= '9'
		switch runForm[i] {
		case '0':
			if !digit {
				return false
			}
		case 'a':
			if !digit && (c < 'a' || c > 'z') {
				return false
			}
		default:
			if c != runForm[i] {
				return false
			}
		}
	}
	return true
}

// takeWhole takes what a name, a path or a run may have made.
func (s *search) takeWhole(i int, kind stamp, rest string) {
	if kind == run {
		if len(rest) >= len(runForm) && isRun(rest) {
			s.step(i+1, rest[len(runForm):])
		}
		return
	}
	if text, ok := s.bound[kind]; ok {
		if after, ok := strings.CutPrefix(rest, text); ok {
			s.step(i+1, after)
		}
		return
	}
	longest := len(rest)
	if slash := strings.IndexByte(rest, '/'); slash >= 0 && kind != path {
		longest = slash
	}
	shortest := 1
	if kind == extension {
		shortest = 0
	}
	for n := shortest; n <= longest && s.budget >= 0; n++ {
		text := rest[:n]
		s.budget -= n / stepBytes
		if s.prefix && kind == path && n == len(rest) && goodPath(text) {
			s.entered = true // it may go on below
		}
		if kind == extension && !isExtension(text) || kind == path && !goodPath(text) {
			continue
		}
		s.bound[kind] = text
		s.step(i+1, rest[n:])
		delete(s.bound, kind)
	}
}

func isExtension(s string) bool {
	return s == "" || s[0] == '.' && strings.IndexByte(s[1:], '.') < 0
}

func goodPath(s string) bool {
	for element := range strings.SplitSeq(s, "/") {
		if element == "" || element == "." || element == ".." {
			return false
		}
	}
	return true
}

// source returns the name of the source file as far as the parts say it, and
// false if they contradict each other.
func (s *search) source() (string, bool) {
	n, hasName := s.bound[name]
	st, hasStem := s.bound[stem]
	ex, hasExt := s.bound[extension]
	p, hasPath := s.bound[path]
	agree := true
	is := func(text string) {
		agree = agree && (!hasName || n == text) && text != "." && text != ".."
		n, hasName = text, true
	}
	if hasPath {
		is(p[strings.LastIndexByte(p, '/')+1:])
	}
	if hasStem && hasExt {
		agree = agree && extensionAt(st+ex) == len(st)
		is(st + ex)
	}
	if hasName {
		dot := extensionAt(n)
		agree = agree && (!hasStem || st == n[:dot]) && (!hasExt || ex == n[dot:]) && n != "." && n != ".."
	}
	return n, agree && strings.IndexByte(s.whole, 0) < 0
}

// found notes one way to read the name, unless it says the same as another.
func (s *search) found() {
	source, ok := s.source()
	if !ok {
		return
	}
	at, ok := s.m.instant(s.dates, s.texts)
	if !ok {
		return
	}
	f := Found{At: at, Series: s.series(), Name: source}
	if !slices.ContainsFunc(s.all, func(o Found) bool { return o.At.Equal(f.At) && o.Series == f.Series }) {
		s.all = append(s.all, f)
	}
}

// series writes the template with what is the same for all copies of a source.
func (s *search) series() string {
	var b strings.Builder
	for _, p := range s.m.parts {
		switch p.stamp {
		case name, stem, extension, path:
			b.WriteString(strings.NewReplacer("{", "{{", "}", "}}").Replace(s.bound[p.stamp]))
		case literal, date, mtime, job, host, run:
			b.WriteString(p.source)
		}
	}
	return b.String()
}
