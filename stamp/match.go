package stamp

import (
	"slices"
	"strings"
	"time"
)

// Known is what of a template's values is the same in all runs of a job.
type Known struct {
	Job, Host string
	Zone      *time.Location
	Windows   bool // a \ in the template divides folders as / does
}

// A Matcher reads names that a template gave: it is the inverse of Expand. It
// is immutable and safe for concurrent use.
//
// A name is read only if the template gives exactly that name for the instant
// that is found. That instant is the earliest one which does: the beginning of
// the day for {date} alone, the first of two where the clock shows the same
// time twice, unless the name has %z, %Z or %s, and the 28th where a shift by
// months ended on the last day of February. Two digits of a year stand for
// 1969 to 2068, as in POSIX.
//
// {mtime} and {run} may be any that could be. {name}, {stem}, {ext} and {path}
// may be anything that is the name or path of a file.
type Matcher struct {
	zone  *time.Location
	parts []part
	dir   string
	atoms []atom // below dir
	when  reading
}

// Found is what a name says.
type Found struct {
	// At is the instant of its stamps. It is zero where the name can be read
	// in more than one way.
	At time.Time
	// Series is the name with its dates, modification times and run taken out
	// again: what is the same for all copies of one source.
	Series string
	// Name is the name of the source file, where the template holds all of it.
	Name string
}

// Below returns the template for files in the folder that t names, each with
// its path.
func (t *Template) Below(windows bool) *Template {
	source := t.source
	if source != "" && !strings.HasSuffix(source, "/") && (!windows || !strings.HasSuffix(source, `\`)) {
		source += "/"
	}
	below, err := Parse(source + "{path}")
	if err != nil {
		// Both halves were parsed before, and neither reaches into the other.
		return newTemplate(append(slices.Clone(t.parts), part{source: "/{path}", stamp: path}))
	}
	return below
}

// Matcher returns what reads the template's names. The error is a
// *SyntaxError: the template holds no date, or not all of one, or one that
// could be read in two ways.
func (t *Template) Matcher(k Known) (*Matcher, error) {
	m := &Matcher{zone: k.Zone, parts: t.parts}
	m.dir, m.atoms = t.atoms(k)
	if why := badElement(m.atoms); why != "" {
		return nil, &SyntaxError{Template: t.source, Msg: "no name can be read back: " + why}
	}
	var mis *mistake
	if m.when, mis = readingOf(t.parts); mis == nil {
		mis = m.probe(t, k)
	}
	if mis != nil {
		return nil, &SyntaxError{Template: t.source, Offset: mis.offset, Msg: mis.msg}
	}
	return m, nil
}

// Dir returns the folder that all names of the template lie in, as Match's
// paths begin below it. It ends with a separator, or is empty.
func (m *Matcher) Dir() string { return m.dir }

// Match reads the slash path of a file below Dir. It is false for what the
// template does not give.
func (m *Matcher) Match(path string) (Found, bool) {
	s := newSearch(m, path)
	s.step(0, path)
	switch {
	case s.budget < 0 || len(s.all) == 0:
		return Found{}, false
	case len(s.all) > 1:
		return Found{Series: s.all[0].Series, Name: s.all[0].Name}, true
	}
	return s.all[0], true
}

// Enter reports whether a folder, by its slash path below Dir, can lead to
// what Match reads.
func (m *Matcher) Enter(folder string) bool {
	s := newSearch(m, folder)
	s.prefix = true
	s.step(0, folder)
	return s.entered || s.budget < 0
}

// An atom is the smallest piece of a template that is matched at once.
type atom struct {
	kind atomKind
	text string     // of fixed
	conv conversion // of converted
	part int        // the index of the part that it comes from, unless fixed
}

type atomKind int

const (
	fixed     atomKind = iota // text
	separator                 // a slash
	converted                 // one conversion of a date
	opens                     // the text of a date begins
	closes                    // it ends
	whole                     // a part that stands for a name, a path or a run
)

// constant is the text of a part that is the same in all runs.
func (p part) constant(k Known) (string, bool) {
	switch p.stamp {
	case literal:
		return p.text, true
	case job:
		return safe(k.Job), true
	case host:
		return safe(k.Host), true
	case date, mtime, name, stem, extension, path, run:
	}
	return "", false
}

// atoms takes the template apart below dir, the folders that are always the
// same.
func (t *Template) atoms(k Known) (dir string, atoms []atom) {
	separators := "/"
	if k.Windows {
		separators = `/\`
	}
	lead, at := "", 0
	for ; at < len(t.parts); at++ {
		text, ok := t.parts[at].constant(k)
		if !ok {
			break
		}
		lead += text
	}
	cut := strings.LastIndexAny(lead, separators) + 1
	atoms = appendText(nil, lead[cut:], separators)
	for i, p := range t.parts[at:] {
		text, ok := p.constant(k)
		switch {
		case ok:
			atoms = appendText(atoms, text, separators)
		case p.stamp == date || p.stamp == mtime:
			atoms = append(atoms, atom{kind: opens, part: at + i})
			for _, c := range conversionsOf(p.format) {
				if c.letter == 0 {
					atoms = appendText(atoms, c.text, "/")
				} else {
					atoms = append(atoms, atom{kind: converted, conv: c, part: at + i})
				}
			}
			atoms = append(atoms, atom{kind: closes, part: at + i})
		default:
			atoms = append(atoms, atom{kind: whole, part: at + i})
		}
	}
	return lead[:cut], atoms
}

// appendText appends text that may hold separators.
func appendText(atoms []atom, text, separators string) []atom {
	for text != "" {
		end := strings.IndexAny(text, separators)
		if end == 0 {
			atoms = append(atoms, atom{kind: separator})
			text = text[1:]
			continue
		}
		if end < 0 {
			end = len(text)
		}
		atoms = append(atoms, atom{kind: fixed, text: text[:end]})
		text = text[end:]
	}
	return atoms
}

// badElement says what is wrong with the elements of a path, as far as the
// template gives them.
func badElement(atoms []atom) string {
	if len(atoms) == 0 || atoms[len(atoms)-1].kind == separator {
		return "it names a folder and no file"
	}
	element, bare := "", true
	for i, a := range append(slices.Clone(atoms), atom{kind: separator}) {
		switch a.kind {
		case fixed:
			element += a.text
		case converted, opens, closes, whole:
			bare = false
		case separator:
			switch {
			case bare && element == "" && i > 0:
				return "it has two separators in a row"
			case bare && (element == "." || element == ".."):
				return "a folder in it is called " + element
			}
			element, bare = "", true
		}
	}
	return ""
}
