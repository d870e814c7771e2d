package remote

import (
	"bufio"
	"net"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/preflight/tcpinfo"
)

// noiseBytes is more than an answer to a keepalive takes on the wire.
const noiseBytes = 256

// slowFactor is how much longer than usual the file session may be silent while
// the server makes a file durable: gigabytes may have to go to a slow disk
// first. Keepalives are answered meanwhile.
const slowFactor = 10

// A watch knows whether the server still does what it was asked for. Bytes
// that only show that its SSH server lives do not count: the process that
// serves the files may hang behind it. It is safe for concurrent use.
type watch struct {
	now func() time.Time

	mu       sync.Mutex
	rx       int64     // bytes received
	heard    time.Time // when the last of them came
	noise    int64     // packets received that are about the connection itself
	asked    time.Time // when the open keepalive was sent; zero for none
	busy     int       // requests that wait for the server
	slow     int       // of these, how many may take long
	mute     int       // of these, how many may keep all of the server from answering
	progress time.Time // when a request was last answered, or more than noise came
	// What rx and noise were at that time.
	progressRx, progressNoise int64
}

func newWatch(now func() time.Time) *watch {
	w := &watch{now: now, heard: now()}
	w.moved(w.heard)
	return w
}

// moved notes progress. The caller holds mu.
func (w *watch) moved(at time.Time) {
	w.progress, w.progressRx, w.progressNoise = at, w.rx, w.noise
}

// received counts bytes.
func (w *watch) received(n int) {
	if n <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rx += int64(n)
	w.heard = w.now()
}

// begin and end surround a request. An end is progress.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy == 0 {
		w.moved(w.now())
	}
	w.busy++
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	w.moved(w.now())
}

// slowly runs a part of a request during which no progress may be seen for
// longer.
func (w *watch) slowly(f func() error) error {
	add := func(n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.slow += n
		w.moved(w.now())
	}
	add(1)
	defer add(-1)
	return f()
}

// silently is slowly for what may keep a server from answering keepalives, too.
func (w *watch) silently(f func()) {
	add := func(n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mute += n
		// What was asked before may be answered now.
		w.heard = w.now()
	}
	add(1)
	defer add(-1)
	w.slowly(func() error { f(); return nil }) //nolint:errcheck // it is nil
}

// asks notes that the server is asked whether it is there.
func (w *watch) asks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = w.now()
}

// answered notes the answer to that.
func (w *watch) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = time.Time{}
	w.noise++
}

// wasAsked notes that the server asks the same of us, or announces something.
func (w *watch) wasAsked() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noise++
}

// A verdict is what a watch thinks of the server.
type verdict int

const (
	alive      verdict = iota
	silent             // no byte came for the limit
	idle               // bytes came, and none that were asked for
	unanswered         // no byte came, and no answer to a keepalive
)

// check holds what has happened up to now against the limit, and open
// keepalives against the time that they may take.
func (w *watch) check(limit, answer time.Duration) verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	// One answer more than was counted may be on its way through the layers.
	if w.rx-w.progressRx > noiseBytes*(w.noise-w.progressNoise+1) {
		w.moved(now)
	}
	patience := limit
	if w.slow > 0 {
		patience *= slowFactor
	}
	if w.mute > 0 {
		answer *= slowFactor
	}
	quiet := now.Sub(w.heard)
	switch {
	case w.busy > 0 && now.Sub(w.progress) > patience:
		if quiet > limit {
			return silent
		}
		return idle
	case quiet > answer && !w.asked.IsZero() && now.Sub(w.asked) > answer:
		return unanswered
	}
	return alive
}

// quiet returns for how long nothing has got done.
func (w *watch) quiet() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now().Sub(w.progress)
}

// guard runs until the connection ends, and ends it if the server stalls. It
// looks often enough to be at most an eighth late.
func (c *Conn) guard() {
	limit, answer := c.host.StallTimeout, c.host.AliveTimeout
	tick := time.NewTicker(max(min(limit/8, answer/8, time.Second), time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		switch c.watch.check(limit, answer) {
		case silent:
			c.fail(fault.New(fault.Stall, "no byte from %s for %v", c.host.label(), limit))
		case unanswered:
			c.fail(fault.New(fault.Stall, "no byte from %s for %v", c.host.label(), answer))
		case idle:
			c.fail(fault.New(fault.Stall, "%s answers, but its file session has made no progress for %v", c.host.label(), limit))
		case alive:
		}
	}
}

// keepalive asks the server now and then whether it is there, as OpenSSH does.
// The guard judges the answers.
func (c *Conn) keepalive() {
	tick := time.NewTicker(c.host.Keepalive)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		c.watch.asks()
		if _, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			return // the connection has ended, as wait reports
		}
		c.watch.answered()
	}
}

// meterSize is how many bytes a meter takes from the system at a time: the SSH
// library asks for small pieces.
const meterSize = 128 << 10

// smallTalk is how many bytes a server says, about, until files are moved: what is sent
// then is small and wants an answer. A server that has something more to say meanwhile
// keeps it back until it sees an acknowledgement (RFC 896), which the system on this
// side would keep back for 40 ms as nothing goes the other way.
const smallTalk = 64 << 10

// A meter is a net.Conn that counts what it receives and keeps the beginning,
// to say what there is where no SSH server is. One goroutine may read at a time.
type meter struct {
	net.Conn
	watch *watch
	head  head
	in    *bufio.Reader
	talk  int // how much was received, up to smallTalk

	mu       sync.Mutex
	wrote    time.Time     // when we spoke last; zero if the server has since
	answered time.Duration // what it took the server to answer last
}

func newMeter(c net.Conn, w *watch) *meter {
	m := &meter{Conn: c, watch: w}
	m.in = bufio.NewReaderSize(readerFunc(m.receive), meterSize)
	return m
}

func (m *meter) Read(p []byte) (int, error) { return m.in.Read(p) }

func (m *meter) receive(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if m.talk < smallTalk {
		m.talk += n
		quickAck(m.Conn)
	}
	m.watch.received(n)
	m.mu.Lock()
	if n > 0 && !m.wrote.IsZero() {
		m.wrote, m.answered = time.Time{}, m.watch.now().Sub(m.wrote)
	}
	m.mu.Unlock()
	m.head.Write(p[:n]) //nolint:errcheck // it never fails
	return n, err
}

func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	m.wrote = m.watch.now()
	m.mu.Unlock()
	return m.Conn.Write(p)
}

// answer is how long the server took to answer what we said last, as far as it
// has.
func (m *meter) answer() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answered
}

// TCPInfo returns the connection's figures.
func (m *meter) TCPInfo() (tcpinfo.Sample, error) { return tcpinfo.Read(m.Conn) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
