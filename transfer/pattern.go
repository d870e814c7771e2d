package transfer

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"linehaul/fault"
)

// maxAlternatives bounds what {a,b}{c,d}... in one path element expands to.
const maxAlternatives = 256

// A pattern is a source, taken apart.
type pattern struct {
	top   string   // what leads before the first element: "", "/", or a Windows volume
	fixed []string // the leading folders that hold no wildcard
	rest  []element
}

// An element is one part of a source between slashes.
type element struct {
	text string   // the name, where there is no wildcard
	alts []string // otherwise: patterns without braces, any of which may match
	deep bool     // "**": any number of folders
}

func (e element) wild() bool { return e.deep || e.alts != nil }

// HasWildcard reports whether a source may match more than one file. On
// Windows, where a backslash separates folders, none escapes a wildcard here.
func HasWildcard(source string) bool { return hasMeta(source, runtime.GOOS != "windows") }

func hasMeta(s string, escapes bool) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '*', '?', '[', '{':
			return true
		case '\\':
			if escapes {
				i++
			}
		}
	}
	return false
}

// parseRemote takes a remote source apart.
func parseRemote(source string) (pattern, error) {
	top := ""
	if strings.HasPrefix(source, "/") {
		top = "/"
	}
	return parse(source, top, source, true)
}

// parseLocal takes a local source apart. On Windows both separators divide,
// and nothing escapes; a volume is taken as it stands.
func parseLocal(source string) (pattern, error) {
	volume := filepath.VolumeName(source)
	rest := filepath.ToSlash(source[len(volume):])
	top := volume
	switch {
	case strings.HasPrefix(rest, "/"):
		top += "/"
	case volume != "":
		top += "./" // C:name: below the current folder of that drive
	}
	return parse(source, top, rest, runtime.GOOS != "windows")
}

func parse(source, top, rest string, escapes bool) (pattern, error) {
	if source == "" || strings.ContainsRune(source, 0) {
		return pattern{}, fault.New(fault.Usage, "the source %q is no path", source)
	}
	p := pattern{top: top}
	for text := range strings.SplitSeq(rest, "/") {
		if text == "" || text == "." {
			continue
		}
		e, err := parseElement(text, escapes)
		if err != nil {
			return pattern{}, fault.New(fault.Usage, "the source %q: %w", source, err).
				WithHint(`a backslash before *, ?, [, { or \ takes that character as it is; braces cannot hold a slash`)
		}
		if e.deep && len(p.rest) > 0 && p.rest[len(p.rest)-1].deep {
			continue
		}
		if !e.wild() && len(p.rest) == 0 {
			p.fixed = append(p.fixed, e.text)
			continue
		}
		p.rest = append(p.rest, e)
	}
	return p, nil
}

// parseElement reads one element.
func parseElement(text string, escapes bool) (element, error) {
	if text == "**" {
		return element{deep: true}, nil
	}
	if !hasMeta(text, escapes) {
		if !escapes {
			return element{text: text}, nil
		}
		name, err := unescape(text)
		return element{text: name}, err
	}
	alts, err := alternatives(nil, text)
	if err != nil {
		return element{}, err
	}
	for _, a := range alts {
		if !doublestar.ValidatePattern(a) {
			return element{}, doublestar.ErrBadPattern
		}
	}
	return element{alts: alts}, nil
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) {
				return "", doublestar.ErrBadPattern
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), nil
}

// alternatives appends to all what s stands for with its braces expanded.
// They are expanded here, and not by doublestar, as the rule for a leading dot
// looks at each alternative by itself.
func alternatives(all []string, s string) ([]string, error) {
	open, commas, end := braces(s)
	switch {
	case open >= 0 && end < 0:
		return nil, doublestar.ErrBadPattern
	case len(all) >= maxAlternatives:
		return nil, fault.New(fault.Usage, "the braces stand for more than %d names", maxAlternatives)
	case open < 0:
		return append(all, escapeStray(s)), nil
	}
	from := open + 1
	var err error
	for _, to := range append(commas, end) {
		if all, err = alternatives(all, s[:open]+s[from:to]+s[end+1:]); err != nil {
			return nil, err
		}
		from = to + 1
	}
	return all, nil
}

// braces finds the first group of braces, and its own commas. first is -1 if
// there is none, end is -1 if it is not closed.
func braces(s string) (first int, commas []int, end int) {
	first = -1
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '[':
			i = classEnd(s, i)
		case c == '{':
			if depth++; depth == 1 {
				first = i
			}
		case c == ',' && depth == 1:
			commas = append(commas, i)
		case c == '}' && depth > 0:
			if depth--; depth == 0 {
				return first, commas, i
			}
		}
	}
	return first, nil, -1
}

// classEnd returns where the character class that begins at i ends, or i if it
// does not.
func classEnd(s string, i int) int {
	for j := i + 1; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case ']':
			return j
		}
	}
	return i
}

// escapeStray makes closing braces that close nothing plain characters, as
// shells take them.
func escapeStray(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			b.WriteByte(s[i])
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
			continue
		case '[':
			if end := classEnd(s, i); end > i {
				b.WriteString(s[i : end+1])
				i = end
				continue
			}
		case '}':
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// match reports whether a name matches a wildcard. A dot at its beginning must stand in
// the pattern, as in a shell. With fold, case does not count.
func (e element) match(name string, fold bool) bool {
	hidden := strings.HasPrefix(name, ".")
	if e.deep {
		return !hidden
	}
	if fold {
		name = strings.ToLower(name)
	}
	return slices.ContainsFunc(e.alts, func(alt string) bool {
		if hidden && !strings.HasPrefix(alt, ".") && !strings.HasPrefix(alt, `\.`) {
			return false
		}
		if fold {
			alt = strings.ToLower(alt)
		}
		return doublestar.MatchUnvalidated(alt, name)
	})
}
