package netstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"linehaul/fault"
	"linehaul/internal/leak"
)

// TestConn holds a connection against golang.org/x/net's suite for net.Conn.
func TestConn(t *testing.T) {
	for _, at := range []netip.Addr{theirs4, theirs6} {
		t.Run(at.String(), func(t *testing.T) {
			nettest.TestConn(t, func() (us, them net.Conn, stop func(), err error) {
				p := newPair(t)
				us, them = p.connect(t, at)
				return us, them, func() {
					us.Close()
					them.Close()
					p.close()
				}, nil
			})
		})
	}
}

// TestOptions: what cannot work is refused.
func TestOptions(t *testing.T) {
	send := func([][]byte) error { return nil }
	for name, tc := range map[string]struct {
		o    Options
		kind fault.Kind
	}{
		"nowhere to send to":      {Options{}, fault.Internal},
		"too small an MTU":        {Options{Send: send, MTU: 575}, fault.Config},
		"too small for IPv6":      {Options{Send: send, MTU: 1279, Addresses: prefixes(ours4, ours6)}, fault.Config},
		"too large an MTU":        {Options{Send: send, MTU: 65536}, fault.Config},
		"too small a buffer":      {Options{Send: send, Buffer: 100}, fault.Config},
		"too large a buffer":      {Options{Send: send, Buffer: maxBuffer + 1}, fault.Config},
		"an unknown control":      {Options{Send: send, CongestionControl: "vegas"}, fault.Config},
		"an address that is none": {Options{Send: send, Addresses: []netip.Prefix{{}}}, fault.Config},
		"multicast":               {Options{Send: send, Addresses: prefixes(netip.MustParseAddr("224.0.0.1"))}, fault.Config},
	} {
		if s, err := New(tc.o); s != nil || !fault.Is(err, tc.kind) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	s, err := New(Options{Send: send, MTU: 576, Addresses: prefixes(ours4), CongestionControl: "reno", Buffer: minBuffer})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// TestQuiet: a stack sends nothing by itself.
func TestQuiet(t *testing.T) {
	var sent atomic.Int64
	s, err := New(Options{Addresses: prefixes(ours4, ours6), Send: func(p [][]byte) error {
		sent.Add(int64(len(p)))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	timer := time.NewTimer(300 * time.Millisecond)
	<-timer.C
	s.Close()
	if n := sent.Load(); n != 0 {
		t.Errorf("%d packets were sent", n)
	}
}

// TestOutOfReach: no packet is sent to where the tunnel does not lead.
func TestOutOfReach(t *testing.T) {
	narrow := fault.New(fault.Route, "not of the tunnel's networks")
	p := newPair(t, func(us, _ *Options, _, _ *wire) {
		us.Addresses = prefixes(ours4)
		us.DNS = []netip.AddrPort{netip.MustParseAddrPort("10.99.0.1:53")}
		us.Reach = func(a netip.Addr) error {
			if !netip.MustParsePrefix("10.77.0.0/24").Contains(a) {
				return narrow
			}
			return nil
		}
	})
	for address, kind := range map[string]fault.Kind{
		"[fd00:77::2]:22":  fault.Route,
		"10.99.0.2:22":     fault.Route,
		"127.0.0.1:22":     fault.Config,
		"[::1]:22":         fault.Config,
		"0.0.0.0:22":       fault.Config,
		"224.0.0.1:22":     fault.Config,
		"name.lab.test:22": fault.Name,
	} {
		for _, network := range []string{"tcp", "udp"} {
			if _, err := p.us.DialContext(t.Context(), network, address); !fault.Is(err, kind) {
				t.Errorf("%s %s: %v", network, address, err)
			}
		}
	}
	for _, a := range []string{"fd00:77::2", "10.99.0.2", "127.0.0.1"} {
		if _, err := p.us.Ping(t.Context(), netip.MustParseAddr(a), 8); err == nil {
			t.Errorf("%s answered", a)
		}
	}
	if n := p.us.Stats().PacketsOut; n != 0 {
		t.Errorf("%d packets were sent", n)
	}
}

// TestSetAddresses: new addresses work at once, old ones do not any more.
func TestSetAddresses(t *testing.T) {
	p := newPair(t)
	l := p.listen(t, theirs4)
	second := netip.MustParseAddr("10.88.0.2")
	from := func() string {
		c, err := p.us.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		return c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().String()
	}
	if got := from(); got != ours4.String() {
		t.Errorf("connected from %s", got)
	}
	for _, addrs := range [][]netip.Addr{{second}, {second, second}, {ours6, second}} {
		if err := p.us.SetAddresses(prefixes(addrs...)); err != nil {
			t.Fatal(err)
		}
		if got := from(); got != second.String() {
			t.Errorf("connected from %s with %v", got, p.us.Addresses())
		}
	}
	if err := p.us.SetAddresses(nil); err != nil || len(p.us.Addresses()) != 0 {
		t.Errorf("no addresses: %v, %v", p.us.Addresses(), err)
	}
	if _, err := p.us.DialContext(t.Context(), "tcp", l.Addr().String()); !fault.Is(err, fault.Route) {
		t.Errorf("without an address: %v", err)
	}
}

// TestJunk: whatever is delivered, nothing comes of it but counts.
func TestJunk(t *testing.T) {
	p := newPair(t)
	server, err := p.us.ListenPacket(netip.AddrPortFrom(ours4, 7))
	if err != nil {
		t.Fatal(err)
	}
	// A datagram to cut, bend and send to others.
	var good []byte
	var mu sync.Mutex
	p.toUs.through = func(packet []byte) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		good = slices.Clone(packet)
		return nil
	}
	c, err := p.them.DialContext(t.Context(), "udp", "10.88.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; runtime.Gosched() {
		mu.Lock()
		done = good != nil
		mu.Unlock()
	}
	var junk [][]byte
	for n := range len(good) {
		junk = append(junk, slices.Clone(good[:n]))
	}
	for bit := range len(good) * 8 {
		bad := slices.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		junk = append(junk, bad)
	}
	junk = append(junk, nil, []byte{0x45}, []byte{0x60}, make([]byte, 100))
	p.us.Deliver(junk)
	s := p.us.Stats()
	if s.Malformed == 0 || s.BadChecksum == 0 || s.Malformed+s.BadChecksum != uint64(len(junk)) {
		t.Errorf("of %d packets, %d are malformed and %d damaged", len(junk), s.Malformed, s.BadChecksum)
	}
	p.us.Deliver([][]byte{append(slices.Clone(good), 0, 0, 0)}) // with something behind it
	buf := make([]byte, 100)
	n, _, err := server.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
}

// TestDamagedFragments: the stack itself checks what is put together, as the
// link cannot.
func TestDamagedFragments(t *testing.T) {
	for _, at := range []netip.Addr{theirs4, theirs6} {
		damage := true
		p := newPair(t, func(_, _ *Options, toThem, _ *wire) {
			toThem.through = func(packet []byte) [][]byte {
				if damage && len(packet) > 1000 {
					packet[len(packet)-1] ^= 4
				}
				return [][]byte{packet}
			}
		})
		server, err := p.them.ListenPacket(netip.AddrPortFrom(at, 0))
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.us.DialContext(t.Context(), "udp", server.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(strings.Repeat("damaged", 500))); err != nil {
			t.Fatal(err)
		}
		// What follows passes by, so the first one would be there by now.
		if _, err := c.Write([]byte("sound")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 5000)
		if n, _, err := server.ReadFrom(buf); err != nil || string(buf[:n]) != "sound" {
			t.Errorf("%v: read %d bytes, %v", at, n, err)
		}
	}
}

// TestStats of a connection that is in use.
func TestStats(t *testing.T) {
	p := newPair(t)
	us, them := p.connect(t, theirs4)
	if _, err := us.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(them, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	s := p.us.Stats()
	if s.Opened != 1 || len(s.Conns) != 1 {
		t.Fatalf("stats %+v", s)
	}
	c := s.Conns[0]
	if c.State != "established" || c.Local.Addr() != ours4 || c.Remote.Addr() != theirs4 || c.RTT <= 0 || c.RTO < c.RTT || c.Window == 0 || c.Sent < 10 || c.Received == 0 {
		t.Errorf("connection %+v", c)
	}
	us.Close()
	if n := len(p.us.Stats().Conns); n != 0 {
		t.Errorf("%d connections after the last one was closed", n)
	}
	them.(*Conn).Reset()
	if _, err := them.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after a reset of ours: %v", err)
	}
}

// TestSendFails: an error of Send costs the packet, not the connection.
func TestSendFails(t *testing.T) {
	var mu sync.Mutex
	full := false
	p := newPair(t, func(us, _ *Options, toThem, _ *wire) {
		us.Send = func(packets [][]byte) error {
			mu.Lock()
			defer mu.Unlock()
			if full {
				full = false
				return errors.New("the socket's buffer is full")
			}
			return toThem.send(packets)
		}
	})
	us, them := p.connect(t, theirs4)
	fail := func() {
		mu.Lock()
		full = true
		mu.Unlock()
	}
	for i := range 5 {
		fail()
		if _, err := io.WriteString(us, fmt.Sprintf("line %d", i)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 6)
		if _, err := io.ReadFull(them, buf); err != nil || string(buf) != fmt.Sprintf("line %d", i) {
			t.Errorf("read %q, %v", buf, err)
		}
	}
	if s := p.us.Stats(); s.Unsent != 5 || s.Retransmits < 5 {
		t.Errorf("stats %+v", s)
	}
	c, err := p.us.DialContext(t.Context(), "udp", "10.77.0.2:9")
	if err != nil {
		t.Fatal(err)
	}
	fail()
	if _, err := c.Write([]byte("x")); err != nil { // it is lost, as datagrams are
		t.Errorf("UDP: %v", err)
	}
	if s := p.us.Stats(); s.Unsent != 6 {
		t.Errorf("stats %+v", s)
	}
}

// TestUpAndDown makes and closes two hundred stacks, with connections in all
// states, while packets arrive: nothing is left.
func TestUpAndDown(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 100 {
		p := newPair(t)
		l := p.listen(t, theirs4)
		us, them := p.connect(t, theirs6)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { io.Copy(us, newStream(1, 1<<30)) })
		all.Go(func() { io.Copy(io.Discard, them) })
		all.Go(func() { p.us.DialContext(ctx, "tcp", "10.77.0.99:22") })
		all.Go(func() { l.Accept() })
		all.Go(func() {
			for ctx.Err() == nil {
				if c, err := p.us.DialContext(ctx, "tcp", l.Addr().String()); err == nil && i%2 == 0 {
					c.Close()
				} else if err != nil {
					return
				}
			}
		})
		if i%3 == 0 {
			us.Close()
		}
		p.close()
		cancel()
		all.Wait()
	}
	if left := leak.Left(); len(left) > 0 {
		t.Errorf("%d goroutines before, and these are left:\n%s", before, strings.Join(left, "\n\n"))
	}
}
