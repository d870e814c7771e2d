package netstack

import (
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

const (
	// paceFrom is the round trip from which on pacing is worth its while: on
	// shorter ones a window fits into any queue, and clocks are too coarse.
	paceFrom = 4 * time.Millisecond
	// paceStep is how finely: what is due within it goes together.
	paceStep = time.Millisecond
	// paceLook is how often TCP is asked for its windows.
	paceLook = 5 * time.Millisecond
	// paceMost is how many bytes wait before more of them are lost. TCP's windows
	// are smaller.
	paceMost = 64 << 20

	// The gains are how much faster than a window in a round trip we send. While a
	// window doubles in a round trip, it must be more than twice: cubic takes
	// acknowledgements over half of a round trip for a full path (HyStart).
	gainStart  = 4
	gainSteady = 1.25
)

// A pacer spreads what TCP sends over the round trip. TCP itself sends as much
// of its window as it may at once, which on a long path is more than queues on
// the way hold, so that a window never grows beyond them.
type pacer struct {
	out   func([][]byte) error
	paths func() (paces []pace, ok bool) // those of the connections; not ok if nothing is to be paced
	now   func() time.Duration           // since some instant
	wake  chan struct{}

	mu      sync.Mutex
	limit   float64       // bytes in a second; 0 is not to be paced
	trip    time.Duration // the longest round trip
	looked  time.Duration // when that was so
	free    time.Duration // when what was sent has gone at that rate
	queue   [][]byte
	waiting int // bytes in queue
}

// A pace is what the window of a connection asks for.
type pace struct {
	rate float64 // bytes in a second
	trip time.Duration
}

func newPacer(out func([][]byte) error, paths func() ([]pace, bool), now func() time.Duration) *pacer {
	return &pacer{out: out, paths: paths, now: now, wake: make(chan struct{}, 1), looked: -paceLook}
}

// send sends packets now, or copies them to be sent later.
func (p *pacer) send(packets [][]byte) error {
	now := p.now()
	p.mu.Lock()
	if now-p.looked >= paceLook {
		p.call()
	}
	if p.limit == 0 && len(p.queue) == 0 {
		p.mu.Unlock()
		return p.out(packets)
	}
	defer p.mu.Unlock()
	n := 0
	for len(p.queue) == 0 && n < len(packets) && p.due(now) {
		p.charge(now, len(packets[n]))
		n++
	}
	var err error
	if n > 0 {
		err = p.out(packets[:n]) // under the lock, so that none goes by it
	}
	if n < len(packets) {
		err = p.keep(packets[n:])
	}
	return err
}

// keep puts packets into the queue.
func (p *pacer) keep(packets [][]byte) error {
	size := 0
	for _, b := range packets {
		size += len(b)
	}
	if p.waiting+size > paceMost {
		return syscall.ENOBUFS
	}
	all := make([]byte, 0, size)
	for _, b := range packets {
		start := len(all)
		all = append(all, b...)
		p.queue = append(p.queue, all[start:len(all):len(all)])
	}
	p.waiting += size
	p.hurry()
	p.call()
	return nil
}

// hurry sees to it that what waits goes within a round trip: a window may have
// fallen to almost nothing, and TCP takes for lost what it hears nothing of.
func (p *pacer) hurry() {
	if p.limit > 0 {
		p.limit = max(p.limit, float64(p.waiting)/p.trip.Seconds())
	}
}

// due reports whether the next packet may go.
func (p *pacer) due(now time.Duration) bool { return p.limit == 0 || p.free <= now+paceStep }

// charge notes that a packet goes. Time in which nothing went is not made up
// for, but for one step of it.
func (p *pacer) charge(now time.Duration, size int) {
	p.free = max(p.free, now-paceStep)
	if p.limit > 0 {
		p.free += time.Duration(float64(size) / p.limit * float64(time.Second))
	}
}

// call has run look at the queue, or at the windows.
func (p *pacer) call() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run sends what waits, until done is closed.
func (p *pacer) run(done <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.look()
		if wait := p.release(); wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-done:
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// look asks TCP for its windows, if that was not just now. It takes the locks of
// connections, which send while they hold them: so not under ours.
func (p *pacer) look() {
	now := p.now()
	p.mu.Lock()
	just := now-p.looked < paceLook
	if !just {
		p.looked = now
	}
	p.mu.Unlock()
	if just {
		return
	}
	paces, ok := p.paths()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit, p.trip = 0, 0
	if ok {
		for _, x := range paces {
			p.limit, p.trip = p.limit+x.rate, max(p.trip, x.trip)
		}
		p.hurry()
	}
}

// release sends what is due, and returns how long it is until more is; 0 if
// nothing waits.
func (p *pacer) release() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, n := p.now(), 0
	for n < len(p.queue) && n < mostPackets && p.due(now) {
		p.charge(now, len(p.queue[n]))
		p.waiting -= len(p.queue[n])
		n++
	}
	if n > 0 {
		_ = p.out(p.queue[:n]) // lost, as packets may be
		clear(p.queue[:n])
		p.queue = p.queue[n:]
	}
	if len(p.queue) == 0 {
		p.queue = nil
		return 0
	}
	return max(p.free-now, time.Microsecond)
}

// paces are those of all connections. One with a short round trip, to whatever
// is at the other end of the tunnel, says that nothing need be paced.
func (s *Stack) paces() (all []pace, ok bool) {
	s.mu.Lock()
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	size := float64(s.link.mtuNow())
	for _, c := range conns {
		var info tcpip.TCPInfoOption
		if err := c.ep.GetSockOpt(&info); err != nil || info.RTT == 0 {
			continue
		}
		c.trip = shortest(c.trip, info.RTT)
		if c.trip < paceFrom {
			return nil, false
		}
		gain := gainSteady
		if info.SndCwnd < info.SndSsthresh {
			gain = gainStart
		}
		all = append(all, pace{rate: gain * float64(info.SndCwnd) * size / c.trip.Seconds(), trip: c.trip})
	}
	return all, true
}

// shortest is the shortest round trip of the last seconds, by looks every
// paceLook. TCP's own is no measure: it holds the time that packets wait here,
// so that pacing by it would keep itself up.
func shortest(before, now time.Duration) time.Duration {
	const forget = 1024 // looks, which are five seconds
	if before == 0 || now < before {
		return now
	}
	return before + (now-before)/forget
}
