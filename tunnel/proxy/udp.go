package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"linehaul/fault"
)

const (
	maxDatagram = 65535
	// maxFlows is how many targets one association may have at a time, and queue
	// how many datagrams wait while the first one's name is resolved. More are
	// lost, as datagrams may be.
	maxFlows = 64
	queue    = 32
)

// An association carries a client's datagrams, RFC 1928 section 7, for as long
// as its connection is there.
type association struct {
	s      *Server
	ctx    context.Context
	socket *net.UDPConn
	work   sync.WaitGroup

	mu     sync.Mutex
	client netip.AddrPort // where its datagrams come from; the port may be 0 yet
	flows  map[string]chan []byte
}

// associate serves UDP ASSOCIATE. The client may have said from where it will
// send; 0.0.0.0:0 is from anywhere, which is taken for any port of its host.
func (s *Server) associate(ctx context.Context, c net.Conn, r io.Reader, from string) error {
	here, client := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	var port uint16
	if said, err := netip.ParseAddrPort(from); err == nil {
		port = said.Port()
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(here.Addr(), 0)))
	if err != nil {
		c.Write(reply(replyFailure, netip.AddrPort{})) //nolint:errcheck // why is told in any case
		return fault.New(fault.Internal, "open a socket for a client's datagrams: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &association{s: s, ctx: ctx, socket: socket, client: netip.AddrPortFrom(client.Addr(), port), flows: map[string]chan []byte{}}
	defer a.work.Wait()
	defer socket.Close() //nolint:errcheck // nothing more is wanted of it
	defer cancel()
	if _, err := c.Write(reply(replyDone, addrPort(socket.LocalAddr()))); err != nil {
		return fault.New(fault.TCP, "answer the client: %w", err)
	}
	a.work.Go(a.read)
	io.Copy(io.Discard, r) //nolint:errcheck // it says nothing, and its end is the association's
	return nil
}

// read takes the client's datagrams until the socket is closed.
func (a *association) read() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := a.socket.ReadFromUDPAddrPort(buf)
		if a.ctx.Err() != nil {
			return
		}
		if err != nil || !a.from(from) {
			continue // an ICMP's word on an earlier datagram; a stranger
		}
		if target, data, ok := parseDatagram(buf[:n]); ok {
			a.hand(target, bytes.Clone(data))
		}
	}
}

// from reports whether the client has sent a datagram. Its first one says the
// port.
func (a *association) from(sender netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if sender.Addr().Unmap() != a.client.Addr() {
		return false
	}
	if a.client.Port() == 0 {
		a.client = netip.AddrPortFrom(a.client.Addr(), sender.Port())
	}
	return sender.Port() == a.client.Port()
}

// parseDatagram takes a client's datagram apart: two reserved bytes, the number
// of a fragment, which is 0 as fragments are not taken, the target, the data.
func parseDatagram(b []byte) (target string, data []byte, ok bool) {
	if len(b) < 4 || b[0] != 0 || b[1] != 0 || b[2] != 0 {
		return "", nil, false
	}
	r := bytes.NewReader(b[3:])
	target, err := readTarget(r)
	if err != nil {
		return "", nil, false
	}
	return target, b[len(b)-r.Len():], true
}

// hand gives a datagram to the flow to its target, which is begun if need be.
func (a *association) hand(target string, data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	flow := a.flows[target]
	if flow == nil {
		if len(a.flows) >= maxFlows {
			return
		}
		flow = make(chan []byte, queue)
		a.flows[target] = flow
		a.work.Go(func() { a.flow(target, flow) })
	}
	select {
	case flow <- data:
	default:
	}
}

// flow carries datagrams to a target and back, until none has passed for a
// while.
func (a *association) flow(target string, out <-chan []byte) {
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.flows, target)
	}()
	there, err := a.s.dial(a.ctx, "udp", target)
	if err != nil {
		a.s.o.Log.Debug("a datagram went nowhere", "address", target, "error", err.Error())
		return
	}
	back := make(chan struct{})
	var reader sync.WaitGroup
	defer reader.Wait()
	defer there.Close()
	reader.Go(func() { a.back(there, back) })
	idle := time.NewTimer(a.s.o.Idle)
	defer idle.Stop()
	for {
		select {
		case data := <-out:
			there.Write(data) //nolint:errcheck // lost, as a datagram may be
		case <-back:
		case <-idle.C:
			return
		case <-a.ctx.Done():
			return
		}
		idle.Reset(a.s.o.Idle)
	}
}

// back returns answers to the client, and tells the flow of each.
func (a *association) back(there net.Conn, came chan<- struct{}) {
	head := appendTarget([]byte{0, 0, 0}, addrPort(there.RemoteAddr()))
	buf := make([]byte, maxDatagram)
	for fails := 0; fails < queue; {
		n, err := there.Read(buf)
		select {
		case <-a.ctx.Done():
			return
		default:
		}
		if err != nil { // the end, or an ICMP's word on an earlier datagram
			fails++
			continue
		}
		fails = 0
		a.mu.Lock()
		client := a.client
		a.mu.Unlock()
		a.socket.WriteToUDPAddrPort(append(head[:len(head):len(head)], buf[:n]...), client) //nolint:errcheck // lost, as a datagram may be
		select {
		case came <- struct{}{}:
		default:
		}
	}
}
