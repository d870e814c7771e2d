package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/retention"
	"linehaul/stamp"
	"linehaul/store"
	"linehaul/transfer"
)

const (
	// maxFolders bounds how deep copies are looked for, so that a server that
	// makes up folders without end is left in the end.
	maxFolders = 255
	// maxCopies bounds how many copies are looked at, for the same reason.
	maxCopies = 4 << 20
	// maxRuns is in how many runs of the record the sizes of copies are looked
	// for. What none of them has moved counts as good.
	maxRuns = 1000
)

// A tree is where copies are, by slash paths below a folder that is always the
// same: on the server for a put, here for a get.
type tree struct {
	list         func(ctx context.Context, dir string) ([]transfer.Entry, error)
	lstat        func(ctx context.Context, path string) (transfer.Entry, error)
	remove       func(ctx context.Context, path string) error
	removeFolder func(ctx context.Context, path string) error
	full         func(path string) string // as targets are called
	show         func(path string) string // for the log
	close        func()
}

// layout is how the names of a job's copies are made, and read back.
func (j *Job) layout(dest destination) (*stamp.Matcher, error) {
	windows := j.Put == nil && runtime.GOOS == "windows"
	to := j.To
	if dest.folder {
		to = to.Below(windows)
	}
	m, err := to.Matcher(stamp.Known{Job: j.Name, Host: j.Host.Name, Zone: j.Zone, Windows: windows})
	if err != nil {
		return nil, fault.Wrap(fault.Config, err)
	}
	return m, nil
}

// localTree is the tree below a local folder; nil if that is not there.
func localTree(dir string) (*tree, error) {
	below, err := transfer.OpenLocalTree(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	full := func(p string) string { return filepath.Join(dir, filepath.FromSlash(p)) }
	remove := func(_ context.Context, p string) error { return below.Remove(p) }
	return &tree{
		list:   func(_ context.Context, p string) ([]transfer.Entry, error) { return below.List(p) },
		lstat:  func(_ context.Context, p string) (transfer.Entry, error) { return below.Lstat(p) },
		remove: remove, removeFolder: remove, full: full, show: full,
		close: func() { below.Close() }, //nolint:errcheck // it was only read
	}, nil
}

// remoteTree is the tree below a folder of a server.
func remoteTree(files transfer.WritableRemote, host, dir string) (*tree, error) {
	links, canLook := files.(transfer.LinkStater)
	folders, canRemove := files.(transfer.FolderRemover)
	if !canLook || !canRemove {
		return nil, fault.New(fault.RemoteFile, "old copies on %s cannot be looked at without following links", host)
	}
	full := func(p string) string {
		if p == "." {
			if dir == "" {
				return "."
			}
			return dir
		}
		return dir + p
	}
	return &tree{
		list:         func(ctx context.Context, p string) ([]transfer.Entry, error) { return files.List(ctx, full(p)) },
		lstat:        func(ctx context.Context, p string) (transfer.Entry, error) { return links.Lstat(ctx, full(p)) },
		remove:       func(ctx context.Context, p string) error { return files.Remove(ctx, full(p)) },
		removeFolder: func(ctx context.Context, p string) error { return folders.RemoveFolder(ctx, full(p)) },
		full:         full, show: func(p string) string { return host + ":" + full(p) },
		close: func() {},
	}, nil
}

// copies opens the tree of a job's copies; nil where there is none yet.
func (j *Job) copies(files transfer.WritableRemote, m *stamp.Matcher) (*tree, error) {
	if j.Put == nil {
		return localTree(m.Dir())
	}
	return remoteTree(files, j.Host.Name, m.Dir())
}

// A dated is a copy: a file whose name the job's target could have given it.
type dated struct {
	path  string // below the tree
	entry transfer.Entry
	found stamp.Found
	bad   string // why it is known not to be what was copied
}

// A collector finds the copies of a tree.
type collector struct {
	tree    *tree
	matcher *stamp.Matcher
	sources []transfer.Source
	links   bool // the listing may show a link as what it leads to
	all     []dated
}

// collect finds all copies of a job. Symbolic links are not followed, and not
// taken for copies.
func (j *Job) collect(ctx context.Context, t *tree, m *stamp.Matcher) ([]dated, error) {
	c := collector{tree: t, matcher: m, links: j.Put != nil}
	for _, s := range slices.Concat(j.Get, j.Put) {
		source, err := transfer.ParseSource(s, j.Put != nil, j.Recursive)
		if err != nil {
			return nil, err
		}
		c.sources = append(c.sources, source)
	}
	if err := c.folder(ctx, ".", 0); err != nil {
		return nil, err
	}
	return c.all, nil
}

func (c *collector) folder(ctx context.Context, dir string, depth int) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if depth > maxFolders || len(c.all) > maxCopies {
		return fault.New(fault.Config, "%q holds more than old copies can be looked for in", c.tree.show(dir))
	}
	entries, err := c.tree.list(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since its parent was listed, or not made yet
	}
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b transfer.Entry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range entries {
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00") || transfer.IsPart(e.Name) {
			continue
		}
		p := e.Name
		if dir != "." {
			p = dir + "/" + e.Name
		}
		switch {
		case e.Mode.IsDir() && c.matcher.Enter(p):
			if c.links {
				if self, err := c.tree.lstat(ctx, p); err != nil || !self.Mode.IsDir() {
					continue
				}
			}
			if err := c.folder(ctx, p, depth+1); err != nil {
				return err
			}
		case e.Mode.IsRegular():
			if found, ok := c.matcher.Match(p); ok && c.ours(found) {
				c.all = append(c.all, dated{path: p, entry: e, found: found})
			}
		}
	}
	return nil
}

// ours reports whether a copy can be of one of the job's sources, as far as
// its name says: other jobs may use the same folder.
func (c *collector) ours(f stamp.Found) bool {
	return f.Name == "" || slices.ContainsFunc(c.sources, func(s transfer.Source) bool { return s.MatchesName(f.Name) })
}

// judge finds out which copies are known to be bad: those that have another
// size than the record says was moved there, and those that are empty where
// another of the series is not.
func judge(j *Job, s *store.Store, t *tree, all []dated, current *store.FileList) error {
	at, holds := map[string]*dated{}, map[string]bool{}
	for _, d := range all {
		holds[d.found.Series] = holds[d.found.Series] || d.entry.Size > 0
	}
	for i := range all {
		d := &all[i]
		if d.entry.Size == 0 && holds[d.found.Series] {
			d.bad = "it is empty"
			continue
		}
		at[clean(j, t.full(d.path))] = d
	}
	judged := map[string]bool{} // by the run that is looked at: of its lines, the last one counts
	look := func(f store.File) error {
		d := at[clean(j, f.Target)]
		if d == nil || f.Error != "" || f.Deleted {
			return nil
		}
		if d.bad = ""; f.Bytes != d.entry.Size {
			d.bad = fmt.Sprintf("it has %d bytes, and %d were moved", d.entry.Size, f.Bytes)
		}
		judged[clean(j, f.Target)] = true
		return nil
	}
	done := func() {
		for target := range judged {
			delete(at, target)
		}
		clear(judged)
	}
	if current != nil {
		if err := current.Each(look); err != nil {
			return err
		}
		done()
	}
	if s == nil {
		return nil
	}
	seen := 0
	var listErr error
	_, err := s.Each(store.Filter{Job: j.Name}, func(r store.Run) bool {
		listErr = r.EachFile(look)
		done()
		seen++
		return len(at) > 0 && seen < maxRuns && listErr == nil
	})
	return cmp.Or(err, listErr)
}

// clean makes spellings of one target the same.
func clean(j *Job, target string) string {
	if j.Put == nil {
		return filepath.Clean(target)
	}
	return path.Clean(target)
}

// A verdict is what is decided about a copy.
type verdict struct {
	dated
	retention.Decision
}

// why returns the reasons, and what is wrong with the copy.
func (v verdict) why() string {
	if v.bad == "" {
		return v.Why()
	}
	return v.Why() + "; " + v.bad
}

// decide applies the job's policy to each series by itself. Copies whose path
// is among made are of the run that asks. The verdicts are sorted by series,
// and the newest comes first.
func (j *Job) decide(all []dated, made map[string]bool, now time.Time) []verdict {
	series := map[string][]dated{}
	var names []string
	for _, d := range all {
		s := d.found.Series
		if series[s] == nil {
			names = append(names, s)
		}
		series[s] = append(series[s], d)
	}
	slices.Sort(names)
	var verdicts []verdict
	for _, name := range names {
		ds := series[name]
		slices.SortStableFunc(ds, func(a, b dated) int { return b.found.At.Compare(a.found.At) })
		var copies []retention.Copy
		for _, d := range ds {
			copies = append(copies, retention.Copy{Name: d.path, At: d.found.At, Bad: d.bad != "", New: made[d.path]})
		}
		for i, decision := range retention.Apply(j.Keep, copies, now, j.Zone) {
			verdicts = append(verdicts, verdict{ds[i], decision})
		}
	}
	return verdicts
}

// below returns the slash path below the matcher's folder of a target.
func below(j *Job, m *stamp.Matcher, target string) (string, bool) {
	if j.Put == nil {
		rel, err := filepath.Rel(m.Dir(), target)
		return filepath.ToSlash(rel), err == nil && filepath.IsLocal(rel)
	}
	dir, target := path.Clean(m.Dir()+"x"), path.Clean(target)
	return strings.CutPrefix(target, strings.TrimSuffix(dir, "x"))
}
