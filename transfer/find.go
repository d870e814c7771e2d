package transfer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
)

const (
	// maxDepth bounds how deep a tree is walked, so that a server that makes
	// up folders without end is left in the end.
	maxDepth = 255
	// maxItems bounds what Collect holds: about a gigabyte.
	maxItems = 4 << 20
	// maxSeen bounds how many paths are remembered where sources overlap:
	// about 160 MB.
	maxSeen = 4 << 20
)

// An Item is one file to move, one empty folder to make, or one link to make
// anew.
type Item struct {
	// Source is the remote path for a get, the local one for a put.
	Source string
	// Path is the slash path below the source's leading folders that hold no
	// wildcard, with the name: for the stamp {path}.
	Path string
	// Rel is the slash path below the parent of what was matched, the default
	// place below a target folder: "www/a/b.html" for -r of /var/www, "x.gz"
	// for /var/log/*/x.gz.
	Rel   string
	Entry Entry
	// Link is the text of a symbolic link that is to be made anew; the mode
	// of Entry says so too.
	Link string
	// Target is set by Placing: for a get the path below the root folder, for
	// a put the full remote path.
	Target string
	// Closing is a folder that comes after all that is in it, for its mode and
	// time, and that is not made; see Find.Folders.
	Closing bool
	// Standing is what a Comparison has found at the target.
	Standing Standing
}

// Find turns sources into items. A source may hold wildcards in any element:
// * ? [abc] [a-z] [!a] {a,b}, and ** for any number of folders; a backslash
// takes the next character as it is. A dot at the beginning of a name is only
// matched by a dot. The zero value is ready to use.
//
// Items come while the search goes on, in the order of the sources, and below
// each in the order of their paths, compared folder by folder; nothing comes
// twice. Memory does not grow with their number: a folder with very many
// entries is sorted on disk, and only where sources overlap are the paths
// remembered, as hashes, up to four million. Some folders are listed ahead of
// the one that is looked at.
//
// Wildcards that match nothing give no items and no error. An error that
// concerns one file or folder (of kind fault.RemoteFile, fault.LocalDisk)
// comes between the items, and the search goes on if the caller does; any
// other is the last thing that comes. A source without wildcard that is not
// there is of the first sort, and wraps fs.ErrNotExist.
type Find struct {
	// Recursive takes folders with all that is below them.
	Recursive bool
	// Folders gives each folder that is looked into, too, after all that is
	// in it, as an Item that is Closing.
	Folders bool
	// Select says which files are taken.
	Select Select
	// At is the run's instant, for the ages of files.
	At time.Time
	// Clock is what the clock that stamps the files says now, as far as it is
	// known: for Select.Settle. Default: At.
	Clock time.Time
	// Temp is the folder for a private one in which long listings are sorted;
	// empty for the system's.
	Temp string
	// Ahead is how many folders are listed before they are come to. Default:
	// 8; none if negative, for servers that do one thing at a time.
	Ahead int
	// Log is told what is left out, and why. It may be nil.
	Log *slog.Logger
	// Skipped is told the same. It is called between items, by the goroutine
	// that takes them. It may be nil.
	Skipped func(Skip)

	held int // how many entries are held in memory; 0: maxHeld
}

// Remote finds files on a server.
func (f Find) Remote(ctx context.Context, r Remote, sources ...string) iter.Seq2[Item, error] {
	return f.in(ctx, remoteTree(r), sources)
}

// Local finds files on this machine, by the same rules. On Windows both
// separators divide, none escapes, and case does not count.
func (f Find) Local(ctx context.Context, sources ...string) iter.Seq2[Item, error] {
	return f.in(ctx, localTree(), sources)
}

// A finder is one search under way.
type finder struct {
	tree
	*selection
	recursive bool
	folders   bool
	at, clock time.Time
	lister    *lister
	yield     func(Item, error) bool
	left      leaver

	// Of the source that is looked for now.
	root   string // its fixed folders
	rest   []element
	seen   *seen // nil: nothing can come twice
	newest *newest
}

func (f Find) in(ctx context.Context, t tree, sources []string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		s := finder{
			tree: t, recursive: f.Recursive, folders: f.Folders, at: f.At, clock: f.Clock,
			yield: yield, left: leaver{log: orDiscard(f.Log), told: f.Skipped},
		}
		if s.clock.IsZero() {
			s.clock = s.at
		}
		patterns, err := s.prepare(f.Select, sources)
		if err != nil {
			yield(Item{}, err)
			return
		}
		s.lister = newLister(ctx, t, f)
		defer func() {
			if closeErr := s.lister.close(); closeErr != nil {
				s.left.log.Warn("cannot remove a temporary folder", keyError, closeErr)
			}
		}()
		several := &seen{marks: map[pathHash]mark{}}
		for i, p := range patterns {
			s.root, s.rest, s.seen, s.newest = folderPath(p.top, p.fixed), p.rest, nil, nil
			if overlaps(patterns, i) {
				s.seen = several
			}
			if f.Select.Newest > 0 {
				s.newest = &newest{most: f.Select.Newest}
			}
			if err := s.source(ctx, p); err != nil {
				if !errors.Is(err, errStop) {
					yield(Item{}, err)
				}
				return
			}
		}
	}
}

// prepare reads what the caller gave.
func (f *finder) prepare(sel Select, sources []string) ([]pattern, error) {
	var err error
	if f.selection, err = sel.compile(f.tree.fold); err != nil {
		return nil, err
	}
	if err := f.needsLinks(sel.Symlinks); err != nil {
		return nil, err
	}
	var patterns []pattern
	for _, source := range sources {
		p, err := f.parse(source)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// source finds what one source matches.
func (f *finder) source(ctx context.Context, p pattern) error {
	var err error
	if len(p.rest) == 0 {
		err = f.named(ctx, p)
	} else {
		err = f.expand(ctx, &branch{dir: folderPath(p.top, p.fixed), states: f.closure([]int{0})})
	}
	if err == nil && f.newest != nil {
		for _, item := range f.newest.take() {
			if err := f.emit(item); err != nil {
				return err
			}
		}
	}
	return err
}

// overlaps reports whether another source may give what source i gives: its
// fixed folders lead to, or through, those of i.
func overlaps(patterns []pattern, i int) bool {
	for j, p := range patterns {
		n := min(len(p.fixed), len(patterns[i].fixed))
		if i != j && p.top == patterns[i].top && slices.Equal(p.fixed[:n], patterns[i].fixed[:n]) {
			return true
		}
	}
	return false
}

// OneTree reports whether the items of these sources come from one folder, in
// the order of that folder's tree, so that no two have the same Rel.
func OneTree(sources []string, local bool) bool {
	parse := parseRemote
	if local {
		parse = parseLocal
	}
	if len(sources) != 1 {
		return false
	}
	p, err := parse(sources[0])
	return err == nil && (len(p.rest) == 0 || len(p.rest) == 1 && !p.rest[0].deep)
}

// problem passes on a failure that concerns one file or folder; the search
// goes on. Any other failure is returned, and ends it.
func (f *finder) problem(ctx context.Context, path string, err error) error {
	if err = sorted(ctx, f.kind, path, err); stopsAll(err) {
		return err
	}
	if f.seen != nil && !f.seen.first(path, markFailed) {
		return nil
	}
	f.left.log.Warn("cannot look here", keySource, f.native(path), keyError, err)
	if !f.yield(Item{}, err) {
		return errStop
	}
	return nil
}

// skip says that something is left alone.
func (f *finder) skip(item Item, why Reason) {
	if f.seen == nil || f.seen.first(item.Source, markLeft) {
		f.left.leave(item, why)
	}
}

// take hands a file, an empty folder or a link on, unless it was taken before.
func (f *finder) take(item Item) error {
	if f.seen != nil {
		if !f.seen.first(item.Source, markTaken) {
			return nil
		}
		if len(f.seen.marks) > maxSeen {
			return fault.New(fault.Usage, "the sources overlap, and match more than %d files", maxSeen).
				WithHint("let no source lie in another one, or take them in several jobs")
		}
	}
	if f.newest != nil {
		if dropped, any := f.newest.add(item); any {
			f.left.leave(dropped, WhyNotNewest)
		}
		return nil
	}
	return f.emit(item)
}

func (f *finder) emit(item Item) error {
	if !f.yield(item, nil) {
		return errStop
	}
	return nil
}

// named takes a source without wildcards.
func (f *finder) named(ctx context.Context, p pattern) error {
	path, name := folderPath(p.top, p.fixed), ""
	if n := len(p.fixed); n > 0 && p.fixed[n-1] != ".." {
		name = p.fixed[n-1]
	}
	e, err := f.stat(ctx, dot(path))
	if err != nil {
		return f.problem(ctx, path, err)
	}
	e.Name = name
	item := Item{Source: f.native(path), Path: name, Rel: name, Entry: e}
	switch {
	case isOurs(name) && !f.includesEnd(name, partSuffix):
		err = fault.New(f.kind, "%q is the unfinished file of a transfer, or a bad copy", path)
	case e.Mode.IsRegular() && name != "":
		_, err := f.file(ctx, nil, item, candidate{sub: name, entry: e, asked: true})
		return err
	case !e.Mode.IsDir():
		err = fault.New(f.kind, "%q is not a file: %s", path, what(e.Mode))
	case !f.recursive:
		err = fault.New(f.kind, "%q is a folder", path).WithHint("to take it with all below it, give -r, or `recursive: true` in a job")
	default:
		return f.walk(ctx, &branch{dir: path, path: name, rel: name, self: e, base: path})
	}
	return f.problem(ctx, path, err)
}

// file takes a file that the selection does not leave out, and reports whether
// it does. in is the folder that it was found in, nil if it was not found in a
// listing.
func (f *finder) file(ctx context.Context, in *branch, item Item, c candidate) (bool, error) {
	why := f.selection.file(c, f.at, f.clock)
	if why == "" && f.Sentinel != "" && !f.sentinel.is(item.Entry.Name) {
		there, err := f.beside(ctx, in, item)
		if err != nil {
			return false, f.problem(ctx, item.Source, err)
		}
		if !there {
			why = WhyNoSentinel
		}
	}
	if why != "" {
		f.skip(item, why)
		return false, nil
	}
	return true, f.take(item)
}

// beside reports whether a file's sentinel is there.
func (f *finder) beside(ctx context.Context, in *branch, item Item) (bool, error) {
	name := f.sentinel.of(item.Entry.Name)
	if in != nil && in.list != nil && in.list.entries != nil {
		if there, known := in.list.entries.has(name); known {
			return there, nil
		}
	}
	source := item.Source
	if f.local {
		source = filepath.ToSlash(source)
	}
	_, err := f.stat(ctx, strings.TrimSuffix(source, base(source))+name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// what names a type of file that is not copied.
func what(m fs.FileMode) string { return string(special(m)) }

// special is the reason to leave out what is no file.
func special(m fs.FileMode) Reason {
	switch {
	case m&fs.ModeSymlink != 0:
		return WhyLink
	case m&fs.ModeNamedPipe != 0:
		return WhyPipe
	case m&fs.ModeSocket != 0:
		return WhySocket
	case m&fs.ModeDevice != 0:
		return WhyDevice
	case m.IsDir():
		return WhyFolder
	}
	return WhySpecial
}

// A leaver says what is left alone.
type leaver struct {
	log  *slog.Logger
	told func(Skip) // may be nil
}

func (l leaver) leave(item Item, why Reason) {
	l.log.Info("skipped", keyName, item.Entry.Name, keySource, item.Source, keyReason, why.String())
	if l.told != nil {
		l.told(Skip{Item: item, Reason: why})
	}
}

// quietly says the same of what a mirror's target has, or a ledger: mostly that
// is nearly everything.
func (l leaver) quietly(item Item, why Reason) {
	l.log.Debug("skipped", keyName, item.Entry.Name, keySource, item.Source, keyReason, why.String())
	if l.told != nil {
		l.told(Skip{Item: item, Reason: why})
	}
}

// A pathHash stands for a text that is compared and never shown again. Names come
// from peers, so it is one that nobody can find two equal texts for.
type pathHash [16]byte

func hashOf(s string) pathHash {
	sum := sha256.Sum256([]byte(s))
	return pathHash(sum[:len(pathHash{})])
}

// A mark is what became of a path; several may hold.
type mark uint8

const (
	markTaken mark = 1 << iota
	markLeft
	markFailed
)

// seen remembers paths, for sources that overlap.
type seen struct{ marks map[pathHash]mark }

// first reports whether a path has neither this mark nor was taken, and marks
// it.
func (s *seen) first(path string, m mark) bool {
	h := hashOf(path)
	old := s.marks[h]
	s.marks[h] = old | m
	return old&(m|markTaken) == 0
}

// folderPath joins what leads a source to the names that follow. It is empty
// for the current folder.
func folderPath(top string, names []string) string { return top + strings.Join(names, "/") }

// dot names the current folder where a path is empty.
func dot(path string) string { return cmp.Or(path, ".") }

// join appends a name to a slash path. It does not clean: a name may be "..".
func join(dir, name string) string {
	if dir == "" || strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + "/" + name
}

// base is the last element of a slash path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
