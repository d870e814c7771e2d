package transfer

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"linehaul/fault"
)

// Get fetches files. Remote, Root and Run must be set. It is used for one call
// of Files at a time.
type Get struct {
	Remote Remote
	// Root is the local folder that everything goes below; it is made if it is
	// absent. It is trusted: what lies below is not, so that a symbolic link
	// there leads nowhere outside.
	Root string
	// Run is the run's id, such as 20261123T023001Z-123x7k2q: part of the
	// names of temporary files.
	Run string
	// Host is what the log calls the server, before a remote path.
	Host     string
	Log      *slog.Logger // may be nil
	Progress Progress     // may be nil
	Verify   VerifyFunc   // nil: size and modification time only
	// InFlight is how many requests are under way at a time. Default: 64; at
	// most 1024.
	InFlight int
	// SkipSpaceCheck begins although the disk has less room than the files
	// need by their size: a file system that compresses may hold them.
	SkipSpaceCheck bool
	// Now is the clock for Result.Took. Default: time.Now.
	Now func() time.Time
}

// Files fetches items that Place gave a target, one after the other. There is
// a result for each, in their order.
//
// A failure that concerns one file (of kind fault.RemoteFile, fault.LocalDisk,
// fault.Verify or fault.Config) is put in its result, and the others go on;
// any other, and a disk that is full or read-only, ends the call. The error
// is nil if all succeeded, the cause if it ended the call or if all failed of
// one kind, and otherwise of kind fault.Partial.
func (g *Get) Files(ctx context.Context, items []Item) ([]Result, error) {
	if !validRun(g.Run) {
		return none(items, fault.New(fault.Internal, "%q is not the id of a run", g.Run))
	}
	root, err := openRoot(filepath.Clean(g.Root))
	if err != nil {
		return none(items, err)
	}
	defer root.Close()
	if !g.SkipSpaceCheck {
		if err := checkSpace(root, items); err != nil {
			return none(items, err)
		}
	}
	e := engine{
		did: "fetched", run: g.Run, log: orDiscard(g.Log), progress: g.Progress,
		now: orNow(g.Now), verify: g.Verify, pump: newPump(g.InFlight),
		paths: func(i Item) (string, string) { return at(g.Host, i.Source), localPath(g.Root, i.Target) },
	}
	one := getter{engine: &e, remote: g.Remote, root: root, swept: map[string]bool{}}
	return e.files(ctx, items, one.get)
}

// A getter fetches the items of one call.
type getter struct {
	*engine
	remote Remote
	root   *os.Root
	swept  map[string]bool // folders that were cleared of dead temporary files
}

// get fetches one item once.
func (g *getter) get(ctx context.Context, item Item, p FileProgress) (int64, string, error) {
	if err := CheckTarget(item); err != nil {
		return 0, "", err
	}
	target := filepath.FromSlash(item.Target)
	if item.Entry.Mode.IsDir() {
		return 0, "", makeFolder(g.root, target)
	}
	dir, err := g.folder(filepath.Dir(target))
	if err != nil {
		return 0, "", err
	}
	defer dir.root.Close()
	final := filepath.Base(target)
	if err := dir.checkFinal(final); err != nil {
		return 0, "", err
	}

	r, err := g.remote.Open(ctx, item.Source)
	if err != nil {
		return 0, "", sorted(ctx, fault.RemoteFile, item.Source, err)
	}
	defer r.Close()
	opened, err := r.Stat(ctx)
	if err != nil {
		return 0, "", sorted(ctx, fault.RemoteFile, item.Source, err)
	}
	if !opened.Mode.IsRegular() || opened.Size < 0 {
		return 0, "", fault.New(fault.RemoteFile, "%q is not a file: %s of %d bytes", item.Source, what(opened.Mode), opened.Size)
	}

	t, err := dir.create(final, g.run, fileMode(opened.Mode))
	if err != nil {
		return 0, "", err
	}
	defer t.discard()
	size, sum, err := g.fetch(ctx, item.Source, r, opened, t, p)
	if err != nil {
		return 0, "", err
	}
	if g.verify != nil {
		if err := g.verify(ctx, item.Source, size, sum); err != nil {
			return 0, "", sorted(ctx, fault.Verify, item.Source, err)
		}
	}
	return size, sum, t.commit(ctx, opened.MTime)
}

// fetch copies the content, and holds the source against what it was.
func (g *getter) fetch(ctx context.Context, source string, r Reader, opened Entry, t *tempFile, p FileProgress) (int64, string, error) {
	var disk error
	w := writerFunc(func(b []byte) (int, error) {
		n, err := t.file.Write(b)
		if err != nil {
			disk = diskError("write", t.dir.join(t.final), err)
		}
		return n, err
	})
	size, sum, err := g.pump.pull(ctx, w, r, opened.Size, p.Moved)
	switch {
	case disk != nil:
		return 0, "", disk
	case ctx.Err() == nil && (errors.Is(err, errShort) || errors.Is(err, errLong)):
		err = changed(fault.RemoteFile, source, opened.Size, size)
		return 0, "", err
	case err != nil:
		return 0, "", sorted(ctx, fault.RemoteFile, source, err)
	}
	now, err := r.Stat(ctx)
	if err != nil {
		return 0, "", sorted(ctx, fault.RemoteFile, source, err)
	}
	// A file that is made while it is read has no size, and is always new.
	made := opened.Size == 0 && now.Size == 0 && size > 0
	if now.Size != opened.Size || !now.MTime.Equal(opened.MTime) && !made {
		return 0, "", changed(fault.RemoteFile, source, opened.Size, now.Size)
	}
	return size, sum, nil
}

// folder opens a target folder; the first time, it is cleared of temporary
// files that dead runs left.
func (g *getter) folder(dir string) (*folder, error) {
	d, err := openFolder(g.root, dir, g.log)
	if err != nil {
		return nil, err
	}
	if !g.swept[dir] {
		g.swept[dir] = true
		if err := d.sweep(); err != nil {
			g.log.Debug("cannot look for unfinished files", keyTarget, d.path, keyError, err)
		}
	}
	return d, nil
}

// fileMode is the mode that a file is to have: its permission bits on the
// server, never setuid. A server that gives none gets what a new file gets.
func fileMode(m fs.FileMode) fs.FileMode {
	if m.Perm() == 0 {
		return 0o666
	}
	return m.Perm()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func orNow(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// at puts the server's name before a path, as the log has it.
func at(host, path string) string {
	if host == "" {
		return path
	}
	return host + ":" + path
}
