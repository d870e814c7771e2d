package icmp

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
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
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestControl reads what the kernel writes. Its numbers are of this machine's
// order and word.
func TestControl(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 || [2]byte(unsafe.Slice((*byte)(unsafe.Pointer(&[]uint16{1}[0])), 2)) != [2]byte{1, 0} {
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

// FuzzControl: nothing that comes beside a message makes a panic, and what is
// no error of ICMP is not taken for one.
func FuzzControl(f *testing.F) {
	f.Add(recorded(f, recorded4))
	f.Add(recorded(f, recorded6))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := control(b, time.Unix(1000, 0))
		if !ok && (e.From.IsValid() || e.Type != 0) {
			t.Errorf("%+v, which is none", e)
		}
		if _, extendedOK := extended(b); extendedOK && b[atOrigin] != originICMP && b[atOrigin] != originICMP6 {
			t.Error("another origin")
		}
		_ = e.String()
	})
}
