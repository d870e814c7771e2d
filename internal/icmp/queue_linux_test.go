package icmp

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// recorded4 and recorded6 are what Linux 6.18 put beside a message for a UDP
// datagram whose time to live ended at a router (TestRaw's).
const (
	recorded4 = "3000000000000000000000000b00000071000000020b0000000000000000000002000000c61200020000000000000000"
	recorded6 = "3c000000000000002900000019000000710000000303000000000000000000000a0000000000000020010db80012000000000000000000020000000000000000"
)

func recorded(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sixtyFour reports whether this machine has the order and the words of that on
// which it was recorded.
func sixtyFour() bool {
	return unsafe.Sizeof(uintptr(0)) == 8 && [2]byte(unsafe.Slice((*byte)(unsafe.Pointer(&[]uint16{1}[0])), 2)) == [2]byte{1, 0}
}

// TestControl reads what the kernel writes. Its numbers are of this machine's
// order and word.
func TestControl(t *testing.T) {
	if !sixtyFour() {
		t.Log("recorded on another kind of machine: TestQueue shows it here")
		return
	}
	e, ok := control(recorded(t, recorded4), time.Unix(1000, 0))
	if !ok || e.V6 || e.Meaning() != Exceeded || e.From != netip.MustParseAddr("198.18.0.2") {
		t.Errorf("%+v, %v", e, ok)
	}
	six := recorded(t, recorded6)
	e, ok = control(six, time.Unix(1000, 0))
	if !ok || !e.V6 || e.Meaning() != Exceeded || e.From != netip.MustParseAddr("2001:db8:12::2") {
		t.Errorf("%+v, %v", e, ok)
	}
	for n := range 0x3c { // what follows is padding
		if e, ok := control(six[:n], time.Unix(1000, 0)); ok {
			t.Errorf("cut at %d: %+v", n, e)
		}
	}
}

// What the kernel wrote beside three errors about echo requests: a time stamp,
// and IP_RECVERR or IPV6_RECVERR.
const (
	stamp6b0b = "2000000000000000 01000000 23000000  eb1d0b6b00000000 2eea0e2d00000000  "
	control4  = stamp6b0b + "3000000000000000 00000000 0b000000  71000000 02 03 01 00 00000000 00000000  0200 0000 c6120002 0000000000000000"
	tooBig4   = stamp6b0b + "3000000000000000 00000000 0b000000  5a000000 02 03 04 00 14050000 00000000  0200 0000 c6120002 0000000000000000"
	tooBigBy6 = stamp6b0b + "3c00000000000000 29000000 19000000  5a000000 03 02 00 00 14050000 00000000  0a00 0000 00000000 20010db8001200000000000000000002 00000000 00000000"

	quoted4 = "0800 13f0 5725 0009 f0c4"
	quoted6 = "8000 d78e 8376 0009 d486"
)

func stamped() time.Time { return time.Unix(0x6b0b1deb, 0x2d0eea2e) }

// TestControlOfEchoes reads errors about echo requests, with when they came.
func TestControlOfEchoes(t *testing.T) {
	if !sixtyFour() {
		t.Log("recorded on another kind of machine: TestQueue shows it here")
		return
	}
	now := stamped().Add(300 * time.Microsecond)
	for _, test := range []struct {
		control, quoted string
		v6              bool
		from            string
		id              uint16
		mtu             int
		said            string
	}{
		{control4, quoted4, false, "198.18.0.2", 0x5725, 0, "host unreachable"},
		{tooBig4, quoted4, false, "198.18.0.2", 0x5725, 1300, "fragmentation needed"},
		{tooBigBy6, quoted6, true, "2001:db8:12::2", 0x8376, 1300, "packet too big"},
	} {
		t.Run(test.said, func(t *testing.T) {
			b, quote := recorded(t, test.control), recorded(t, test.quoted)
			e, ok := control(b, now)
			if age := now.Sub(e.At); !ok || age != 300*time.Microsecond || e.V6 != test.v6 || e.From != netip.MustParseAddr(test.from) || e.MTU() != test.mtu || e.String() != test.said {
				t.Errorf("%+v, %v ago, %v", e, age, ok)
			}
			e.Quote = quote
			if request, ok := e.Request(); !ok || request.ID != test.id || request.Seq != 9 || request.Data != nil {
				t.Errorf("%+v, %v", request, ok)
			}
			for n := range HeaderLen {
				e.Quote = quote[:n]
				if request, ok := e.Request(); ok {
					t.Errorf("%d bytes quoted: %+v", n, request)
				}
			}
			e.Quote, e.V6 = quote, !e.V6
			if request, ok := e.Request(); ok {
				t.Errorf("of the other protocol: %+v", request)
			}
			for n := range b {
				if e, ok := control(b[:n], now); ok && n < len(b)-12 {
					t.Errorf("%d bytes of %d: %+v", n, len(b), e)
				}
			}
			// What this machine says itself is none.
			const origin = 32 + 16 + atOrigin
			b[origin] = 1
			if e, ok := control(b, now); ok {
				t.Errorf("an error of this machine's own: %+v", e)
			}
		})
	}
	// A clock that was set between the two is not believed.
	for _, off := range []time.Duration{-time.Microsecond, late, 2 * late, -time.Hour} {
		now := stamped().Add(off)
		if at := Received(recorded(t, control4), now); !at.Equal(now) {
			t.Errorf("a clock that is %v off: %v", off, at.Sub(now))
		}
	}
}

// TestQueue hears this machine say that nobody listens at a port.
func TestQueue(t *testing.T) {
	for network, host := range map[string]string{"udp4": "127.0.0.1", "udp6": "::1"} {
		closed, err := net.ListenPacket(network, net.JoinHostPort(host, "0"))
		if err != nil {
			t.Logf("no %s here: %v", network, err)
			continue
		}
		to := closed.LocalAddr().(*net.UDPAddr)
		closed.Close()
		c, err := net.DialUDP(network, nil, to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { Listen(int(fd)) })
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 10)); err == nil {
			t.Fatal("an answer from nobody")
		}
		var errs []Error
		raw.Control(func(fd uintptr) { errs = Queue(int(fd)) })
		if len(errs) != 1 {
			t.Fatalf("%s: %+v", network, errs)
		}
		e := errs[0]
		if e.Meaning() != PortUnreachable || e.From.String() != host || e.To != to.AddrPort() || !bytes.Equal(e.Quote, []byte("hello")) {
			t.Errorf("%s: %+v", network, e)
		}
	}
}

// FuzzControl: nothing that comes beside a message makes a panic, what is no
// error of ICMP is not taken for one, and one is said only of an echo request
// that is quoted.
func FuzzControl(f *testing.F) {
	for _, control := range []string{recorded4, recorded6, control4, tooBig4, tooBigBy6} {
		f.Add(recorded(f, control), recorded(f, quoted4))
		f.Add(recorded(f, control), recorded(f, quoted6))
	}
	f.Fuzz(func(t *testing.T, b, quote []byte) {
		now := stamped().Add(time.Second)
		e, ok := control(b, now)
		if !ok && (e.From.IsValid() || e.Type != 0) {
			t.Errorf("%+v, which is none", e)
		}
		if at := Received(b, now); at.After(now) || now.Sub(at) >= late || ok && !at.Equal(e.At) {
			t.Errorf("%x came at %v, or at %v", b, at, e.At)
		}
		if _, extendedOK := extended(b); extendedOK && b[atOrigin] != originICMP && b[atOrigin] != originICMP6 {
			t.Error("another origin")
		}
		e.Quote = quote
		if _, isRequest := e.Request(); isRequest && (!e.IsError() || len(quote) < HeaderLen || e.MTU() > 1<<16) {
			t.Errorf("%x about %x: %+v", b, quote, e)
		}
		if e.String() == "" {
			t.Errorf("no words for %+v", e)
		}
	})
}
