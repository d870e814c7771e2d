package proxy_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/tunnel/proxy"
)

// echo answers datagrams in capitals.
func echo(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		buf := make([]byte, 65535)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			c.WriteTo(bytes.ToUpper(buf[:n]), from)
		}
	})
	t.Cleanup(func() {
		c.Close()
		work.Wait()
	})
	return c.LocalAddr().String()
}

// associate asks for UDP and returns the connection that keeps it, and where
// datagrams are to be sent.
func associate(t *testing.T, at string) (net.Conn, *net.UDPAddr) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	io.WriteString(c, "\x05\x01\x00\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00")
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil || !bytes.HasPrefix(answer, []byte{5, 0, 5, 0, 0, 1, 127, 0, 0, 1}) {
		t.Fatalf("% x, %v", answer, err)
	}
	return c, &net.UDPAddr{IP: answer[6:10], Port: int(binary.BigEndian.Uint16(answer[10:]))}
}

func TestUDP(t *testing.T) {
	lab.NotUnderWine(t, "sockets of UDP as Go makes them (SIO_UDP_NETRESET)")
	first, second := echo(t), echo(t)
	at := serve(t, proxy.Options{Dialer: names{"one.test:53": first, "two.test:53": second}, Idle: 200 * time.Millisecond})
	held, relay := associate(t, at)
	socket := func() *net.UDPConn {
		c, err := net.DialUDP("udp", nil, relay)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ask := func(c *net.UDPConn, head, data string) string {
		c.SetDeadline(time.Now().Add(300 * time.Millisecond))
		buf := make([]byte, 65535)
		for c.SetReadDeadline(time.Now().Add(time.Millisecond)); ; {
			if _, err := c.Read(buf); err != nil {
				break // nothing of an earlier question is left
			}
		}
		c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		io.WriteString(c, head+data)
		n, err := c.Read(buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
	mine := socket()
	one, two := "\x00\x00\x00\x03\x08one.test\x00\x35", "\x00\x00\x00\x03\x08two.test\x00\x35"
	from := func(address string) string {
		a, err := net.ResolveUDPAddr("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		return string(binary.BigEndian.AppendUint16(append([]byte{0, 0, 0, 1}, a.IP.To4()...), uint16(a.Port)))
	}
	for i := range 20 {
		data := fmt.Sprintf("question %d %s", i, strings.Repeat("x", i*500))
		if got := ask(mine, one, data); got != from(first)+strings.ToUpper(data) {
			t.Fatalf("question %d: %.60q", i, got)
		}
	}
	if got := ask(mine, two, "other"); got != from(second)+"OTHER" {
		t.Errorf("another target: %q", got)
	}
	for _, bad := range []string{"\x00\x00\x01\x03\x08one.test\x00\x35", "\x00\x00\x00\x09", "\x00\x00\x00\x03\xff", "\x00", "", "\x00\x00\x00\x03\x07no.test\x00\x35"} {
		if got := ask(mine, bad, "x"); got != "" {
			t.Errorf("%q is answered: %q", bad, got)
		}
	}
	if got := ask(socket(), one, "stranger"); got != "" {
		t.Errorf("another socket than the client's is answered: %q", got)
	}
	time.Sleep(500 * time.Millisecond) // longer than a way may be idle
	if got := ask(mine, one, "again"); got != from(first)+"AGAIN" {
		t.Errorf("after a pause: %q", got)
	}
	held.Close()
	for deadline := time.Now().Add(10 * time.Second); ask(mine, one, "gone") != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it goes on without its connection")
		}
	}
}
