package icmp

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

// What Linux puts beside a message for a UDP datagram whose time to live ended
// at the router 10.1.0.1 (one control message of SOL_IP, IP_RECVERR), and the
// same of IPv6.
var (
	control4 = []byte{
		0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0,
		113, 0, 0, 0, 2, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		2, 0, 0, 0, 10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
	}
	control6 = []byte{
		0x3c, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 25, 0, 0, 0,
		113, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		10, 0, 0, 0, 0, 0, 0, 0, 0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
	}
)

// TestControl reads what the kernel writes. Its numbers are of this machine's
// order and word.
func TestControl(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 || [2]byte(unsafe.Slice((*byte)(unsafe.Pointer(&[]uint16{1}[0])), 2)) != [2]byte{1, 0} {
		t.Log("written for another kind of machine: TestQueue shows it here")
		return
	}
	e, ok := control(control4, time.Unix(1000, 0))
	if !ok || e.V6 || e.Meaning() != Exceeded || e.From != netip.MustParseAddr("10.1.0.1") {
		t.Errorf("%+v, %v", e, ok)
	}
	e, ok = control(control6, time.Unix(1000, 0))
	if !ok || !e.V6 || e.Meaning() != Exceeded || e.From != netip.MustParseAddr("fd01::1") {
		t.Errorf("%+v, %v", e, ok)
	}
	for n := range control6 {
		if e, ok := control(control6[:n], time.Unix(1000, 0)); ok {
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
	f.Add(control4)
	f.Add(control6)
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
