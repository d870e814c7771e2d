package path

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"
)

// late is how much later a packet is by default that is to be overtaken.
const late = 20 * time.Millisecond

// maxQueue is how many packets may be under way in one direction. More are
// lost, and counted as Overrun.
const maxQueue = 20_000

// Faults are what a Line does to the packets of one direction. The zero value
// carries each of them at once.
type Faults struct {
	Loss   float64       // this share is lost, from 0 to 1
	Delay  time.Duration // each takes as long
	Jitter time.Duration // and up to as much longer, evenly spread; the order stays
	// Reorder is the share that comes later by Late than it would, so that
	// others overtake it. Late 0 is 20 ms.
	Reorder   float64
	Late      time.Duration
	Duplicate float64 // this share comes twice

	// MTU is the size in bytes that IPv6 packets, and IPv4 packets with DF, may
	// have; larger ones are dropped. 0: any. With Answer the router at the far
	// end says so to the sender ("fragmentation needed", "packet too big"),
	// else nobody does.
	MTU    int
	Answer bool

	// Drop says of a packet, from its IP header on, whether it is dropped. It
	// is called by one goroutine for each direction. See ICMP, TCPPort.
	Drop func(packet []byte) bool
}

// A Count is what became of the packets that came into a Line in one
// direction. Packets = Passed + Lost + Dropped + TooBig + Overrun + those
// still under way; Doubled ones are one of Packets and pass once more.
type Count struct {
	Packets, Bytes int
	Passed         int // without the second ones of Doubled
	Lost           int // by Faults.Loss
	Dropped        int // by Faults.Drop
	TooBig         int // by Faults.MTU
	Overrun        int // the queue was full
	Doubled        int
	Late           int // by Faults.Reorder
}

// A Line is a link whose packets the test's process carries. It may be used
// from many goroutines at once. What a host says of itself to its own link, as
// the groups that it listens to, is neither carried nor counted.
type Line struct {
	up, down *way
}

// newLine makes the two devices of a link, and starts to carry.
func newLine(p *Path, link int, seed uint64) *Line {
	p.t.Helper()
	nearSide, nearSide6 := near(link), near6(link)
	near, err := openTUN(p.hosts[link], "next")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { near.Close() })
	far, err := openTUN(p.hosts[link+1], "prev")
	if err != nil {
		p.t.Fatal(err)
	}
	l := &Line{
		up:   newWay(near, far, p.Addr(link+1), p.Addr6(link+1), seed, uint64(2*link)),
		down: newWay(far, near, nearSide, nearSide6, seed, uint64(2*link+1)),
	}
	var carrying sync.WaitGroup
	for _, w := range []*way{l.up, l.down} {
		carrying.Go(w.take)
		carrying.Go(w.give)
	}
	p.t.Cleanup(func() {
		near.Close()
		far.Close()
		carrying.Wait()
	})
	return l
}

// Set sets the faults of both directions.
func (l *Line) Set(f Faults) { l.SetUp(f); l.SetDown(f) }

// SetUp sets those of packets from the client to the server. What is under way
// already comes as it would have.
func (l *Line) SetUp(f Faults) { l.up.set(f) }

// SetDown sets those of packets from the server to the client.
func (l *Line) SetDown(f Faults) { l.down.set(f) }

// Up is what became of the packets from the client to the server.
func (l *Line) Up() Count { return l.up.counted() }

// Down is what became of the packets from the server to the client.
func (l *Line) Down() Count { return l.down.counted() }

// A way is one direction of a line. take reads what comes in and says when it
// is to leave; give writes it out.
type way struct {
	in, out *os.File
	said    [2]netip.Addr // who answers for packets that are too big, IPv4 and IPv6

	mu     sync.Mutex
	faults Faults
	count  Count
	chance *rand.Rand
	queue  queue
	seq    uint64
	last   time.Time     // when the latest packet leaves that keeps the order
	closed bool          // take has ended
	more   chan struct{} // of one place: the queue's first has changed
}

func newWay(in, out *os.File, four, six netip.Addr, seed, stream uint64) *way {
	return &way{
		in: in, out: out, said: [2]netip.Addr{four, six},
		chance: rand.New(rand.NewPCG(seed, stream)), more: make(chan struct{}, 1),
	}
}

func (w *way) set(f Faults) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = f
}

func (w *way) counted() Count {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// A flight is a packet under way.
type flight struct {
	packet []byte
	leaves time.Time
	seq    uint64 // in the order of coming
	again  bool   // the second one of a packet that is doubled
}

// take reads packets until the device is closed.
func (w *way) take() {
	b := make([]byte, 65536)
	for {
		n, err := w.in.Read(b)
		if err != nil {
			break
		}
		if own(b[:n]) {
			continue
		}
		if reply := w.come(b[:n], time.Now()); reply != nil {
			_, _ = w.in.Write(reply) // a device that is down takes nothing
		}
		w.wake()
	}
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake()
}

func (w *way) wake() {
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// come decides what becomes of a packet, and returns what is said to its
// sender if it is too big.
func (w *way) come(packet []byte, now time.Time) (reply []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f, c := &w.faults, &w.count
	c.Packets++
	c.Bytes += len(packet)
	switch {
	case f.Drop != nil && f.Drop(packet):
		c.Dropped++
	case f.MTU > 0 && len(packet) > f.MTU && whole(packet):
		c.TooBig++
		if f.Answer {
			return tooBig(packet, f.MTU, w.said)
		}
	case w.by(f.Loss):
		c.Lost++
	case len(w.queue) >= maxQueue:
		c.Overrun++
	default:
		w.queueLocked(packet, now)
	}
	return nil
}

// by has something happen by chance. Nothing is drawn where it cannot.
func (w *way) by(share float64) bool { return share > 0 && w.chance.Float64() < share }

func (w *way) queueLocked(packet []byte, now time.Time) {
	f := &w.faults
	leaves := now.Add(f.Delay)
	if f.Jitter > 0 {
		leaves = leaves.Add(time.Duration(w.chance.Int64N(int64(f.Jitter))))
	}
	if leaves.Before(w.last) {
		leaves = w.last
	}
	if w.by(f.Reorder) {
		w.count.Late++
		if f.Late > 0 {
			leaves = leaves.Add(f.Late)
		} else {
			leaves = leaves.Add(late)
		}
	} else {
		w.last = leaves
	}
	w.pushLocked(flight{packet: append([]byte(nil), packet...), leaves: leaves})
	if w.by(f.Duplicate) {
		w.count.Doubled++
		w.pushLocked(flight{packet: append([]byte(nil), packet...), leaves: leaves, again: true})
	}
}

func (w *way) pushLocked(f flight) {
	f.seq, w.seq = w.seq, w.seq+1
	heap.Push(&w.queue, f)
}

// give writes packets when it is their time, until take has ended.
func (w *way) give() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next, wait, ended := w.due(time.Now())
		switch {
		case ended:
			return
		case next != nil:
			_, _ = w.out.Write(next) // a device that is down takes nothing, as a wire that is cut
			continue
		}
		timer.Reset(wait)
		select {
		case <-w.more:
		case <-timer.C:
		}
	}
}

// due is the next packet if it may leave by now; else how long there is to wait.
func (w *way) due(now time.Time) (packet []byte, wait time.Duration, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return nil, 0, true
	case len(w.queue) == 0:
		return nil, time.Hour, false
	case w.queue[0].leaves.After(now):
		return nil, w.queue[0].leaves.Sub(now), false
	}
	f := heap.Pop(&w.queue).(flight)
	if !f.again {
		w.count.Passed++
	}
	return f.packet, 0, false
}

// A queue is a heap of what is under way, by the time of leaving.
type queue []flight

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].leaves.Equal(q[j].leaves) {
		return q[i].leaves.Before(q[j].leaves)
	}
	return q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(flight)) }
func (q *queue) Pop() any {
	old := *q
	f := old[len(old)-1]
	old[len(old)-1] = flight{}
	*q = old[:len(old)-1]
	return f
}
