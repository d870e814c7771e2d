package stamp

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxBytes is longer than any path that a system takes.
const maxBytes = 4096

// A SyntaxError says what is wrong with a template.
type SyntaxError struct {
	Template string
	Offset   int // bytes into Template
	Msg      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("stamps in %q: at character %d: %s", e.Template, utf8.RuneCountInString(e.Template[:e.Offset])+1, e.Msg)
}

// A mistake is an error at an offset into a part of a template.
type mistake struct {
	offset int
	msg    string
}

func mistakef(offset int, format string, args ...any) *mistake {
	return &mistake{offset, fmt.Sprintf(format, args...)}
}

// Parse reads a template. Errors are *SyntaxError.
func Parse(source string) (*Template, error) {
	if len(source) > maxBytes {
		return nil, &SyntaxError{Template: source[:40] + "...", Msg: fmt.Sprintf("longer than %d bytes", maxBytes)}
	}
	parts, m := parse(source)
	if m != nil {
		return nil, &SyntaxError{Template: source, Offset: m.offset, Msg: m.msg}
	}
	return &Template{source: source, parts: parts}, nil
}

func parse(source string) ([]part, *mistake) {
	if i := strings.IndexFunc(source, unicode.IsControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(source[i:])
		return nil, mistakef(i, `control character %U: in YAML, a path with \ stands in single quotes`, r)
	}
	var parts []part
	begin, at := 0, 0 // of literal text, and where we are
	for at < len(source) {
		rest := source[at:]
		if strings.HasPrefix(rest, "{{") || strings.HasPrefix(rest, "}}") {
			at += 2
			continue
		}
		var (
			p      part
			length int
			m      *mistake
		)
		switch rest[0] {
		case '{':
			p, length, m = parseBraces(rest)
		case '%':
			p, length, m = parseWinSCP(rest)
		case '}':
			m = mistakef(0, "} without {: a brace of its own is written }}")
		}
		if m != nil {
			return nil, mistakef(at+m.offset, "%s", m.msg)
		}
		if length == 0 {
			at++
			continue
		}
		if begin < at {
			parts = append(parts, literalPart(source[begin:at]))
		}
		p.source = rest[:length]
		parts = append(parts, p)
		at += length
		begin = at
	}
	if begin < at {
		parts = append(parts, literalPart(source[begin:at]))
	}
	return parts, nil
}

// known lists the stamps by the word in the braces.
func known() map[string]part {
	return map[string]part{
		"date":  {stamp: date, format: "%Y%m%d"},
		"time":  {stamp: date, format: "%H%M%S"},
		"mtime": {stamp: mtime, format: "%Y%m%d-%H%M%S"},
		"name":  {stamp: name},
		"stem":  {stamp: stem},
		"ext":   {stamp: extension},
		"path":  {stamp: path},
		"job":   {stamp: job},
		"host":  {stamp: host},
		"run":   {stamp: run},
	}
}

// parseBraces reads the stamp that source begins with, and returns its length.
func parseBraces(source string) (part, int, *mistake) {
	inside, _, closed := strings.Cut(source[1:], "}")
	if !closed {
		return part{}, 0, mistakef(0, "{ without }: a brace of its own is written {{")
	}
	length := len(inside) + 2
	head, format, formatted := strings.Cut(inside, ":")
	if i := strings.IndexByte(head, '{'); i >= 0 {
		return part{}, 0, mistakef(0, "{ without }: a brace of its own is written {{")
	}
	word := head
	if i := strings.IndexAny(head, "+-"); i >= 0 {
		word = head[:i]
	}
	p, ok := known()[word]
	if !ok {
		return part{}, 0, mistakef(0, "{%s} is not known: %s", word, suggestion(word))
	}
	isTime := p.stamp == date || p.stamp == mtime
	if !isTime && head != word {
		return part{}, 0, mistakef(1+len(word), "{%s} cannot be shifted: only date, time and mtime can", word)
	}
	if !isTime && formatted {
		return part{}, 0, mistakef(1+len(word), "{%s} takes no format: only date, time and mtime do", word)
	}
	var m *mistake
	if p.shifts, m = parseShifts(head[len(word):]); m != nil {
		return part{}, 0, mistakef(1+len(word)+m.offset, "%s", m.msg)
	}
	if formatted {
		if m := checkFormat(format); m != nil {
			return part{}, 0, mistakef(1+len(head)+1+m.offset, "%s", m.msg)
		}
		p.format = format
	}
	return p, length, nil
}

// suggestion names the stamp that was probably meant, or else all of them.
func suggestion(word string) string {
	var words []string
	for w := range known() {
		words = append(words, w)
	}
	slices.Sort(words)
	nearest := slices.MinFunc(words, func(a, b string) int { return distance(word, a) - distance(word, b) })
	if distance(word, nearest) <= 2 {
		return fmt.Sprintf("did you mean {%s}?", nearest)
	}
	return "known are " + strings.Join(words, ", ")
}

// distance is how many letters must be changed, put in, left out, or swapped
// with the next to make b of a, whatever their case. Long words are all far.
func distance(a, b string) int {
	a = strings.ToLower(a)
	if len(a) > 2*len(b)+2 {
		return len(a)
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			if i == 0 || j == 0 {
				rows[i][j] = i + j
				continue
			}
			changed := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			rows[i][j] = min(changed, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
