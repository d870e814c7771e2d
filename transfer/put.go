package transfer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"linehaul/fault"
)

const (
	// removeWait is the time that removing a remote temporary file may take
	// when the transfer itself has no time left.
	removeWait = 10 * time.Second
	// deadAfter is the age at which a remote temporary file of another run is
	// taken for a dead one.
	deadAfter = 24 * time.Hour
)

// Put stores files on a server. Remote and Run must be set. It is used for one
// call of Files at a time.
//
// A server has no lock that outlives a connection's trouble, so a temporary
// file that a dead run left is told by its run, if that is one of Dead, or by
// its age: its run began a day before this one by its id, and nothing was
// written to the file for a day before this run began. When the same target is
// stored again, such a file is gone on with if it has a journal of the same
// state of the source, and removed otherwise. Temporary files of other targets
// are not looked for.
type Put struct {
	Remote WritableRemote
	// More opens another session with the same server, for large files and for many. Where
	// it is nil, or fails, Remote carries everything. Apart asks for another
	// connection than that of Remote, if there can be one.
	More func(ctx context.Context, apart bool) (WritableRemote, error)
	// Spread is over how many connections More spreads the sessions at once. Nil
	// stands for one.
	Spread func() int
	// Run is the run's id, such as 20261123T023001Z-123x7k2q: part of the
	// names of temporary files.
	Run string
	// Host is what the log calls the server, before a remote path.
	Host     string
	Log      *slog.Logger // may be nil
	Progress Progress     // may be nil
	Verify   VerifyFunc   // nil: the size only
	// NoSum leaves the SHA-256 of files out, which saves time.
	NoSum bool
	// AtOnce is how many files are under way at a time. Default: 64 or more where the
	// protocol moves small files in few round trips, and 4 elsewhere.
	AtOnce int
	// Dead are the ids of runs of the same job that are known to have ended: a
	// transfer goes on with what they left on the server.
	Dead []string
	// SkipSpaceCheck begins although the server says that its disk has less room
	// than the files need.
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
}

// Files stores items that Place gave a target, several at a time. Results and
// errors are as those of Get.Files.
func (p *Put) Files(ctx context.Context, items []Item) ([]Result, error) {
	return collect(items, p.Progress, func(emit func(int, Result)) error {
		return p.stream(ctx, known{items: items, all: true}, sliceItems(items), emit)
	})
}

// Stream is Files for more items than are known; see Get.Stream.
func (p *Put) Stream(ctx context.Context, first []Item, rest iter.Seq2[Item, error], emit func(Result)) error {
	return p.stream(ctx, known{items: first}, chain(first, rest), func(i int, r Result) {
		r.Number = i
		emit(r)
	})
}

// stream stores items, of which some are known before.
func (p *Put) stream(ctx context.Context, k known, items iter.Seq2[Item, error], emit func(int, Result)) error {
	if !validRun(p.Run) {
		return fault.New(fault.Internal, "%q is not the id of a run", p.Run)
	}
	now, log := orNow(p.Now), orDiscard(p.Log)
	e := engine{
		did: "stored", run: p.Run, host: p.Host, log: log, progress: p.Progress, now: now, verify: p.Verify, noSum: p.NoSum, bad: p.KeepBad, limit: p.Limit, pace: p.Pace, moved: p.Moved,
		atOnce: atOnce(p.AtOnce, p.Remote, putAtOnce), asked: p.AtOnce > 0, total: k.total(), large: make(chan struct{}, largeAtOnce), buffers: buffers{most: Headroom + maxRequest}, wholes: buffers{most: Headroom + wholeKept},
		paths: func(i Item) (string, string) { return i.Source, at(p.Host, i.Target) },
	}
	e.lanes = newLanes(true, p.Remote, p.More, p.Spread, p.Pace, now, log)
	defer e.lanes.close()
	e.lanes.commands = p.Verify != nil
	e.lanes.coming(k)
	one := putter{engine: &e, remote: p.Remote, dead: p.Dead, folders: map[string]*remoteFolder{}}
	one.room = func() error { return nil }
	if p.SkipSpaceCheck {
		return e.files(ctx, items, one.put, emit)
	}
	// It is asked for at the same time as the rest, and nothing is sent before
	// it is known.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var asking sync.WaitGroup
	defer asking.Wait()
	asked := make(chan struct{})
	var full error
	needs := neededBy(k.items)
	asking.Go(func() {
		defer close(asked)
		if full = one.checkRoom(ctx, needs); full != nil {
			cancel(full)
		}
	})
	one.room = func() error {
		<-asked
		return full
	}
	err := e.files(ctx, items, one.put, emit)
	if full := one.room(); full != nil {
		return full
	}
	return err
}

// A putter stores the items of one call.
type putter struct {
	*engine
	remote WritableRemote
	dead   []string
	room   func() error // waits until it is known whether there is room

	mu      sync.Mutex
	folders map[string]*remoteFolder
}

// put stores one item once, on another session if one breaks.
func (p *putter) put(ctx context.Context, item Item, progress FileProgress) (moved, error) {
	if item.Entry.Mode.IsDir() {
		return moved{}, p.folder(ctx, strings.TrimRight(item.Target, "/"))
	}
	if item.Entry.Size >= SharedSize {
		return p.to(ctx, p.lanes.home(), func() {}, item, progress)
	}
	for try := 1; ; try++ {
		home, done, err := p.lanes.pick(ctx, item.Entry.Size)
		if err != nil {
			return moved{}, sorted(ctx, fault.LocalDisk, item.Source, err)
		}
		if home == nil {
			home = p.lanes.home()
		}
		m, err := p.to(ctx, home, done, item, progress)
		done()
		if err == nil || try == tries || !p.lanes.replace(home, err) {
			return m, err
		}
		progress.Moved(0)
	}
}

// to stores one item on one session, or from there on several. It may call stored when
// the session is not needed any more.
func (p *putter) to(ctx context.Context, home *lane, stored func(), item Item, progress FileProgress) (moved, error) {
	dir, name := splitRemote(item.Target)
	if name == "" || name == "." || name == ".." {
		return moved{}, fault.New(fault.Config, "%q cannot go to %q: that is no file's name", item.Source, item.Target)
	}
	f, err := openPlain(item.Source)
	if err != nil {
		return moved{}, diskError("open", item.Source, err)
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return moved{}, diskError("look at", item.Source, err)
	}
	if !opened.Mode().IsRegular() {
		return moved{}, fault.New(fault.LocalDisk, "%q is not a file: %s", item.Source, what(opened.Mode()))
	}
	content, size, err := made(f, opened)
	if err != nil {
		return moved{}, err
	}
	if content != f {
		defer os.Remove(content.Name()) //nolint:errcheck // the system's folder of such files is cleared by the system, too
		defer content.Close()
	}
	s := &storing{
		p: p, home: home, remote: home.remote.(WritableRemote), stored: stored, item: item, f: content, opened: size, dir: dir, name: name, temp: join(dir, partName(name, p.run)), progress: progress,
		attrs: Attrs{Size: size.Size(), Mode: putMode(opened.Mode()), MTime: opened.ModTime().Truncate(time.Second)},
		begun: p.lanes.expect(size.Size()),
	}
	defer s.begun()
	var asking sync.WaitGroup
	defer asking.Wait()
	final := make(chan error, 1)
	s.final = final
	check := func() { asking.Go(func() { final <- s.checkFinal(ctx) }) }
	// Who comes first to a folder asks for both at once. It is what one finds in
	// the folder that tells the others.
	first := !p.knows(dir)
	if first {
		check()
	}
	if _, reopens := s.remote.(Reopener); reopens && opened.Size() >= journalSize && first {
		// The folder is there, as a rule, and holds nothing to go on with.
		early := make(chan Writer, 1)
		s.early = early
		asking.Go(func() {
			w, err := s.remote.Create(ctx, s.temp, s.attrs)
			if err != nil {
				w = nil
			}
			early <- w
		})
		defer s.dropEarly(ctx, s.temp)
	}
	if s.to, err = p.into(ctx, dir); err != nil {
		return moved{}, err
	}
	switch {
	case first:
	case s.to.takes(name):
		final <- nil
	default:
		check()
	}
	if err := p.room(); err != nil {
		return moved{}, err
	}
	return s.store(ctx)
}

// made copies a file that is made while it is read, such as those in /proc, to
// a temporary one, as nobody knows its size: it says that it has none. Others,
// and those that are empty, are returned as they are.
func made(f *os.File, opened fs.FileInfo) (*os.File, fs.FileInfo, error) {
	if opened.Size() > 0 {
		return f, opened, nil
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(f, first); errors.Is(err, io.EOF) {
		return f, opened, nil
	} else if err != nil {
		return nil, nil, diskError("read", f.Name(), err)
	}
	temp, err := os.CreateTemp("", "linehaul-")
	if err != nil {
		return nil, nil, diskError("create", os.TempDir(), err)
	}
	_, err = io.Copy(temp, io.MultiReader(bytes.NewReader(first), f))
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	var size fs.FileInfo
	if err == nil {
		size, err = temp.Stat()
	}
	if err != nil {
		temp.Close()
		os.Remove(temp.Name()) //nolint:errcheck // the error before counts
		return nil, nil, diskError("copy", f.Name(), err)
	}
	return temp, size, nil
}

// remove removes a temporary file after a failure, also when ctx has ended, if
// the connection is still good for it.
func (p *putter) remove(ctx context.Context, temp string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWait)
	defer cancel()
	if err := p.remote.Remove(ctx, temp); err != nil {
		p.log.Warn("cannot remove an unfinished file", keyTarget, at(p.host, temp), keyError, err)
	}
}

// isDead reports whether a temporary file can have no writer any more: its run
// is known to have ended, or began a day before this one and has not written to
// it for a day before that.
func (p *putter) isDead(run string, mtime time.Time) bool {
	if slices.Contains(p.dead, run) {
		return true
	}
	began, _ := runBegan(p.run)
	then, ok := runBegan(run)
	return ok && began.Sub(then) >= deadAfter && began.Sub(mtime) >= deadAfter
}

// splitRemote takes the last element off a remote path. The folder is empty
// where the path has none.
func splitRemote(target string) (dir, name string) {
	dir, name = path.Split(target)
	if dir == "" {
		return "", name
	}
	return cmp.Or(strings.TrimRight(dir, "/"), "/"), name
}

// putMode is the mode of a new remote file. Windows knows none.
func putMode(m fs.FileMode) fs.FileMode {
	if !keepsModes {
		return 0o644
	}
	return m.Perm()
}
