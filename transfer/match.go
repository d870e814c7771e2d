package transfer

import (
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"linehaul/fault"
)

// A Source is a source of a transfer, taken apart, to ask what it takes
// without looking anywhere.
type Source struct {
	p         pattern
	fold      bool
	recursive bool
}

// ParseSource takes a source apart: a local one, or one on a server. With
// recursive, it takes folders with all that is below them.
func ParseSource(source string, local, recursive bool) (Source, error) {
	parse := parseRemote
	if local {
		parse = parseLocal
	}
	p, err := parse(source)
	return Source{p, local && runtime.GOOS == "windows", recursive}, err
}

// Matches reports whether the source would take a file of that path.
func (s Source) Matches(path string) bool {
	path = filepath.ToSlash(path)
	rest, ok := strings.CutPrefix(path, s.p.top)
	if !ok || s.p.top == "" && strings.HasPrefix(path, "/") {
		return false
	}
	var names []string
	for name := range strings.SplitSeq(rest, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	n := len(s.p.fixed)
	return len(names) >= n && slices.EqualFunc(names[:n], s.p.fixed, s.same) && s.match(names[n:], s.p.rest)
}

func (s Source) same(a, b string) bool { return a == b || s.fold && strings.EqualFold(a, b) }

// match holds names against the elements that are left.
func (s Source) match(names []string, rest []element) bool {
	switch {
	case len(rest) == 0:
		return len(names) == 0 || s.recursive
	case len(names) == 0:
		return false
	case rest[0].deep:
		last := len(rest) == 1
		if !last && s.match(names, rest[1:]) {
			return true
		}
		return rest[0].match(names[0], s.fold) && (last && len(names) == 1 || s.match(names[1:], rest))
	}
	return s.takes(rest[0], names[0]) && s.match(names[1:], rest[1:])
}

func (s Source) takes(e element, name string) bool {
	if e.wild() {
		return e.match(name, s.fold)
	}
	return s.same(e.text, name)
}

// MatchesName reports whether the source could take a file of that name from
// any folder.
func (s Source) MatchesName(name string) bool {
	switch {
	case s.recursive:
		return true
	case len(s.p.rest) > 0:
		return s.takes(s.p.rest[len(s.p.rest)-1], name)
	case len(s.p.fixed) > 0:
		return s.same(s.p.fixed[len(s.p.fixed)-1], name)
	}
	return false
}

// IsPart reports whether a name is that of an unfinished file of ours, of its
// journal, or of a bad copy that was kept.
func IsPart(name string) bool {
	return isOurs(name)
}

// Folder takes a source apart that names one folder: its path without
// escapes, and its name, which begins the Rel of all that is in it; empty
// where the source is the like of "." or "..".
func Folder(source string, local bool) (path, name string, err error) {
	parse := parseRemote
	if local {
		parse = parseLocal
	}
	p, err := parse(source)
	switch {
	case err != nil:
		return "", "", err
	case len(p.rest) > 0:
		return "", "", fault.New(fault.Usage, "%q has wildcards, and one folder is wanted", source).
			WithHint("name the folder, and choose with `include` and `exclude`; a backslash before *, ?, [ or { takes that character as it is")
	}
	if n := len(p.fixed); n > 0 && p.fixed[n-1] != ".." {
		name = p.fixed[n-1]
	}
	return folderPath(p.top, p.fixed), name, nil
}
