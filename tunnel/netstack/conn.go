package netstack

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Keepalives find a peer that went away in two minutes, where nothing is sent
// that would.
const (
	keepaliveIdle     = time.Minute
	keepaliveInterval = 15 * time.Second
	keepaliveCount    = 4
)

// A Conn is a TCP connection through the tunnel. When the stack is closed, its
// calls return what CloseWith was given, inside of a net.OpError.
type Conn struct {
	tcp    *gonet.TCPConn
	ep     tcpip.Endpoint
	s      *Stack
	closed atomic.Bool
	in     atomic.Uint64 // bytes read
	out    atomic.Uint64 // bytes written
	trip   time.Duration // the pacer's: how long a round trip takes
}

var _ net.Conn = (*Conn)(nil)

// adopt makes a Conn of a connected endpoint, whose owner it is from then on.
func (s *Stack) adopt(wq *waiter.Queue, ep tcpip.Endpoint) *Conn {
	c := &Conn{tcp: gonet.NewTCPConn(wq, ep), ep: ep, s: s}
	idle, interval := tcpip.KeepaliveIdleOption(keepaliveIdle), tcpip.KeepaliveIntervalOption(keepaliveInterval)
	ep.SocketOptions().SetKeepAlive(true)
	// What cannot be set stays as gVisor has it, which is no reason to do without
	// the connection.
	_ = ep.SetSockOpt(&idle)
	_ = ep.SetSockOpt(&interval)
	_ = ep.SetSockOptInt(tcpip.KeepaliveCountOption, keepaliveCount)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	return c
}

// Read reads what arrived, as net.Conn says.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, c.explain("read", nil)
	}
	n, err := c.tcp.Read(b)
	c.in.Add(uint64(max(n, 0)))
	return n, c.explain("read", err)
}

// Write sends all of b, as net.Conn says.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.tcp.Write(b)
	c.out.Add(uint64(max(n, 0)))
	return n, c.explain("write", err)
}

// Close ends the connection; what was written still goes out, if the stack
// stays.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.failed("close", net.ErrClosed)
	}
	c.s.mu.Lock()
	delete(c.s.conns, c)
	c.s.mu.Unlock()
	c.tcp.Close() //nolint:errcheck // it returns nil always
	return nil
}

// CloseWrite tells the peer that no more will come.
func (c *Conn) CloseWrite() error { return c.explain("close", c.tcp.CloseWrite()) }

// CloseRead says that nobody will read any more.
func (c *Conn) CloseRead() error { return c.explain("close", c.tcp.CloseRead()) }

// Reset ends the connection at once, with a reset to the peer.
func (c *Conn) Reset() {
	if c.closed.Swap(true) {
		return
	}
	c.s.mu.Lock()
	delete(c.s.conns, c)
	c.s.mu.Unlock()
	c.ep.Abort()
}

// LocalAddr returns our end's address inside of the tunnel.
func (c *Conn) LocalAddr() net.Addr { return addrOr(c.tcp.LocalAddr(), &net.TCPAddr{}) }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return addrOr(c.tcp.RemoteAddr(), &net.TCPAddr{}) }

// addrOr keeps an address that is no longer known from being nil.
func addrOr(a, none net.Addr) net.Addr {
	if a == nil {
		return none
	}
	return a
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error { return c.explain("set", c.tcp.SetDeadline(t)) }

// SetReadDeadline sets when Read gives up.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.explain("set", c.tcp.SetReadDeadline(t)) }

// SetWriteDeadline sets when Write gives up.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.explain("set", c.tcp.SetWriteDeadline(t))
}

// explain puts the reason in place of an error: the stack's end comes before
// ours, and ours before what the connection made of it.
func (c *Conn) explain(op string, err error) error {
	switch cause := c.s.gone(); {
	case err == nil && !c.closed.Load():
		return nil
	case cause != nil && err != nil:
		return c.failed(op, cause)
	case c.closed.Load():
		return c.failed(op, net.ErrClosed)
	case err == io.EOF:
		return io.EOF
	}
	return mend(err)
}

func (c *Conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
