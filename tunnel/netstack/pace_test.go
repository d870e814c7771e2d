package netstack

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A pacing is a pacer with a clock of ours, and what came out of it.
type pacing struct {
	*pacer
	t     *testing.T
	clock time.Duration
	paces []pace
	off   bool
	sent  int // packets, in order
	bytes int
	most  int // bytes that came out in one step
}

func newPacing(t *testing.T, rate float64, trip time.Duration) *pacing {
	x := &pacing{t: t, paces: []pace{{rate, trip}}}
	x.pacer = newPacer(x.take, func() ([]pace, bool) { return x.paces, !x.off }, func() time.Duration { return x.clock })
	x.look()
	return x
}

func (x *pacing) take(packets [][]byte) error {
	for _, p := range packets {
		if got := int(binary.BigEndian.Uint32(p)); got != x.sent {
			x.t.Fatalf("packet %d came out after %d", got, x.sent)
		}
		x.sent++
		x.bytes += len(p)
	}
	return nil
}

// give gives packets of n bytes, numbered from first on, and spoils their bytes
// when send has returned.
func (x *pacing) give(first, packets, n int) error {
	all := make([][]byte, packets)
	for i := range all {
		all[i] = make([]byte, n)
		binary.BigEndian.PutUint32(all[i], uint32(first+i))
	}
	before := x.bytes
	err := x.send(all)
	x.most = max(x.most, x.bytes-before)
	for _, p := range all {
		clear(p)
	}
	return err
}

// pass lets time pass as run does, until d or until nothing waits.
func (x *pacing) pass(d time.Duration) {
	for end := x.clock + d; x.clock < end; {
		before := x.bytes
		wait := x.release()
		x.most = max(x.most, x.bytes-before)
		if wait == 0 {
			return
		}
		x.clock += wait
	}
}

func TestPacer(t *testing.T) {
	const size = 1000
	t.Run("nothing to pace", func(t *testing.T) {
		x := newPacing(t, 1e6, 50*time.Millisecond)
		x.off = true
		x.clock += paceLook
		x.look()
		if x.give(0, 100, size); x.sent != 100 || x.waiting != 0 {
			t.Errorf("%d of 100 packets went", x.sent)
		}
	})
	t.Run("spread", func(t *testing.T) {
		x := newPacing(t, 5e6, 50*time.Millisecond)
		x.give(0, 100, size)
		x.give(100, 100, size)
		x.pass(time.Second)
		// 200,000 bytes at 5 MB/s are 40 ms; two steps of them need not wait.
		if want := 40 * time.Millisecond; x.sent != 200 || x.clock > want || x.clock < want-3*paceStep {
			t.Errorf("%d packets went in %v", x.sent, x.clock)
		}
		if limit := 3 * size * int(5e6/size*paceStep.Seconds()); x.most > limit {
			t.Errorf("%d bytes went at once", x.most)
		}
	})
	t.Run("idle time is not made up for", func(t *testing.T) {
		x := newPacing(t, 5e6, 50*time.Millisecond)
		x.clock = 10 * time.Second
		x.give(0, 100, size)
		if x.sent > 11 {
			t.Errorf("%d packets went at once", x.sent)
		}
		x.pass(time.Second)
		if x.sent != 100 {
			t.Errorf("%d packets went", x.sent)
		}
	})
	t.Run("a window that fell", func(t *testing.T) {
		x := newPacing(t, 20e6, 50*time.Millisecond)
		x.give(0, 500, size)
		x.paces[0].rate = 20e3 // by which it would take 25 s
		x.clock += paceLook
		x.look()
		x.pass(time.Second)
		if x.sent != 500 || x.clock > 60*time.Millisecond {
			t.Errorf("%d packets went in %v", x.sent, x.clock)
		}
	})
	t.Run("no longer to pace", func(t *testing.T) {
		x := newPacing(t, 1e6, 50*time.Millisecond)
		x.give(0, 100, size)
		x.off = true
		x.clock += paceLook
		x.look()
		x.give(100, 1, size) // behind those that wait
		x.pass(time.Millisecond)
		if x.sent != 101 {
			t.Errorf("%d packets went", x.sent)
		}
	})
	t.Run("too much", func(t *testing.T) {
		x := newPacing(t, 1e6, 50*time.Millisecond)
		n := 0
		for ; n < 100; n++ {
			if err := x.give(n, 1, 1<<20); err != nil {
				if !errors.Is(err, syscall.ENOBUFS) {
					t.Error(err)
				}
				break
			}
		}
		if n < 60 || n > 70 || x.waiting > paceMost {
			t.Errorf("%d bytes wait after %d MiB", x.waiting, n)
		}
	})
}

// TestShortest: a round trip that grows by what waits is not believed, a path
// that became longer is, in time.
func TestShortest(t *testing.T) {
	const path = 10 * time.Millisecond
	trip := shortest(0, path)
	for range 50 { // a quarter of a second
		trip = shortest(trip, time.Second)
	}
	if trip > 6*path {
		t.Errorf("%v after a quarter of a second of %v", trip, time.Second)
	}
	if trip = shortest(trip, path); trip != path {
		t.Errorf("%v after one of %v", trip, path)
	}
	for range 4000 { // 20 s
		trip = shortest(trip, 8*path)
	}
	if trip < 7*path {
		t.Errorf("%v after 20 s of %v", trip, 8*path)
	}
}

// A far wire is one with a queue: it carries packets at a rate, so many bytes
// may wait for it, and all arrive later by half of a round trip.
type far struct {
	rate  float64
	queue float64
	delay time.Duration
	to    *Stack

	mu   sync.Mutex
	free time.Time
	lost int
	way  chan farPacket
}

type farPacket struct {
	at     time.Time
	packet []byte
}

func (f *far) send(packets [][]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, p := range packets {
		if f.free.Before(now) {
			f.free = now
		}
		if f.free.Sub(now).Seconds()*f.rate > f.queue {
			f.lost++
			continue
		}
		f.free = f.free.Add(time.Duration(float64(len(p)) / f.rate * float64(time.Second)))
		f.way <- farPacket{f.free.Add(f.delay), append([]byte(nil), p...)}
	}
	return nil
}

func (f *far) run() {
	for p := range f.way {
		time.Sleep(time.Until(p.at))
		f.to.Deliver([][]byte{p.packet})
	}
}

// TestFar puts 8 MiB over a line of 40 ms with a queue of 130 kB, which is what
// a socket of another IPsec program holds: sent as TCP would send it, a window
// never grew beyond that, and at times nothing went for seconds.
func TestFar(t *testing.T) {
	const size = 8 << 20
	out := &far{rate: 50e6, queue: 130e3, delay: 20 * time.Millisecond, way: make(chan farPacket, 1<<16)}
	back := &far{rate: 1e9, queue: 1e9, delay: 20 * time.Millisecond, way: make(chan farPacket, 1<<16)}
	p := newPair(t, func(us, them *Options, _, _ *wire) { us.Send, them.Send = out.send, back.send })
	out.to, back.to = p.them, p.us
	var work sync.WaitGroup
	work.Go(out.run)
	work.Go(back.run)
	defer work.Wait()
	defer close(out.way)
	defer close(back.way)
	defer p.close()
	from, to := p.connect(t, theirs4)
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data)
	sent := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := from.Write(data)
		sent <- errors.Join(err, from.Close())
	}()
	got, err := io.ReadAll(to)
	if sendErr := <-sent; err != nil || sendErr != nil || string(got) != string(data) {
		t.Fatalf("%d bytes arrived: %v, %v", len(got), err, sendErr)
	}
	s := p.us.Stats()
	t.Logf("%v, %d packets, %d lost in the queue, %d sent again, %d timeouts", time.Since(began), s.PacketsOut, out.lost, s.Retransmits, s.Timeouts)
	if s.Retransmits > s.PacketsOut/2 {
		t.Errorf("%d of %d packets were sent again", s.Retransmits, s.PacketsOut)
	}
}
