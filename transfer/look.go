package transfer

import "io"

// What a file is like after it was read need not be asked for when all of it has
// come: a session that works in order answers behind its last read. On each session
// that reads, one question goes out as soon as nobody has anything left to ask of
// the file; the last of the answers is younger than all that was read. What was written is looked at
// in the same way, see seal.

// looks asks on the sessions that have sent all of their reads. The caller holds mu.
func (l *lanes) looks(s *spread) {
	if s.look == nil || s.stale || s.err != nil || len(s.missing) > 0 {
		return
	}
	for _, h := range s.handles {
		if !h.ready || h.moved == 0 || h.unsent > 0 || h.looking {
			continue
		}
		h.looking = true
		s.under++
		l.work.Go(func() {
			err := s.look(h.file)
			l.mu.Lock()
			defer l.mu.Unlock()
			s.under--
			h.looked, h.changed = err == nil, err
			l.changed.Broadcast()
		})
	}
}

// sent returns what is to be called when a request of a piece has gone out. One that
// goes out after the question, as the answer before was short, is not covered by that.
func (l *lanes) sent(s *spread, h *handle) func() {
	first := true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !first {
			s.stale = true
			return
		}
		first = false
		h.unsent--
		l.looks(s)
	}
}

// alike reports whether all sessions that have moved something of a file have seen
// it as it should be after that. An error is what its home has seen instead.
func (l *lanes) alike(s *spread) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if home := s.handles[s.home]; home != nil && home.changed != nil {
		return false, home.changed
	}
	if s.look == nil || s.stale {
		return false, nil
	}
	for _, h := range s.handles {
		if h.moved > 0 && !h.looked {
			return false, nil
		}
	}
	return true, nil
}

// A lookFunc is an error if a file is not as it should be, or if nobody can say. It must
// not close the file, of which there may still be reads under way.
type lookFunc func(file io.Closer) error
