// Package netstack is TCP, UDP and ping inside of this process, over IP packets
// that a tunnel carries: no device, no route and no right is needed for it. It
// is gVisor's network stack (gvisor.dev/gvisor) behind a small face, with the
// settings that measurements on long and lossy paths chose.
//
//	DialContext, Listen, Ping, LookupHost
//	        |                     ^
//	   gVisor: TCP, UDP, ICMP, IPv4, IPv6
//	        | up to 64 KiB        | up to 64 KiB
//	   cut into packets      put together (GRO), checksums checked
//	        v                     ^
//	Options.Send             Stack.Deliver
//
// The stack has one link, which leads into the tunnel. There is no other way
// out: names, too, are asked of the tunnel's name servers, except for those
// that Options.Outside is given.
//
// Left out: routing between links, multicast, raw sockets.
package netstack

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"linehaul/fault"
)

// Options of a Stack. New copies them.
type Options struct {
	// Addresses are ours inside of the tunnel. What their prefixes say does not
	// matter: everything goes into the tunnel.
	Addresses []netip.Prefix
	// MTU is the length of the longest packet that Send is given: DefaultMTU if 0.
	MTU int
	// Send takes IP packets, a batch at a time, and is done with their bytes when
	// it returns. It is called from several goroutines at once, must not wait for
	// long, and must not call the Stack. What it returns an error for is lost, as
	// packets are.
	Send func(packets [][]byte) error
	// Reach says whether an address can be had through the tunnel: nil if it can,
	// or why not. Without Reach every address can.
	Reach func(netip.Addr) error

	// DNS are the name servers inside of the tunnel, in the order in which they
	// are asked.
	DNS []netip.AddrPort
	// Domains are those whose names are asked inside of the tunnel, with all
	// below them; without any it is all names.
	Domains []string
	// Outside resolves the names that are not of Domains. Without it they are
	// asked inside of the tunnel too.
	Outside func(ctx context.Context, host string) ([]netip.Addr, error)

	// CongestionControl is "cubic" (the default) or "reno".
	CongestionControl string
	// Buffer is how many bytes a connection may hold in each direction, DefaultBuffer
	// if 0. A window is half of it: on a path of 100 ms, 16 MiB carry up to 80 MB/s.
	Buffer int
	// Random is where port numbers, sequence numbers and query numbers come from:
	// crypto/rand if nil.
	Random io.Reader
}

const (
	// DefaultMTU leaves room for ESP, UDP and IPv6 around a packet on a path of
	// 1,500 bytes, with any algorithm.
	DefaultMTU = 1400
	// DefaultBuffer is what kept lines of 200 ms busy without bursts that overran
	// the socket of the tunnel.
	DefaultBuffer = 16 << 20

	minMTU4   = 576   // RFC 791 section 3.1: what every host takes in
	minMTU6   = 1280  // RFC 8200 section 5
	maxMTU    = 65535 // the length of an IPv4 packet
	minBuffer = 64 << 10
	maxBuffer = 1 << 30

	nicID = 1 // the one link
)

// A Stack is a host inside of the tunnel. It is safe for concurrent use.
type Stack struct {
	o     Options
	ip    *stack.Stack
	link  *link
	words words

	mu        sync.Mutex
	addresses []netip.Prefix
	conns     map[*Conn]struct{} // the TCP connections that are not closed
	cause     error              // why the stack was closed
	patience  time.Duration      // for a name server's answer
	done      chan struct{}      // closed with the stack
	pacing    sync.WaitGroup
	ended     chan struct{} // closed when nothing is left of it
}

// New returns a host that is up. Its owner calls Close.
func New(o Options) (*Stack, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Stack{
		o: o, link: newLink(o.MTU, o.Send), conns: map[*Conn]struct{}{},
		patience: patience, done: make(chan struct{}), ended: make(chan struct{}),
	}
	s.ip = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		HandleLocal:        true,
		SecureRNG:          o.Random,
	})
	start := s.ip.Clock().NowMonotonic()
	s.link.pacer = newPacer(s.link.send, s.paces, func() time.Duration { return s.ip.Clock().NowMonotonic().Sub(start) })
	s.pacing.Go(func() { s.link.pacer.run(s.done) })
	err := s.setUp()
	if err == nil {
		err = s.SetAddresses(o.Addresses)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// complete fills in what is not given and refuses what cannot be.
func (o *Options) complete() error {
	if o.Send == nil {
		return fault.New(fault.Internal, "a network stack needs somewhere to send to")
	}
	if o.MTU == 0 {
		o.MTU = DefaultMTU
	}
	if o.Buffer == 0 {
		o.Buffer = DefaultBuffer
	}
	if o.CongestionControl == "" {
		o.CongestionControl = "cubic"
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	o.DNS = slices.Clone(o.DNS)
	o.Domains = slices.Clone(o.Domains)
	if err := checkMTU(o.MTU, o.Addresses); err != nil {
		return err
	}
	if o.Buffer < minBuffer || o.Buffer > maxBuffer {
		return fault.New(fault.Config, "a connection's buffer of %d bytes: it must be between %d and %d", o.Buffer, minBuffer, maxBuffer)
	}
	return nil
}

// checkMTU refuses an MTU with which the addresses' protocols cannot work.
func checkMTU(mtu int, addresses []netip.Prefix) error {
	least := minMTU4
	for _, p := range addresses {
		if p.Addr().Is6() && !p.Addr().Is4In6() {
			least = minMTU6
		}
	}
	if mtu < least || mtu > maxMTU {
		return fault.New(fault.Config, "an MTU of %d inside of the tunnel: it must be between %d and %d", mtu, least, maxMTU)
	}
	return nil
}

// setUp makes the link and the settings of TCP.
func (s *Stack) setUp() error {
	for _, option := range tcpSettings(s.o) {
		if err := s.ip.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fault.New(fault.Config, "set TCP up with %T: %w", option, plain(err))
		}
	}
	if err := s.ip.CreateNIC(nicID, s.link); err != nil {
		return fault.New(fault.Internal, "make the link into the tunnel: %w", plain(err))
	}
	s.ip.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID},
		{Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	return nil
}

// tcpSettings are those of TCP for all connections. Selective acknowledgements
// bring a sender through losses, without RACK: gVisor's takes a timeout for each
// of many packets that were lost together, and stood for seconds where the other
// way did not. A timeout takes a second at least: gVisor's fifth of one passes
// when a busy machine lets one end wait, and then all of a window goes again.
// The receive buffer grows with what a connection carries.
func tcpSettings(o Options) []tcpip.SettableTransportProtocolOption {
	const least, first = 4 << 10, 1 << 20
	var (
		sack     = tcpip.TCPSACKEnabled(true)
		recovery = tcpip.TCPRecovery(0) // no RACK
		moderate = tcpip.TCPModerateReceiveBufferOption(true)
		control  = tcpip.CongestionControlOption(o.CongestionControl)
		delay    = tcpip.TCPDelayEnabled(false)
		patience = tcpip.TCPMinRTOOption(time.Second) // RFC 6298 section 2.4
	)
	return []tcpip.SettableTransportProtocolOption{
		&sack, &recovery, &moderate, &control, &delay, &patience,
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: least, Default: min(first, o.Buffer), Max: o.Buffer},
		&tcpip.TCPSendBufferSizeRangeOption{Min: least, Default: min(first, o.Buffer), Max: o.Buffer},
	}
}

// SetAddresses makes these our addresses and takes away all others. Connections
// from an address that is taken away come to nothing.
func (s *Stack) SetAddresses(addresses []netip.Prefix) error {
	want := make([]netip.Prefix, 0, len(addresses))
	for _, p := range addresses {
		a := p.Addr().Unmap().WithZone("")
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			return fault.New(fault.Config, "%v cannot be an address inside of the tunnel", p)
		}
		want = append(want, netip.PrefixFrom(a, a.BitLen()))
	}
	if err := checkMTU(s.link.mtuNow(), want); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.addresses {
		if !slices.Contains(want, p) {
			if err := s.ip.RemoveAddress(nicID, address(p.Addr())); err != nil {
				return fault.New(fault.Internal, "take %v from the tunnel's link: %w", p.Addr(), plain(err))
			}
		}
	}
	var have []netip.Prefix
	for _, p := range want {
		if slices.Contains(have, p) {
			continue
		}
		if !slices.Contains(s.addresses, p) {
			protocol := tcpip.ProtocolAddress{Protocol: family(p.Addr()), AddressWithPrefix: address(p.Addr()).WithPrefix()}
			if err := s.ip.AddProtocolAddress(nicID, protocol, stack.AddressProperties{}); err != nil {
				return fault.New(fault.Internal, "give %v to the tunnel's link: %w", p.Addr(), plain(err))
			}
		}
		have = append(have, p)
	}
	s.addresses = have
	return nil
}

// Addresses returns ours inside of the tunnel.
func (s *Stack) Addresses() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]netip.Addr, 0, len(s.addresses))
	for _, p := range s.addresses {
		all = append(all, p.Addr())
	}
	return all
}

// MTU is the length of the longest packet.
func (s *Stack) MTU() int { return s.link.mtuNow() }

// SetMTU changes the length of the longest packet from now on, of connections
// that are there, too.
func (s *Stack) SetMTU(mtu int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkMTU(mtu, s.addresses); err != nil {
		return err
	}
	s.link.setMTU(mtu)
	return nil
}

// Close ends the stack as CloseWith does, where nobody asks why.
func (s *Stack) Close() { s.CloseWith(net.ErrClosed) }

// CloseWith resets every connection, ends everything that waits, and returns
// when nothing is left of the stack. What was waiting, and whoever uses a
// connection later, gets the cause. It may be called more than once, and the
// first cause stays.
func (s *Stack) CloseWith(cause error) {
	s.mu.Lock()
	if s.cause != nil {
		s.mu.Unlock()
		<-s.ended
		return
	}
	s.cause = cause
	close(s.done)
	s.mu.Unlock()

	s.ip.Close() // resets go out still
	s.link.close()
	s.ip.Wait()
	s.pacing.Wait()
	close(s.ended)
}

// gone returns why the stack was closed, nil if it was not.
func (s *Stack) gone() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// has reports whether we have an address of the family of a.
func (s *Stack) has(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == a.Is4() })
}

// reach returns why an address cannot be had through the tunnel.
func (s *Stack) reach(a netip.Addr) error {
	if a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return fault.New(fault.Config, "%v is no host that a tunnel leads to", a)
	}
	if !s.has(a) {
		version := "IPv4"
		if a.Is6() {
			version = "IPv6"
		}
		return fault.New(fault.Route, "%v is out of reach: the tunnel has no %s address of ours", a, version).
			WithHint("the gateway gave no %s address; take another address of the host", version)
	}
	if s.o.Reach != nil {
		return s.o.Reach(a)
	}
	return nil
}

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func family(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	full := tcpip.FullAddress{NIC: nicID, Port: a.Port()}
	if !a.Addr().IsUnspecified() && a.Addr().IsValid() {
		full.Addr = address(a.Addr())
	}
	return full
}

// String names the stack by its addresses.
func (s *Stack) String() string { return fmt.Sprintf("tunnel%v", s.Addresses()) }
