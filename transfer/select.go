package transfer

import (
	"cmp"
	"path"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"linehaul/fault"
)

// Links says what becomes of symbolic links below a folder that is taken with
// all that is in it. A link that a source names, or that its wildcard matches,
// is followed to its file with SkipLinks and FollowLinks.
type Links string

// The ways.
const (
	// SkipLinks leaves links out. It is what the zero value means.
	SkipLinks Links = "skip"
	// FollowLinks takes what a link leads to under the link's name, as long as
	// that lies in the source's folder and is no circle.
	FollowLinks Links = "follow"
	// CopyLinks makes the link anew at the target, as long as it is relative
	// and leads to something in the folder that is taken.
	CopyLinks Links = "copy"
)

// Names says what becomes of names that the target's system cannot hold.
type Names string

// The ways.
const (
	// RefuseNames fails such a file. It is what the zero value means.
	RefuseNames Names = "refuse"
	// MapNames writes each such character as another one: see MapName.
	MapNames Names = "map"
)

// Select says which of the files that the sources match are taken. The zero
// value takes all that has no temporary name.
type Select struct {
	// Include and Exclude are patterns as doublestar has them: * ? [a-z] {a,b}
	// and ** for any number of folders; a backslash takes the next character
	// as it is. They are held against the path below the source's folder,
	// which is the folder that a source names, or what stands before its first
	// wildcard. A pattern without a slash inside is held against the name, at
	// any depth. One that matches a folder stands for all that is in it, and
	// one with a slash at its end matches folders only. Here, * matches a dot
	// at the beginning of a name too.
	//
	// What Exclude matches is never taken, and such a folder is not even
	// looked into. With an Include, only what it matches is taken.
	Include, Exclude []string

	MinSize, MaxSize int64         // bytes; 0: no limit
	MinAge, MaxAge   time.Duration // between its mtime and the run; 0: no limit

	// OnlyNew leaves out what the target has already, by size and mtime.
	OnlyNew bool
	// Ledger has OnlyNew leave out what was moved before, wherever it is now, as
	// Plan.Ledger has it.
	Ledger bool
	// Newest takes only so many files of each source, the newest by mtime.
	// Files of the same second count in the order of their paths. 0: all.
	Newest int

	// Settle takes only files that have not been changed for so long. See
	// Plan for how this is found out. 0: at once.
	Settle time.Duration
	// Sentinel is the name of the file beside another one that says that the
	// other one is finished: {name} or {stem} in it stand for the other one's
	// name, with and without its extension. Sentinels themselves are not taken
	// unless a pattern of Include ends as they do. Empty: none is asked for.
	Sentinel string

	NoHidden bool  // folders are taken without what has a dot at its beginning
	Symlinks Links // of links in a folder that is taken
	Depth    int   // of a file below the source's folder, 1 for those in it; 0: any
	Names    Names // that the target cannot hold
}

// Check reports what is wrong with a selection, as an error of kind
// fault.Usage.
func (s Select) Check() error {
	_, err := s.compile(false)
	return err
}

// limitsFiles reports whether files are chosen one by one. Empty folders are
// then not made: nobody can have meant them.
func (s Select) limitsFiles() bool {
	return len(s.Include) > 0 || s.MinSize > 0 || s.MaxSize > 0 || s.MinAge > 0 || s.MaxAge > 0 ||
		s.Newest > 0 || s.Settle > 0 || s.Sentinel != ""
}

// temporary are the endings of names that others use while they write a file;
// the first one is ours.
func temporary() []string { return []string{partSuffix, ".tmp", ".filepart"} }

// A selection is a Select that is ready to use.
type selection struct {
	Select
	include, exclude []glob
	sentinel         sentinel
	fold             bool
}

func (s Select) compile(fold bool) (*selection, error) {
	c := &selection{Select: s, fold: fold}
	var err error
	if c.include, err = globs("include", s.Include, fold); err != nil {
		return nil, err
	}
	if c.exclude, err = globs("exclude", s.Exclude, fold); err != nil {
		return nil, err
	}
	if s.Sentinel != "" {
		if c.sentinel, err = parseSentinel(s.Sentinel); err != nil {
			return nil, err
		}
	}
	switch {
	case s.MinSize < 0 || s.MaxSize < 0 || s.MinAge < 0 || s.MaxAge < 0 || s.Newest < 0 || s.Settle < 0 || s.Depth < 0:
		err = fault.New(fault.Usage, "a limit of the selection is below zero")
	case s.MaxSize > 0 && s.MinSize > s.MaxSize:
		err = fault.New(fault.Usage, "the least size, %d bytes, is above the largest, %d", s.MinSize, s.MaxSize)
	case s.MaxAge > 0 && s.MinAge > s.MaxAge:
		err = fault.New(fault.Usage, "the least age, %s, is above the greatest, %s", s.MinAge, s.MaxAge)
	case s.Settle > 0 && s.Sentinel != "":
		err = fault.New(fault.Usage, "a time to settle and a sentinel are asked for: one of them is enough")
	}
	switch cmp.Or(s.Symlinks, SkipLinks) {
	case SkipLinks, FollowLinks, CopyLinks:
	default:
		err = fault.New(fault.Usage, "links are skipped, followed or copied, and not %q", s.Symlinks)
	}
	switch cmp.Or(s.Names, RefuseNames) {
	case RefuseNames, MapNames:
	default:
		err = fault.New(fault.Usage, "names are mapped or refused, and not %q", s.Names)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// A glob is one pattern of Include or Exclude.
type glob struct {
	text   string
	folder bool // it matches folders only
	whole  bool // it is held against the path, and not the name
}

func globs(key string, patterns []string, fold bool) ([]glob, error) {
	var all []glob
	for _, p := range patterns {
		g := glob{text: p}
		g.text, g.folder = strings.CutSuffix(g.text, "/")
		g.whole = strings.Contains(g.text, "/")
		g.text = strings.TrimPrefix(g.text, "/")
		if g.text == "" || strings.ContainsRune(g.text, 0) || !doublestar.ValidatePattern(g.text) {
			return nil, fault.New(fault.Usage, "%s: %q is no pattern", key, p).
				WithHint(`* and ? do not pass a slash, ** does; a backslash before *, ?, [, { or \ takes that character as it is`)
		}
		if fold {
			g.text = strings.ToLower(g.text)
		}
		all = append(all, g)
	}
	return all, nil
}

// matches reports whether the glob matches one path, not what lies above.
func (g glob) matches(sub string, folder bool) bool {
	if g.folder && !folder {
		return false
	}
	if !g.whole {
		sub = path.Base(sub)
	}
	return doublestar.MatchUnvalidated(g.text, sub)
}

// matchesUp reports whether the glob matches a path or a folder above it.
func (g glob) matchesUp(sub string, folder bool) bool {
	for {
		if g.matches(sub, folder) {
			return true
		}
		slash := strings.LastIndexByte(sub, '/')
		if slash < 0 {
			return false
		}
		sub, folder = sub[:slash], true
	}
}

// A candidate is what a source matched.
type candidate struct {
	sub   string // its path below the source's folder
	entry Entry
	// walked: it was found in a folder that is taken with all that is in it.
	walked bool
	// asked: the source names it, or ends as its temporary name does.
	asked bool
}

// hidden is the rule for dots at the beginning.
func (s *selection) hidden(c candidate) bool {
	return s.NoHidden && c.walked && strings.HasPrefix(c.entry.Name, ".")
}

// shut says why a folder is not looked into, or nothing. Folders above it are
// known to be open.
func (s *selection) shut(c candidate) Reason {
	switch {
	case s.hidden(c):
		return WhyHidden
	case s.excludes(c.sub, true):
		return WhyExcluded
	case s.Depth > 0 && depthOf(c.sub) >= s.Depth:
		return WhyTooDeep
	}
	return ""
}

// leaves says why what is no folder is not taken, whatever it is, or nothing.
func (s *selection) leaves(c candidate) Reason {
	switch {
	case s.hidden(c):
		return WhyHidden
	case s.excludes(c.sub, false):
		return WhyExcluded
	case s.Depth > 0 && depthOf(c.sub) > s.Depth:
		return WhyTooDeep
	}
	return ""
}

// file says why a file is not taken, or nothing, as far as its listing tells.
// at is the run's instant, clock what the files' own clock says then.
func (s *selection) file(c candidate, at, clock time.Time) Reason {
	if why := s.named(c); why != "" {
		return why
	}
	e := c.entry
	age := at.Sub(e.MTime)
	switch {
	case e.Size < s.MinSize:
		return WhyTooSmall
	case s.MaxSize > 0 && e.Size > s.MaxSize:
		return WhyTooLarge
	case s.MinAge > 0 && age < s.MinAge:
		return WhyTooYoung
	case s.MaxAge > 0 && age > s.MaxAge:
		return WhyTooOld
	case s.Settle > 0 && clock.Sub(e.MTime) < s.Settle:
		return WhyNotSettled
	}
	return ""
}

// named says why a file of that name is not taken, or nothing.
func (s *selection) named(c candidate) Reason {
	e := c.entry
	if why := s.leaves(c); why != "" {
		return why
	}
	ours := isOurs(e.Name)
	end := temporaryEnd(e.Name)
	if ours && end == "" {
		return WhyTemporary // a journal, or a bad copy
	}
	if end != "" {
		if (ours || !c.asked) && !s.includesEnd(c.sub, end) {
			return WhyTemporary
		}
	}
	if s.Sentinel != "" && s.sentinel.is(e.Name) && !s.includesEnd(c.sub, s.sentinel.after) {
		return WhySentinel
	}
	if len(s.include) > 0 && !s.includes(c.sub) {
		return WhyNotIncluded
	}
	return ""
}

func (s *selection) folded(sub string) string {
	if s.fold {
		return strings.ToLower(sub)
	}
	return sub
}

// excludes looks at this path alone: what lies in an excluded folder is never
// come to, except below what the source itself names.
func (s *selection) excludes(sub string, folder bool) bool {
	sub = s.folded(sub)
	for _, g := range s.exclude {
		if g.matchesUp(sub, folder) {
			return true
		}
	}
	return false
}

func (s *selection) includes(sub string) bool {
	sub = s.folded(sub)
	for _, g := range s.include {
		if g.matchesUp(sub, false) {
			return true
		}
	}
	return false
}

// includesEnd reports whether a pattern asks for a name with this ending in so
// many words.
func (s *selection) includesEnd(sub, end string) bool {
	sub = s.folded(sub)
	for _, g := range s.include {
		if end != "" && strings.HasSuffix(strings.ToLower(g.text), strings.ToLower(end)) && g.matches(sub, false) {
			return true
		}
	}
	return false
}

// temporaryEnd is the ending that makes a name a temporary one, or nothing.
func temporaryEnd(name string) string {
	lower := strings.ToLower(name)
	for _, end := range temporary() {
		if len(name) > len(end) && strings.HasSuffix(lower, end) {
			return end
		}
	}
	return ""
}

// depthOf is 1 for what lies in the source's own folder.
func depthOf(sub string) int { return strings.Count(sub, "/") + 1 }

// A sentinel is the form of names of files that say that others are finished.
type sentinel struct {
	before, after string
	stem          bool
}

func parseSentinel(form string) (sentinel, error) {
	var s sentinel
	var ok bool
	if s.before, s.after, ok = strings.Cut(form, "{name}"); !ok {
		s.before, s.after, ok = strings.Cut(form, "{stem}")
		s.stem = ok
	}
	if !ok || s.before+s.after == "" || strings.ContainsAny(s.before+s.after, "{}/\\\x00") {
		return s, fault.New(fault.Usage, "%q is no form of a sentinel", form).
			WithHint("write {name}.ok for a.csv.ok beside a.csv, or {stem}.ok for a.ok")
	}
	return s, nil
}

// of is the sentinel's name for a file.
func (s sentinel) of(name string) string {
	if ext := path.Ext(name); s.stem && ext != name {
		name = strings.TrimSuffix(name, ext)
	}
	return s.before + name + s.after
}

// is reports whether a name has the form of a sentinel.
func (s sentinel) is(name string) bool {
	return len(name) > len(s.before)+len(s.after) && strings.HasPrefix(name, s.before) && strings.HasSuffix(name, s.after)
}
