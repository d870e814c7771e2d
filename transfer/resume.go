package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"
)

// keepJournal begins the journal of a temporary file. Without one the file is
// begun anew after a failure, so that not having one is no failure itself.
func (t *tempFile) keepJournal() {
	if t.journal != nil {
		return
	}
	f, err := t.dir.root.OpenFile(journalName(t.name), os.O_RDWR|os.O_CREATE|os.O_APPEND, privateMode)
	t.try("keep a journal", err)
	if err == nil {
		t.journal = f
	}
}

// note makes what was written durable, and then writes a line of the journal.
func (t *tempFile) note(e journalEntry) error {
	if t.journal == nil {
		return nil
	}
	if err := t.dir.disk.syncFile(t.file); err != nil {
		return diskError("sync", t.dir.join(t.name), err)
	}
	if _, err := t.journal.Write(e.line()); err != nil {
		return diskError("write", t.dir.join(journalName(t.name)), err)
	}
	return nil
}

// dropJournal removes the journal.
func (t *tempFile) dropJournal() {
	if t.journal != nil {
		t.journal.Close()
		t.journal = nil
		t.dir.remove(journalName(t.name))
	}
}

// keep leaves the file and its journal for another attempt.
func (t *tempFile) keep() {
	if t.name == "" || t.journal == nil {
		return
	}
	t.dir.log.Info("kept what was moved, to go on with it", keyTarget, t.dir.join(t.name))
	t.journal.Close()
	t.file.Close()
	t.dir.mu.Lock()
	t.dir.left = append(t.dir.left, t.name)
	t.dir.mu.Unlock()
	t.name, t.journal = "", nil
}

// nothingLeft reports whether dead runs, and attempts before, have left nothing in
// the folder that could be gone on with.
func (d *folder) nothingLeft() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.left) == 0
}

// adopt returns the temporary file that a dead run, or an attempt before, left
// of the same state of the same source, with what of it is there. It is nil if
// there is none; files of another state of the source are removed.
func (d *folder) adopt(final, source string, opened Entry) (*tempFile, ranges) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := 0; i < len(d.left); {
		name := d.left[i]
		stem, _, _ := parsePart(name)
		f, entry, err := d.readDead(name)
		switch {
		case err != nil:
			d.log.Warn("cannot look at an unfinished file", keyTarget, d.join(name), keyError, err)
			fallthrough
		case f == nil:
			d.left = slices.Delete(d.left, i, i+1)
			continue
		case entry.of(source, opened.Size, opened.MTime):
			d.left = slices.Delete(d.left, i, i+1)
			t := &tempFile{dir: d, file: f, name: name, final: final, mode: fs.FileMode(entry.Mode).Perm()}
			t.keepJournal()
			return t, entry.Done
		case entry.Source == source || stem == partStem(final):
			d.left = slices.Delete(d.left, i, i+1)
			f.Close()
			d.removeDead(name)
			continue
		}
		f.Close()
		i++
	}
	return nil, nil
}

// readDead opens and locks a temporary file, and reads its journal. It is nil
// where the file is somebody's, or gone.
func (d *folder) readDead(name string) (*os.File, journalEntry, error) {
	f, err := d.openDead(name)
	if f == nil {
		return nil, journalEntry{}, err
	}
	var entry journalEntry
	j, err := d.root.Open(journalName(name))
	if err == nil {
		var info fs.FileInfo
		if info, err = j.Stat(); err == nil {
			// A journal without a whole line is that of no source.
			entry, _ = readJournal(j, info.Size())
		}
		j.Close()
	}
	if err != nil {
		f.Close()
		return nil, entry, err
	}
	return f, entry, nil
}

// tailAlike holds the last piece of what is there against the source, so that
// a source that was replaced by one of the same size and time is found out. It
// asks both sides for the same bytes.
func tailAlike(here, there io.ReaderAt, done ranges) (bool, error) {
	if len(done) == 0 {
		return true, nil
	}
	last := done[len(done)-1]
	n := min(tailSize, last.size())
	a, b := make([]byte, n), make([]byte, n)
	if err := readFull(here, a, last.To-n); err != nil {
		return false, err
	}
	if err := readFull(there, b, last.To-n); err != nil {
		return false, err
	}
	return bytes.Equal(a, b), nil
}

// A checkpoint writes the journal of a transfer now and then, until it is
// stopped.
type checkpoint struct {
	entry func() journalEntry
	note  func(journalEntry) error
	now   func() time.Time

	quit  chan struct{}
	done  sync.WaitGroup
	err   error
	last  int64     // of what is there, bytes that the last line said
	wrote time.Time // when that was
}

// newCheckpoint begins to write. entry says what is there, and note makes it
// durable and writes it.
func newCheckpoint(now func() time.Time, entry func() journalEntry, note func(journalEntry) error) *checkpoint {
	c := &checkpoint{entry: entry, note: note, now: now, quit: make(chan struct{}), last: entry().Done.size(), wrote: now()}
	c.done.Go(func() {
		// What takes long is given a rest of the same length.
		for rest := journalSoon; c.err == nil; {
			select {
			case <-c.quit:
				return
			case <-time.After(rest):
			}
			began := c.now()
			c.writeSoon()
			rest = max(journalSoon, c.now().Sub(began))
		}
	})
	return c
}

// writeSoon writes if that costs little, or was not done for journalEvery.
func (c *checkpoint) writeSoon() {
	e := c.entry()
	if e.Done.size()-c.last > journalLittle && c.now().Sub(c.wrote) < journalEvery {
		return
	}
	c.write(e)
	c.wrote = c.now()
}

// write writes, if there is something new to say.
func (c *checkpoint) write(e journalEntry) {
	if n := e.Done.size(); n != c.last {
		c.last, c.err = n, c.note(e)
	}
}

// stop ends the writing; with last set, it writes a last time. It returns the
// error of the writing, if there was one. A nil checkpoint writes nothing.
func (c *checkpoint) stop(last bool) error {
	if c == nil {
		return nil
	}
	close(c.quit)
	c.done.Wait()
	if last && c.err == nil {
		c.write(c.entry())
	}
	return c.err
}

// resumable reports whether a failure leaves something to go on with: the line
// broke, the server fell silent, or we were stopped. A disk that is full keeps
// nothing.
func resumable(ctx context.Context, err error) bool {
	return ctx.Err() != nil || stopsAll(err) && !isFull(err) && !isReadOnly(err) || errors.Is(err, context.Canceled)
}
