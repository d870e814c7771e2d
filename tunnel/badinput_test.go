package tunnel

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/esp"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/tunneltest"
)

// memoryGateway is a gateway on loopback, with a server behind it at port 7 that
// sends back what it was sent once that has ended: one that reads and writes in
// turn can come to a stop for good over gVisor's TCP, which ignores what is
// acknowledged while nobody reads.
func memoryGateway(t *testing.T, o tunneltest.ServerOptions) *tunneltest.Server {
	t.Helper()
	o.PSK = []byte("secret")
	o.Networks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}
	s, err := tunneltest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listen(7)
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				all, _ := io.ReadAll(c)
				c.Write(all)
			})
		}
	})
	t.Cleanup(func() {
		s.Close()
		work.Wait()
	})
	return s
}

// roadConfig is what that gateway lets in.
func roadConfig(gateway string) Config {
	return Config{Gateway: gateway, IKE: ikev2.Config{
		PSK: []byte("secret"), Local: ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("road.test")},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")},
	}}
}

// echo has n bytes sent back through the tunnel.
func echo(t *testing.T, up *Tunnel, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := up.DialContext(ctx, "tcp", "10.77.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	want := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(want)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes came back: %v", len(got), n, err)
	}
}

// TestBadPackets sends beside what the gateway sends what it never sent: none of
// it gets in, and what was sent arrives.
func TestBadPackets(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(noise.Uint32())
		}
		return b
	}
	// wire makes the rows: beside each ESP packet come others, before it.
	beside := func(make func(d []byte) [][]byte) func([]byte) [][]byte {
		return func(d []byte) [][]byte {
			if esp.Sort(d) != esp.Packet {
				return [][]byte{d}
			}
			return append(make(d), d)
		}
	}
	changed := func(d []byte, change func([]byte)) []byte {
		d = bytes.Clone(d)
		change(d)
		return d
	}
	cuts := 0
	var old [][]byte
	var held []byte
	for _, row := range []struct {
		name string
		wire func([]byte) [][]byte
	}{
		{"nothing", nil},
		{"a bit flipped", beside(func(d []byte) [][]byte {
			return [][]byte{changed(d, func(d []byte) { d[noise.IntN(len(d))] ^= 1 << noise.IntN(8) })}
		})},
		{"the ICV flipped", beside(func(d []byte) [][]byte {
			return [][]byte{changed(d, func(d []byte) { d[len(d)-1-noise.IntN(12)] ^= 1 << noise.IntN(8) })}
		})},
		{"another SPI", beside(func(d []byte) [][]byte {
			return [][]byte{changed(d, func(d []byte) { d[noise.IntN(4)]++ })}
		})},
		{"another sequence number, far ahead", beside(func(d []byte) [][]byte {
			return [][]byte{changed(d, func(d []byte) { binary.BigEndian.PutUint32(d[4:], 1<<31+noise.Uint32N(1<<30)) })}
		})},
		{"the same twice", func(d []byte) [][]byte { return [][]byte{d, bytes.Clone(d)} }},
		{"everything that ever was", beside(func(d []byte) [][]byte {
			if len(old) < 500 {
				old = append(old, bytes.Clone(d))
			}
			var all [][]byte
			for range 10 {
				all = append(all, old[noise.IntN(len(old))])
			}
			return all
		})},
		{"the order changed", func(d []byte) [][]byte {
			if esp.Sort(d) != esp.Packet || noise.IntN(4) > 0 {
				all := [][]byte{d}
				if held != nil {
					all, held = append(all, held), nil
				}
				return all
			}
			before := held
			held = bytes.Clone(d)
			if before == nil {
				return nil
			}
			return [][]byte{before}
		}},
		{"cut at every length", beside(func(d []byte) [][]byte {
			var all [][]byte
			step := 1
			if cuts++; cuts > 40 {
				step = 211
			}
			for n := 0; n < len(d); n += step {
				all = append(all, d[:n])
			}
			return all
		})},
		{"longer", beside(func(d []byte) [][]byte { return [][]byte{append(bytes.Clone(d), random(1+noise.IntN(64))...)} })},
		{"a right header and noise", beside(func(d []byte) [][]byte { return [][]byte{append(bytes.Clone(d[:8]), random(noise.IntN(1500))...)} })},
		{"noise", beside(func(d []byte) [][]byte {
			return [][]byte{random(noise.IntN(1500)), random(noise.IntN(9)), {0, 0, 0, 0}}
		})},
		{"noise that says to be IKE", beside(func(d []byte) [][]byte { return [][]byte{append(make([]byte, 4), random(noise.IntN(600))...)} })},
		{"IKE with a bit flipped", func(d []byte) [][]byte {
			if esp.Sort(d) != esp.IKE || d[4+18] == byte(ikemsg.IKESAInit) {
				return [][]byte{d}
			}
			return [][]byte{changed(d, func(d []byte) { d[4+noise.IntN(len(d)-4)] ^= 1 << noise.IntN(8) }), d}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var sent atomic.Uint64
			wire := func(d []byte) [][]byte {
				if esp.Sort(d) == esp.Packet {
					sent.Add(1)
				}
				if row.wire == nil {
					return [][]byte{d}
				}
				return row.wire(d)
			}
			s := memoryGateway(t, tunneltest.ServerOptions{Wire: wire, Options: tunneltest.Options{ChildLifetime: 100 * time.Millisecond}})
			up, err := Up(t.Context(), roadConfig(s.Addr()))
			if err != nil {
				t.Fatal(err)
			}
			defer up.Close()
			echo(t, up, 1<<20)
			in := up.stack.Stats()
			t.Logf("%d packets of %d", in.PacketsIn, sent.Load())
			if in.PacketsIn > sent.Load() || in.BadChecksum > 0 || in.Malformed > 0 {
				t.Errorf("%d packets in, %d with a bad checksum and %d that are none; the gateway sent %d", in.PacketsIn, in.BadChecksum, in.Malformed, sent.Load())
			}
		})
	}
}

// TestAnotherAddress sends what the gateway has sent, and noise, to the client
// from another port: nothing of it is taken.
func TestAnotherAddress(t *testing.T) {
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var mu sync.Mutex
	var client *net.UDPAddr
	aside, direct := 0, 0
	s := memoryGateway(t, tunneltest.ServerOptions{Wire: func(d []byte) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case esp.Sort(d) != esp.Packet:
		case client != nil && direct >= 20*(aside+1):
			other.WriteToUDP(d, client)
			aside++
			return nil // from there, or not at all
		default:
			direct++
		}
		return [][]byte{d}
	}})
	up, err := Up(t.Context(), roadConfig(s.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	mu.Lock()
	client = up.link.current().conn.LocalAddr().(*net.UDPAddr)
	mu.Unlock()
	echo(t, up, 256<<10)
	in := up.stack.Stats()
	mu.Lock()
	defer mu.Unlock()
	if aside == 0 || in.PacketsIn > uint64(direct) {
		t.Errorf("%d packets sent, and %d from another address; %d taken", direct, aside, in.PacketsIn)
	}
}

// TestNobodyThere has an ICMP say at once that nobody listens: that is a hint and
// no verdict, as the gateway may be about to start.
func TestNobodyThere(t *testing.T) {
	free, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := free.LocalAddr().String()
	free.Close()
	c := roadConfig(at)
	c.IKE.Patience = 700 * time.Millisecond
	began := time.Now()
	if _, err := Up(t.Context(), c); !fault.Is(err, fault.IKE) || time.Since(began) < 600*time.Millisecond || !strings.Contains(err.Error(), at) {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	c.IKE.Patience = 10 * time.Second
	came := make(chan error, 1)
	go func() {
		up, err := Up(t.Context(), c)
		if err == nil {
			err = up.Close()
		}
		came <- err
	}()
	time.AfterFunc(300*time.Millisecond, func() { memoryGateway(t, tunneltest.ServerOptions{At: at}) })
	if err := <-came; err != nil {
		t.Errorf("a gateway that comes up meanwhile: %v", err)
	}
}

// TestGivenUp ends logins that come to nothing: by the gateway's silence, and by
// the caller.
func TestGivenUp(t *testing.T) {
	s := memoryGateway(t, tunneltest.ServerOptions{Options: tunneltest.Options{Faults: tunneltest.Faults{Silent: true}}})
	c := roadConfig(s.Addr())
	c.IKE.Patience = 700 * time.Millisecond
	if _, err := Up(t.Context(), c); !fault.Is(err, fault.IKE) || !strings.Contains(err.Error(), "IKE_AUTH") {
		t.Errorf("silence: %v", err)
	}
	c.IKE.Patience = time.Hour
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(200*time.Millisecond, func() { cancel(why) })
	if _, err := Up(ctx, c); !errors.Is(err, why) {
		t.Errorf("given up: %v", err)
	}
}

// TestDiesInMemory: what goes through the tunnel to a gateway that dies ends with
// the tunnel's error, within the time that is set.
func TestDiesInMemory(t *testing.T) {
	s := memoryGateway(t, tunneltest.ServerOptions{})
	c := roadConfig(s.Addr())
	c.IKE.Probe, c.IKE.Patience = 300*time.Millisecond, 700*time.Millisecond
	up, err := Up(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	conn, err := up.DialContext(t.Context(), "tcp", "10.77.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.Close()
	began := time.Now()
	conn.SetDeadline(began.Add(time.Minute))
	_, err = conn.Read(make([]byte, 1))
	if took := time.Since(began); !fault.Is(err, fault.IKE) || took > 5*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
}

// TestFlood: a hundred thousand datagrams of noise leave no more in use than before.
func TestFlood(t *testing.T) {
	s := memoryGateway(t, tunneltest.ServerOptions{})
	up, err := Up(t.Context(), roadConfig(s.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	echo(t, up, 1<<20)
	before := heapInUse()
	noise := rand.NewChaCha8([32]byte{3})
	for i := range 100_000 {
		d := make([]byte, 12+i%200)
		noise.Read(d)
		if i%2 == 0 {
			clear(d[:4])
		}
		s.SendRaw(d)
	}
	echo(t, up, 1<<20)
	if grown := int64(heapInUse()) - int64(before); grown > 8<<20 {
		t.Errorf("%d bytes more are in use", grown)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
