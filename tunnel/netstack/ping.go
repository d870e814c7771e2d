package netstack

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	stackicmp "gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"

	"linehaul/fault"
	"linehaul/internal/icmp"
)

const (
	echoHeader = 8 // type, code, checksum, identifier, sequence: RFC 792, RFC 4443
	// maxEcho is the most data that fits behind the headers in a packet of 64 KiB.
	maxEcho = maxMTU - header.IPv4MinimumSize - echoHeader
)

// A TooLongError says that a packet does not pass whole.
type TooLongError struct {
	To   netip.Addr
	Size int        // of the packet
	MTU  int        // what would pass; 0: not said
	By   netip.Addr // who says so; not valid: this stack
}

func (e *TooLongError) Error() string {
	by := "the tunnel's MTU"
	if e.By.IsValid() {
		by = e.By.String()
	}
	return fmt.Sprintf("a packet of %d bytes to %v is too long to pass whole: %s says %d", e.Size, e.To, by, e.MTU)
}

// TooBig returns what would pass, and who says so.
func (e *TooLongError) TooBig() (mtu int, by netip.Addr) { return e.MTU, e.By }

// Ping sends one echo request with size bytes of data and waits for its answer
// until ctx ends. What does not fit in the MTU goes in fragments.
func (s *Stack) Ping(ctx context.Context, to netip.Addr, size int) (rtt time.Duration, err error) {
	return s.ping(ctx, to, size, false)
}

// PingWhole is Ping with a packet that nobody may cut. If it is longer than the
// MTU, or a router says that it is too long, there is a *TooLongError in the
// error's chain. The ESP packet around it is cut if the system does so.
func (s *Stack) PingWhole(ctx context.Context, to netip.Addr, size int) (rtt time.Duration, err error) {
	return s.ping(ctx, to, size, true)
}

func (s *Stack) ping(ctx context.Context, to netip.Addr, size int, whole bool) (rtt time.Duration, err error) {
	to = to.Unmap()
	if size < 0 || size > maxEcho {
		return 0, fault.New(fault.Usage, "a ping of %d bytes: it must be between 0 and %d", size, maxEcho)
	}
	if err := s.reach(to); err != nil {
		return 0, err
	}
	protocol, request, all := stackicmp.ProtocolNumber4, byte(header.ICMPv4Echo), header.IPv4MinimumSize+echoHeader+size
	if to.Is6() {
		protocol, request, all = stackicmp.ProtocolNumber6, byte(header.ICMPv6EchoRequest), header.IPv6MinimumSize+echoHeader+size
	}
	if mtu := s.link.mtuNow(); whole && all > mtu {
		return 0, fault.New(fault.Route, "ping %v through the tunnel: %w", to, &TooLongError{To: to, Size: all, MTU: mtu})
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
	if whole {
		if terr := ep.SetSockOptInt(tcpip.MTUDiscoverOption, int(tcpip.PMTUDiscoveryProbe)); terr != nil {
			return 0, s.pingError(to, terr)
		}
	}
	local, terr := ep.GetLocalAddress()
	if terr != nil {
		return 0, s.pingError(to, terr)
	}
	said, forget := s.words.await(to, local.Port)
	defer forget()

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
		case e := <-said:
			if e.Meaning() == icmp.TooBig {
				return 0, fault.New(fault.Route, "ping %v through the tunnel: %w", to, &TooLongError{To: to, Size: all, MTU: e.MTU(), By: e.From})
			}
			return 0, fault.New(fault.Route, "ping %v through the tunnel: %v says: %s", to, e.From, e)
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

// words are what routers inside say of echo requests, for who waits for it:
// gVisor's endpoints for ICMP are not told.
type words struct {
	listening atomic.Bool // somebody waits
	mu        sync.Mutex
	waiting   map[asked]chan icmp.Error
}

// An asked is an echo request.
type asked struct {
	to netip.Addr
	id uint16
}

// await returns where the first thing comes that somebody says of a request.
// The caller calls forget in the end.
func (w *words) await(to netip.Addr, id uint16) (said <-chan icmp.Error, forget func()) {
	q, c := asked{to, id}, make(chan icmp.Error, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = map[asked]chan icmp.Error{}
	}
	w.waiting[q] = c
	w.listening.Store(true)
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting, q)
		w.listening.Store(len(w.waiting) > 0)
	}
}

// hear looks through packets that have come.
func (w *words) hear(packets [][]byte) {
	if !w.listening.Load() {
		return
	}
	for _, p := range packets {
		e, q, ok := icmp.ParsePacket(p)
		if !ok || q.Protocol != icmp.Protocol(e.V6) {
			continue
		}
		request, ok := e.Request()
		if !ok {
			continue
		}
		e.Quote = nil // it is in memory of who reads packets
		w.mu.Lock()
		if c := w.waiting[asked{q.To.Addr(), request.ID}]; c != nil {
			select {
			case c <- e:
			default: // something was said already
			}
		}
		w.mu.Unlock()
	}
}
