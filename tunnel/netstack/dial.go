package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"linehaul/fault"
)

// DialContext connects through the tunnel, as (*net.Dialer).DialContext does:
// the networks are tcp, tcp4, tcp6, udp, udp4 and udp6, the address has a port,
// and names are resolved as LookupHost does it. Of several addresses each one is
// tried, with its share of the time.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n, err := parseNetwork(network)
	if err != nil {
		return nil, err
	}
	host, port, err := s.split(ctx, network, address)
	if err != nil {
		return nil, err
	}
	addrs, err := s.lookup(ctx, host, n.version)
	if err != nil {
		return nil, err
	}
	for i, a := range addrs {
		var c net.Conn
		c, err = s.dialOne(ctx, n, netip.AddrPortFrom(a, port), len(addrs)-i)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// errShare ends an attempt at one of several addresses.
var errShare = fault.New(fault.TCP, "no answer, and there are other addresses to try")

// dialOne connects to one address, with its share of the time that is left.
func (s *Stack) dialOne(ctx context.Context, n network, to netip.AddrPort, left int) (net.Conn, error) {
	if err := s.reach(to.Addr()); err != nil {
		return nil, err
	}
	if n.udp {
		return s.dialUDP(to)
	}
	if left > 1 {
		const most = 10 * time.Second
		share := most
		if deadline, ok := ctx.Deadline(); ok {
			share = min(share, deadline.Sub(s.ip.Clock().Now())/time.Duration(left))
		}
		limited, cancel := context.WithTimeoutCause(ctx, share, errShare)
		defer cancel()
		return s.dialTCP(limited, to)
	}
	return s.dialTCP(ctx, to)
}

// dialTCP connects, or returns why not.
func (s *Stack) dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	wq := &waiter.Queue{}
	ep, terr := s.endpoint(tcp.ProtocolNumber, to.Addr(), wq)
	if terr != nil {
		return nil, s.dialError("tcp", to, terr)
	}
	entry, connected := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	terr = ep.Connect(fullAddress(to))
	if _, started := terr.(*tcpip.ErrConnectStarted); started {
		select {
		case <-connected:
			terr = ep.LastError()
		case <-ctx.Done():
			ep.Abort()
			return nil, fmt.Errorf("connect to %v through the tunnel: %w", to, context.Cause(ctx))
		case <-s.done:
			terr = &tcpip.ErrAborted{}
		}
	}
	if terr != nil {
		ep.Abort()
		return nil, s.dialError("tcp", to, terr)
	}
	return s.adopt(wq, ep), nil
}

// dialUDP makes a socket whose peer is set.
func (s *Stack) dialUDP(to netip.AddrPort) (net.Conn, error) {
	wq := &waiter.Queue{}
	ep, terr := s.endpoint(udp.ProtocolNumber, to.Addr(), wq)
	if terr != nil {
		return nil, s.dialError("udp", to, terr)
	}
	if terr := ep.Connect(fullAddress(to)); terr != nil {
		ep.Close()
		return nil, s.dialError("udp", to, terr)
	}
	return &packetConn{ep: ep, wq: wq, s: s}, nil
}

// endpoint makes an endpoint, unless the stack was closed: gVisor would make it
// and forget it.
func (s *Stack) endpoint(protocol tcpip.TransportProtocolNumber, a netip.Addr, wq *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	if s.gone() != nil {
		return nil, &tcpip.ErrAborted{}
	}
	return s.ip.NewEndpoint(protocol, family(a), wq)
}

// dialError says why there is no connection.
func (s *Stack) dialError(network string, to netip.AddrPort, terr tcpip.Error) error {
	if cause := s.gone(); cause != nil {
		return &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: cause}
	}
	switch terr.(type) {
	case *tcpip.ErrConnectionRefused:
		return fault.New(fault.TCP, "connect to %v through the tunnel: %w", to, plain(terr)).
			WithHint("the host is there and nothing listens on that port: check the port, and the host's firewall")
	case *tcpip.ErrTimeout:
		return fault.New(fault.TCP, "connect to %v through the tunnel: no answer", to).
			WithHint("check that the host is up, and that the gateway lets the tunnel's addresses reach it and its answers back")
	case *tcpip.ErrHostUnreachable, *tcpip.ErrNetworkUnreachable:
		return fault.New(fault.Route, "connect to %v through the tunnel: %w", to, plain(terr)).
			WithHint("a router behind the gateway knows no way to the host")
	}
	return fault.New(fault.TCP, "connect to %v through the tunnel: %w", to, plain(terr))
}

// A network is what DialContext's word for one says.
type network struct {
	udp     bool
	version int // 4 or 6, 0 for both
}

func parseNetwork(s string) (network, error) {
	switch s {
	case "tcp":
		return network{}, nil
	case "tcp4":
		return network{version: 4}, nil
	case "tcp6":
		return network{version: 6}, nil
	case "udp":
		return network{udp: true}, nil
	case "udp4":
		return network{udp: true, version: 4}, nil
	case "udp6":
		return network{udp: true, version: 6}, nil
	}
	return network{}, fault.New(fault.Internal, "a tunnel carries no network %q", s)
}

// split takes a host and its port apart. Ports may have names, which this
// machine knows.
func (s *Stack) split(ctx context.Context, network, address string) (host string, port uint16, err error) {
	host, name, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fault.New(fault.Config, "the address %q has no host and port", address)
	}
	if n, err := strconv.ParseUint(name, 10, 16); err == nil && n > 0 {
		return host, uint16(n), nil
	}
	n, err := net.DefaultResolver.LookupPort(ctx, network, name)
	if err != nil || n == 0 {
		return "", 0, fault.New(fault.Config, "the address %q has no port that is known", address)
	}
	return host, uint16(n), nil
}
