package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
)

// On a long line, a file that is stored is made durable behind the last write of each
// session, and gets mode, times and name in one round trip after that: one less than
// asking for one after the other. The name is asked for when all was
// acknowledged, made durable and has its size.

// A seal is what the sessions that have written a file say of it behind their last
// write.
type seal struct {
	mu   sync.Mutex
	said int   // sessions
	size int64 // the largest that one has seen
}

// look is what lanes ask for behind the last write; nil where it is of no use, as the
// line is short, or as more has to be known before the file gets its name.
func (s *seal) look(ctx context.Context, p *putter, w Writer) lookFunc {
	far, ok := p.remote.(RoundTripper)
	if _, ordered := w.(Sealer); !ordered || !ok || far.RoundTrip() < farAway || p.verify != nil {
		return nil
	}
	return func(file io.Closer) error {
		sealer, ok := file.(Sealer)
		if !ok {
			return errNotSealed
		}
		e, err := sealer.Seal(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.said++
		s.size = max(s.size, e.Size)
		return nil
	}
}

// is reports whether what was said is that of a file of that size.
func (s *seal) is(size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said > 0 && s.size == size
}

// errNotSealed says that a session cannot tell whether the file is durable.
var errNotSealed = errors.New("this session does not work in order")

// place gives the temporary file its name: one that is sealed together with its mode
// and times. The journal of a file that is whole is of no use, whatever happens.
func (s *storing) place(ctx context.Context) error {
	var work sync.WaitGroup
	work.Go(func() { s.removeJournal(ctx) })
	finished := error(nil)
	if s.sealed != nil {
		sent := make(chan error, 1)
		asked := sync.OnceFunc(func() { sent <- nil })
		work.Go(func() {
			finished = s.sealed.Finish(ctx, asked)
			select {
			case sent <- finished: // it may not have come to asking
			default:
			}
		})
		if err := <-sent; err != nil {
			work.Wait()
			return err
		}
	}
	err := s.remote.Replace(ctx, s.temp, s.item.Target)
	if err == nil {
		s.removeOld(ctx)
	}
	work.Wait()
	return cmp.Or(err, finished)
}
