package netstack

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"

	"linehaul/fault"
)

const (
	echoHeader = 8 // type, code, checksum, identifier, sequence: RFC 792, RFC 4443
	// maxEcho is the most data that fits behind the headers in a packet of 64 KiB.
	maxEcho = maxMTU - header.IPv4MinimumSize - echoHeader
)

// Ping sends one echo request with size bytes of data and waits for its answer
// until ctx ends. What does not fit in the MTU goes in fragments.
func (s *Stack) Ping(ctx context.Context, to netip.Addr, size int) (rtt time.Duration, err error) {
	to = to.Unmap()
	if size < 0 || size > maxEcho {
		return 0, fault.New(fault.Usage, "a ping of %d bytes: it must be between 0 and %d", size, maxEcho)
	}
	if err := s.reach(to); err != nil {
		return 0, err
	}
	protocol, request := icmp.ProtocolNumber4, byte(header.ICMPv4Echo)
	if to.Is6() {
		protocol, request = icmp.ProtocolNumber6, byte(header.ICMPv6EchoRequest)
	}
	wq := &waiter.Queue{}
	ep, terr := s.endpoint(protocol, to, wq)
	if terr != nil {
		return 0, s.pingError(to, terr)
	}
	defer ep.Close()
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if terr := ep.Connect(fullAddress(netip.AddrPortFrom(to, 0))); terr != nil {
		return 0, s.pingError(to, terr)
	}

	message := make([]byte, echoHeader+size)
	message[0] = request
	binary.BigEndian.PutUint16(message[6:], 1) // the identifier is the endpoint's own
	for i := range size {
		message[echoHeader+i] = byte(i)
	}
	clock := s.ip.Clock()
	sent := clock.NowMonotonic()
	if _, terr := ep.Write(bytes.NewReader(message), tcpip.WriteOptions{}); terr != nil {
		return 0, s.pingError(to, terr)
	}
	for {
		var answer bytes.Buffer
		_, terr := ep.Read(&answer, tcpip.ReadOptions{})
		took := clock.NowMonotonic().Sub(sent)
		switch _, wait := terr.(*tcpip.ErrWouldBlock); {
		case terr == nil:
			if got := answer.Bytes(); len(got) == len(message) && bytes.Equal(got[6:], message[6:]) {
				return took, nil
			}
			continue // of another request, or not what we sent
		case !wait:
			return 0, s.pingError(to, terr)
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return 0, fmt.Errorf("ping %v through the tunnel: %w", to, context.Cause(ctx))
		case <-s.done:
			return 0, s.pingError(to, &tcpip.ErrAborted{})
		}
	}
}

func (s *Stack) pingError(to netip.Addr, terr tcpip.Error) error {
	if cause := s.gone(); cause != nil {
		return fmt.Errorf("ping %v through the tunnel: %w", to, cause)
	}
	return fault.New(fault.Route, "ping %v through the tunnel: %w", to, plain(terr))
}
