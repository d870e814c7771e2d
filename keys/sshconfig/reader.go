package sshconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"linehaul/internal/pattern"
)

// A reader goes through the files for one question.
type reader struct {
	q     Question
	o     Options
	c     *Config
	table map[string]keyword

	target    string // what Host patterns are held against
	final     bool   // this is the second pass
	wantFinal bool
	ignored   string // IgnoreUnknown

	// What needs expanding, until all values are known.
	hostname, agent        located
	identities, certs      []located
	userHosts, globalHosts []located

	at      Place             // the line under way
	files   int               // in this pass
	bytes   int               // in this pass
	content map[string][]byte // both passes see the same files
}

// located is a value that is not expanded yet, and where it stands.
type located struct {
	text string
	at   Place
}

func newReader(q Question, o Options) *reader {
	r := &reader{
		q: q, o: o, target: q.Host, content: map[string][]byte{},
		c: &Config{User: q.User, Port: q.Port, origin: map[string]Place{}},
	}
	if q.User != "" {
		r.give("user")
	}
	if q.Port != 0 {
		r.give("port")
	}
	if q.HostName != "" {
		r.hostname.text = strings.ReplaceAll(q.HostName, "%", "%%")
		r.give("hostname")
	}
	r.table = r.keywords()
	return r
}

// give keeps the files from setting a keyword.
func (r *reader) give(name string) {
	if _, given := r.c.origin[name]; !given {
		r.c.origin[name] = Place{}
	}
}

// wrong makes the error for the line under way.
func (r *reader) wrong(format string, args ...any) error { return r.at.wrong(format, args...) }

func (at Place) wrong(format string, args ...any) error {
	return &SyntaxError{File: at.File, Line: at.Line, Msg: fmt.Sprintf(format, args...)}
}

// A scope is a file under way, and the block in it.
type scope struct {
	path   string
	system bool
	depth  int
	active bool // the block is for our host
	never  bool // the file is included from a block that is not
}

// pass reads everything once.
func (r *reader) pass(path string) error {
	r.files, r.bytes = 0, 0
	system := r.o.SystemDir != "" && filepath.Dir(path) == filepath.Clean(r.o.SystemDir)
	if err := r.file(scope{path: path, system: system, active: true}); err != nil {
		return err
	}
	if !r.o.WithSystem || r.o.SystemDir == "" {
		return nil
	}
	err := r.file(scope{path: filepath.Join(r.o.SystemDir, "ssh_config"), system: true, active: true})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// file reads one file.
func (r *reader) file(sc scope) error {
	data, ok := r.content[sc.path]
	if !ok {
		var err error
		if data, err = r.o.ReadFile(sc.path); err != nil {
			return err
		}
		r.content[sc.path] = data
	}
	r.files++
	r.bytes += len(data)
	r.at = Place{sc.path, 1}
	switch {
	case len(data) > maxFile:
		return r.wrong("the file is larger than %d bytes", maxFile)
	case r.bytes > maxTotal:
		return r.wrong("the files together are larger than %d bytes", maxTotal)
	case r.files > maxFiles:
		return r.wrong("more than %d files are included", maxFiles)
	}
	// Windows' editors write the mark, which ssh takes for a part of the first
	// keyword.
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	n := 0
	for line := range bytes.Lines(data) {
		n++
		r.at = Place{sc.path, n}
		switch {
		case len(line) > maxLine:
			return r.wrong("the line is longer than %d bytes", maxLine)
		case bytes.IndexByte(line, 0) >= 0:
			return r.wrong("there is a NUL byte: this is no text in ASCII or UTF-8")
		}
		if err := r.line(&sc, string(line)); err != nil {
			return err
		}
	}
	return nil
}

// line reads a keyword and its arguments.
func (r *reader) line(sc *scope, text string) error {
	text = strings.TrimRight(text, " \t\r\n\f")
	word, rest, ok := delim(text)
	if word == "" && ok { // the line is indented
		word, rest, ok = delim(rest)
	}
	name := pattern.Lower(word)
	switch {
	case !ok:
		return r.wrong("a quote is not closed")
	case word == "" || word[0] == '#':
		return nil
	case rest == "":
		return r.wrong("nothing stands after %q", word)
	}
	args, ok := words(rest)
	if !ok {
		return r.wrong("a quote is not closed")
	}
	key, known := r.table[name]
	if !known && matchList(name, pattern.Lower(r.ignored)) {
		return nil
	}
	switch name {
	case "host":
		return r.hostBlock(sc, args)
	case "match":
		var err error
		sc.active, err = r.match(rest, sc.never)
		return err
	case "include":
		return r.include(sc, args)
	}
	if !known {
		key = keyword{name: name, why: "nobody here knows the keyword", matters: true, secret: true}
	}
	return r.option(word, key, args, sc.active)
}

// option takes a value. It is checked in every block, and kept where the block
// is for our host and the keyword has none.
func (r *reader) option(word string, key keyword, args []string, active bool) error {
	var keep func()
	if key.take != nil {
		var err error
		if keep, err = key.take(args); err != nil {
			return r.wrong("%s: %s", word, err)
		}
	}
	_, given := r.c.origin[key.name]
	if !active || (given && !key.adds) {
		return nil
	}
	if key.take == nil {
		r.c.origin[key.name] = r.at
		return r.noteOption(word, key, args)
	}
	if keep != nil {
		keep()
		if !given {
			r.c.origin[key.name] = r.at
		}
	}
	return nil
}

// note keeps what cannot be honoured, once for both passes.
func (r *reader) note(n Note) error {
	n.File, n.Line = r.at.File, r.at.Line
	if slices.Contains(r.c.NotHonoured, n) {
		return nil
	}
	if len(r.c.NotHonoured) == maxNotes {
		return r.wrong("more than %d lines cannot be honoured: this is no ssh_config", maxNotes)
	}
	r.c.NotHonoured = append(r.c.NotHonoured, n)
	return nil
}

// hostBlock begins a block of Host. One negated pattern that matches outweighs
// all others.
func (r *reader) hostBlock(sc *scope, args []string) error {
	if len(args) == 0 || slices.Contains(args, "") {
		return r.wrong("Host: a pattern is empty or missing")
	}
	sc.active = !sc.never && matchPatterns(r.target, slices.Values(args))
	return nil
}

// include reads other files as if they stood in this place. A block that they
// leave open ends with them.
func (r *reader) include(sc *scope, args []string) error {
	if len(args) == 0 || slices.Contains(args, "") {
		return r.wrong("Include: a path is empty or missing")
	}
	at := r.at
	for _, arg := range args {
		paths, err := r.glob(arg, sc.system)
		if err != nil {
			return err
		}
		if len(paths) == 0 && sc.active {
			// The variables and tokens of later versions would be seen here.
			if err := r.note(Note{Keyword: "Include", Value: shorten(arg), Why: "no file matches", Matters: strings.ContainsAny(arg, "%$")}); err != nil {
				return err
			}
		}
		for _, path := range paths {
			if sc.depth == maxDepth {
				return r.wrong("Include: more than %d files include each other", maxDepth)
			}
			err := r.file(scope{path: path, system: sc.system, depth: sc.depth + 1, active: sc.active, never: sc.never || !sc.active})
			r.at = at
			switch syntax := (*SyntaxError)(nil); {
			case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, errFolder):
			case errors.As(err, &syntax):
				return err
			default:
				return r.wrong("Include: %s", err)
			}
		}
	}
	return nil
}

// glob returns the files that an Include means, in the order of their names.
func (r *reader) glob(pattern string, system bool) ([]string, error) {
	abs := filepath.IsAbs(pattern) || pattern[0] == '/'
	switch {
	case pattern[0] == '~' && system:
		return nil, r.wrong("Include: %q: a system file cannot include a user's", pattern)
	case abs || pattern[0] == '~':
	case system:
		pattern = filepath.Join(r.o.SystemDir, pattern)
	default:
		pattern = "~/.ssh/" + pattern
	}
	prefix, rest, err := r.tilde(pattern)
	if err != nil {
		return nil, r.wrong("Include: %s", err)
	}
	pattern = prefix + rest
	// The C library also takes ! where Go takes ^ alone.
	paths, err := r.o.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil {
		return nil, r.wrong("Include: %q: %s", pattern, err)
	}
	paths = slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return hidden(pattern, p) })
	slices.Sort(paths)
	return paths, nil
}

// hidden reports whether a name in the path starts with a dot and the pattern
// does not say so. Such files, an editor's for example, match no wildcard.
func hidden(pattern, path string) bool {
	want := strings.Split(filepath.ToSlash(pattern), "/")
	have := strings.Split(filepath.ToSlash(path), "/")
	for i := 1; i <= min(len(want), len(have)); i++ {
		if strings.HasPrefix(have[len(have)-i], ".") && !strings.HasPrefix(want[len(want)-i], ".") {
			return true
		}
	}
	return false
}
