package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxProblems is how many problems of one file are kept: a file that is wrong
// all over is a file of another format, and the first hundred say so.
const maxProblems = 100

// maxShown is the number of characters of a line that a snippet shows.
const maxShown = 110

// A Problem is one mistake in the file, or one warning.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Key     string `json:"key"`    // dotted, such as jobs.nightly.schedule; may be empty
	Message string `json:"message"`
	// Snippet is the line of the file with a line of carets below the place.
	// The values of secrets are masked in it.
	Snippet    string `json:"snippet"`
	Suggestion string `json:"suggestion,omitempty"`
}

// String returns "FILE:LINE:COLUMN: message", as editors can follow it.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Errors is every mistake of one file, sorted by position.
type Errors []Problem

// Error returns the first mistake and how many more there are.
func (e Errors) Error() string {
	switch len(e) {
	case 0:
		return "no problems"
	case 1:
		return e[0].String()
	}
	return fmt.Sprintf("%s (and %d more)", e[0], len(e)-1)
}

// Report returns every mistake with its snippet and suggestion, for people.
// It ends with a line break unless it is empty.
func (e Errors) Report() string {
	var b strings.Builder
	for i, p := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		p.report(&b)
	}
	return b.String()
}

func (p Problem) report(b *strings.Builder) {
	b.WriteString(p.String())
	b.WriteByte('\n')
	gutter := strconv.Itoa(p.Line)
	for line := range strings.Lines(p.Snippet) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%*s | %s", max(5, len(gutter)), gutter, line), " \n") + "\n")
		gutter = ""
	}
	if p.Suggestion != "" {
		fmt.Fprintf(b, "%*s = %s\n", max(5, len(strconv.Itoa(p.Line))), "", p.Suggestion)
	}
}

// A spot is a place in the file: where a key, a value or a part of one stands.
type spot struct {
	line, column int    // from 1, in characters
	width        int    // characters that the caret underlines; at least one is
	key, name    string // of the key that it belongs to: its dotted path, and itself
}

// reporter collects problems and warnings. It is used by one goroutine.
type reporter struct {
	src      *source
	problems Errors
	warnings Errors
	seen     map[Problem]bool // by position and message: an alias shows a mistake at each use
}

// problem records a mistake. Values of the user go into the message by quote.
func (r *reporter) problem(at spot, format string, args ...any) *advice {
	return r.add(&r.problems, at, fmt.Sprintf(format, args...))
}

// warn records what is odd but allowed.
func (r *reporter) warn(at spot, format string, args ...any) *advice {
	return r.add(&r.warnings, at, fmt.Sprintf(format, args...))
}

func (r *reporter) add(list *Errors, at spot, message string) *advice {
	p := Problem{File: r.src.name, Line: at.line, Column: at.column, Key: at.key, Message: message}
	same := Problem{Line: p.Line, Column: p.Column, Message: p.Message}
	if r.seen[same] || len(*list) == maxProblems {
		return new(advice)
	}
	if r.seen == nil {
		r.seen = make(map[Problem]bool)
	}
	r.seen[same] = true
	if len(*list) == maxProblems-1 {
		p.Message = "too many mistakes: what follows is not shown"
	}
	p.Snippet = r.src.snippet(at)
	*list = append(*list, p)
	return &advice{&(*list)[len(*list)-1]}
}

// advice lets the one who records a problem add what to do about it.
type advice struct{ p *Problem }

func (a *advice) suggest(format string, args ...any) {
	if a.p != nil {
		a.p.Suggestion = fmt.Sprintf(format, args...)
	}
}

func (r *reporter) failed() bool { return len(r.problems) > 0 }

// full reports whether there is no use in looking for more problems.
func (r *reporter) full() bool { return len(r.problems) == maxProblems }

// sorted returns the problems in the order of the file.
func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}

// snippet returns the line of at, and a line that underlines the place. Lines
// that are too long are cut around it.
func (s *source) snippet(at spot) string {
	if at.line < 1 || at.line > len(s.lines) || s.lines[at.line-1] == "" {
		return ""
	}
	line := []rune(printable(s.maskedLine(at.line)))
	from := min(max(at.column-1, 0), len(line))
	if len(line) > 0 && string(line) != printable(s.lines[at.line-1]) {
		// The masked line is shorter: the place may be gone.
		from = min(from, len(line)-1)
	}
	to := min(from+max(at.width, 1), max(len(line), from+1))
	before, after := "", ""
	if len(line) > maxShown {
		start := min(max(from-maxShown/3, 0), len(line)-maxShown)
		if start > 0 {
			before = "…"
		}
		if start+maxShown < len(line) {
			after = "…"
		}
		line = line[start : start+maxShown]
		from, to = from-start, min(to-start, len(line))
	}
	var b strings.Builder
	b.WriteString(before + string(line) + after + "\n" + strings.Repeat(" ", utf8.RuneCountInString(before)))
	for _, r := range line[:min(from, len(line))] {
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat("^", max(to-from, 1)))
	return b.String()
}

// printable replaces what would disturb a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !isPlain(r) || r == utf8.RuneError {
			return '\uFFFD'
		}
		return r
	}, s)
}

// quote makes a text of the user fit for a message: quoted, short, and without
// what looks like a secret. Nothing is escaped: C:\\x would mislead people who
// wrote C:\x.
func quote(s string) string { return `"` + shown(s) + `"` }

func shown(s string) string {
	s = printable(maskLine(s))
	if utf8.RuneCountInString(s) > 80 {
		s = string([]rune(s)[:79]) + "…"
	}
	return s
}
