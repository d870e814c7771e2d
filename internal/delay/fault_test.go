package delay

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// quiet is how long nothing may come where nothing should.
const quiet = 100 * time.Millisecond

// silent reports whether nothing comes, not even an end.
func silent(c *net.TCPConn) bool {
	c.SetReadDeadline(time.Now().Add(quiet))
	n, err := c.Read(make([]byte, 1))
	c.SetReadDeadline(time.Now().Add(time.Minute))
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// atServer is a line to an echo server that hands over how each of its
// connections ended.
func atServer(t *testing.T, o Options) (*Line, <-chan error) {
	ends := make(chan error, 16)
	target := serve(t, func(c *net.TCPConn) {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err == nil {
				_, err = c.Write(b[:n])
			}
			if err != nil {
				ends <- err
				return
			}
		}
	})
	return line(t, target, o), ends
}

func TestCut(t *testing.T) {
	l, ends := atServer(t, Options{RTT: 10 * time.Millisecond})
	c := dial(t, l)
	ping(t, c)
	l.Cut()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client got %v, want the end", err)
	}
	if err := <-ends; err != io.EOF {
		t.Errorf("the server got %v, want the end", err)
	}
	ping(t, dial(t, l)) // the next one is carried
	if n := l.Accepted(); n != 2 {
		t.Errorf("%d connections were counted, want 2", n)
	}
}

func TestReset(t *testing.T) {
	l, ends := atServer(t, Options{RTT: 10 * time.Millisecond})
	c := dial(t, l)
	ping(t, c)
	l.Reset()
	if _, err := c.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("the client got %v, want a reset", err)
	}
	if err := <-ends; !isReset(err) {
		t.Errorf("the server got %v, want a reset", err)
	}
}

// TestResetPasses: a reset by the client reaches the server as one, after what
// was sent before it.
func TestResetPasses(t *testing.T) {
	const rtt = 40 * time.Millisecond
	l, ends := atServer(t, Options{RTT: rtt})
	c := dial(t, l)
	ping(t, c)
	c.SetLinger(0)
	start := time.Now()
	c.Close()
	if err := <-ends; !isReset(err) {
		t.Errorf("the server got %v, want a reset", err)
	}
	if took := time.Since(start); took < rtt/2 {
		t.Errorf("the reset took %s, less than half a round trip", took)
	}
}

// TestGoneReceiver: a sender to a server that is gone is told, though it never
// reads.
func TestGoneReceiver(t *testing.T) {
	target := serve(t, func(c *net.TCPConn) { io.ReadFull(c, make([]byte, 1)) })
	c := dial(t, line(t, target, Options{RTT: 10 * time.Millisecond}))
	var err error
	for err == nil {
		_, err = c.Write(make([]byte, 64<<10))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the sender was never told")
	}
}

func TestBlackhole(t *testing.T) {
	l, ends := atServer(t, Options{RTT: 10 * time.Millisecond})
	idle, busy := dial(t, l), dial(t, l)
	ping(t, idle)
	ping(t, busy)
	l.Blackhole()
	if _, err := busy.Write(make([]byte, 32<<20)); err != nil {
		t.Errorf("a black hole refused bytes: %v", err)
	}
	if !silent(busy) {
		t.Error("something came out of a black hole")
	}
	l.Resume()
	ping(t, idle) // lost nothing, so it lives
	busy.Write([]byte{'x'})
	if !silent(busy) {
		t.Error("a connection went on after losing bytes")
	}
	busy.Close()
	select {
	case err := <-ends:
		t.Errorf("the server heard of the end: %v", err)
	case <-time.After(quiet):
	}
}

func TestPause(t *testing.T) {
	l, _ := atServer(t, Options{RTT: 10 * time.Millisecond})
	c := dial(t, l)
	ping(t, c)
	l.Pause()
	c.Write([]byte{'x'})
	if !silent(c) {
		t.Error("a byte passed a paused line")
	}
	l.Resume()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Errorf("the byte was lost: %v", err)
	}
}

func TestSlow(t *testing.T) {
	target := serve(t, func(c *net.TCPConn) {
		n, _ := io.Copy(io.Discard, c)
		c.Write(make([]byte, n))
	})
	l := line(t, target, Options{})
	l.Slow(10 << 10)
	c := dial(t, l)
	start := time.Now()
	c.Write(make([]byte, 4<<10))
	c.CloseWrite()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if up := time.Since(start); up < 350*time.Millisecond {
		t.Errorf("4 KiB at 10 KiB/s took %s, want 0.4 s", up)
	}
	// A megabyte more would take minutes, but for the end of the limit.
	l.Slow(0)
	if n, err := io.Copy(io.Discard, c); n != 4<<10-1 || err != nil {
		t.Errorf("got %d bytes back, %v", n, err)
	}
	if all := time.Since(start); all > 30*time.Second {
		t.Errorf("took %s after the limit was gone", all)
	}
}

// TestCutAfter: the receiver gets that many bytes, in both directions
// together, and not one more.
func TestCutAfter(t *testing.T) {
	const n = 3<<20 + 12345
	target := serve(t, func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 5))
		c.Write(make([]byte, 16<<20))
	})
	l := line(t, target, Options{RTT: 10 * time.Millisecond})
	l.CutAfter(n)
	c := dial(t, l)
	c.Write([]byte("start"))
	got, _ := io.Copy(io.Discard, c)
	if got != n-5 {
		t.Errorf("%d bytes came, want %d", got, n-5)
	}
	up, down := l.Delivered()
	if up != 5 || down != n-5 {
		t.Errorf("the line counted %d and %d, want 5 and %d", up, down, n-5)
	}
	c = dial(t, l) // the cut comes once
	c.Write([]byte("again"))
	if got, err := io.Copy(io.Discard, c); got != 16<<20 || err != nil {
		t.Errorf("%d bytes came on the next connection, %v", got, err)
	}
}

// TestCloseEnds: Close ends connections in every state, and leak.Main sees
// that nothing is left.
func TestCloseEnds(t *testing.T) {
	l, _ := atServer(t, Options{RTT: time.Second})
	early := dial(t, l) // in its handshake when the line goes
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := early.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want an end", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("a second close: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr()); err == nil {
		t.Error("a closed line took a connection")
	}

	l, _ = atServer(t, Options{RTT: 10 * time.Millisecond})
	c := dial(t, l)
	ping(t, c)
	l.Pause()
	c.Write(make([]byte, 1<<20))
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestLead: a line that leads elsewhere keeps what it carries.
func TestLead(t *testing.T) {
	echo := func(mark byte) string {
		return serve(t, func(c *net.TCPConn) {
			for b := make([]byte, 1); ; c.Write([]byte{mark}) {
				if _, err := io.ReadFull(c, b); err != nil {
					return
				}
			}
		})
	}
	l := line(t, echo('a'), Options{})
	ask := func(c net.Conn) string {
		b := make([]byte, 1)
		c.Write([]byte("?"))
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	old := dial(t, l)
	if got := ask(old); got != "a" {
		t.Errorf("the first target says %q", got)
	}
	l.Lead(echo('b'))
	if got := ask(dial(t, l)); got != "b" {
		t.Errorf("a new connection leads to %q", got)
	}
	if got := ask(old); got != "a" {
		t.Errorf("the old connection leads to %q", got)
	}
}
