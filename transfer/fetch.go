package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"linehaul/fault"
)

// A fetch is one file on its way here.
type fetch struct {
	g    *getter
	item Item
	home *lane
	r    Reader
	// arrived says that all of the content has come.
	arrived func()
	ahead   *fetchedAhead // r, as long as nobody knows whether it is open; else nil
	opened  Entry
	dir     *folder
	final   string
	p       FileProgress
	begun   func() // to be called when lanes carry it

	mu   sync.Mutex
	paid int // bytes that the limit has let pass already
}

// due takes off n bytes what the limit has let pass already.
func (f *fetch) due(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	paid := min(n, f.paid)
	f.paid -= paid
	return n - paid
}

// openHome opens the file on its home: without waiting for that where it is large
// and was just described, and where there is nothing to go on with.
func (f *fetch) openHome(ctx context.Context) error {
	listed := f.item.Entry
	if ahead, ok := f.home.remote.(AheadOpener); ok && listed.Mode.IsRegular() && listed.Size >= SharedSize && f.dir.nothingLeft() {
		file, err := ahead.OpenAhead(ctx, f.item.Source)
		if err != nil {
			return err
		}
		if file != nil {
			f.ahead, f.opened = &fetchedAhead{AheadReader: file, fetch: f}, listed
			f.r = f.ahead
			return nil
		}
	}
	var err error
	f.r, f.opened, err = openStat(ctx, f.home.remote, f.item.Source)
	return err
}

// settle finds out what became of a file that was opened ahead, when it was moved,
// or was not for the reason err. Without an error, it is open after that.
func (f *fetch) settle(ctx context.Context, s *spread, err error) error {
	if f.ahead == nil {
		return err
	}
	again := s.handles[f.home] // its home has opened it once more, and waited
	if again != nil && again.ready && again.file != f.r {
		f.r = again.file.(Reader)
	}
	now, unopened := f.ahead.Described(ctx)
	if unopened != nil && err == nil && f.r == Reader(f.ahead) {
		// The others have moved all of it.
		r, described, openErr := openStat(ctx, f.home.remote, f.item.Source)
		if openErr != nil {
			return sorted(ctx, fault.RemoteFile, f.item.Source, openErr)
		}
		f.r, now, unopened = r, described, nil
	}
	if unopened == nil && f.like(now) != nil {
		return changed(fault.RemoteFile, f.item.Source, f.opened.Size, now.Size)
	}
	return err
}

// open makes or finds the temporary file, fills it, and gives it its name.
func (g *getter) open(ctx context.Context, f *fetch) (moved, error) {
	at, spreads := f.r.(io.ReaderAt)
	spreads = spreads && f.opened.Size > 0
	var t *tempFile
	var done ranges
	if spreads && f.opened.Size >= journalSize && f.ahead == nil {
		var err error
		if t, done, err = f.resume(at); err != nil {
			return moved{kept: done.size()}, sorted(ctx, fault.RemoteFile, f.item.Source, err)
		}
		if t != nil {
			g.log.Info("going on with a file that was begun before", keyName, f.item.Entry.Name, keyTarget, f.dir.join(f.final), keyBytes, done.size())
		}
	}
	if t == nil {
		var err error
		if t, err = g.create(ctx, f.dir, f.final, f.opened.Mode); err != nil {
			return moved{}, err
		}
	}
	defer t.discard()
	var m moved
	var err error
	if spreads {
		m, err = f.spread(ctx, t, done)
	} else {
		m, err = f.inOrder(ctx, t)
		if err == nil {
			err = f.unchanged(ctx, f.r, m.size)
		}
		if err == nil {
			f.arrived()
			err = g.verified(ctx, f.item.Source, &m)
		}
	}
	if err != nil {
		g.noteBad(f.item, err, t.keepBad)
		return moved{kept: m.kept}, err
	}
	return m, t.commit(ctx, f.opened.MTime)
}

// resume finds what an earlier run left of the file, if its end is still that
// of the source. If the line breaks before that is known, what is there stays,
// and its size is returned with the error.
func (f *fetch) resume(source io.ReaderAt) (*tempFile, ranges, error) {
	t, done := f.dir.adopt(f.final, at(f.g.host, f.item.Source), f.opened)
	if t == nil {
		return nil, nil, nil
	}
	alike, err := tailAlike(t.file, source, done)
	if e := (*fault.Error)(nil); errors.As(err, &e) && stopsAll(err) {
		t.keep()
		return nil, done, err
	}
	if alike && err == nil {
		return t, done, nil
	}
	f.g.log.Warn("beginning again: what was fetched before is not what the source has", keyTarget, t.dir.join(t.name))
	t.discard()
	return nil, nil, nil
}

// spread fetches the content in pieces, over as many sessions as help.
func (f *fetch) spread(ctx context.Context, t *tempFile, done ranges) (moved, error) {
	g, size := f.g, f.opened.Size
	if size >= SharedSize {
		if err := g.enter(ctx); err != nil {
			return moved{}, err
		}
		defer g.leave()
	}
	var follow *trail
	if !g.noSum {
		follow = newTrail(t.file)
		defer follow.stop()
	}
	before := done.size()
	if before > 0 {
		resumed(f.p, before)
	}
	s := &spread{
		name: f.item.Source, size: size, done: done, missing: done.missing(size), home: f.home, shared: size >= SharedSize, hasty: true,
		handles: map[*lane]*handle{f.home: {file: f.r, ready: true}},
	}
	s.wait = func(n int) error { return g.wait(ctx, f.due(n)) }
	s.open = f.again
	s.move = func(file io.Closer, p span, sent func()) error {
		data, err := readPiece(file.(io.ReaderAt), int(p.size()), p.From, g.buffers.take, sent)
		if err != nil {
			return f.readError(ctx, err)
		}
		if _, err := t.file.WriteAt(data, p.From); err != nil {
			return diskError("write", t.dir.join(f.final), err)
		}
		g.buffers.give(data)
		return nil
	}
	s.look = func(file io.Closer) error { return f.unchanged(ctx, file.(Reader), size) }
	s.moved = func(total int64) {
		f.p.Moved(total)
		follow.advance(s.done.prefix())
	}
	var notes *checkpoint
	if size >= journalSize {
		t.keepJournal()
		notes = newCheckpoint(g.now, func() journalEntry {
			return journalEntry{at(g.host, f.item.Source), size, f.opened.MTime.UnixNano(), uint32(t.mode), g.lanes.doneOf(s)}
		}, t.note)
	}
	f.begun()
	m := moved{size: size, resumed: before}
	err := f.settle(ctx, s, g.lanes.carry(ctx, s))
	if err == nil {
		if m.sum, err = follow.sum(ctx, size); err != nil {
			err = diskError("read", t.dir.join(f.final), err)
		}
	}
	if err == nil {
		var alike bool
		if alike, err = g.lanes.alike(s); err == nil && !alike {
			err = f.unchanged(ctx, f.r, size)
		}
	}
	if err == nil {
		f.arrived()
		err = g.verified(ctx, f.item.Source, &m)
	}
	keep := err != nil && resumable(ctx, err)
	if noteErr := notes.stop(keep); noteErr != nil && err == nil {
		err = noteErr
	}
	if err != nil {
		if keep && notes != nil {
			t.keep()
			return moved{kept: notes.last}, err
		}
		return moved{}, err
	}
	return m, nil
}

// again opens the file on another session, where it must be the same.
func (f *fetch) again(ctx context.Context, r Remote, ahead bool) (io.Closer, error) {
	if opener, ok := r.(AheadOpener); ok && ahead {
		switch file, err := opener.OpenAhead(ctx, f.item.Source); {
		case err != nil:
			return nil, err
		case file != nil:
			return &fetchedAhead{AheadReader: file, fetch: f}, nil
		}
	}
	file, now, err := openStat(ctx, r, f.item.Source)
	if err != nil {
		return nil, err
	}
	err = f.like(now)
	if _, ok := file.(io.ReaderAt); err == nil && !ok {
		err = errors.New("this session cannot read in pieces")
	}
	if err != nil {
		shut(file)
		return nil, err
	}
	return file, nil
}

// like is an error if that is not what was opened first.
func (f *fetch) like(now Entry) error {
	if now.Size != f.opened.Size || !now.MTime.Equal(f.opened.MTime) {
		return errors.New("another file has its name now")
	}
	return nil
}

// A fetchedAhead is the file on a session that has not answered yet.
type fetchedAhead struct {
	AheadReader
	fetch *fetch
}

// Confirm implements confirmer.
func (a *fetchedAhead) Confirm(ctx context.Context) error {
	now, err := a.Described(ctx)
	if err == nil {
		err = a.fetch.like(now)
	}
	return err
}

// readError sorts the failure of a read.
func (f *fetch) readError(ctx context.Context, err error) error {
	if ctx.Err() == nil && errors.Is(err, errShort) {
		return changed(fault.RemoteFile, f.item.Source, f.opened.Size, f.opened.Size)
	}
	return sorted(ctx, fault.RemoteFile, f.item.Source, err)
}

// inOrder fetches the content from its beginning to its end.
func (f *fetch) inOrder(ctx context.Context, t *tempFile) (moved, error) {
	var disk error
	w := writerFunc(func(b []byte) (int, error) {
		if err := f.g.wait(ctx, f.due(len(b))); err != nil {
			return 0, err
		}
		n, err := t.file.Write(b)
		if err != nil {
			disk = diskError("write", t.dir.join(t.final), err)
		}
		return n, err
	})
	size, sum, err := pull(ctx, w, f.r, f.opened.Size, f.p.Moved)
	switch {
	case disk != nil:
		return moved{}, disk
	case ctx.Err() == nil && (errors.Is(err, errShort) || errors.Is(err, errLong)):
		return moved{}, changed(fault.RemoteFile, f.item.Source, f.opened.Size, size)
	case err != nil:
		return moved{}, f.because(ctx, sorted(ctx, fault.RemoteFile, f.item.Source, err))
	}
	return moved{size: size, sum: sum}, nil
}

// because returns the failure of a read, or that the file has changed, if that may be its
// reason: a source by SCP that finds less than it has announced just fails.
func (f *fetch) because(ctx context.Context, err error) error {
	if ctx.Err() != nil || !fault.Is(err, fault.RemoteFile) {
		return err
	}
	var again *againError
	if now := f.unchanged(ctx, f.r, f.opened.Size); errors.As(now, &again) {
		return now
	}
	return err
}

// unchanged holds the source, by an open file of it, against what it was when it was
// opened first. In the same round trip it asks for what follows the end, in case that the server
// says the same wrong size each time.
func (f *fetch) unchanged(ctx context.Context, r Reader, size int64) error {
	release := closeWhenDone(ctx, r)
	defer release()
	longer := false
	var asked sync.WaitGroup
	if there, ok := r.(io.ReaderAt); ok && f.opened.Size > 0 {
		asked.Go(func() {
			n, _ := there.ReadAt(make([]byte, 1), f.opened.Size) // a server may refuse it
			longer = n > 0
		})
	}
	now, err := r.Stat(ctx) // also where it fails, others may still read from r
	asked.Wait()
	if ctx.Err() == nil && errors.Is(err, fs.ErrNotExist) {
		return removed(fault.RemoteFile, f.item.Source)
	}
	if err != nil {
		return sorted(ctx, fault.RemoteFile, f.item.Source, err)
	}
	if longer && now.Size == f.opened.Size {
		return &againError{fault.New(fault.RemoteFile, "%q goes on behind the %d bytes that the server says it has", f.item.Source, now.Size).
			WithHint("the server tells a wrong size; take the file when its writer is done")}
	}
	// A file that is made while it is read has no size, and is always new.
	made := f.opened.Size == 0 && now.Size == 0 && size > 0
	if now.Size != f.opened.Size || !now.MTime.Equal(f.opened.MTime) && !made {
		return changed(fault.RemoteFile, f.item.Source, f.opened.Size, now.Size)
	}
	return nil
}
