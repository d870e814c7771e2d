package icmp_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/icmp"
	"linehaul/internal/lab/path"
)

// TestRaw holds what a raw socket for ICMP hears against what the queue of the
// probe's own socket has, both of the same error of a router's.
func TestRaw(t *testing.T) {
	p := path.Start(t, path.Options{Hops: 1})
	for _, v6 := range []bool{false, true} {
		to, router := netip.AddrPortFrom(p.Server4, 33434), p.Addr(1)
		family, protocol, level, ttl := unix.AF_INET, unix.IPPROTO_ICMP, unix.IPPROTO_IP, unix.IP_TTL
		if v6 {
			to, router = netip.AddrPortFrom(p.Server6, 33434), p.Addr6(1)
			family, protocol, level, ttl = unix.AF_INET6, unix.IPPROTO_ICMPV6, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
		}
		raw := -1
		err := p.Client.Do(func() (err error) {
			raw, err = unix.Socket(family, unix.SOCK_RAW, protocol)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(raw)
		probe, err := p.Client.Dial(context.Background(), "udp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		defer probe.Close()
		conn, err := probe.(*net.UDPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		conn.Control(func(fd uintptr) {
			icmp.Listen(int(fd))
			err = unix.SetsockoptInt(int(fd), level, ttl, 1)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := probe.Write([]byte("twelve bytes")); err != nil {
			t.Fatal(err)
		}
		probe.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := probe.Read(make([]byte, 10)); err == nil {
			t.Fatal("an answer from nobody")
		}
		var queue []icmp.Error
		conn.Control(func(fd uintptr) { queue = icmp.Queue(int(fd)) })
		if len(queue) != 1 {
			t.Fatalf("%+v", queue)
		}
		want := icmp.Quoted{Protocol: unix.IPPROTO_UDP, From: probe.LocalAddr().(*net.UDPAddr).AddrPort(), To: to}
		buf := make([]byte, 1500)
		for {
			n, from, err := unix.Recvfrom(raw, buf, unix.MSG_DONTWAIT)
			if err != nil {
				t.Fatalf("no error came by the raw socket: %v", err)
			}
			e, q, ok := icmp.Parse(buf[:n], v6)
			if !ok {
				continue // neighbours, of IPv6
			}
			t.Logf("% x", buf[:n])
			if q != want || e.Meaning() != icmp.Exceeded || e.To != to || !bytes.HasSuffix(e.Quote, []byte("twelve bytes")) {
				t.Errorf("%+v about %+v, want %+v", e, q, want)
			}
			if e.Type != queue[0].Type || e.Code != queue[0].Code || e.V6 != queue[0].V6 || queue[0].From != router || queue[0].To != to ||
				!bytes.HasSuffix(e.Quote, queue[0].Quote) || addressOf(from) != router {
				t.Errorf("the raw socket heard %+v, the queue has %+v", e, queue[0])
			}
			break
		}
	}
}

func addressOf(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr)
	}
	return netip.Addr{}
}
