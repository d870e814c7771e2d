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
	return n, c.explain("read", err)
}

// Write sends all of b, as net.Conn says.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.tcp.Write(b)
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

// A packetConn is UDP through the tunnel, with a peer or without.
type packetConn struct {
	*gonet.UDPConn
	s      *Stack
	closed atomic.Bool
}

var (
	_ net.Conn       = (*packetConn)(nil)
	_ net.PacketConn = (*packetConn)(nil)
)

// Read reads a datagram.
func (c *packetConn) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	return n, c.explain("read", err)
}

// ReadFrom reads a datagram and says where it came from.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, a, err := c.UDPConn.ReadFrom(b)
	return n, a, c.explain("read", err)
}

// Write sends a datagram to the peer.
func (c *packetConn) Write(b []byte) (int, error) {
	n, err := c.UDPConn.Write(b)
	return n, c.explain("write", err)
}

// WriteTo sends a datagram to an address, which must be a *net.UDPAddr.
func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, c.failed("write", net.InvalidAddrError("not an address of UDP"))
	}
	addr := a.AddrPort().Addr().Unmap()
	if err := c.s.reach(addr); err != nil {
		return 0, c.failed("write", err)
	}
	n, err := c.UDPConn.WriteTo(b, &net.UDPAddr{IP: addr.AsSlice(), Port: a.Port})
	return n, c.explain("write", err)
}

// Close ends the connection.
func (c *packetConn) Close() error {
	if c.closed.Swap(true) {
		return c.failed("close", net.ErrClosed)
	}
	return c.UDPConn.Close()
}

// LocalAddr returns our end's address inside of the tunnel.
func (c *packetConn) LocalAddr() net.Addr { return addrOr(c.UDPConn.LocalAddr(), &net.UDPAddr{}) }

// RemoteAddr returns the peer's address, nil if there is none.
func (c *packetConn) RemoteAddr() net.Addr { return c.UDPConn.RemoteAddr() }

func (c *packetConn) explain(op string, err error) error {
	switch cause := c.s.gone(); {
	case err == nil:
		return nil
	case cause != nil:
		return c.failed(op, cause)
	case c.closed.Load():
		return c.failed(op, net.ErrClosed)
	case err == io.EOF: // the end of what, of datagrams: gVisor says it of a closed endpoint
		return c.failed(op, net.ErrClosed)
	}
	return mend(err)
}

func (c *packetConn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
