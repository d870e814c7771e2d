package netstack

import (
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"linehaul/fault"
)

// backlog is how many connections may wait to be accepted.
const backlog = 128

// A listener accepts TCP connections that come through the tunnel.
type listener struct {
	s    *Stack
	ep   tcpip.Endpoint
	wq   *waiter.Queue
	addr net.Addr
	once sync.Once
	done chan struct{}
}

var _ net.Listener = (*listener)(nil)

// Listen accepts TCP connections at one of our addresses. Port 0 is one that is
// free.
func (s *Stack) Listen(at netip.AddrPort) (net.Listener, error) {
	wq := &waiter.Queue{}
	ep, terr := s.endpoint(tcp.ProtocolNumber, at.Addr(), wq)
	if terr != nil {
		return nil, s.listenError(at, terr)
	}
	if terr = ep.Bind(fullAddress(at)); terr == nil {
		terr = ep.Listen(backlog)
	}
	var bound tcpip.FullAddress
	if terr == nil {
		bound, terr = ep.GetLocalAddress()
	}
	if terr != nil {
		ep.Close()
		return nil, s.listenError(at, terr)
	}
	addr := net.TCPAddrFromAddrPort(netip.AddrPortFrom(at.Addr(), bound.Port))
	return &listener{s: s, ep: ep, wq: wq, addr: addr, done: make(chan struct{})}, nil
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	l.wq.EventRegister(&entry)
	defer l.wq.EventUnregister(&entry)
	for {
		ep, wq, terr := l.ep.Accept(nil)
		if terr == nil {
			return l.s.adopt(wq, ep), nil
		}
		if _, wait := terr.(*tcpip.ErrWouldBlock); !wait {
			return nil, l.failed(plain(terr))
		}
		select {
		case <-ready:
		case <-l.done:
			return nil, l.failed(net.ErrClosed)
		case <-l.s.done:
			return nil, l.failed(l.s.gone())
		}
	}
}

func (l *listener) failed(err error) error {
	if cause := l.s.gone(); cause != nil {
		err = cause
	}
	select {
	case <-l.done:
		err = net.ErrClosed
	default:
	}
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
}

// Close ends Accept. Connections that were accepted stay.
func (l *listener) Close() error {
	err := error(&net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: net.ErrClosed})
	l.once.Do(func() {
		err = nil
		close(l.done)
		l.ep.Close()
	})
	return err
}

// Addr returns where it listens.
func (l *listener) Addr() net.Addr { return l.addr }

// ListenPacket takes UDP datagrams at one of our addresses, and sends them from
// there. Port 0 is one that is free.
func (s *Stack) ListenPacket(at netip.AddrPort) (net.PacketConn, error) {
	wq := &waiter.Queue{}
	ep, terr := s.endpoint(udp.ProtocolNumber, at.Addr(), wq)
	if terr != nil {
		return nil, s.listenError(at, terr)
	}
	if terr := ep.Bind(fullAddress(at)); terr != nil {
		ep.Close()
		return nil, s.listenError(at, terr)
	}
	return &packetConn{ep: ep, wq: wq, s: s}, nil
}

func (s *Stack) listenError(at netip.AddrPort, terr tcpip.Error) error {
	if cause := s.gone(); cause != nil {
		return &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(at), Err: cause}
	}
	return fault.New(fault.Config, "listen on %v inside of the tunnel: %w", at, plain(terr))
}
