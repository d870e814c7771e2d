package delay

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A conn is one client's connection and the one to the target that belongs to
// it.
type conn struct {
	line   *Line
	client *net.TCPConn
	born   time.Time
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	holed  atomic.Bool // bytes were swallowed: nothing may pass any more

	mu     sync.Mutex
	target *net.TCPConn // nil until dialled
	ended  bool
}

func newConn(l *Line, client *net.TCPConn, now time.Time) *conn {
	c := &conn{line: l, client: client, born: now}
	c.ctx, c.cancel = context.WithCancel(l.ctx)
	return c
}

// carry runs the connection to its end, and waits for all that it started.
func (c *conn) carry() {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.end(false) // frees the readers, so that the wait ends

	l := c.line
	up := newPipe(c, l.opts.Up, &l.up)
	wg.Go(func() { up.fill(c.client) })
	if !sleep(c.ctx, time.Until(c.born.Add(l.opts.RTT*3/2))) {
		return
	}
	var d net.Dialer
	dialled, err := d.DialContext(c.ctx, "tcp", l.leads())
	if err != nil {
		c.end(true)
		return
	}
	target := dialled.(*net.TCPConn)
	if !c.attach(target) {
		return
	}
	down := newPipe(c, l.opts.Down, &l.down)
	wg.Go(func() { down.fill(target) })
	var writers sync.WaitGroup
	writers.Go(func() { up.drain(target) })
	writers.Go(func() { down.drain(c.client) })
	writers.Wait()
}

// attach makes target the other end, unless the connection has ended.
func (c *conn) attach(target *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		target.Close() //nolint:errcheck // nothing was written to it
		return false
	}
	c.target = target
	return true
}

// end closes both ends at once, with a reset if asked. Only the first call
// does anything.
func (c *conn) end(reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	c.cancel()
	for _, side := range []*net.TCPConn{c.client, c.target} {
		if side == nil {
			continue
		}
		if reset {
			_ = side.SetLinger(0) // fails only on a socket that is gone
		}
		side.Close() //nolint:errcheck // the line is cut, and that is all
	}
}

// sleep waits and reports true, or false as soon as ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
