package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"linehaul/fault"
)

// Links makes links anew, of items that CopyLinks gave a Link and Placing a
// target: a link that is there already is put in its place, a file or folder
// never. Results and errors are as those of Files.
func (g *Get) Links(ctx context.Context, items []Item) ([]Result, error) {
	if !validRun(g.Run) {
		return none(items, fault.New(fault.Internal, "%q is not the id of a run", g.Run))
	}
	root, err := openRoot(filepath.Clean(g.Root))
	if err != nil {
		return none(items, err)
	}
	defer root.Close()
	l := linker{log: orDiscard(g.Log), now: orNow(g.Now), paths: func(i Item) (string, string) {
		return at(g.Host, i.Source), localPath(g.Root, i.Target)
	}}
	return l.links(ctx, items, func(item Item) error { return localLink(root, item, g.Run) })
}

// Links is as Get.Links.
func (p *Put) Links(ctx context.Context, items []Item) ([]Result, error) {
	r, ok := p.Remote.(interface {
		LinkReader
		LinkMaker
	})
	switch {
	case !validRun(p.Run):
		return none(items, fault.New(fault.Internal, "%q is not the id of a run", p.Run))
	case !ok:
		return none(items, fault.New(fault.Config, "symbolic links cannot be made by this protocol"))
	}
	l := linker{log: orDiscard(p.Log), now: orNow(p.Now), paths: func(i Item) (string, string) {
		return i.Source, at(p.Host, i.Target)
	}}
	one := remoteLinks{LinkReader: r, LinkMaker: r, remote: p.Remote, run: p.Run, folders: map[string]bool{}}
	return l.links(ctx, items, func(item Item) error { return one.link(ctx, item) })
}

// A linker makes the links of one call.
type linker struct {
	log interface {
		Info(msg string, args ...any)
		Warn(msg string, args ...any)
	}
	now   func() time.Time
	paths func(Item) (source, target string)
}

func (l linker) links(ctx context.Context, items []Item, make1 func(Item) error) ([]Result, error) {
	results := make([]Result, len(items))
	var failed tally
	for i, item := range items {
		began := l.now()
		err := ctx.Err()
		if err == nil {
			err = make1(item)
		}
		source, target := l.paths(item)
		fields := []any{keyName, item.Entry.Name, keySource, source, keyTarget, target}
		results[i] = Result{Item: item, Took: l.now().Sub(began)}
		if err == nil {
			l.log.Info("made link", fields...)
			continue
		}
		err = sorted(ctx, fault.Internal, item.Source, err)
		results[i].Err = err
		if stopsAll(err) {
			for j := i + 1; j < len(items); j++ {
				results[j] = Result{Item: items[j], Err: notBegun(err)}
			}
			return results, err
		}
		failed.add(err)
		l.log.Warn("failed", append(fields, keyError, err)...)
	}
	if failed.n == len(items) {
		return results, failed.all("link")
	}
	return results, failed.partial(len(items))
}

// localLink makes one link below root, in one step where there is one.
func localLink(root *os.Root, item Item, run string) error {
	if err := CheckTarget(item); err != nil {
		return err
	}
	target, text := filepath.FromSlash(item.Target), filepath.FromSlash(item.Link)
	dir, path := filepath.Dir(target), localPath(root.Name(), item.Target)
	if err := makeFolder(root, dir); err != nil {
		return err
	}
	switch info, err := root.Lstat(target); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return diskError("look at", path, err)
	case info.Mode()&fs.ModeSymlink == 0:
		return inTheWay(fault.LocalDisk, path, info.Mode())
	default:
		if old, err := root.Readlink(target); err == nil && old == text {
			return nil
		}
	}
	temp := filepath.Join(dir, partName(filepath.Base(target), run))
	if err := root.Symlink(text, temp); err != nil {
		return diskError("make the link", path, err)
	}
	if err := root.Rename(temp, target); err != nil {
		root.Remove(temp) //nolint:errcheck // the error before counts
		return diskError("rename to", path, err)
	}
	f, err := root.Open(dir)
	if err != nil {
		return diskError("open folder", filepath.Dir(path), err)
	}
	defer f.Close()
	if err := syncFolder(f); err != nil {
		return diskError("sync folder", filepath.Dir(path), err)
	}
	return nil
}

func inTheWay(kind fault.Kind, path string, m fs.FileMode) error {
	is := "a file"
	if !m.IsRegular() {
		is = what(m)
	}
	return fault.New(kind, "%q is %s, and would be replaced by a link", path, is).
		WithHint("move it away, or choose another target")
}

// remoteLinks makes links on a server.
type remoteLinks struct {
	LinkReader
	LinkMaker
	remote  WritableRemote
	run     string
	folders map[string]bool // that are there
}

func (r *remoteLinks) link(ctx context.Context, item Item) error {
	name := base(item.Target)
	dir := strings.TrimSuffix(item.Target, name)
	if err := r.folder(ctx, strings.TrimSuffix(dir, "/")); err != nil {
		return err
	}
	switch e, err := r.Lstat(ctx, item.Target); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return sorted(ctx, fault.RemoteFile, item.Target, err)
	case e.Mode&fs.ModeSymlink == 0:
		return inTheWay(fault.RemoteFile, item.Target, e.Mode)
	default:
		if old, err := r.ReadLink(ctx, item.Target); err == nil && old == item.Link {
			return nil
		}
	}
	temp := join(dir, partName(name, r.run))
	if err := r.remote.Remove(ctx, temp); err != nil { // of an earlier attempt
		return sorted(ctx, fault.RemoteFile, temp, err)
	}
	if err := r.Symlink(ctx, item.Link, temp); err != nil {
		return sorted(ctx, fault.RemoteFile, item.Target, err)
	}
	// The draft and OpenSSH have the two paths of a request in different
	// orders: a server that follows the draft makes another link.
	if text, err := r.ReadLink(ctx, temp); err != nil || text != item.Link {
		r.remote.Remove(ctx, temp) //nolint:errcheck // it may not even be there
		return fault.New(fault.RemoteFile, "the server made another link than the one to %q at %q", clip(item.Link), clip(item.Target))
	}
	if err := r.remote.Replace(ctx, temp, item.Target); err != nil {
		r.remote.Remove(ctx, temp) //nolint:errcheck // the error before counts
		return sorted(ctx, fault.RemoteFile, item.Target, err)
	}
	return nil
}

// folder makes a folder with all that lead to it.
func (r *remoteLinks) folder(ctx context.Context, dir string) error {
	if dir == "" || r.folders[dir] {
		return nil
	}
	e, err := r.remote.Stat(ctx, dir)
	switch {
	case err == nil && !e.Mode.IsDir():
		return inTheWay(fault.RemoteFile, dir, e.Mode)
	case errors.Is(err, fs.ErrNotExist):
		parent := strings.TrimSuffix(strings.TrimSuffix(dir, base(dir)), "/")
		if err := r.folder(ctx, parent); err != nil {
			return err
		}
		if err := r.remote.Mkdir(ctx, dir); err != nil {
			return sorted(ctx, fault.RemoteFile, dir, err)
		}
	case err != nil:
		return sorted(ctx, fault.RemoteFile, dir, err)
	}
	r.folders[dir] = true
	return nil
}
