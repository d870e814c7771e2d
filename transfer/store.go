package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"linehaul/fault"
)

// A storing is one file on its way to the server.
type storing struct {
	p         *putter
	home      *lane
	remote    WritableRemote // that of home
	stored    func()         // says that home is not needed any more
	item      Item
	f         *os.File
	opened    fs.FileInfo
	to        *remoteFolder
	dir, name string
	temp      string // remote path of the temporary file
	attrs     Attrs
	progress  FileProgress
	final     <-chan error // whether the target may be replaced
	early     chan Writer  // gives the temporary file, or nil, if it is made early
	made      Writer       // what early gave, until it is used
	begun     func()       // to be called when lanes carry it
	w         Writer       // the temporary file; nil: it is not open yet
	sealed    Sealer       // w, if it is durable and waits for mode, time and name
}

// store fills a temporary file and gives it its name.
func (s *storing) store(ctx context.Context) (moved, error) {
	m, err := s.fill(ctx)
	if err == nil {
		if s.p.verify != nil {
			s.stored() // commands want a session, too
			s.remote = s.p.remote
		}
		err = s.p.verified(ctx, s.temp, &m)
	}
	if err == nil {
		err = s.place(ctx)
	}
	if s.w != nil {
		shut(s.w)
	}
	if err == nil {
		return m, nil
	}
	var kept *keptError
	if !errors.As(err, &kept) {
		bad := false
		s.p.noteBad(s.item, err, func() (string, error) {
			name := badCopyName(s.temp)
			err := s.remote.Replace(ctx, s.temp, name)
			bad = err == nil
			return at(s.p.host, name), err
		})
		if !bad {
			s.p.remove(ctx, s.temp)
		}
		s.removeJournal(ctx)
	}
	return moved{kept: m.kept}, sorted(ctx, fault.RemoteFile, s.item.Target, err)
}

// A keptError is a failure after which the temporary file stays, to go on with.
type keptError struct{ err error }

func (e *keptError) Error() string { return e.err.Error() }
func (e *keptError) Unwrap() error { return e.err }

// fill makes the temporary file with all of the content in it.
func (s *storing) fill(ctx context.Context) (moved, error) {
	size := s.opened.Size()
	if whole, ok := s.remote.(WholeRemote); ok && size < maxRequest {
		return s.whole(ctx, whole)
	}
	if err := <-s.final; err != nil {
		return moved{}, err
	}
	// While a file is written, a server that takes one session at a time
	// answers nothing else.
	reopens, _ := s.remote.(Reopener)
	var w Writer
	var done ranges
	s.takeEarly()
	if reopens != nil && size >= journalSize {
		w, done = s.resume(ctx, reopens)
	}
	s.removeDead(ctx)
	if w == nil {
		var err error
		if w, err = s.create(ctx); err != nil {
			return moved{}, sorted(ctx, fault.RemoteFile, s.temp, err)
		}
	}
	s.w = w
	var m moved
	var err error
	if _, spreads := w.(PacketWriterAt); spreads && reopens != nil {
		m, err = s.spread(ctx, reopens, w, done)
	} else {
		m, err = s.inOrder(ctx, w)
	}
	if err != nil {
		return moved{kept: m.kept}, err
	}
	if s.sealed != nil {
		return m, nil
	}
	stored, err := s.commit(ctx, w)
	if err != nil {
		return moved{}, sorted(ctx, fault.RemoteFile, s.temp, err)
	}
	return m, s.complete(stored)
}

// commit makes the temporary file durable, and describes it.
func (s *storing) commit(ctx context.Context, w Writer) (Entry, error) {
	if both, ok := w.(StatCommitter); ok {
		return both.CommitStat(ctx)
	}
	if err := w.Commit(ctx); err != nil {
		return Entry{}, err
	}
	return s.remote.Stat(ctx, s.temp)
}

// complete holds what the server has against what it was sent.
func (s *storing) complete(stored Entry) error {
	if stored.Size != s.opened.Size() {
		return fault.New(fault.Verify, "%q has %d bytes on the server, and %q has %d", s.temp, stored.Size, s.item.Source, s.opened.Size())
	}
	return nil
}

// whole stores a small file in one go, and finds out at the same time whether
// its target may be replaced.
func (s *storing) whole(ctx context.Context, r WholeRemote) (moved, error) {
	size := s.opened.Size()
	if err := s.p.wait(ctx, int(size)); err != nil {
		return moved{}, err
	}
	packets, err := s.content()
	if err != nil {
		return moved{}, err
	}
	s.removeDead(ctx)
	stored, err := r.WriteWhole(ctx, s.temp, packets, s.attrs)
	if err != nil && !stopsAll(err) && ctx.Err() == nil && s.remote.Remove(ctx, s.temp) == nil {
		// What stands in its way can only be left from an earlier attempt.
		if packets, err = s.content(); err != nil {
			return moved{}, err
		}
		stored, err = r.WriteWhole(ctx, s.temp, packets, s.attrs)
	}
	if refused := <-s.final; refused != nil {
		return moved{}, refused
	}
	if err != nil {
		return moved{}, sorted(ctx, fault.RemoteFile, s.temp, err)
	}
	s.progress.Moved(size)
	s.p.lanes.whole(size)
	m := moved{size: size, sum: s.p.sumOf(Headroom, packets...)}
	for _, packet := range packets {
		s.p.wholes.give(packet)
	}
	return m, s.complete(stored)
}

// content reads all of a small file, in packets of what one request carries
// each, with Headroom before it.
func (s *storing) content() ([][]byte, error) {
	most := int64(minRequest)
	if sizer, ok := s.remote.(RequestSizer); ok {
		_, n := sizer.RequestSize()
		most = int64(n)
	}
	var packets [][]byte
	for at, size := int64(0), s.opened.Size(); at < size; at += most {
		packet := s.p.wholes.take(Headroom + int(min(most, size-at)))
		if err := readFull(s.f, packet[Headroom:], at); err != nil {
			return nil, s.localError(err)
		}
		packets = append(packets, packet)
	}
	return packets, s.unchanged()
}

// create makes the temporary file. What stands in its way can only be left
// from an earlier attempt of this same run, whose connection broke before it
// could clean up; servers do not tell that failure from others.
func (s *storing) create(ctx context.Context) (Writer, error) {
	if w := s.made; w != nil {
		s.made = nil
		return w, nil
	}
	w, err := s.remote.Create(ctx, s.temp, s.attrs)
	if err == nil || stopsAll(err) || ctx.Err() != nil || s.remote.Remove(ctx, s.temp) != nil {
		return w, err
	}
	return s.remote.Create(ctx, s.temp, s.attrs)
}

// takeEarly takes the temporary file that was made early, once it is.
func (s *storing) takeEarly() {
	if s.early != nil {
		s.made, s.early = <-s.early, nil
	}
}

// dropEarly removes the temporary file that was made early if it was not used.
func (s *storing) dropEarly(ctx context.Context, temp string) {
	s.takeEarly()
	if s.made != nil {
		shut(s.made)
		s.p.remove(ctx, temp)
	}
}

// inOrder sends the content from its beginning to its end.
func (s *storing) inOrder(ctx context.Context, w Writer) (moved, error) {
	size := s.opened.Size()
	paced := readerFunc(func(b []byte) (int, error) {
		b = b[:min(len(b), s.p.piece())]
		if err := s.p.wait(ctx, len(b)); err != nil {
			return 0, err
		}
		return s.f.Read(b)
	})
	sum, err := push(ctx, w, paced, size, s.p.piece(), s.progress.Moved)
	if err != nil && !errors.Is(err, errShort) {
		return moved{}, sorted(ctx, fault.RemoteFile, s.temp, err)
	}
	if changed := s.unchanged(); changed != nil || err != nil {
		return moved{}, s.localError(errors.Join(changed, err))
	}
	return moved{size: size, sum: sum}, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// spread sends the content in pieces, over as many sessions as help.
func (s *storing) spread(ctx context.Context, reopens Reopener, w Writer, done ranges) (moved, error) {
	p, size := s.p, s.opened.Size()
	if size >= SharedSize {
		if err := p.enter(ctx); err != nil {
			return moved{}, err
		}
		defer p.leave()
	}
	var follow *trail
	if !p.noSum {
		follow = newTrail(s.f)
		defer follow.stop()
	}
	before := done.size()
	if before > 0 {
		resumed(s.progress, before)
	}
	home := s.home
	work := &spread{
		name: s.item.Source, size: size, done: done, missing: done.missing(size), home: home, shared: size >= SharedSize,
		handles: map[*lane]*handle{home: {file: w, ready: true}},
	}
	work.wait = func(n int) error { return p.wait(ctx, n) }
	work.open = func(ctx context.Context, r Remote, ahead bool) (io.Closer, error) {
		if opener, ok := r.(AheadOpener); ok && ahead {
			if w, err := opener.ReopenAhead(ctx, s.temp, s.attrs); w != nil || err != nil {
				return w, err
			}
		}
		reopens, ok := r.(Reopener)
		if !ok {
			return nil, errors.New("this session cannot write in pieces")
		}
		return reopens.Reopen(ctx, s.temp, s.attrs)
	}
	var said seal
	work.look = said.look(ctx, p, w)
	work.move = func(file io.Closer, piece span, sent func()) error {
		buf := p.buffers.take(Headroom + int(piece.size()))
		if err := readFull(s.f, buf[Headroom:], piece.From); err != nil {
			return s.localError(err)
		}
		err := file.(PacketWriterAt).WritePacketAt(buf, piece.From, func() {
			p.buffers.give(buf)
			sent()
		})
		if err != nil {
			return sorted(ctx, fault.RemoteFile, s.temp, err)
		}
		return nil
	}
	work.moved = func(total int64) {
		s.progress.Moved(total)
		follow.advance(work.done.prefix())
	}
	var notes *checkpoint
	if size >= journalSize {
		j := remoteJournal{s: s, reopens: reopens, data: w}
		defer j.close()
		notes = newCheckpoint(p.now, func() journalEntry { return s.entry(p.lanes.doneOf(work)) },
			func(e journalEntry) error { return j.note(ctx, e) })
	}
	s.begun()
	err := p.lanes.carry(ctx, work)
	keep := err != nil && notes != nil && resumable(ctx, err)
	if noteErr := notes.stop(false); noteErr != nil {
		// The journal is for going on; that it cannot be kept is no failure.
		p.log.Debug("cannot keep a journal", keyTarget, at(p.host, s.temp), keyError, noteErr)
	}
	if err == nil {
		err = s.unchanged()
	}
	if err == nil {
		var all bool
		if all, err = p.lanes.alike(work); all && said.is(size) {
			s.sealed, _ = w.(Sealer)
		}
		if err != nil {
			err = sorted(ctx, fault.RemoteFile, s.temp, err)
		}
	}
	switch {
	case keep:
		return moved{kept: notes.last}, &keptError{err}
	case err != nil:
		return moved{}, err
	}
	sum, err := follow.sum(ctx, size)
	if err != nil {
		return moved{}, diskError("read", s.item.Source, err)
	}
	return moved{size: size, sum: sum, resumed: before}, nil
}

// localError sorts the failure to read the source.
func (s *storing) localError(err error) error {
	if errors.Is(err, errShort) {
		now := s.opened.Size()
		if info, statErr := s.f.Stat(); statErr == nil {
			now = info.Size()
		}
		return changed(fault.LocalDisk, s.item.Source, s.opened.Size(), now)
	}
	var again *againError
	if errors.As(err, &again) {
		return again
	}
	return diskError("read", s.item.Source, err)
}

// unchanged holds the source against what it was when it was opened.
func (s *storing) unchanged() error {
	now, err := s.f.Stat()
	if err != nil {
		return diskError("look at", s.item.Source, err)
	}
	if now.Size() != s.opened.Size() || !now.ModTime().Equal(s.opened.ModTime()) {
		return changed(fault.LocalDisk, s.item.Source, s.opened.Size(), now.Size())
	}
	return nil
}

// checkFinal refuses a target that cannot be replaced by a file.
func (s *storing) checkFinal(ctx context.Context) error {
	target := s.item.Target
	e, err := s.p.remote.Stat(ctx, target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return sorted(ctx, fault.RemoteFile, target, err)
	case e.Mode.IsDir():
		return fault.New(fault.RemoteFile, "%q is a folder on the server", target).
			WithHint("end the target with a slash to put the file into that folder, or choose another name")
	case !e.Mode.IsRegular():
		return fault.New(fault.RemoteFile, "%q is %s on the server, and would be replaced by a file", target, what(e.Mode)).
			WithHint("choose another target")
	}
	return nil
}
