package transfer

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"linehaul/fault"
)

// entry is what the journal says of the file, with what of it is there.
func (s *storing) entry(done ranges) journalEntry {
	return journalEntry{
		Source: s.item.Source, Size: s.opened.Size(), MTime: s.opened.ModTime().UnixNano(), Mode: uint32(s.attrs.Mode), Done: done,
	}
}

// A remoteJournal is the journal of a file that is stored. It lies beside the
// temporary file on the server, and is opened when there is something to note:
// most files are stored before that.
type remoteJournal struct {
	s       *storing
	reopens Reopener
	data    Writer // the temporary file

	w    Writer // nil: not open yet
	at   io.WriterAt
	size int64
}

// open goes on with the journal of the temporary file, or begins it.
func (j *remoteJournal) open(ctx context.Context) error {
	remote, name := j.s.remote, journalName(j.s.temp)
	attrs := Attrs{Mode: privateMode}
	e, err := remote.Stat(ctx, name)
	if err == nil {
		j.size = e.Size
		j.w, err = j.reopens.Reopen(ctx, name, attrs)
	} else {
		j.w, err = remote.Create(ctx, name, attrs)
	}
	if err != nil {
		return err
	}
	var ok bool
	if j.at, ok = j.w.(io.WriterAt); !ok {
		return errors.New("it cannot be written to in pieces")
	}
	return nil
}

// note makes what was written durable as far as the server can, and then writes
// a line of the journal.
func (j *remoteJournal) note(ctx context.Context, e journalEntry) error {
	if j.w == nil {
		if err := j.open(ctx); err != nil {
			return err
		}
	}
	if data, ok := j.data.(Syncer); ok {
		if err := data.Sync(ctx); err != nil {
			return err
		}
	}
	line := e.line()
	if _, err := j.at.WriteAt(line, j.size); err != nil {
		return err
	}
	j.size += int64(len(line))
	return nil
}

// close closes the journal, if it was opened.
func (j *remoteJournal) close() {
	if j.w != nil {
		shut(j.w)
	}
}

// removeJournal removes the journal, if the file had one.
func (s *storing) removeJournal(ctx context.Context) {
	if _, reopens := s.remote.(Reopener); reopens && s.opened.Size() >= journalSize {
		s.p.remove(ctx, journalName(s.temp))
	}
}

// resume opens the temporary file that a dead run, or an attempt before, left
// of the same state of the same source. It returns nil if there is none, and
// removes those of another state.
func (s *storing) resume(ctx context.Context, reopens Reopener) (Writer, ranges) {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	for i := 0; i < len(s.to.parts); {
		part := s.to.parts[i]
		stem, run, ok := parsePart(part.Name)
		if !ok || stem != partStem(s.name) || run != s.p.run && !s.p.isDead(run, part.MTime) {
			i++
			continue
		}
		s.to.parts = slices.Delete(s.to.parts, i, i+1)
		temp := join(s.dir, part.Name)
		if s.made != nil && temp == s.temp {
			continue // it was made just now
		}
		w, done, err := s.reopen(ctx, reopens, temp)
		switch {
		case err != nil && (stopsAll(err) || ctx.Err() != nil):
			s.p.log.Debug("cannot look at an unfinished file", keyTarget, at(s.p.host, temp), keyError, err)
			return nil, nil
		case err != nil:
			s.p.log.Info("an unfinished file is of no use", keyTarget, at(s.p.host, temp), keyError, err)
			s.dropDead(ctx, temp)
			continue
		}
		s.temp = temp
		s.p.log.Info("going on with a file that was begun before", keyName, s.item.Entry.Name, keyTarget, at(s.p.host, temp), keyBytes, done.size())
		return w, done
	}
	return nil, nil
}

// reopen opens a temporary file to go on with, if its journal is of the same
// state of the source and its end is that of the source.
func (s *storing) reopen(ctx context.Context, reopens Reopener, temp string) (Writer, ranges, error) {
	entry, err := s.readJournal(ctx, journalName(temp))
	if err != nil {
		return nil, nil, err
	}
	if !entry.of(s.item.Source, s.opened.Size(), s.opened.ModTime()) {
		return nil, nil, fault.New(fault.RemoteFile, "its journal is of another state of the source")
	}
	r, err := s.remote.Open(ctx, temp)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	there, ok := r.(io.ReaderAt)
	if !ok {
		return nil, nil, fault.New(fault.RemoteFile, "it cannot be read in pieces")
	}
	alike, err := tailAlike(s.f, there, entry.Done)
	if err != nil {
		return nil, nil, sorted(ctx, fault.RemoteFile, temp, err)
	}
	if !alike {
		return nil, nil, fault.New(fault.RemoteFile, "its end is not that of the source")
	}
	w, err := reopens.Reopen(ctx, temp, s.attrs)
	return w, entry.Done, err
}

func (s *storing) readJournal(ctx context.Context, name string) (journalEntry, error) {
	r, err := s.remote.Open(ctx, name)
	if err != nil {
		return journalEntry{}, err
	}
	defer r.Close()
	e, err := r.Stat(ctx)
	if err != nil {
		return journalEntry{}, err
	}
	there, ok := r.(io.ReaderAt)
	if !ok {
		return journalEntry{}, fault.New(fault.RemoteFile, "it cannot be read in pieces")
	}
	return readJournal(there, e.Size)
}

// dropDead removes a temporary file and its journal.
func (s *storing) dropDead(ctx context.Context, temp string) {
	for _, name := range []string{temp, journalName(temp)} {
		if err := s.remote.Remove(ctx, name); err != nil {
			s.p.log.Warn("cannot remove an unfinished file", keyTarget, at(s.p.host, name), keyError, err)
			return
		}
	}
	s.p.log.Info("removed the unfinished file of a run that died", keyTarget, at(s.p.host, temp))
}

// removeDead removes what dead runs left of the same target, as Put's comment
// says, but for what is gone on with.
func (s *storing) removeDead(ctx context.Context) {
	s.to.mu.Lock()
	var dead []string
	s.to.parts = slices.DeleteFunc(s.to.parts, func(e Entry) bool {
		part := e.Name
		if stem, journal := strings.CutSuffix(part, journalSuffix); journal {
			part = stem + partSuffix
		}
		stem, run, _ := parsePart(part)
		temp := join(s.dir, part)
		if stem != partStem(s.name) || run == s.p.run || temp == s.temp || !s.p.isDead(run, e.MTime) {
			return false
		}
		dead = append(dead, temp)
		return true
	})
	s.to.mu.Unlock()
	slices.Sort(dead)
	for _, temp := range slices.Compact(dead) {
		s.dropDead(ctx, temp)
	}
}

// removeOld removes the file that had the name of this one before, where this run, in an
// attempt before, or one that is dead has moved it aside and then not come to its end.
func (s *storing) removeOld(ctx context.Context) {
	s.to.mu.Lock()
	var old []string
	s.to.parts = slices.DeleteFunc(s.to.parts, func(e Entry) bool {
		stem, aside := strings.CutSuffix(e.Name, oldSuffix)
		target, run, _ := parsePart(stem + partSuffix)
		if !aside || target != partStem(s.name) || run != s.p.run && !s.p.isDead(run, e.MTime) {
			return false
		}
		old = append(old, join(s.dir, e.Name))
		return true
	})
	s.to.mu.Unlock()
	for _, name := range old {
		s.p.remove(ctx, name)
	}
}
