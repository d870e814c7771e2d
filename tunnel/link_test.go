package tunnel

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"linehaul/tunnel/esp"
	"linehaul/tunnel/suite"
)

// sockets are two that are connected to each other on loopback.
func sockets(t testing.TB, network string, left, right powers) (a, b *socket) {
	t.Helper()
	host := map[string]string{"udp4": "127.0.0.1", "udp6": "::1"}[network]
	// Each is to be connected to the other, so one is known by its port first.
	first, err := net.ListenPacket(network, net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	at := first.LocalAddr().String()
	c, err := (&net.Dialer{}).DialContext(t.Context(), network, at)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	local, err := net.ResolveUDPAddr(network, at)
	if err != nil {
		t.Fatal(err)
	}
	d, err := (&net.Dialer{LocalAddr: local}).DialContext(t.Context(), network, c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	return newSocket(c.(*net.UDPConn), true, left), newSocket(d.(*net.UDPConn), true, right)
}

// allPowers are those that the kernel may be asked for, and what is left when
// it has less.
func allPowers() map[string]powers {
	return map[string]powers{
		"all": {cut: true, join: true, many: true}, "no trains": {many: true}, "no cutting": {join: true, many: true},
		"no joining": {cut: true, many: true}, "one call each": {cut: true, join: true}, "none": {},
	}
}

// collect reads datagrams until there are as many, and counts the batches.
func collect(t testing.TB, s *socket, want int) (got [][]byte, batches int) {
	t.Helper()
	late := time.AfterFunc(10*time.Second, func() { s.conn.Close() })
	defer late.Stop()
	for batch := range s.batches() {
		batches++
		for _, d := range batch {
			got = append(got, bytes.Clone(d))
			_ = append(d, 0xee) // which must not be the next one's
		}
		if len(got) >= want {
			break
		}
	}
	return got, batches
}

// burstOf is a burst of datagrams of these sizes, each with its number.
func burstOf(sizes ...int) (b *burst, all [][]byte) {
	b = newBurst()
	for i, n := range sizes {
		d := bytes.Repeat([]byte{byte(i + 1)}, n)
		if n >= 4 {
			binary.BigEndian.PutUint32(d, uint32(1000+i))
		}
		all = append(all, d)
		b.buf = append(b.buf, d...)
		b.ends = append(b.ends, len(b.buf))
	}
	return b, all
}

func repeat(n, times int) []int { return slices.Repeat([]int{n}, times) }

// TestBursts sends bursts of all shapes from one socket to another: what goes
// in comes out, in order, whatever the kernels at either end are asked to do.
func TestBursts(t *testing.T) {
	shapes := map[string][]int{
		"one":                  {1436},
		"one byte":             {1},
		"like":                 repeat(1436, 45),
		"last is shorter":      append(repeat(1436, 20), 700),
		"last is longer":       append(repeat(700, 20), 1436),
		"all different":        {9, 900, 8, 1436, 1437, 1436, 100, 100, 101},
		"more than a call":     repeat(100, 200),
		"64":                   repeat(80, 64),
		"65":                   repeat(80, 65),
		"the most bytes":       {32753, 32754, 32753, 32753, 1},
		"the longest there is": {65507, 65507},
		"ACK and data":         {92, 92, 1436, 1436, 1436, 300, 92, 1436, 92},
		"as netstack cuts":     append(append(repeat(1436, 47), 1212), 92),
	}
	for _, network := range []string{"udp4", "udp6"} {
		for name, may := range allPowers() {
			for shape, sizes := range shapes {
				t.Run(network+"/"+name+"/"+shape, func(t *testing.T) {
					from, to := sockets(t, network, may, may)
					b, want := burstOf(sizes...)
					from.send(b)
					got, _ := collect(t, to, len(want))
					compare(t, got, want)
				})
			}
		}
	}
}

func compare(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d datagrams arrived of %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("datagram %d of %d bytes arrived with %d", i, len(want[i]), len(got[i]))
		}
	}
}

// TestRun cuts bursts where the kernel cannot.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		want  []int // where runs end
	}{
		{[]int{5}, []int{1}},
		{[]int{5, 5, 5}, []int{3}},
		{[]int{5, 5, 4, 4}, []int{3, 4}},
		{[]int{5, 6, 6, 5}, []int{1, 4}},
		{[]int{5, 4, 3, 2}, []int{2, 4}},
		{repeat(10, 130), []int{64, 128, 130}},
		{repeat(1436, 48), []int{45, 48}},
		{append(repeat(1436, 45), 887), []int{46}}, // 65507 bytes
		{append(repeat(1436, 45), 888), []int{45, 46}},
	} {
		b, _ := burstOf(c.sizes...)
		var got []int
		for i := 0; i < len(b.ends); {
			i = b.run(i)
			got = append(got, i)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: runs end at %v, not at %v", c.sizes, got, c.want)
		}
	}
}

// TestHint: what an ICMP says of the path costs no datagram. Nobody listens at
// first, and the system says so; then somebody does.
func TestHint(t *testing.T) {
	for name, may := range allPowers() {
		t.Run(name, func(t *testing.T) {
			from, to := sockets(t, "udp4", may, may)
			local, remote := to.conn.LocalAddr(), to.conn.RemoteAddr()
			to.conn.Close()
			for range 3 {
				b, _ := burstOf(100, 100, 50)
				from.send(b) // is answered by ICMP port unreachable
			}
			c, err := (&net.Dialer{LocalAddr: local}).DialContext(t.Context(), "udp4", remote.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			b, _ := burstOf(100, 100, 50)
			from.send(b)
			// The other end sends back: the reader has got over the ICMP as well.
			back := newSocket(c.(*net.UDPConn), true, may)
			if got, _ := collect(t, back, 3); len(got) != 3 {
				t.Errorf("%d of 3 datagrams arrived", len(got))
			}
			b, want := burstOf(200, 200, 1)
			back.send(b)
			got, _ := collect(t, from, 3)
			compare(t, got, want)
		})
	}
}

// TestClosed: a reader ends when its socket is closed, and a sender does not
// wait for anybody.
func TestClosed(t *testing.T) {
	for name, may := range allPowers() {
		t.Run(name, func(t *testing.T) {
			a, _ := sockets(t, "udp4", may, may)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for range a.batches() {
					t.Error("something came")
				}
			}()
			a.conn.Close()
			<-ended
			for range 2 {
				b, _ := burstOf(100, 100, 700, 20)
				a.send(b)
			}
		})
	}
}

// linkOf is a link that sends by a socket.
func linkOf(s *socket) *link {
	l := &link{}
	l.second.Store(s)
	return l
}

// pairOfSAs are an outbound SA and the table with its other side.
func pairOfSAs(t testing.TB, name string) (*esp.Outbound, *esp.Table) {
	t.Helper()
	p, err := suite.Parse(suite.ESP, name)
	if err != nil {
		t.Fatal(err)
	}
	transforms, ok := p.Agree(p)
	chosen, err := p.Choose(transforms)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	encryption, integrity, _ := chosen.KeySizes()
	var sides [2]*suite.Protection
	for i := range sides {
		if sides[i], err = chosen.Protection(bytes.Repeat([]byte{1}, encryption), bytes.Repeat([]byte{2}, integrity)); err != nil {
			t.Fatal(err)
		}
	}
	const spi = 0x1234567
	table := &esp.Table{}
	table.Add(esp.NewInbound(spi, sides[1], esp.Options{}))
	return esp.NewOutbound(spi, sides[0], esp.Options{}), table
}

// ipPacket is an IPv4 packet of n bytes, with its number.
func ipPacket(n, number int) []byte {
	p := make([]byte, n)
	p[0] = 0x45
	binary.BigEndian.PutUint16(p[2:], uint16(n))
	binary.BigEndian.PutUint32(p[20:], uint32(number))
	return p
}

// TestMixed has IKE messages between ESP packets, of the same length too, so
// that they come in one train.
func TestMixed(t *testing.T) {
	for name, may := range allPowers() {
		t.Run(name, func(t *testing.T) {
			from, to := sockets(t, "udp4", may, may)
			out, in := pairOfSAs(t, "aes256gcm16")
			b := newBurst()
			var want []esp.Kind
			for i := range 40 {
				if i%7 == 3 {
					length := esp.SealedSize(out.Sizes(), 1400)
					b.buf = esp.AppendIKE(b.buf, bytes.Repeat([]byte{byte(i)}, length-4))
					want = append(want, esp.IKE)
				} else {
					var err error
					if b.buf, err = out.Seal(b.buf, ipPacket(1400, i)); err != nil {
						t.Fatal(err)
					}
					want = append(want, esp.Packet)
				}
				b.ends = append(b.ends, len(b.buf))
			}
			b.buf = esp.AppendKeepalive(b.buf)
			b.ends, want = append(b.ends, len(b.buf)), append(want, esp.Keepalive)
			from.send(b)
			got, batches := collect(t, to, len(want))
			if len(got) != len(want) {
				t.Fatalf("%d datagrams of %d", len(got), len(want))
			}
			for i, d := range got {
				kind := esp.Sort(d)
				if kind != want[i] {
					t.Fatalf("datagram %d is %v, not %v", i, kind, want[i])
				}
				switch kind {
				case esp.IKE:
					if m := esp.TrimIKE(d); m[0] != byte(i) || m[len(m)-1] != byte(i) {
						t.Errorf("the message %d is another", i)
					}
				case esp.Packet:
					inner, _, err := in.Open(d)
					if err != nil || !bytes.Equal(inner, ipPacket(1400, i)) {
						t.Errorf("the packet %d: %v", i, err)
					}
				case esp.Keepalive, esp.Junk:
				}
			}
			if may.cut && may.join && runtime.GOOS == "linux" && batches > 3 {
				t.Errorf("41 datagrams came in %d batches: no trains", batches)
			}
		})
	}
}

// TestSendESP: a link seals packets from several goroutines at once, and each
// arrives once and whole.
func TestSendESP(t *testing.T) {
	const senders, bursts, packets = 4, 25, 30
	for name, may := range allPowers() {
		t.Run(name, func(t *testing.T) {
			from, to := sockets(t, "udp4", may, may)
			out, in := pairOfSAs(t, "aes128-sha256")
			l := linkOf(from)
			var work sync.WaitGroup
			token := make(chan struct{}, 8) // bursts under way: no more than the socket holds
			for s := range senders {
				work.Go(func() {
					for i := range bursts {
						token <- struct{}{}
						var all [][]byte
						for k := range packets {
							all = append(all, ipPacket(1000+(k/10)*100, (s*bursts+i)*packets+k))
						}
						if err := l.sendESP(out, all); err != nil {
							t.Error(err)
						}
					}
				})
			}
			seen := make([]int, senders*bursts*packets)
			arrived := 0
			late := time.AfterFunc(20*time.Second, func() { to.conn.Close() })
			for batch := range to.batches() {
				for _, d := range batch {
					inner, _, err := in.Open(d)
					if err != nil {
						t.Fatalf("after %d packets: %v", arrived, err)
					}
					seen[binary.BigEndian.Uint32(inner[20:])]++
					if arrived++; arrived%packets == 0 {
						<-token
					}
				}
				if arrived == len(seen) {
					break
				}
			}
			late.Stop()
			work.Wait()
			for i, n := range seen {
				if n != 1 {
					t.Fatalf("packet %d arrived %d times, and %d of %d in all", i, n, arrived, len(seen))
				}
			}
			if s := out.Stats(); s.Packets != uint64(len(seen)) {
				t.Errorf("%d packets are counted", s.Packets)
			}
		})
	}
	t.Run("an error", func(t *testing.T) {
		from, to := sockets(t, "udp4", powers{}, powers{})
		out, _ := pairOfSAs(t, "aes256gcm16")
		l := linkOf(from)
		if err := l.sendESP(out, [][]byte{ipPacket(100, 1), {1, 2, 3}, ipPacket(100, 2)}); err != esp.ErrMalformed {
			t.Errorf("a packet that is none: %v", err)
		}
		if got, _ := collect(t, to, 1); len(got) != 1 {
			t.Errorf("%d packets arrived of the one before it", len(got))
		}
	})
}

// TestNoAllocation: to send and to receive takes no memory.
func TestNoAllocation(t *testing.T) {
	if raced {
		return // which allocates
	}
	from, to := sockets(t, "udp4", allPowers()["all"], allPowers()["all"])
	out, _ := pairOfSAs(t, "aes256gcm16")
	l := linkOf(from)
	var packets [][]byte
	for i := range 45 {
		packets = append(packets, ipPacket(1400, i))
	}
	arrived := make(chan int)
	go func() {
		defer close(arrived)
		n := 0
		for batch := range to.batches() {
			for n += len(batch); n >= len(packets); n -= len(packets) {
				arrived <- 1
			}
		}
	}()
	allocs := testing.AllocsPerRun(200, func() {
		if err := l.sendESP(out, packets); err != nil {
			t.Fatal(err)
		}
		<-arrived
	})
	to.conn.Close()
	for range arrived {
	}
	if allocs > 2 { // a pool that was emptied
		t.Errorf("%.1f allocations for %d packets", allocs, len(packets))
	}
}
