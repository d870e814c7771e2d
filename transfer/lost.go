package transfer

import (
	"cmp"
	"context"
	"errors"

	"linehaul/fault"
)

// carried reports whether a lane that is in use has the file open, or opens it.
func (s *spread) carried() bool {
	for a, h := range s.handles {
		if !a.gone && (h.ready || h.opening) {
			return true
		}
	}
	return false
}

// strand ends a file that no lane can carry any more, for the reason that the
// last one gave up, or for err. The caller holds mu.
func (l *lanes) strand(s *spread, err error) {
	if s.carried() || s.done.size() >= s.size {
		return
	}
	for _, a := range l.all {
		if !a.gone && s.handles[a] == nil {
			return // it will open the file
		}
	}
	l.fail(s, cmp.Or(s.broke, err))
}

// lost takes a lane out of use if the error is one of its session and there is
// another lane, and reports whether that is so. The caller holds mu.
func (l *lanes) lost(a *lane, err error) bool {
	if !stopsAll(err) || fault.Is(err, fault.LocalDisk) || l.ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return false
	}
	if a.gone {
		return l.live() > 0
	}
	if l.live() < 2 {
		return false
	}
	l.log.Warn("a session broke, the others go on", keyError, err)
	a.gone = true
	return true
}
