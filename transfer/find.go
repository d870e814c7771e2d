package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"linehaul/fault"
)

const (
	// maxDepth bounds how deep a tree is walked, so that a server that makes
	// up folders without end is left in the end.
	maxDepth = 255
	// maxItems bounds one plan, for the same reason: about a gigabyte.
	maxItems = 4 << 20
)

// An Item is one file to move, or one empty folder to make.
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
	// Target is set by Place: for a get the path below the root folder, for a
	// put the full remote path.
	Target string
}

// Find turns sources into items. A source may hold wildcards in any element:
// * ? [abc] [a-z] [!a] {a,b}, and ** for any number of folders; a backslash
// takes the next character as it is. A dot at the beginning of a name is only
// matched by a dot. The zero value is ready to use.
type Find struct {
	// Recursive takes folders with all that is below them.
	Recursive bool
	// Log is told what is left out, and why. It may be nil.
	Log *slog.Logger
}

// Remote finds files on a server. Items come in the order of the sources, and
// below each sorted by name; nothing comes twice.
//
// Wildcards that match nothing give no items and no error. A source without
// wildcard that is not there is an error of kind fault.RemoteFile that wraps
// fs.ErrNotExist. An error of kind fault.Partial comes with the items that
// could be found; any other error comes without.
func (f Find) Remote(ctx context.Context, r Remote, sources ...string) ([]Item, error) {
	t := tree{kind: fault.RemoteFile, parse: parseRemote, stat: r.Stat, list: r.List, native: func(p string) string { return p }}
	return f.in(ctx, t, sources)
}

// Local finds files on this machine, by the same rules and with errors of kind
// fault.LocalDisk. On Windows both separators divide, none escapes, and case
// does not count.
func (f Find) Local(ctx context.Context, sources ...string) ([]Item, error) {
	t := tree{
		kind: fault.LocalDisk, parse: parseLocal, stat: localStat, list: localList,
		native: filepath.FromSlash, fold: runtime.GOOS == "windows",
	}
	return f.in(ctx, t, sources)
}

// A tree is a file system to find files in, by slash paths.
type tree struct {
	kind   fault.Kind // of its file-level errors
	parse  func(source string) (pattern, error)
	stat   func(ctx context.Context, path string) (Entry, error) // through links
	list   func(ctx context.Context, dir string) ([]Entry, error)
	native func(path string) string // an Item's Source
	fold   bool                     // case does not count
}

// A finder is one search under way.
type finder struct {
	tree
	recursive bool
	log       *slog.Logger
	items     []Item
	seen      map[string]bool // paths that were taken, or walked
	failed    tally
}

func (f Find) in(ctx context.Context, t tree, sources []string) ([]Item, error) {
	s := finder{tree: t, recursive: f.Recursive, log: orDiscard(f.Log), seen: map[string]bool{}}
	for _, source := range sources {
		p, err := t.parse(source)
		if err == nil && len(p.rest) == 0 {
			err = s.named(ctx, p)
		} else if err == nil {
			err = s.expand(ctx, &place{dir: folderPath(p.top, p.fixed)}, p.rest)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case s.failed.n == 0:
		return s.items, nil
	case len(s.items) == 0:
		return nil, s.failed.all("source")
	}
	return s.items, fault.New(fault.Partial, "found %d files, and could not look everywhere: %w", len(s.items), s.failed.first)
}

// problem notes a failure that concerns one file or folder; the search goes
// on. Any other failure is returned, and ends it.
func (f *finder) problem(ctx context.Context, path string, err error) error {
	if err = sorted(ctx, f.kind, path, err); stopsAll(err) {
		return err
	}
	f.log.Warn("cannot look here", keySource, f.native(path), keyError, err)
	f.failed.add(err)
	return nil
}

func (f *finder) skip(path, why string) {
	f.log.Info("skipped: "+why, keyName, base(path), keySource, f.native(path))
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
	switch {
	case isOurs(name):
		err = fault.New(f.kind, "%q is the unfinished file of a transfer", path)
	case e.Mode.IsRegular() && name != "":
		return f.add(path, name, name, e)
	case !e.Mode.IsDir():
		err = fault.New(f.kind, "%q is not a file: %s", path, what(e.Mode))
	case !f.recursive:
		err = fault.New(f.kind, "%q is a folder", path).WithHint("to take it with all below it, give -r, or `recursive: true` in a job")
	default:
		return f.walk(ctx, path, name, name, e, 0)
	}
	return f.problem(ctx, path, err)
}

// A place is a folder that a source with wildcards has led to.
type place struct {
	dir, path string // path: below the fixed folders
	depth     int
	entries   []Entry
	listed    bool
}

func (at *place) below(name string) *place {
	return &place{dir: join(at.dir, name), path: join(at.path, name), depth: at.depth + 1}
}

// entriesOf lists a place once, however many patterns ask.
func (f *finder) entriesOf(ctx context.Context, at *place) ([]Entry, error) {
	if at.listed {
		return at.entries, nil
	}
	at.listed = true
	if at.depth > maxDepth {
		return nil, f.problem(ctx, at.dir, fault.New(f.kind, "%q is more than %d folders deep", clip(at.dir), maxDepth))
	}
	entries, err := f.listing(ctx, at.dir)
	if at.depth > 0 && errors.Is(err, fs.ErrNotExist) {
		return nil, nil // gone since its parent was listed
	}
	if err != nil {
		return nil, f.problem(ctx, at.dir, err)
	}
	at.entries = entries
	return entries, nil
}

// expand takes what the elements match below a place.
func (f *finder) expand(ctx context.Context, at *place, rest []element) error {
	e, last := rest[0], len(rest) == 1
	if !e.wild() {
		return f.literal(ctx, at, e.text, rest[1:])
	}
	if e.deep && !last {
		if err := f.expand(ctx, at, rest[1:]); err != nil {
			return err
		}
	}
	entries, err := f.entriesOf(ctx, at)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !e.match(entry.Name, f.fold) {
			continue
		}
		next := at.below(entry.Name)
		switch {
		case e.deep && entry.Mode.IsDir():
			err = f.expand(ctx, next, rest)
		case e.deep && !last:
		case last:
			err = f.matched(ctx, next, entry)
		default:
			err = f.enter(ctx, next, entry, rest[1:])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// literal follows an element that holds no wildcard, behind one that does.
// That the name is not there is no error then.
func (f *finder) literal(ctx context.Context, at *place, name string, rest []element) error {
	next := at.below(name)
	entry, err := f.stat(ctx, next.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return f.problem(ctx, next.dir, err)
	}
	entry.Name = name
	if len(rest) == 0 {
		return f.matched(ctx, next, entry)
	}
	return f.enter(ctx, next, entry, rest)
}

// enter goes on in a folder, or in one that a link leads to: the source names
// that level itself, so that no loop can come of it.
func (f *finder) enter(ctx context.Context, at *place, entry Entry, rest []element) error {
	if entry.Mode&fs.ModeSymlink != 0 {
		target, err := f.stat(ctx, at.dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return f.problem(ctx, at.dir, err)
		}
		entry = target
	}
	if !entry.Mode.IsDir() {
		return nil
	}
	return f.expand(ctx, at, rest)
}

// matched takes what the last element of a source with wildcards matched.
func (f *finder) matched(ctx context.Context, at *place, entry Entry) error {
	if isOurs(entry.Name) {
		return nil
	}
	if entry.Mode&fs.ModeSymlink != 0 {
		target, err := f.stat(ctx, at.dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.skip(at.dir, "a link to nothing")
			return nil
		case err != nil:
			return f.problem(ctx, at.dir, err)
		case target.Mode.IsDir():
			f.skip(at.dir, "a link to a folder")
			return nil
		}
		target.Name = entry.Name
		entry = target
	}
	switch {
	case entry.Mode.IsRegular():
		return f.add(at.dir, at.path, entry.Name, entry)
	case !entry.Mode.IsDir():
		f.skip(at.dir, what(entry.Mode))
	case !f.recursive:
		f.skip(at.dir, "a folder")
	default:
		return f.walk(ctx, at.dir, at.path, entry.Name, entry, at.depth)
	}
	return nil
}

// walk takes a folder with all below it. Links are not followed, so that it
// neither leaves the tree nor loops.
func (f *finder) walk(ctx context.Context, dir, path, rel string, self Entry, depth int) error {
	if f.seen[dir] {
		return nil
	}
	f.seen[dir] = true
	if depth > maxDepth {
		return f.problem(ctx, dir, fault.New(f.kind, "%q is more than %d folders deep", clip(dir), maxDepth))
	}
	entries, err := f.listing(ctx, dir)
	if err != nil {
		return f.problem(ctx, dir, err)
	}
	empty := rel != "" // "" is where the source is "." or the like
	for _, e := range entries {
		child := join(dir, e.Name)
		switch {
		case isOurs(e.Name):
		case e.Mode.IsDir():
			empty = false
			err = f.walk(ctx, child, join(path, e.Name), join(rel, e.Name), e, depth+1)
		case e.Mode.IsRegular():
			empty = false
			err = f.add(child, join(path, e.Name), join(rel, e.Name), e)
		default:
			f.skip(child, what(e.Mode))
		}
		if err != nil {
			return err
		}
	}
	if empty {
		f.items = append(f.items, Item{Source: f.native(dir), Path: path, Rel: rel, Entry: self})
	}
	return nil
}

// listing lists a folder, sorted by name and without names that may not become
// part of a path here.
func (f *finder) listing(ctx context.Context, dir string) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := f.list(ctx, dot(dir))
	if err != nil {
		return nil, err
	}
	kept := make([]Entry, 0, len(entries))
	for _, e := range entries {
		if err := CheckName(e.Name); err != nil {
			if err = f.problem(ctx, dir, fmt.Errorf("in %q: %w", dir, err)); err != nil {
				return nil, err
			}
			continue
		}
		kept = append(kept, e)
	}
	slices.SortFunc(kept, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return kept, nil
}

// add takes a file, unless it was taken before.
func (f *finder) add(path, sub, rel string, e Entry) error {
	if f.seen[path] {
		return nil
	}
	if len(f.items) >= maxItems {
		return fault.New(fault.Usage, "the sources match more than %d files", maxItems).WithHint("take them in several jobs")
	}
	f.seen[path] = true
	f.items = append(f.items, Item{Source: f.native(path), Path: sub, Rel: rel, Entry: e})
	return nil
}

// what names a type of file that is not copied.
func what(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m.IsDir():
		return "a folder"
	}
	return "a special file"
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
