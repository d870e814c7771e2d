package delay

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// serve runs one handler for each connection until the test ends.
func serve(t testing.TB, handle func(*net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func echo(c *net.TCPConn) { io.Copy(c, c) }

// line starts a line that ends before its server does.
func line(t testing.TB, target string, o Options) *Line {
	t.Helper()
	l, err := Listen(target, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func dial(t testing.TB, l *Line) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute)) // nothing here may hang
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func ping(t testing.TB, c net.Conn) time.Duration {
	t.Helper()
	one := []byte{'x'}
	start := time.Now()
	if _, err := c.Write(one); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, one); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// TestPing: no echo is early, and the best of some is within 2 ms of the round
// trip. A busy machine makes single ones late, so those say nothing, and there
// it may take more than ten.
func TestPing(t *testing.T) {
	const (
		accuracy = 2 * time.Millisecond
		patience = 20 * time.Second
	)
	for _, rtt := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond} {
		t.Run(rtt.String(), func(t *testing.T) {
			t.Parallel()
			c := dial(t, line(t, serve(t, echo), Options{RTT: rtt}))
			ping(t, c)
			best, tries := time.Hour, 0
			for start := time.Now(); tries < 10 || best > rtt+accuracy && time.Since(start) < patience; tries++ {
				took := ping(t, c)
				if took < rtt {
					t.Errorf("an echo took %s, less than the round trip", took)
				}
				best = min(best, took)
			}
			if best > rtt+accuracy {
				t.Errorf("the best of %d echoes took %s, want %s and at most %s more", tries, best, rtt, accuracy)
			}
			t.Logf("best of %d: %s", tries, best)
		})
	}
}

// TestHandshake: the first byte from the client arrives after 1.5 round trips,
// the server's greeting after 2.
func TestHandshake(t *testing.T) {
	const rtt = 60 * time.Millisecond
	arrived := make(chan time.Time, 1)
	target := serve(t, func(c *net.TCPConn) {
		c.Write([]byte{'g'})
		io.ReadFull(c, make([]byte, 1))
		arrived <- time.Now()
	})
	l := line(t, target, Options{RTT: rtt})
	start := time.Now()
	c := dial(t, l)
	c.Write([]byte{'x'})
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		what      string
		got, want time.Duration
	}{
		{"the client's first byte", (<-arrived).Sub(start), rtt * 3 / 2},
		{"the greeting", time.Since(start), rtt * 2},
	} {
		if x.got < x.want || x.got > x.want+100*time.Millisecond {
			t.Errorf("%s arrived after %s, want %s or a little more", x.what, x.got, x.want)
		}
	}
}

// TestOrder: writes of every size come out as they went in, both ways at once,
// and the end of each direction passes without the other.
func TestOrder(t *testing.T) {
	const total = 8 << 20
	sums := make(chan []byte, 1)
	target := serve(t, func(c *net.TCPConn) {
		var wg sync.WaitGroup
		wg.Go(func() { sums <- drainSum(c) }) // until the client's half-close
		wg.Go(func() { c.Write(randomBytes(2, total)) })
		wg.Wait()
	})
	c := dial(t, line(t, target, Options{RTT: 10 * time.Millisecond, Buffer: 1 << 20}))
	var wg sync.WaitGroup
	wg.Go(func() {
		data, rnd := randomBytes(1, total), rand.New(rand.NewPCG(3, 4))
		for len(data) > 0 {
			n := min(len(data), 1+int(rnd.ExpFloat64()*5000))
			if _, err := c.Write(data[:n]); err != nil {
				t.Error(err)
				return
			}
			data = data[n:]
		}
		c.CloseWrite()
	})
	down := drainSum(c)
	wg.Wait()
	if up, want := <-sums, sum(randomBytes(1, total)); !bytes.Equal(up, want) {
		t.Error("what the client sent arrived changed")
	}
	if want := sum(randomBytes(2, total)); !bytes.Equal(down, want) {
		t.Error("what the server sent arrived changed")
	}
}

// TestHalfClose: the server answers after the client's end, and the end takes
// half a round trip like any byte.
func TestHalfClose(t *testing.T) {
	const rtt = 40 * time.Millisecond
	target := serve(t, func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		c.Write(append(b, "!"...))
	})
	l := line(t, target, Options{RTT: rtt})
	start := time.Now()
	c := dial(t, l)
	c.Write([]byte("done"))
	c.CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "done!" {
		t.Fatalf("got %q, %v", got, err)
	}
	if took := time.Since(start); took < 2*rtt {
		t.Errorf("took %s, want two round trips: the handshake and the answer", took)
	}
}

// TestRefused: a target that does not listen shows as a reset.
func TestRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := ln.Addr().String()
	ln.Close()
	c := dial(t, line(t, target, Options{RTT: 10 * time.Millisecond}))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !isReset(err) {
		t.Errorf("got %v, want a reset", err)
	}
}

// isReset sees Windows' number for a reset too.
func isReset(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno == syscall.ECONNRESET || errno == 10054)
}

// TestRate: a limited direction takes its time, the other does not.
func TestRate(t *testing.T) {
	const size = 2 << 20
	target := serve(t, func(c *net.TCPConn) {
		n, _ := io.Copy(io.Discard, c)
		binary.Write(c, binary.BigEndian, n)
		c.Write(make([]byte, size))
	})
	c := dial(t, line(t, target, Options{Up: 8 << 20}))
	start := time.Now()
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	var n int64
	if err := binary.Read(c, binary.BigEndian, &n); err != nil || n != size {
		t.Fatalf("the server got %d bytes, %v", n, err)
	}
	if up := time.Since(start); up < 240*time.Millisecond || up > 2*time.Second {
		t.Errorf("2 MiB at 8 MiB/s took %s, want 250 ms", up)
	}
	if n, err := io.Copy(io.Discard, c); n != size || err != nil {
		t.Errorf("got %d bytes back, %v", n, err)
	}
}

// TestWindow: by default one connection has far more under way than sockets
// hold, so that the line is no window. How fast it is depends on the machine:
// `make gobench` says.
func TestWindow(t *testing.T) {
	const size = DefaultBuffer - 1<<20
	target := serve(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	l := line(t, target, Options{RTT: 50 * time.Millisecond})
	l.Pause()
	c := dial(t, l)
	if n, err := c.Write(make([]byte, size)); err != nil {
		t.Fatalf("a paused line took %d of %d bytes: %v", n, size, err)
	}
	c.CloseWrite()
	l.Resume()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
	if up, _ := l.Delivered(); up != size {
		t.Errorf("%d bytes were delivered of %d", up, size)
	}
}

// TestBuffer: a receiver that does not read holds the sender back; the line
// keeps what it said it would, and sockets hold a few megabytes.
func TestBuffer(t *testing.T) {
	const buffer = 1 << 20
	hold := make(chan struct{})
	target := serve(t, func(c *net.TCPConn) {
		<-hold
		io.Copy(io.Discard, c)
	})
	l := line(t, target, Options{Buffer: buffer})
	l.Pause()
	c := dial(t, l)
	c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	sent, err := c.Write(make([]byte, 256<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d bytes into a paused line, %v", sent, err)
	}
	if sent > 32<<20 {
		t.Errorf("a line that holds 1 MiB took %d bytes, more than it and the sockets may hold", sent)
	}
	close(hold)
	l.Resume()
	c.CloseWrite()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
	if up, _ := l.Delivered(); up != int64(sent) {
		t.Errorf("%d bytes were delivered of %d sent", up, sent)
	}
}

func randomBytes(seed uint64, n int) []byte {
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	b := make([]byte, n)
	rand.NewChaCha8(s).Read(b)
	return b
}

func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

func drainSum(r io.Reader) []byte {
	h := sha256.New()
	io.Copy(h, r)
	return h.Sum(nil)
}

// BenchmarkLine moves bytes one way through one connection.
func BenchmarkLine(b *testing.B) {
	for _, rtt := range []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond} {
		b.Run(fmt.Sprintf("rtt=%s", rtt), func(b *testing.B) {
			const block = 1 << 20
			target := serve(b, func(c *net.TCPConn) { io.CopyBuffer(struct{ io.Writer }{io.Discard}, c, make([]byte, 256<<10)) })
			c := dial(b, line(b, target, Options{RTT: rtt}))
			data := make([]byte, block)
			c.Write(data)
			b.SetBytes(block)
			for b.Loop() {
				if _, err := c.Write(data); err != nil {
					b.Fatal(err)
				}
			}
			c.CloseWrite()
			if _, err := c.Read(data[:1]); err != io.EOF {
				b.Fatal(err)
			}
		})
	}
}
