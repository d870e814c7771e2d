package transfer

import (
	"context"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"linehaul/fault"
)

// Get fetches files. Remote, Root and Run must be set. It is used for one call
// of Files or Stream at a time.
type Get struct {
	Remote Remote
	// More opens another session with the same server, for large files and for many. Where
	// it is nil, or fails, Remote carries everything. Apart asks for another
	// connection than that of Remote, if there can be one.
	More func(ctx context.Context, apart bool) (WritableRemote, error)
	// Spread is over how many connections More spreads the sessions at once. Nil
	// stands for one.
	Spread func() int
	// Root is the local folder that everything goes below; it is made if it is
	// absent. It is trusted: what lies below is not, so that a symbolic link
	// there leads nowhere outside.
	Root string
	// Run is the run's id, such as 20261123T023001Z-123x7k2q: part of the
	// names of temporary files.
	Run string
	// Host is what the log and journals call the server, before a remote path.
	Host     string
	Log      *slog.Logger // may be nil
	Progress Progress     // may be nil
	Verify   VerifyFunc   // nil: size and modification time only
	// NoSum leaves the SHA-256 of files out, which saves time.
	NoSum bool
	// ExactModes gives files the permission bits of their sources, whatever the
	// umask; their owner may always read them.
	ExactModes bool
	// AtOnce is how many files are under way at a time. Default: 64 or more where the
	// protocol moves small files in few round trips, and 4 elsewhere.
	AtOnce int
	// SkipSpaceCheck begins although the disk has less room than the files
	// need by their size: a file system that compresses may hold them.
	SkipSpaceCheck bool
	// KeepBad leaves a copy that is not what its source is beside its target, as
	// .NAME.RUN.bad.
	KeepBad bool
	// Limit waits until n bytes more may be moved. It may be nil.
	Limit func(ctx context.Context, n int) error
	// Pace is the rate that Limit allows at the moment, in bytes a second; 0 if
	// it allows any. It may be nil.
	Pace func() int64
	// Moved is told of each file at once when its target is whole and durable, one
	// at a time. It may be nil.
	Moved func(Result)
	// Now is the clock for Result.Took. Default: time.Now.
	Now func() time.Time

	disk disk // that Root is on
}

// Files fetches items that Place gave a target, several at a time. There is a
// result for each, in their order.
//
// A failure that concerns one file (of kind fault.RemoteFile, fault.LocalDisk,
// fault.Verify or fault.Config) is put in its result, and the others go on;
// any other, and a disk that is full or read-only, ends the call. The error
// is nil if all succeeded, the cause if it ended the call or if all failed of
// one kind, and otherwise of kind fault.Partial.
func (g *Get) Files(ctx context.Context, items []Item) ([]Result, error) {
	return collect(items, g.Progress, func(emit func(int, Result)) error {
		root, err := g.root()
		if err != nil {
			return err
		}
		defer root.Close()
		if !g.SkipSpaceCheck {
			if err := checkSpace(root, items); err != nil {
				return err
			}
		}
		return g.stream(ctx, root, known{items: items, all: true}, sliceItems(items), emit)
	})
}

// Stream is Files for more items than are known: those that come first, which it lets go
// of one after the other, and the rest as they come, however many. What is known must
// find room on the disk, as the items of Files must. emit is told what became of
// each, in no order, one at a time. An error among the items ends it.
func (g *Get) Stream(ctx context.Context, first []Item, rest iter.Seq2[Item, error], emit func(Result)) error {
	root, err := g.root()
	if err != nil {
		return err
	}
	defer root.Close()
	if !g.SkipSpaceCheck {
		if err := checkSpace(root, first); err != nil {
			return err
		}
	}
	return g.stream(ctx, root, known{items: first}, chain(first, rest), func(i int, r Result) {
		r.Number = i
		emit(r)
	})
}

func (g *Get) root() (*os.Root, error) {
	if !validRun(g.Run) {
		return nil, fault.New(fault.Internal, "%q is not the id of a run", g.Run)
	}
	return openRoot(filepath.Clean(g.Root))
}

// stream fetches items, of which some are known before.
func (g *Get) stream(ctx context.Context, root *os.Root, k known, items iter.Seq2[Item, error], emit func(int, Result)) error {
	now, log := orNow(g.Now), orDiscard(g.Log)
	e := engine{
		did: "fetched", run: g.Run, host: g.Host, log: log, progress: g.Progress, now: now, verify: g.Verify, noSum: g.NoSum, bad: g.KeepBad, limit: g.Limit, pace: g.Pace, moved: g.Moved,
		atOnce: atOnce(g.AtOnce, g.Remote, smallAtOnce), asked: g.AtOnce > 0, total: k.total(), large: make(chan struct{}, largeAtOnce), buffers: buffers{most: maxRequest}, wholes: buffers{most: wholeKept},
		paths: func(i Item) (string, string) { return at(g.Host, i.Source), localPath(g.Root, i.Target) },
	}
	e.lanes = newLanes(false, g.Remote, g.More, g.Spread, g.Pace, now, log)
	defer e.lanes.close()
	e.lanes.commands = g.Verify != nil
	e.lanes.coming(k)
	one := getter{engine: &e, remote: g.Remote, root: root, disk: g.disk, exact: g.ExactModes, folders: map[string]*openedFolder{}}
	defer one.closeFolders()
	return e.files(ctx, items, one.get, emit)
}

// A getter fetches the items of one call.
type getter struct {
	*engine
	remote Remote
	root   *os.Root
	disk   disk
	exact  bool

	mu      sync.Mutex
	folders map[string]*openedFolder
}

// An openedFolder is a target folder that several files go to.
type openedFolder struct {
	once sync.Once
	dir  *folder
	err  error
	uses int
}

// maxOpenFolders is how many target folders stay open that nothing goes to at the
// moment.
const maxOpenFolders = 64

// folder opens a target folder; the first time, it is cleared of temporary
// files that dead runs left and nobody can go on with. The caller calls done.
func (g *getter) folder(dir string) (d *folder, done func(), err error) {
	g.mu.Lock()
	o := g.folders[dir]
	if o == nil {
		o = &openedFolder{}
		g.folders[dir] = o
	}
	o.uses++
	g.mu.Unlock()
	done = func() { g.release(o) }
	o.once.Do(func() {
		if o.dir, o.err = openFolder(g.root, dir, g.log, g.disk); o.err != nil {
			return
		}
		if err := o.dir.sweep(true); err != nil {
			g.log.Debug("cannot look for unfinished files", keyTarget, o.dir.path, keyError, err)
		}
	})
	if o.err != nil {
		done()
		return nil, nil, o.err
	}
	return o.dir, done, nil
}

func (g *getter) release(o *openedFolder) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o.uses--
	if len(g.folders) <= maxOpenFolders {
		return
	}
	for name, o := range g.folders {
		if o.uses == 0 {
			o.close()
			delete(g.folders, name)
		}
	}
}

func (g *getter) closeFolders() {
	for _, o := range g.folders {
		o.close()
	}
}

func (o *openedFolder) close() {
	if o.dir != nil {
		o.dir.close()
	}
}

// get fetches one item once, on another session if one breaks.
func (g *getter) get(ctx context.Context, item Item, p FileProgress) (moved, error) {
	if err := CheckTarget(item); err != nil {
		return moved{}, err
	}
	target := filepath.FromSlash(item.Target)
	if item.Entry.Mode.IsDir() {
		return moved{}, makeFolder(g.root, target)
	}
	dir, done, err := g.folder(filepath.Dir(target))
	if err != nil {
		return moved{}, err
	}
	defer done()
	final := filepath.Base(target)
	if err := dir.checkFinal(final); err != nil {
		return moved{}, err
	}
	for try := 1; ; try++ {
		home, done, err := g.lanes.pick(ctx, item.Entry.Size)
		if err != nil {
			return moved{}, sorted(ctx, fault.RemoteFile, item.Source, err)
		}
		if home == nil {
			home = &lane{remote: g.remote}
		}
		m, err := g.from(ctx, home, done, item, dir, final, p)
		done()
		if err == nil || try == tries || item.Entry.Size >= SharedSize || !g.lanes.replace(home, err) {
			return m, err
		}
		p.Moved(0)
	}
}

// from fetches one item on one session, or from there on several. It may call arrived when
// the session is not needed any more.
func (g *getter) from(ctx context.Context, home *lane, arrived func(), item Item, dir *folder, final string, p FileProgress) (moved, error) {
	if whole, ok := home.remote.(WholeRemote); ok && item.Entry.Size >= 0 && item.Entry.Size < maxRequest {
		if m, fits, err := g.whole(ctx, whole, arrived, item, dir, final, p); fits {
			return m, err
		}
	}
	expected := g.lanes.expect(item.Entry.Size)
	defer expected()
	paid, err := g.payAhead(ctx, home.remote, item.Entry.Size)
	if err != nil {
		return moved{}, sorted(ctx, fault.RemoteFile, item.Source, err)
	}
	f := &fetch{g: g, item: item, home: home, arrived: arrived, dir: dir, final: final, p: p, begun: expected, paid: paid}
	if err := f.openHome(ctx); err != nil {
		return moved{}, sorted(ctx, fault.RemoteFile, item.Source, err)
	}
	defer func() { f.r.Close() }() // it may be another one by then
	if !f.opened.Mode.IsRegular() || f.opened.Size < 0 {
		return moved{}, fault.New(fault.RemoteFile, "%q is not a file: %s of %d bytes", item.Source, what(f.opened.Mode), f.opened.Size)
	}
	return g.open(ctx, f)
}

// payAhead has the limit let pass what a server sends by itself once a file is
// open, where it does not wait to be asked for each piece.
func (g *getter) payAhead(ctx context.Context, r Remote, size int64) (int, error) {
	if _, asked := r.(RequestSizer); asked || g.limit == nil {
		return 0, nil
	}
	n := int(max(0, min(size, channelWindow)))
	return n, g.wait(ctx, n)
}

// whole fetches a small file in one go. It does not fit if the file is not what
// it was when it was listed.
func (g *getter) whole(ctx context.Context, r WholeRemote, arrived func(), item Item, dir *folder, final string, p FileProgress) (m moved, fits bool, err error) {
	size := item.Entry.Size
	if err := g.wait(ctx, int(size)); err != nil {
		return m, true, err
	}
	buf := g.wholes.take(int(size) + 1)
	n, now, err := r.ReadWhole(ctx, item.Source, buf)
	if err != nil {
		return m, true, sorted(ctx, fault.RemoteFile, item.Source, err)
	}
	defer g.wholes.give(buf)
	if int64(n) != size || now.Size != size || !now.Mode.IsRegular() || !now.MTime.Equal(item.Entry.MTime) {
		return m, false, nil
	}
	t, err := g.create(ctx, dir, final, now.Mode)
	if err != nil {
		return m, true, err
	}
	defer t.discard()
	if _, err := t.file.Write(buf[:n]); err != nil {
		return m, true, diskError("write", dir.join(final), err)
	}
	p.Moved(size)
	g.lanes.whole(size)
	m = moved{size: size, sum: g.sumOf(0, buf[:n])}
	arrived()
	if err := g.verified(ctx, item.Source, &m); err != nil {
		g.noteBad(item, err, t.keepBad)
		return m, true, err
	}
	return m, true, t.commit(ctx, now.MTime)
}

// create makes the temporary file of a source with that mode.
func (g *getter) create(ctx context.Context, dir *folder, final string, mode fs.FileMode) (*tempFile, error) {
	t, err := dir.create(ctx, final, g.run, fileMode(mode))
	if err == nil && g.exact && keepsModes && mode.Perm() != 0 {
		t.mode = mode.Perm() | 0o400
	}
	return t, err
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
