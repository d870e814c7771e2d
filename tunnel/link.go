package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/esp"
)

const (
	portIKE  = "500"  // RFC 7296 section 2
	portNATT = "4500" // RFC 3948 section 2

	// socketBuffer holds what comes while the reader is busy: at 212 KiB, the
	// system's default, bursts of a fast gateway are lost.
	socketBuffer = 4 << 20
	maxDatagram  = 65535

	// passOver is how long an address of the gateway has for its first answer
	// when there is another one to try.
	passOver = 6 * time.Second
)

// A link is the way to the gateway: one socket for the first exchange, and one
// for all that follows.
type link struct {
	host  netip.Addr
	port  string  // of all but the first exchange
	first *socket // nil where the first exchange is on port 4500 already
	// second is the one in use, and retired one of an address that we had before,
	// on which something may still come.
	second  atomic.Pointer[socket]
	retired *socket
	tap     *tap

	bursts sync.Pool // of *burst
}

// A socket is connected to one port of the gateway.
type socket struct {
	conn   *net.UDPConn
	marked bool // IKE has four zero bytes before it here (RFC 3948 section 2.2)
	*offload
}

// powers are what the kernel may be asked to do for a socket: no more than it
// can is done, and what it refuses later is then done without it.
type powers struct {
	cut  bool // take several datagrams as one and cut it (UDP_SEGMENT)
	join bool // give several that came as one (UDP_GRO)
	many bool // take and give many at a time (sendmmsg, recvmmsg)
}

// resolve finds the gateway's addresses and the port of the first exchange.
func (c *Config) resolve(ctx context.Context) (addrs []netip.Addr, port string, err error) {
	host, port, err := net.SplitHostPort(c.Gateway)
	if err != nil {
		host, port = strings.Trim(c.Gateway, "[]"), portIKE
		if c.IKE.Port4500 {
			port = portNATT
		}
	}
	lookup := c.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if addrs, err = lookup(ctx, host); err == nil && len(addrs) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, "", fault.New(fault.Name, "look up the gateway %s: %w", host, err)
	}
	return addrs, port, nil
}

// dialGateway opens the first socket.
func dialGateway(ctx context.Context, gateway netip.Addr, port string, natt bool) (*link, error) {
	l := &link{host: gateway.Unmap(), port: portNATT}
	s, err := l.open(ctx, port, natt)
	switch {
	case err != nil:
		return nil, err
	case natt:
		l.port = port
		l.second.Store(s)
	default:
		l.first = s
	}
	return l, nil
}

// floated reports whether a gateway is spoken to as on port 4500 from the
// beginning: it is on every port but 500, as strongSwan does it, too.
func floated(gateway string) bool {
	_, port, err := net.SplitHostPort(gateway)
	return err == nil && port != portIKE
}

func (l *link) open(ctx context.Context, port string, marked bool) (*socket, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", net.JoinHostPort(l.host.String(), port))
	if err != nil {
		return nil, fault.New(fault.Route, "open a socket to the gateway %s: %w", l.host, err)
	}
	conn, ok := c.(*net.UDPConn)
	if !ok {
		c.Close()
		return nil, errors.New("no UDP socket")
	}
	return newSocket(conn, marked, powers{cut: true, join: true, many: true}), nil
}

// newSocket takes a connected socket over.
func newSocket(conn *net.UDPConn, marked bool, may powers) *socket {
	// Smaller ones cost speed and nothing else.
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
	if !marked {
		may = powers{} // a few messages pass here
	}
	return &socket{conn: conn, marked: marked, offload: newOffload(conn, may)}
}

// move goes on with a socket of its own on port 4500, from the address that the
// system has for the gateway now.
func (l *link) move() (*socket, error) {
	s, err := l.open(context.Background(), l.port, true)
	if err != nil {
		return nil, err
	}
	l.retired.close()
	l.retired = l.second.Swap(s)
	return s, nil
}

// source is the address that the system has for the gateway now. Nothing is
// sent.
func (l *link) source() (netip.Addr, error) {
	c, err := net.Dial("udp", net.JoinHostPort(l.host.String(), l.port)) //nolint:noctx // it waits for nothing
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return localAddr(c), nil
}

func localAddr(c net.Conn) netip.Addr {
	a, _ := c.LocalAddr().(*net.UDPAddr)
	return a.AddrPort().Addr().Unmap()
}

// current is the socket that is read first.
func (l *link) current() *socket {
	if s := l.second.Load(); s != nil {
		return s
	}
	return l.first
}

func (l *link) close() {
	for _, s := range []*socket{l.first, l.second.Load(), l.retired} {
		s.close()
	}
}

func (s *socket) close() {
	if s != nil {
		s.conn.Close() //nolint:errcheck // nothing more is wanted of it
	}
}

// sendIKE sends a message. An error is one of the path at this moment, and the
// message is sent again.
func (l *link) sendIKE(d []byte) {
	s := l.current()
	if s.marked {
		d = esp.AppendIKE(make([]byte, 0, len(d)+4), d)
	}
	l.tap.outer(s, true, d)
	s.conn.Write(d) //nolint:errcheck // see above
}

// sendESP seals packets and sends them.
func (l *link) sendESP(sa *esp.Outbound, packets [][]byte) error {
	b, _ := l.bursts.Get().(*burst)
	if b == nil {
		b = newBurst()
	}
	defer l.bursts.Put(b)
	b.reset()
	s := l.second.Load()
	var err error
	for _, p := range packets {
		if b.buf, err = sa.Seal(b.buf, p); err != nil {
			break
		}
		b.ends = append(b.ends, len(b.buf))
		l.tap.outer(s, true, b.bytes(len(b.ends)-1, len(b.ends)))
	}
	s.send(b) // what is lost of it is lost, as a packet may be
	return err
}
