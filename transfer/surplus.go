package transfer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"strings"

	"linehaul/fault"
)

// A Surplus finds what the target of a mirror holds and its source does not:
// names that the source does not have, and what is of another type there, so
// that it is in the way. Both trees are listed folder by folder and held
// against each other in the order of their names; what does not fit in memory
// is sorted on disk.
//
// What the selection leaves out by its name (Exclude, Include, NoHidden, Depth,
// temporary names) stays, whether the source has it or not, unless Excluded is
// set; our own unfinished files always do. A name stays too that the source has
// and that is not taken for another reason: its size, its age, or what it is.
// Nothing is looked for below links, and below folders that the source reaches
// by a link that is followed.
type Surplus struct {
	Select   Select
	Target   System // that names suit
	Source   System
	Excluded bool
	// Temp and Ahead are as in Find.
	Temp  string
	Ahead int
	Log   *slog.Logger // may be nil

	held int // 0: maxHeld
}

// Left is what a Surplus has found.
type Left struct {
	// Extra are the entries, by the slash path below the target's folder: Target
	// and Entry are set. What is in a folder comes before it. A folder comes
	// only if all that is in it does.
	Extra *Pile
	Seen  int // entries at the target that were looked at, these among them
}

// Get looks through a folder of this machine, the target of a get.
func (s Surplus) Get(ctx context.Context, r Remote, source, root string) (Left, error) {
	below, err := OpenLocalTree(root)
	if errors.Is(err, fs.ErrNotExist) {
		return Left{Extra: NewPile(s.Temp)}, nil
	}
	if err != nil {
		return Left{}, err
	}
	defer below.Close() //nolint:errcheck // it was only read
	from, to := remoteTree(r), tree{kind: fault.LocalDisk, list: below.listSeq}
	return s.find(ctx, from, to, source, "")
}

// Put looks through a folder of a server, the target of a put.
func (s Surplus) Put(ctx context.Context, r Remote, source, dir string) (Left, error) {
	to := remoteTree(r)
	list := to.list
	to.list = func(ctx context.Context, at string) iter.Seq2[Entry, error] {
		return func(yield func(Entry, error) bool) {
			// Some servers show a link as what it leads to.
			if l, ok := r.(LinkStater); ok && at != dot(dir) {
				if e, err := l.Lstat(ctx, at); err != nil || !e.Mode.IsDir() {
					yield(Entry{}, errors.Join(err, errNoFolder))
					return
				}
			}
			list(ctx, at)(yield)
		}
	}
	return s.find(ctx, localTree(), to, source, dir)
}

// errNoFolder says that a listing named a folder that is none.
var errNoFolder = errors.New("it is no folder")

func (s Surplus) find(ctx context.Context, from, to tree, source, target string) (Left, error) {
	sel, err := s.Select.compile(from.fold)
	if err != nil {
		return Left{}, err
	}
	p, err := from.parse(source)
	if err != nil {
		return Left{}, err
	}
	find := Find{Temp: s.Temp, Ahead: s.Ahead, held: s.held}
	w := surplus{Surplus: s, selection: sel, from: folderPath(p.top, p.fixed), to: target, log: orDiscard(s.Log), left: Left{Extra: NewPile(s.Temp)}}
	w.source, w.target = newLister(ctx, from, find), newLister(ctx, to, find)
	w.source.keyed = func(name string) string { return keyed(s.Target.key(s.targetName(name)), name) }
	w.target.keyed = func(name string) string { return keyed(s.Target.key(name), name) }
	_, err = w.walk(ctx, &pair{both: true})
	for _, l := range []*lister{w.source, w.target} {
		if closeErr := l.close(); closeErr != nil {
			w.log.Warn("cannot remove a temporary folder", keyError, closeErr)
		}
	}
	if err != nil {
		w.left.Extra.Close() //nolint:errcheck // the error before counts
		return Left{}, err
	}
	return w.left, nil
}

// targetName is what a name of the source becomes at the target.
func (s Surplus) targetName(name string) string {
	switch {
	case s.Select.Names != MapNames:
	case s.Target == Windows && s.Source != Windows:
		if to, ok := MapName(name); ok {
			return to
		}
	case s.Target != Windows && s.Source == Windows:
		return UnmapName(name)
	}
	return name
}

// sourceName is what a name at the target would be at the source.
func (s Surplus) sourceName(name string) string {
	switch {
	case s.Select.Names != MapNames:
	case s.Target == Windows && s.Source != Windows:
		return UnmapName(name)
	case s.Target != Windows && s.Source == Windows:
		if to, ok := MapName(name); ok {
			return to
		}
	}
	return name
}

// keyed puts before a name what it is ordered by. Neither holds a zero byte.
func keyed(key, name string) string { return key + "\x00" + name }

// unkeyed takes them apart.
func unkeyed(e Entry) (key string, named Entry) {
	key, e.Name, _ = strings.Cut(e.Name, "\x00")
	return key, e
}

// surplus is one search under way.
type surplus struct {
	Surplus
	*selection
	source, target *lister
	from, to       string // the two folders
	log            *slog.Logger
	left           Left
}

// A pair is a folder of the target, and the one of the source that it mirrors.
type pair struct {
	src, dst string // below the two folders
	sub      string // dst as the selection sees it
	both     bool   // there is one at the source
	depth    int

	srcList, dstList *listing // nil: not begun
}

// start begins the listings of a pair.
func (w *surplus) start(p *pair) {
	if p.dstList == nil {
		p.dstList = w.target.start(join(w.to, p.dst))
	}
	if p.both && p.srcList == nil {
		p.srcList = w.source.start(join(w.from, p.src))
	}
}

// walk looks through a folder, and reports whether all that is in it is extra.
func (w *surplus) walk(ctx context.Context, p *pair) (bool, error) {
	if p.depth > maxDepth {
		return false, fault.New(fault.Config, "%q is more than %d folders deep", clip(join(w.to, p.dst)), maxDepth)
	}
	w.start(p)
	defer w.target.drop(p.dstList)
	if p.both {
		defer w.source.drop(p.srcList)
	}
	if <-p.dstList.done; p.dstList.err != nil {
		gone := errors.Is(p.dstList.err, fs.ErrNotExist) || p.depth > 0 && errors.Is(p.dstList.err, errNoFolder)
		if gone { // there is none yet, or it has changed since its parent was listed
			return false, nil
		}
		return false, p.dstList.err
	}
	if p.both {
		if <-p.srcList.done; p.srcList.err != nil {
			return false, p.srcList.err
		}
		if bad := p.srcList.complaints(join(w.from, p.src)); len(bad) > 0 {
			return false, bad[0]
		}
	}
	whole := true
	for _, bad := range p.dstList.complaints(join(w.to, p.dst)) {
		w.log.Warn("it stays", keyTarget, join(w.to, p.dst), keyError, bad)
		whole = false
	}
	m := &merge{dst: p.dstList.entries}
	if p.both {
		m.src = p.srcList.entries
	}
	return w.entries(ctx, p, m, whole)
}

// entries looks through the entries of a folder, and lists some of the folders
// among them ahead.
func (w *surplus) entries(ctx context.Context, p *pair, m *merge, whole bool) (bool, error) {
	var ahead []verdict
	folders, atEnd := 0, false
	for {
		for !atEnd && len(ahead) < lookThrough && folders < max(w.target.ahead, 1) {
			e, s, ok, err := m.next()
			if err != nil {
				return false, err
			}
			if atEnd = !ok; atEnd {
				break
			}
			w.left.Seen++
			v := w.judge(p, e, s)
			if v.enter != nil {
				if folders++; folders > 1 && w.target.ahead > 0 {
					w.start(v.enter)
				}
			}
			ahead = append(ahead, v)
		}
		if len(ahead) == 0 {
			return whole, nil
		}
		if err := ctx.Err(); err != nil {
			return false, sorted(ctx, fault.Interrupted, join(w.to, p.dst), err)
		}
		v := ahead[0]
		ahead = ahead[1:]
		if v.enter != nil {
			folders--
			empty, err := w.walk(ctx, v.enter)
			if err != nil {
				return false, err
			}
			v.extra = v.extra && empty
		}
		whole = whole && v.extra
		if v.extra {
			if err := w.left.Extra.Add(Item{Target: join(p.dst, v.entry.Name), Entry: v.entry}); err != nil {
				return false, err
			}
		}
	}
}

// A verdict is what becomes of an entry of the target.
type verdict struct {
	entry Entry
	extra bool  // it goes, if all that is in it does
	enter *pair // a folder to look through; nil: not
}

// judge judges an entry of the target; s is what the source has of that name,
// nil for nothing.
func (w *surplus) judge(p *pair, e Entry, s *Entry) verdict {
	stays := verdict{entry: e}
	if isOurs(e.Name) {
		return stays
	}
	named := e
	named.Name = w.sourceName(e.Name)
	if s != nil {
		named = *s
	}
	sub := join(p.sub, named.Name)
	within := func(both bool) *pair {
		inner := &pair{dst: join(p.dst, e.Name), sub: sub, both: both, depth: p.depth + 1}
		if both {
			inner.src = join(p.src, s.Name)
		}
		return inner
	}
	switch {
	case w.leftOut(candidate{sub: sub, entry: named, walked: true}):
		if !w.Excluded {
			return stays
		}
		s = nil
	case s == nil:
	case s.Mode.IsDir() && e.Mode.IsDir():
		return verdict{entry: e, enter: within(true)}
	case !w.displaces(*s, e):
		return stays
	}
	v := verdict{entry: e, extra: true}
	if e.Mode.IsDir() {
		v.enter = within(false)
	}
	return v
}

// leftOut reports whether the selection leaves a name out.
func (w *surplus) leftOut(c candidate) bool {
	if c.entry.Mode.IsDir() {
		return w.shut(c) != ""
	}
	return w.named(c) != ""
}

// displaces reports whether what the source has is to be where the target has
// something else.
func (w *surplus) displaces(s, e Entry) bool {
	switch {
	case s.Mode.IsDir():
		return true
	case s.Mode.IsRegular():
		return !e.Mode.IsRegular()
	}
	return s.Mode&fs.ModeSymlink != 0 && w.Symlinks == CopyLinks && e.Mode&fs.ModeSymlink == 0
}

// A merge reads two listings side by side.
type merge struct {
	src, dst *ordered // src may be nil
	key      string   // of s
	s        Entry
	have     bool
	ended    bool
}

// next returns the next entry of the target, and that of the source with the
// same key.
func (m *merge) next() (e Entry, s *Entry, ok bool, err error) {
	e, ok, err = m.dst.next()
	if err != nil || !ok {
		return e, nil, false, err
	}
	key, e := unkeyed(e)
	for m.src != nil && !m.ended && (!m.have || m.key < key) {
		var next Entry
		if next, m.have, err = m.src.next(); err != nil {
			return e, nil, false, err
		}
		if m.ended = !m.have; m.have {
			m.key, m.s = unkeyed(next)
		}
	}
	if m.have && m.key == key {
		found := m.s
		return e, &found, true, nil
	}
	return e, nil, true, nil
}
