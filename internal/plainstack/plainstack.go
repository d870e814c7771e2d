// Package plainstack is gVisor's network stack wired up as it comes, for
// benchmarks to compare with: gVisor's own channel endpoint, from which packets
// are taken one at a time and to which they are given one at a time, its
// buffers and its congestion control, with selective acknowledgements. So it is
// in other programs that end a tunnel in themselves. Nothing here is for use.
package plainstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	nicID = 1
	queue = 1024 // packets that the endpoint holds for Packets
)

// A Stack is a host with one address.
type Stack struct {
	ip   *stack.Stack
	ends *channel.Endpoint
}

// New returns a host. Its owner calls Close.
func New(address netip.Addr, mtu int) (*Stack, error) {
	s := &Stack{
		ip: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
			HandleLocal:        true,
		}),
		ends: channel.New(queue, uint32(mtu), ""), //nolint:gosec // an MTU
	}
	sack := tcpip.TCPSACKEnabled(true)
	err := s.ip.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	if err == nil {
		err = s.ip.CreateNIC(nicID, s.ends)
	}
	if err == nil {
		at := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFromSlice(address.AsSlice()).WithPrefix()}
		err = s.ip.AddProtocolAddress(nicID, at, stack.AddressProperties{})
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("set up a plain stack: %s", err)
	}
	s.ip.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}})
	return s, nil
}

// Packets gives each packet of the stack's to send, until ctx ends.
func (s *Stack) Packets(ctx context.Context, send func([]byte)) {
	for {
		p := s.ends.ReadContext(ctx)
		if p == nil {
			return
		}
		view := p.ToView()
		send(view.AsSlice())
		view.Release()
		p.DecRef()
	}
}

// Deliver gives the stack a packet.
func (s *Stack) Deliver(packet []byte) {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	defer p.DecRef()
	s.ends.InjectInbound(ipv4.ProtocolNumber, p)
}

// Dial connects to a host.
func (s *Stack) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return gonet.DialContextTCP(ctx, s.ip, full(to), ipv4.ProtocolNumber)
}

// Listen listens on a port.
func (s *Stack) Listen(port uint16) (net.Listener, error) {
	return gonet.ListenTCP(s.ip, tcpip.FullAddress{NIC: nicID, Port: port}, ipv4.ProtocolNumber)
}

// Close ends the stack with all that goes through it.
func (s *Stack) Close() {
	s.ends.Close()
	s.ip.Close()
	s.ip.Wait()
}

func full(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFromSlice(a.Addr().AsSlice()), Port: a.Port()}
}
