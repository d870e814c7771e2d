package transfer

import "context"

// A confirmer is a file that was opened without waiting for the answer. What was
// moved by it counts only if Confirm, which waits for that, returns nil.
type confirmer interface {
	Confirm(ctx context.Context) error
}

// confirm is an error if a file was not opened after all.
func (l *lanes) confirm(s *spread, h *handle) error {
	l.mu.Lock()
	sure := h.sure
	l.mu.Unlock()
	opened, ahead := h.file.(confirmer)
	if sure || !ahead {
		return nil
	}
	err := opened.Confirm(s.joining)
	l.mu.Lock()
	defer l.mu.Unlock()
	h.sure = err == nil
	return err
}
