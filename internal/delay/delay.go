// Package delay is a line of a given length between two TCP endpoints of this
// machine: what enters at one end leaves at the other half a round trip later,
// in order, at a limited rate if one is asked for, and with faults when told.
// Tests and the benchmark pull files through it.
//
// # What is like a real line
//
// Each byte takes RTT/2 each way, and so does the end of a stream (half-close)
// and a reset. The line carries as many connections as come.
//
// # The handshake
//
// A connection is accepted at once, as the kernel answers the SYN before any
// program hears of it; dialling through the line therefore takes no time, and
// cannot be made to. The line makes up for it afterwards: it dials the target
// 1.5 round trips after the client connected, when the last packet of a real
// handshake would arrive. So the client's first byte reaches the server no
// earlier than 1.5 round trips after connect, and the server's greeting
// reaches the client after two, as on a real line. Only a client that times
// its connect call alone sees a difference, and a refused target shows as a
// reset after 1.5 round trips.
//
// # What is left out
//
// Both ends of the line are TCP endpoints of their own, on loopback: there is
// no loss, no congestion window and no slow start. A real line is slower at
// first, and favours several connections more than this one does. The
// endpoints' socket buffers lie before and behind the line and hold what they
// hold.
//
// # Memory
//
// What is under way is kept: rate times delay, at most Options.Buffer for each
// direction of a connection. When that is full the sender is held back, so the
// rate through one connection is at most Buffer/(RTT/2).
//
// The package uses real time, as there are real sockets at both ends, and
// imports the standard library only.
package delay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultBuffer is what one direction of a connection may hold: 640 MiB/s at
// a round trip of 200 ms.
const DefaultBuffer = 64 << 20

// Options say what line it is. The zero value is a line of no length.
type Options struct {
	// RTT is the time to the target and back.
	RTT time.Duration
	// Up and Down are bytes a second from the client to the target and back,
	// for each connection. 0 is no limit.
	Up, Down int64
	// Buffer is the most that one direction of a connection holds.
	// 0 is DefaultBuffer.
	Buffer int
}

// A Line listens on a loopback port and forwards each connection to a target.
// All its methods may be called at any time, from any goroutine.
type Line struct {
	opts   Options
	ln     *net.TCPListener
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // the acceptor and each connection

	accepted atomic.Int64
	up, down atomic.Int64 // bytes delivered

	mu      sync.Mutex
	target  string
	conns   map[*conn]struct{}
	paused  bool
	swallow bool
	slow    int64         // of Slow; 0 is none
	cutting bool          // CutAfter was called
	budget  int64         // bytes until the cut
	changed chan struct{} // closed, and made anew, when one of these changes
}

// Listen starts a line to target, a host:port. Close ends it.
func Listen(target string, o Options) (*Line, error) {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("listen for the line to %q: %w", target, err)
	}
	if o.Buffer <= 0 {
		o.Buffer = DefaultBuffer
	}
	l := &Line{target: target, opts: o, ln: ln, conns: map[*conn]struct{}{}, changed: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.wg.Go(l.accept)
	return l, nil
}

// Addr is where clients connect, as host:port.
func (l *Line) Addr() string { return l.ln.Addr().String() }

// Port is the TCP port of Addr.
func (l *Line) Port() int { return l.ln.Addr().(*net.TCPAddr).Port }

// Accepted returns how many connections there have been.
func (l *Line) Accepted() int64 { return l.accepted.Load() }

// Delivered returns how many bytes have left the line towards the target and
// towards clients.
func (l *Line) Delivered() (up, down int64) { return l.up.Load(), l.down.Load() }

// Close ends the line and all that it carries, and waits for its goroutines.
// It may be called again.
func (l *Line) Close() error {
	l.cancel()
	err := l.ln.Close()
	l.endAll(false)
	l.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// accept takes connections until the listener is closed.
func (l *Line) accept() {
	for {
		client, err := l.ln.AcceptTCP()
		if err != nil {
			if l.ctx.Err() != nil {
				return
			}
			// Out of descriptors, or a client that was gone already: the
			// next one may fare better.
			if !sleep(l.ctx, acceptPause) {
				return
			}
			continue
		}
		c := newConn(l, client, time.Now())
		if !l.keep(c) {
			c.end(false)
			return
		}
		l.accepted.Add(1)
		l.wg.Go(func() {
			c.carry()
			l.mu.Lock()
			delete(l.conns, c)
			l.mu.Unlock()
		})
	}
}

// keep enters a connection into the list, unless the line is closed.
func (l *Line) keep(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

// acceptPause is how long the acceptor rests after a failure.
const acceptPause = 10 * time.Millisecond

// Cut closes all connections at both ends at once; what was under way is lost.
// New connections are carried.
func (l *Line) Cut() { l.endAll(false) }

// Lead has connections that are dialled from now on carried to another target,
// as a name or an address does that has moved to another machine. Those that
// are carried already are left alone; Cut ends them.
func (l *Line) Lead(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

func (l *Line) leads() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.target
}

// Reset is Cut with a reset (RST) at both ends.
func (l *Line) Reset() { l.endAll(true) }

func (l *Line) endAll(reset bool) {
	l.mu.Lock()
	all := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		c.end(reset)
	}
}

// CutAfter cuts the line, as Cut does, as soon as n more bytes have left it,
// in both directions of all connections together. The n bytes are handed to
// the receiver's socket, and not one more.
func (l *Line) CutAfter(n int64) {
	if n <= 0 {
		l.Cut()
		return
	}
	l.change(func() { l.cutting, l.budget = true, n })
}

// Blackhole swallows all that is under way or comes later, ends and resets
// too, and keeps connections open at both ends. A connection that lost bytes
// carries nothing ever after, as a TCP stream has no holes; Resume is for those
// that lost none, and for new ones.
func (l *Line) Blackhole() { l.change(func() { l.swallow = true }) }

// Pause holds back all that is under way or comes later, until Resume.
func (l *Line) Pause() { l.change(func() { l.paused = true }) }

// Resume ends Pause and Blackhole.
func (l *Line) Resume() { l.change(func() { l.paused, l.swallow = false, false }) }

// Slow limits each direction of each connection to rate bytes a second from
// now on, what is under way too. 0 ends it.
func (l *Line) Slow(rate int64) { l.change(func() { l.slow = max(rate, 0) }) }

func (l *Line) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// A gate is what the switches say now.
type gate struct {
	paused, swallow bool
	slow            int64
	changed         <-chan struct{} // closed when they say something else
}

func (l *Line) gate() gate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return gate{paused: l.paused, swallow: l.swallow, slow: l.slow, changed: l.changed}
}

// grant takes up to want bytes from the budget of CutAfter. It returns how
// many may leave now, and whether the cut comes after them.
func (l *Line) grant(want int) (n int, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cutting {
		return want, false
	}
	if l.budget == 0 {
		return 0, false // another one is about to cut
	}
	n = int(min(int64(want), l.budget))
	l.budget -= int64(n)
	return n, l.budget == 0
}

// cut carries out what CutAfter asked for. A connection that comes later is
// carried.
func (l *Line) cut() {
	l.Cut()
	l.change(func() { l.cutting = false })
}
