package netstack

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// A packetConn is UDP through the tunnel, with a peer or without. gVisor's own
// (gonet.UDPConn) sleeps on when ICMP says that nobody listens there.
type packetConn struct {
	ep          tcpip.Endpoint
	wq          *waiter.Queue
	s           *Stack
	closed      atomic.Bool
	read, write deadline
}

var (
	_ net.Conn       = (*packetConn)(nil)
	_ net.PacketConn = (*packetConn)(nil)
)

// Read reads a datagram.
func (c *packetConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFrom(b)
	return n, err
}

// ReadFrom reads a datagram and says where it came from. What b has no room for
// is lost.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	var (
		result tcpip.ReadResult
		w      tcpip.SliceWriter
	)
	err := c.wait("read", waiter.ReadableEvents, &c.read, func() (terr tcpip.Error) {
		w = b
		result, terr = c.ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
		return terr
	})
	if err != nil {
		return 0, nil, err
	}
	return result.Count, udpAddr(result.RemoteAddr), nil
}

// Write sends a datagram to the peer.
func (c *packetConn) Write(b []byte) (int, error) { return c.send(b, tcpip.WriteOptions{}) }

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
	full := fullAddress(netip.AddrPortFrom(addr, uint16(a.Port)))
	return c.send(b, tcpip.WriteOptions{To: &full})
}

func (c *packetConn) send(b []byte, o tcpip.WriteOptions) (int, error) {
	err := c.wait("write", waiter.WritableEvents, &c.write, func() tcpip.Error {
		_, terr := c.ep.Write(bytes.NewReader(b), o)
		return terr
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// wait does something until it need not wait any more.
func (c *packetConn) wait(op string, events waiter.EventMask, d *deadline, do func() tcpip.Error) error {
	passed := d.wait()
	select {
	case <-passed:
		return c.failed(op, os.ErrDeadlineExceeded)
	default:
	}
	entry, ready := waiter.NewChannelEntry(events | waiter.EventErr | waiter.EventHUp)
	c.wq.EventRegister(&entry)
	defer c.wq.EventUnregister(&entry)
	for {
		terr := do()
		if terr == nil {
			return nil
		}
		if cause := c.s.gone(); cause != nil {
			return c.failed(op, cause)
		}
		if c.closed.Load() {
			return c.failed(op, net.ErrClosed)
		}
		if _, block := terr.(*tcpip.ErrWouldBlock); !block {
			return c.failed(op, plain(terr))
		}
		select {
		case <-ready:
		case <-passed:
			return c.failed(op, os.ErrDeadlineExceeded)
		case <-c.s.done:
			return c.failed(op, c.s.gone())
		}
	}
}

// Close ends the connection.
func (c *packetConn) Close() error {
	if c.closed.Swap(true) {
		return c.failed("close", net.ErrClosed)
	}
	c.ep.Close()
	c.wq.Notify(waiter.EventHUp) // whoever waits
	return nil
}

// LocalAddr returns our end's address inside of the tunnel.
func (c *packetConn) LocalAddr() net.Addr {
	a, _ := c.ep.GetLocalAddress() // where there is none, it is empty
	return udpAddr(a)
}

// RemoteAddr returns the peer's address, nil if there is none.
func (c *packetConn) RemoteAddr() net.Addr {
	a, err := c.ep.GetRemoteAddress()
	if err != nil {
		return nil
	}
	return udpAddr(a)
}

// SetDeadline sets both deadlines.
func (c *packetConn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

// SetReadDeadline sets when reading gives up.
func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.read.set(t)
	return nil
}

// SetWriteDeadline sets when writing gives up.
func (c *packetConn) SetWriteDeadline(t time.Time) error {
	c.write.set(t)
	return nil
}

func (c *packetConn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func udpAddr(a tcpip.FullAddress) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IP(a.Addr.AsSlice()), Port: int(a.Port)}
}

// A deadline is an instant that may be moved while somebody waits for it. The
// zero value never comes.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{} // closed when it has come, and then replaced
}

// set moves the deadline; zero is never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	passed := d.channelLocked()
	if d.timer != nil && !d.timer.Stop() {
		<-passed // the timer is about to close it, or has
	}
	d.timer = nil
	select {
	case <-passed:
		d.passed = make(chan struct{})
		passed = d.passed
	default:
	}
	if t.IsZero() {
		return
	}
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { close(passed) })
		return
	}
	close(passed)
}

// wait returns what is closed when the deadline comes.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channelLocked()
}

func (d *deadline) channelLocked() chan struct{} {
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}
