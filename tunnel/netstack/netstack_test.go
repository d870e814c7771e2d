package netstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"linehaul/fault"
	"linehaul/internal/leak"
	"linehaul/preflight/tcpinfo"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

var (
	ours4   = netip.MustParseAddr("10.88.0.1")
	theirs4 = netip.MustParseAddr("10.77.0.2")
	ours6   = netip.MustParseAddr("fd00:88::1")
	theirs6 = netip.MustParseAddr("fd00:77::2")
)

func TestBothWays(t *testing.T) {
	for _, at := range []netip.Addr{theirs4, theirs6} {
		t.Run(at.String(), func(t *testing.T) {
			p := newPair(t)
			p.bothWays(t, at, 8<<20)
			for _, s := range []Stats{p.us.Stats(), p.them.Stats()} {
				if s.BytesIn < 8<<20 || s.BytesOut < 8<<20 || s.BadChecksum+s.Malformed+s.Unsent != 0 {
					t.Errorf("stats %+v", s)
				}
			}
		})
	}
}

// TestPacketsOnTheWire checks what Send is given: packets of at most the MTU,
// all of whose checksums are right, and full ones most of the time.
func TestPacketsOnTheWire(t *testing.T) {
	for _, mtu := range []int{576, 1280, 1400, 9000, 65535} {
		for _, at := range []netip.Addr{theirs4, theirs6} {
			if at.Is6() && mtu < minMTU6 {
				continue
			}
			t.Run(fmt.Sprintf("%v of %d", at, mtu), func(t *testing.T) {
				var mu sync.Mutex
				sizes := map[int]int{}
				p := newPair(t, func(us, them *Options, toThem, _ *wire) {
					us.MTU, them.MTU = mtu, mtu
					if at.Is4() {
						us.Addresses, them.Addresses = prefixes(ours4), prefixes(theirs4)
					}
					toThem.through = func(packet []byte) [][]byte {
						mu.Lock()
						defer mu.Unlock()
						sizes[len(packet)]++
						if rest, _, v := inspect(packet); v != sound || len(rest) != len(packet) || len(packet) > mtu {
							t.Errorf("a packet of %d bytes is judged %d", len(packet), v)
						}
						return [][]byte{packet}
					}
				})
				p.bothWays(t, at, 2<<20)
				p.close()
				// TCP keeps 28 bytes of the MTU for options that it has no use for here.
				full, carried := min(mtu-28, 32<<10), 0
				for n, count := range sizes {
					if n >= full {
						carried += n * count
					}
				}
				if carried < 1<<20 {
					t.Errorf("full packets carried %d of %d bytes: %v", carried, 2<<20, sizes)
				}
			})
		}
	}
}

// TestMTUFalls: connections that are there keep to an MTU that became less.
func TestMTUFalls(t *testing.T) {
	var mu sync.Mutex
	limit := 1400
	p := newPair(t, func(_, _ *Options, toThem, _ *wire) {
		toThem.through = func(packet []byte) [][]byte {
			mu.Lock()
			defer mu.Unlock()
			if len(packet) > limit {
				return nil // as a path does that says nothing
			}
			return [][]byte{packet}
		}
	})
	us, them := p.connect(t, theirs4)
	defer us.Close()
	defer them.Close()
	for i, mtu := range []int{1400, 1280, 1300} {
		if err := p.us.SetMTU(mtu); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		limit = mtu
		mu.Unlock()
		const n = 1 << 20
		go io.Copy(us, newStream(byte(i), n))
		_, want := sum(t, newStream(byte(i), n))
		if _, hash := sum(t, io.LimitReader(them, n)); hash != want {
			t.Errorf("MTU %d: not what was sent", mtu)
		}
	}
	for _, mtu := range []int{0, 575, 1279, 65536} {
		if err := p.us.SetMTU(mtu); !fault.Is(err, fault.Config) {
			t.Errorf("MTU %d: %v", mtu, err)
		}
	}
}

// TestLossAndDisorder: one packet in a hundred is lost, one in fifty comes
// twice, one in twenty late.
func TestLossAndDisorder(t *testing.T) {
	spoil := func(seed uint64) func([]byte) [][]byte {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var late [][]byte
		return func(packet []byte) [][]byte {
			out := [][]byte{packet}
			switch n := rnd.IntN(100); {
			case n < 1:
				out = nil
			case n < 3:
				out = append(out, packet)
			case n < 8:
				late, out = append(late, packet), nil
			case n < 12:
				out, late = append(out, late...), nil
			}
			return out
		}
	}
	for _, at := range []netip.Addr{theirs4, theirs6} {
		t.Run(at.String(), func(t *testing.T) {
			p := newPair(t, func(_, _ *Options, toThem, toUs *wire) {
				toThem.through, toUs.through = spoil(1), spoil(2)
			})
			p.bothWays(t, at, 512<<10)
			if p.us.Stats().Retransmits == 0 || p.them.Stats().Retransmits == 0 {
				t.Error("nothing was sent again")
			}
		})
	}
}

// TestDamage: bits flip on the way, in one packet of thirty. Damaged packets
// are counted and do no harm.
func TestDamage(t *testing.T) {
	for _, at := range []netip.Addr{theirs4, theirs6} {
		t.Run(at.String(), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(5, 6))
			p := newPair(t, func(_, _ *Options, toThem, _ *wire) {
				toThem.through = func(packet []byte) [][]byte {
					if rnd.IntN(30) == 0 {
						// Where a checksum watches over it: not in IPv6's first bytes.
						at := 40 + rnd.IntN(len(packet)-40)
						packet[at] ^= 1 << rnd.IntN(8)
					}
					return [][]byte{packet}
				}
			})
			p.bothWays(t, at, 512<<10)
			if s := p.them.Stats(); s.BadChecksum == 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestRefused: a port where nothing listens is told from a host that is silent.
func TestRefused(t *testing.T) {
	p := newPair(t)
	for _, at := range []netip.Addr{theirs4, theirs6} {
		_, err := p.us.DialContext(t.Context(), "tcp", netip.AddrPortFrom(at, 9).String())
		if !errors.Is(err, syscall.ECONNREFUSED) || !fault.Is(err, fault.TCP) {
			t.Errorf("%v: %v", at, err)
		}
	}
	silent := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, silent)
	defer cancel()
	if _, err := p.us.DialContext(ctx, "tcp", "10.77.0.99:22"); !errors.Is(err, silent) {
		t.Errorf("a silent host: %v", err)
	}
}

// TestCloseWith: everything that waits ends with the cause, and what is used
// later says it again.
func TestCloseWith(t *testing.T) {
	cause := fault.New(fault.ESP, "the gateway is gone")
	p := newPair(t)
	us, them := p.connect(t, theirs4)
	l := p.listen(t, theirs4)
	inner, err := p.us.Listen(netip.AddrPortFrom(ours4, 0))
	if err != nil {
		t.Fatal(err)
	}
	packets, err := p.us.ListenPacket(netip.AddrPortFrom(ours4, 0))
	if err != nil {
		t.Fatal(err)
	}
	waiting := map[string]func() error{
		"read":   func() error { _, err := us.Read(make([]byte, 1)); return err },
		"write":  func() error { _, err := io.Copy(us, newStream(1, 1<<30)); return err },
		"accept": func() error { _, err := inner.Accept(); return err },
		"udp":    func() error { _, _, err := packets.ReadFrom(make([]byte, 9)); return err },
		"dial":   func() error { _, err := p.us.DialContext(t.Context(), "tcp", "10.77.0.99:22"); return err },
		"ping": func() error {
			_, err := p.us.Ping(t.Context(), netip.MustParseAddr("10.77.0.99"), 10)
			return err
		},
	}
	results := map[string]chan error{}
	for name, f := range waiting {
		result := make(chan error, 1)
		results[name] = result
		go func() { result <- f() }()
	}
	for p.us.Stats().Opened < 2 || p.toThem.to.Stats().PacketsIn < 20 { // all are at it
		if t.Context().Err() != nil {
			return
		}
	}
	p.us.CloseWith(cause)
	p.us.CloseWith(errors.New("too late"))
	for name, result := range results {
		if err := <-result; !errors.Is(err, cause) || !fault.Is(err, fault.ESP) {
			t.Errorf("%s ended with %v", name, err)
		}
	}
	for name, f := range waiting {
		if err := f(); !errors.Is(err, cause) {
			t.Errorf("%s later: %v", name, err)
		}
	}
	if _, err := io.Copy(io.Discard, them); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("their end: %v", err)
	}
	_ = l
}

// TestPing goes there and back, with fragments where it is long.
func TestPing(t *testing.T) {
	p := newPair(t)
	for _, at := range []netip.Addr{theirs4, theirs6} {
		for _, size := range []int{0, 56, 1372, 1373, 5000, 60000} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			rtt, err := p.us.Ping(ctx, at, size)
			cancel()
			if err != nil || rtt <= 0 || rtt > 20*time.Second {
				t.Errorf("%v, %d bytes: %v, %v", at, size, rtt, err)
			}
		}
	}
	if _, err := p.us.Ping(t.Context(), theirs4, 70000); !fault.Is(err, fault.Usage) {
		t.Errorf("70,000 bytes: %v", err)
	}
}

// TestTCPInfo compares what a connection tells of itself with what was on the
// wire.
func TestTCPInfo(t *testing.T) {
	for _, at := range []netip.Addr{theirs4, theirs6} {
		headers := 40 + 12 // with time stamps
		if at.Is6() {
			headers += 20
		}
		var data, dropped, longest int
		p := newPair(t, func(_, _ *Options, toThem, _ *wire) {
			toThem.through = func(packet []byte) [][]byte {
				if len(packet) < 200 {
					return [][]byte{packet}
				}
				data++
				longest = max(longest, len(packet)-headers)
				if data%100 == 0 {
					dropped++
					return nil
				}
				return [][]byte{packet}
			}
		})
		us, them := p.connect(t, at)
		const n = 2 << 20
		go func() {
			io.CopyN(struct{ io.Writer }{us}, newStream(1, n), n)
			us.(*Conn).CloseWrite()
		}()
		if got, _ := sum(t, them); got != n {
			t.Fatalf("%d bytes came", got)
		}
		sender, err := tcpinfo.Read(us)
		if err != nil {
			t.Fatal(err)
		}
		receiver, err := tcpinfo.Read(them)
		if err != nil {
			t.Fatal(err)
		}
		p.close() // and nothing is on the wire any more
		t.Logf("%d packets with data, %d dropped, %d bytes at most: %+v", data, dropped, longest, sender)
		if d := int(sender.Resent) - dropped; d < 0 || d > dropped {
			t.Errorf("%d segments sent again, where %d were dropped", sender.Resent, dropped)
		}
		if d := int(sender.Sent) - data; d < -data/10 || d > data/10 || int(sender.MSS) != longest {
			t.Errorf("%d segments of %d sent, where %d were seen, the longest of %d", sender.Sent, sender.MSS, data, longest)
		}
		if sender.RTTMS <= 0 || sender.Window == 0 || sender.SentBytes < n || receiver.Received != n {
			t.Errorf("sender: %+v\nreceiver: %+v", sender, receiver)
		}
		us.Close()
		if _, err := tcpinfo.Read(us); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		them.Close()
	}
}

// TestPingWhole sends packets that carry DF and are never cut, and hears what a
// router says of them.
func TestPingWhole(t *testing.T) {
	p := newPair(t)
	router4, router6 := netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("fd00:77::1")
	var mode atomic.Pointer[string]
	set := func(s string) { mode.Store(&s) }
	set("")
	wire := p.toThem
	wire.through = func(packet []byte) [][]byte {
		if len(packet) <= 1300 {
			return [][]byte{packet}
		}
		if packet[0]>>4 == 4 && header.IPv4(packet).Flags()&header.IPv4FlagDontFragment == 0 {
			t.Errorf("%d bytes without DF", len(packet))
		}
		switch *mode.Load() {
		case "too big":
			p.us.Deliver([][]byte{tooBigFor(packet, router4, router6, 1300)})
			return nil
		case "silence":
			return nil
		}
		return [][]byte{packet}
	}
	for _, test := range []struct {
		to, router netip.Addr
		headers    int
	}{{theirs4, router4, 28}, {theirs6, router6, 48}} {
		ping := func(size int, limit time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := p.us.PingWhole(ctx, test.to, size-test.headers)
			return err
		}
		set("")
		for _, size := range []int{100, 1300, DefaultMTU} {
			if err := ping(size, 10*time.Second); err != nil {
				t.Errorf("%d bytes to %v: %v", size, test.to, err)
			}
		}
		var long *TooLongError
		if err := ping(DefaultMTU+1, 10*time.Second); !errors.As(err, &long) || long.MTU != DefaultMTU || long.By.IsValid() || long.Size != DefaultMTU+1 {
			t.Errorf("longer than the MTU to %v: %v", test.to, err)
		}
		set("too big")
		long = nil
		if err := ping(1301, 10*time.Second); !errors.As(err, &long) || long.MTU != 1300 || long.By != test.router {
			t.Errorf("longer than a router takes to %v: %v", test.to, err)
		}
		if err := ping(1300, 10*time.Second); err != nil {
			t.Errorf("as long as a router takes to %v: %v", test.to, err)
		}
		set("silence")
		if err := ping(1301, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("into a black hole to %v: %v", test.to, err)
		}
	}
}

// tooBigFor is what a router says of a packet.
func tooBigFor(packet []byte, router4, router6 netip.Addr, mtu uint16) []byte {
	if packet[0]>>4 == 4 {
		quoted := packet[:28]
		b := make([]byte, 28+len(quoted))
		ip := header.IPv4(b)
		ip.Encode(&header.IPv4Fields{
			TotalLength: uint16(len(b)), TTL: 64, Protocol: uint8(header.ICMPv4ProtocolNumber),
			SrcAddr: address(router4), DstAddr: header.IPv4(packet).SourceAddress(),
		})
		ip.SetChecksum(^ip.CalculateChecksum())
		m := header.ICMPv4(b[20:])
		m.SetType(header.ICMPv4DstUnreachable)
		m.SetCode(header.ICMPv4FragmentationNeeded)
		m.SetMTU(mtu)
		copy(b[28:], quoted)
		m.SetChecksum(header.ICMPv4Checksum(m, 0))
		return b
	}
	quoted := packet[:1000]
	b := make([]byte, 48+len(quoted))
	header.IPv6(b).Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(b) - 40), TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: 64,
		SrcAddr: address(router6), DstAddr: header.IPv6(packet).SourceAddress(),
	})
	m := header.ICMPv6(b[40:])
	m.SetType(header.ICMPv6PacketTooBig)
	m.SetMTU(uint32(mtu))
	copy(b[48:], quoted)
	m.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: header.IPv6(b).SourceAddress(), Dst: header.IPv6(b).DestinationAddress()}))
	return b
}

// TestUDP sends datagrams of all lengths, also such as go in fragments, and
// damages one.
func TestUDP(t *testing.T) {
	for _, at := range []netip.Addr{theirs4, theirs6} {
		p := newPair(t)
		server, err := p.them.ListenPacket(netip.AddrPortFrom(at, 0))
		if err != nil {
			t.Fatal(err)
		}
		client, err := p.us.DialContext(t.Context(), "udp", server.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 500, 1372, 1500, 20000} {
			want := make([]byte, n)
			newStream(byte(n), n).Read(want)
			if _, err := client.Write(want); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 65536)
			got, from, err := server.ReadFrom(buf)
			if err != nil || !bytes.Equal(buf[:got], want) || from.String() != client.LocalAddr().String() {
				t.Fatalf("%v: %d of %d bytes from %v, %v", at, got, n, from, err)
			}
			if _, err := server.WriteTo(buf[:got], from); err != nil {
				t.Fatal(err)
			}
			clear(buf)
			if got, err := client.Read(buf); err != nil || !bytes.Equal(buf[:got], want) {
				t.Fatalf("%v: %d of %d bytes came back, %v", at, got, n, err)
			}
		}
		if _, err := server.WriteTo([]byte("x"), &net.TCPAddr{}); err == nil {
			t.Error("sent to an address of TCP")
		}
		if _, err := server.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}); !fault.Is(err, fault.Config) {
			t.Errorf("sent to this machine itself: %v", err)
		}
		server.Close()
		if _, _, err := server.ReadFrom(make([]byte, 9)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read when closed: %v", err)
		}
		// Nothing listens there any more, and ICMP says so.
		client.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := client.Write([]byte("x")); err != nil {
			t.Errorf("write to nobody: %v", err)
		}
		if _, err := client.Read(make([]byte, 9)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("read from nobody: %v", err)
		}
		client.SetReadDeadline(time.Now().Add(-time.Second))
		if _, err := client.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read past a deadline: %v", err)
		}
	}
}
