package tunneltest

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/esp"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/netstack"
)

// ServerOptions say what a Server is.
type ServerOptions struct {
	// Options of the gateway of each client. Its Addresses are taken from Pool.
	Options
	// At is the UDP address to listen on. Default: 127.0.0.1, a free port.
	At string
	// Conn is used in place of At, if it is set; the server closes it.
	Conn *net.UDPConn
	// Inside are the server's own addresses behind the gateway. Default: the
	// first one of each network.
	Inside []netip.Addr
	// Pool is where clients get their inner addresses. Default: 10.99.0.0/24.
	Pool netip.Prefix
	// Wire changes a datagram that is sent, IKE with its marker and ESP: it may be
	// lost, damaged, or become several. It is called by one goroutine at a time.
	Wire func(datagram []byte) [][]byte
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

const (
	maxDatagram  = 65535
	socketBuffer = 4 << 20
	// maxLogins is how many clients there may be at a time, those included that
	// have not proved who they are.
	maxLogins = 1024
)

// A Server is a gateway on a UDP socket, and the TCP/IP behind it. Its methods
// may be called concurrently.
type Server struct {
	o     ServerOptions
	conn  *net.UDPConn
	stack *netstack.Stack
	work  sync.WaitGroup

	mu     sync.Mutex
	logins []*client
	next   netip.Addr // of the pool
	stats  Stats      // of logins that are gone
	closed bool
}

// A client is one login, and where it comes from.
type client struct {
	gateway *Gateway
	inner   netip.Addr
	from    netip.AddrPort
	since   time.Time
}

// Start listens until Close is called.
func Start(o ServerOptions) (*Server, error) {
	if o.At == "" {
		o.At = "127.0.0.1:0"
	}
	if !o.Pool.IsValid() {
		o.Pool = netip.MustParsePrefix("10.99.0.0/24")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Inside) == 0 {
		for _, n := range o.Networks {
			o.Inside = append(o.Inside, n.Masked().Addr().Next())
		}
	}
	if _, err := New(o.Options, nil); err != nil { // to hear of it now
		return nil, err
	}
	s := &Server{o: o, next: o.Pool.Masked().Addr().Next()}
	if s.conn = o.Conn; s.conn == nil {
		at, err := net.ResolveUDPAddr("udp", o.At)
		if err == nil {
			s.conn, err = net.ListenUDP("udp", at)
		}
		if err != nil {
			return nil, fault.New(fault.Config, "a gateway at %q: %w", o.At, err)
		}
	}
	// Smaller ones cost speed and nothing else.
	_ = s.conn.SetReadBuffer(socketBuffer)
	_ = s.conn.SetWriteBuffer(socketBuffer)
	stack := netstack.Options{Send: s.send}
	for _, a := range o.Inside {
		stack.Addresses = append(stack.Addresses, netip.PrefixFrom(a, a.BitLen()))
	}
	var err error
	if s.stack, err = netstack.New(stack); err != nil {
		s.conn.Close() //nolint:errcheck // it is given up
		return nil, err
	}
	s.work.Go(s.run)
	return s, nil
}

// Addr is where clients find the gateway.
func (s *Server) Addr() string { return s.conn.LocalAddr().String() }

// Listen accepts TCP connections behind the gateway, at the first of its own
// addresses. Port 0 is one that is free.
func (s *Server) Listen(port uint16) (net.Listener, error) {
	return s.stack.Listen(netip.AddrPortFrom(s.o.Inside[0], port))
}

// Stack is the TCP/IP behind the gateway.
func (s *Server) Stack() *netstack.Stack { return s.stack }

// Close forgets all logins without a word, as a gateway does that dies, and
// returns when nothing is left of it.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.conn.Close() //nolint:errcheck // nothing more is wanted of it
	s.stack.Close()
	s.work.Wait()
	return nil
}

// Logins is how many clients are logged in.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.logins {
		if c.gateway.Up() {
			n++
		}
	}
	return n
}

// Stats are those of all logins together.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.stats
	for _, c := range s.logins {
		all.add(c.gateway.Stats())
	}
	return all
}

func (a *Stats) add(b Stats) {
	for _, f := range []struct {
		to   *int
		from int
	}{
		{&a.Logins, b.Logins}, {&a.Refused, b.Refused}, {&a.Dropped, b.Dropped}, {&a.Repeated, b.Repeated}, {&a.Retransmits, b.Retransmits},
		{&a.ChildRekeys, b.ChildRekeys}, {&a.IKERekeys, b.IKERekeys}, {&a.Collisions, b.Collisions}, {&a.Won, b.Won}, {&a.PutOff, b.PutOff}, {&a.Deleted, b.Deleted},
	} {
		*f.to += f.from
	}
}

// Each has something done with each login, and sends what that returns.
func (s *Server) Each(do func(g *Gateway, now time.Time) [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.logins {
		s.write(c, do(c.gateway, s.o.Now()))
	}
	s.wake()
}

// SendRaw sends each client a datagram as it is.
func (s *Server) SendRaw(datagram []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.logins {
		s.conn.WriteToUDPAddrPort(datagram, c.from) //nolint:errcheck // lost, as a packet may be
	}
}

// wake has the reader look for what is due. The caller holds mu.
func (s *Server) wake() {
	var first time.Time
	for _, c := range s.logins {
		if at := c.gateway.Deadline(); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	s.conn.SetReadDeadline(first) //nolint:errcheck // it is closed then
}

// run reads until the socket is closed, and does what is due.
func (s *Server) run() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.expire()
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil:
			if inner := s.take(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), buf[:n]); inner != nil {
				s.stack.Deliver([][]byte{inner})
			}
		}
	}
}

func (s *Server) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.logins {
		s.write(c, c.gateway.Expire(s.o.Now()))
	}
	s.tidy()
	s.wake()
}

// take sorts a datagram, and returns the packet in it.
func (s *Server) take(from netip.AddrPort, datagram []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch esp.Sort(datagram) {
	case esp.IKE:
		s.ike(from, esp.TrimIKE(datagram))
		s.wake()
	case esp.Packet:
		spi, _ := esp.SPI(datagram)
		for _, c := range s.logins {
			if !c.gateway.HasSPI(spi) {
				continue
			}
			if inner, err := c.gateway.Open(s.o.Now(), datagram); err == nil {
				c.from = from // a NAT may have changed it
				return inner
			}
		}
	case esp.Keepalive, esp.Junk:
	}
	return nil
}

// ike hands a message to its login, or begins one.
func (s *Server) ike(from netip.AddrPort, message []byte) {
	h, err := ikemsg.ParseHeader(message)
	if err != nil {
		return
	}
	at := slices.IndexFunc(s.logins, func(c *client) bool { return c.gateway.Knows(h) || h.ResponderSPI.IsZero() && c.from == from })
	if at < 0 {
		if !h.ResponderSPI.IsZero() || s.closed || len(s.logins) >= maxLogins {
			return
		}
		c, err := s.begin()
		if err != nil {
			return
		}
		at, s.logins = len(s.logins), append(s.logins, c)
	}
	c := s.logins[at]
	c.from = from
	s.write(c, c.gateway.Handle(s.o.Now(), message))
	s.tidy()
}

// begin makes a login with an address of the pool.
func (s *Server) begin() (*client, error) {
	taken := func(c *client) bool { return c.inner == s.next && !c.gateway.Gone() }
	for slices.ContainsFunc(s.logins, taken) || slices.Contains(s.o.Inside, s.next) {
		s.advance()
	}
	c := &client{inner: s.next, since: s.o.Now()}
	s.advance()
	o := s.o.Options
	o.Addresses = []netip.Addr{c.inner}
	var err error
	c.gateway, err = New(o, nil)
	return c, err
}

func (s *Server) advance() {
	if s.next = s.next.Next(); !s.o.Pool.Contains(s.next) {
		s.next = s.o.Pool.Masked().Addr().Next()
	}
}

// tidy drops the logins that are over. The caller holds mu.
func (s *Server) tidy() {
	s.logins = slices.DeleteFunc(s.logins, func(c *client) bool {
		never := !c.gateway.begun && s.o.Now().Sub(c.since) > defaultPatience
		if !c.gateway.Over() && !never {
			return false
		}
		s.stats.add(c.gateway.Stats())
		return true
	})
}

// write sends messages to a client.
func (s *Server) write(c *client, messages [][]byte) {
	for _, m := range messages {
		s.wire(esp.AppendIKE(nil, m), c.from)
	}
}

// wire sends a datagram. The caller holds mu.
func (s *Server) wire(datagram []byte, to netip.AddrPort) {
	all := [][]byte{datagram}
	if s.o.Wire != nil {
		all = s.o.Wire(datagram)
	}
	for _, d := range all {
		s.conn.WriteToUDPAddrPort(d, to) //nolint:errcheck // lost, as a packet may be
	}
}

// send takes packets from the TCP/IP to the client that they are for.
func (s *Server) send(packets [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range packets {
		to, ok := destination(p)
		for _, c := range s.logins {
			if ok && c.gateway.Reaches(to) {
				if d := c.gateway.Seal(p); d != nil {
					s.wire(d, c.from)
				}
				break
			}
		}
	}
	return nil
}

// destination is where an IP packet goes (RFC 791 section 3.1, RFC 8200 section
// 3).
func destination(p []byte) (netip.Addr, bool) {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(p[16:20])), true
	case len(p) >= 40 && p[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(p[24:40])), true
	}
	return netip.Addr{}, false
}
