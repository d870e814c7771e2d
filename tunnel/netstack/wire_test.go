package netstack

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// A wire carries packets to a stack, in order and without loss unless it is
// told otherwise.
type wire struct {
	to      *Stack
	through func(packet []byte) [][]byte // what arrives of a packet, nil for itself
	queue   chan [][]byte
	stop    chan struct{}
	done    sync.WaitGroup
}

func newWire() *wire {
	w := &wire{queue: make(chan [][]byte, 64), stop: make(chan struct{})}
	w.done.Add(1)
	go w.run()
	return w
}

func (w *wire) send(packets [][]byte) error {
	batch := make([][]byte, 0, len(packets))
	for _, p := range packets {
		batch = append(batch, append([]byte(nil), p...))
	}
	select {
	case w.queue <- batch:
	case <-w.stop:
		return net.ErrClosed
	}
	return nil
}

func (w *wire) run() {
	defer w.done.Done()
	for {
		select {
		case batch := <-w.queue:
			if w.through != nil {
				var changed [][]byte
				for _, p := range batch {
					changed = append(changed, w.through(p)...)
				}
				batch = changed
			}
			w.to.Deliver(batch)
		case <-w.stop:
			return
		}
	}
}

func (w *wire) close() {
	close(w.stop)
	w.done.Wait()
}

// A pair is two stacks that see each other.
type pair struct {
	us, them     *Stack
	toThem, toUs *wire
	endOnce      sync.Once
}

type change func(us, them *Options, toThem, toUs *wire)

func newPair(t testing.TB, changes ...change) *pair {
	t.Helper()
	p := &pair{toThem: newWire(), toUs: newWire()}
	us := Options{Addresses: prefixes(ours4, ours6), Send: p.toThem.send}
	them := Options{Addresses: prefixes(theirs4, theirs6), Send: p.toUs.send}
	for _, c := range changes {
		c(&us, &them, p.toThem, p.toUs)
	}
	var err error
	if p.us, err = New(us); err != nil {
		t.Fatal(err)
	}
	if p.them, err = New(them); err != nil {
		t.Fatal(err)
	}
	p.toThem.to, p.toUs.to = p.them, p.us
	t.Cleanup(p.close)
	return p
}

func (p *pair) close() {
	p.endOnce.Do(func() {
		p.us.Close()
		p.them.Close()
		p.toThem.close()
		p.toUs.close()
	})
}

func prefixes(addrs ...netip.Addr) []netip.Prefix {
	var all []netip.Prefix
	for _, a := range addrs {
		all = append(all, netip.PrefixFrom(a, a.BitLen()))
	}
	return all
}

func (p *pair) listen(t testing.TB, at netip.Addr) net.Listener {
	t.Helper()
	l, err := p.them.Listen(netip.AddrPortFrom(at, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connect returns both ends of a connection.
func (p *pair) connect(t testing.TB, at netip.Addr) (us, them net.Conn) {
	t.Helper()
	l := p.listen(t, at)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	us, err := p.us.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if them, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return us, them
}

// stream makes n bytes that depend on a seed, and their sum.
type stream struct {
	rnd  *rand.ChaCha8
	left int
}

func newStream(seed byte, n int) *stream {
	return &stream{rand.NewChaCha8([32]byte{seed}), n}
}

func (s *stream) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), s.left)
	s.left -= n
	return s.rnd.Read(b[:n])
}

func sum(t testing.TB, r io.Reader) (n int64, hash [32]byte) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		t.Error(err)
	}
	return n, [32]byte(h.Sum(nil))
}

// bothWays sends n bytes in each direction at once over a new connection and
// compares their sums.
func (p *pair) bothWays(t testing.TB, at netip.Addr, n int) {
	t.Helper()
	us, them := p.connect(t, at)
	defer us.Close()
	defer them.Close()
	var all sync.WaitGroup
	for seed, way := range [][2]net.Conn{{us, them}, {them, us}} {
		all.Go(func() {
			if _, err := io.CopyBuffer(struct{ io.Writer }{way[0]}, newStream(byte(seed), n), make([]byte, 256<<10)); err != nil {
				t.Error(err)
			}
			if err := way[0].(*Conn).CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			_, want := sum(t, newStream(byte(seed), n))
			if got, hash := sum(t, way[1]); got != int64(n) || hash != want {
				t.Errorf("%d of %d bytes came in, the same sum: %v", got, n, hash == want)
			}
		})
	}
	all.Wait()
}
