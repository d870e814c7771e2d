package delay

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Our own numbers.
const (
	chunkSize = 256 << 10 // one read; 512 MiB/s are then 2,000 reads a second
	minRead   = 16 << 10  // a chunk with less room than this counts as full
	// maxSegments bounds what a client that sends single bytes can pile up.
	maxSegments = 1 << 16
	// A limited line has a queue of this much time before it, and leaves in
	// steps of this length.
	queueTime = 50 * time.Millisecond
	stepTime  = 10 * time.Millisecond
	// minCapacity is what a slow line takes in all the same.
	minCapacity = 64 << 10
)

// A segment is what one read brought: a part of a chunk, and when it is due
// at the other end.
type segment struct {
	chunk    []byte
	from, to int
	due      time.Time
	last     bool // the chunk holds nothing after it
}

// How a direction ends.
type ending int

const (
	open   ending = iota
	closed        // the sender closed, or half-closed
	broken        // the sender reset the connection
)

// A pipe is one direction of a connection: a queue of timed segments between
// the goroutine that reads (fill) and the one that writes (drain). Bytes are
// read into a chunk and written from there; a chunk is used again when all of
// it has left.
type pipe struct {
	conn  *conn
	rate  int64 // of the line; 0 is none
	count *atomic.Int64

	ready chan struct{} // something to drain, for drain
	room  chan struct{} // something has left, for fill

	mu     sync.Mutex
	segs   []segment // segs[head:] are under way, oldest first
	head   int
	queued int // bytes of them
	free   [][]byte
	end    ending
	endDue time.Time
}

func newPipe(c *conn, rate int64, count *atomic.Int64) *pipe {
	return &pipe{conn: c, rate: rate, count: count, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// fill reads until src ends or the connection does.
func (p *pipe) fill(src *net.TCPConn) {
	half := p.conn.line.opts.RTT / 2
	var chunk []byte
	used := 0
	for {
		if chunk == nil {
			chunk, used = p.chunk(), 0
		}
		if !p.waitRoom() {
			return
		}
		n, err := src.Read(chunk[used:])
		due := time.Now().Add(half)
		if n > 0 {
			s := segment{chunk: chunk, from: used, to: used + n, due: due, last: chunkSize-used-n < minRead}
			p.push(s)
			used += n
			if s.last {
				chunk = nil
			}
		}
		if err != nil {
			end := broken
			if err == io.EOF {
				end = closed
			}
			p.finish(end, due)
			return
		}
	}
}

// drain writes what is due to dst until the direction ends. It returns early
// when the connection ends.
func (p *pipe) drain(dst *net.TCPConn) {
	c := p.conn
	var next time.Time // when a limited line is free again
	for {
		due, some := p.first()
		switch {
		case !some:
			select {
			case <-p.ready:
			case <-c.ctx.Done():
				return
			}
			continue
		case !sleep(c.ctx, time.Until(due)):
			return
		}

		g := c.line.gate()
		if g.swallow || c.holed.Load() {
			c.holed.Store(true)
			if p.drop() {
				<-c.ctx.Done() // the end was swallowed too
				return
			}
			continue
		}
		if g.paused {
			if !p.wait(g.changed, 0) {
				return
			}
			continue
		}
		rate := p.limit(g)
		if pause := time.Until(next); rate > 0 && pause > 0 {
			if !p.wait(g.changed, pause) {
				return
			}
			continue
		}

		out, end := p.batch(time.Now())
		if out == nil {
			if end == broken {
				c.end(true)
				return
			}
			_ = dst.CloseWrite() // fails only where the other side is gone
			return
		}
		if rate > 0 {
			out = out[:min(len(out), max(1, int(rate*int64(stepTime)/int64(time.Second))))]
		}
		allowed, cut := c.line.grant(len(out))
		if allowed == 0 {
			if !p.wait(g.changed, 0) {
				return
			}
			continue
		}
		n, err := dst.Write(out[:allowed])
		p.count.Add(int64(n))
		p.consume(n)
		if rate > 0 {
			next = later(next, time.Now().Add(-stepTime)).Add(time.Duration(n) * time.Second / time.Duration(rate))
		}
		if cut {
			c.line.cut()
			return
		}
		if err != nil {
			// The receiver is gone; its reset is half a round trip away from
			// the sender.
			sleep(c.ctx, c.line.opts.RTT/2)
			c.end(true)
			return
		}
	}
}

// limit is the rate that holds now; 0 is none.
func (p *pipe) limit(g gate) int64 {
	switch {
	case p.rate == 0:
		return g.slow
	case g.slow == 0:
		return p.rate
	}
	return min(p.rate, g.slow)
}

// capacity is how much may be under way: rate times delay and a short queue,
// within the cap.
func (p *pipe) capacity() int {
	o := p.conn.line.opts
	rate := p.limit(p.conn.line.gate())
	if rate == 0 {
		return o.Buffer
	}
	fits := float64(rate) * (o.RTT/2 + queueTime).Seconds()
	return int(min(max(fits, minCapacity), float64(o.Buffer)))
}

// waitRoom waits until another read may be kept, and reports false when the
// connection has ended.
func (p *pipe) waitRoom() bool {
	for {
		capacity := p.capacity()
		p.mu.Lock()
		fits := p.queued < capacity && len(p.segs)-p.head < maxSegments
		p.mu.Unlock()
		if fits {
			return p.conn.ctx.Err() == nil
		}
		select {
		case <-p.room:
		case <-p.conn.ctx.Done():
			return false
		}
	}
}

// wait waits for a change of the switches, or for d if there is one, and
// reports false when the connection has ended.
func (p *pipe) wait(changed <-chan struct{}, d time.Duration) bool {
	var timeout <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-changed:
	case <-timeout:
	case <-p.conn.ctx.Done():
		return false
	}
	return true
}

func (p *pipe) chunk() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c
	}
	return make([]byte, chunkSize)
}

func (p *pipe) push(s segment) {
	p.mu.Lock()
	if p.head > len(p.segs)/2 {
		kept := copy(p.segs, p.segs[p.head:])
		clear(p.segs[kept:])
		p.segs, p.head = p.segs[:kept], 0
	}
	p.segs = append(p.segs, s)
	p.queued += s.to - s.from
	p.mu.Unlock()
	signal(p.ready)
}

func (p *pipe) finish(end ending, due time.Time) {
	p.mu.Lock()
	p.end, p.endDue = end, due
	p.mu.Unlock()
	signal(p.ready)
}

// first returns when the oldest thing under way is due.
func (p *pipe) first() (due time.Time, some bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head < len(p.segs) {
		return p.segs[p.head].due, true
	}
	return p.endDue, p.end != open
}

// batch returns the oldest bytes, as many as lie together and are due, or how
// the direction ends when there are none left.
func (p *pipe) batch(now time.Time) ([]byte, ending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head == len(p.segs) {
		return nil, p.end
	}
	s := p.segs[p.head]
	to := s.to
	for i := p.head + 1; !s.last && i < len(p.segs) && !p.segs[i].due.After(now); i++ {
		to = p.segs[i].to // in the same chunk, as none before was its last
		if p.segs[i].last {
			break
		}
	}
	return s.chunk[s.from:to], open
}

// consume takes n bytes off the front.
func (p *pipe) consume(n int) {
	p.mu.Lock()
	p.queued -= n
	for n > 0 {
		s := &p.segs[p.head]
		part := min(n, s.to-s.from)
		s.from += part
		n -= part
		if s.from < s.to {
			break
		}
		if s.last {
			p.free = append(p.free, s.chunk)
		}
		*s = segment{}
		p.head++
	}
	p.mu.Unlock()
	signal(p.room)
}

// drop throws away the oldest segment, or reports that the end is next.
func (p *pipe) drop() (ended bool) {
	p.mu.Lock()
	if p.head == len(p.segs) {
		p.mu.Unlock()
		return true
	}
	n := p.segs[p.head].to - p.segs[p.head].from
	p.mu.Unlock()
	p.consume(n)
	return false
}

// signal leaves a note for the one goroutine that waits on c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
