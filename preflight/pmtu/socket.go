package pmtu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"linehaul/preflight/echo"
)

// A socket is a Prober made of the system's.
type socket struct {
	s  *echo.Socket
	wg sync.WaitGroup

	mu      sync.Mutex
	seq     uint16
	waiting map[uint16]chan echo.Event
}

func newSocket(s *echo.Socket) *socket {
	p := &socket{s: s, waiting: map[uint16]chan echo.Event{}}
	p.wg.Go(p.hear)
	return p
}

// hear gives each event to who waits for it. Others come too late.
func (p *socket) hear() {
	for e := range p.s.Events() {
		p.mu.Lock()
		if c := p.waiting[e.Seq]; c != nil {
			c <- e
			delete(p.waiting, e.Seq)
		}
		p.mu.Unlock()
	}
}

// PingWhole implements Prober.
func (p *socket) PingWhole(ctx context.Context, to netip.Addr, size int) (time.Duration, error) {
	c := make(chan echo.Event, 1)
	p.mu.Lock()
	p.seq++
	seq := p.seq
	p.waiting[seq] = c
	err := p.s.Send(seq, size) // which one goroutine may call at a time
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, seq)
		p.mu.Unlock()
	}()
	if e := (*echo.SendError)(nil); errors.As(err, &e) && e.TooBig {
		return 0, &tooBig{}
	}
	if err != nil {
		return 0, fmt.Errorf("this machine: %w", err)
	}
	select {
	case e := <-c:
		switch e.Kind {
		case echo.Echoed:
			return e.RTT, nil
		case echo.TooBig:
			return 0, &tooBig{e.MTU, e.From}
		case echo.Refused:
		}
		return 0, fmt.Errorf("%v: %s", e.From, e.Said)
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for %v: %w", to, context.Cause(ctx))
	}
}

func (p *socket) close() {
	p.s.Close()
	p.wg.Wait()
}

// tooBig is what the socket's errors say.
type tooBig struct {
	mtu int
	by  netip.Addr
}

var (
	_ Prober = (*socket)(nil)
	_ TooBig = (*tooBig)(nil)
)

func (e *tooBig) Error() string { return "the packet is too long to pass whole" }

// TooBig implements TooBig.
func (e *tooBig) TooBig() (int, netip.Addr) { return e.mtu, e.by }

// interfaceMTU is that of the interface by which the system would send to an
// address, 0 if it does not say.
func interfaceMTU(to, from netip.Addr) int {
	const discard = 9 // a UDP socket that is connected sends nothing
	var local *net.UDPAddr
	if from.IsValid() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, discard)))
	if err != nil {
		return 0
	}
	defer c.Close() //nolint:errcheck // it was only asked
	ours, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return 0
	}
	all, err := net.Interfaces()
	if err != nil {
		return 0
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ours.IP) {
				return min(i.MTU, largest)
			}
		}
	}
	return 0
}
