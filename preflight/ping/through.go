package ping

import (
	"context"
	"sync"

	"linehaul/preflight/echo"
)

// A through is a line made of somebody else's echoes.
type through struct {
	e      Echoer
	o      Options
	ctx    context.Context //nolint:containedctx // it is the life of the goroutines that Send starts
	cancel context.CancelFunc
	events chan echo.Event
	wg     sync.WaitGroup
}

func newThrough(e Echoer, o Options) *through {
	t := &through{e: e, o: o, events: make(chan echo.Event, 16)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Send has one echo sent and its answer waited for.
func (t *through) Send(seq uint16, size int) error {
	t.wg.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
		defer cancel()
		rtt, err := t.e.Ping(ctx, t.o.To, size)
		switch {
		case err == nil:
			t.tell(echo.Event{Seq: seq, Kind: echo.Echoed, RTT: rtt, From: t.o.To})
		case ctx.Err() == nil:
			t.tell(echo.Event{Seq: seq, Kind: echo.Refused, Said: err.Error()})
		}
	})
	return nil
}

func (t *through) tell(e echo.Event) {
	select {
	case t.events <- e:
	case <-t.ctx.Done():
	}
}

// Events returns what comes of the echoes.
func (t *through) Events() <-chan echo.Event { return t.events }

// close ends all that waits, and returns when it has ended.
func (t *through) close() {
	t.cancel()
	t.wg.Wait()
}
