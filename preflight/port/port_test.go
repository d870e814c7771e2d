package port_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/internal/leak"
	"linehaul/preflight/port"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// onLoopback is a dialer that goes to a port of the test's own, whatever port is
// asked for.
func onLoopback(t *testing.T, answer func(question []byte, n int) [][]byte) port.Dialer {
	t.Helper()
	lab.NotUnderWine(t, "Wine 8 has no UDP sockets as Go makes them")
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for n := 0; ; n++ {
			size, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, a := range answer(bytes.Clone(buf[:size]), n) {
				c.WriteTo(a, from)
			}
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return dialFunc(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, c.LocalAddr().String())
	})
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (d dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d(ctx, network, address)
}

// dnsAnswer is what a server says to a question, with a code.
func dnsAnswer(t *testing.T, question []byte, code dnsmessage.RCode) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 || m.Questions[0].Name.String() != "." {
		t.Errorf("the question of DNS is %x: %v", question, err)
	}
	m.Response, m.RCode = true, code
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return b
}

func ntpAnswer(t *testing.T, question []byte, change func(b []byte)) []byte {
	if len(question) != 48 || question[0] != 0x23 || bytes.Equal(question[40:], make([]byte, 8)) {
		t.Errorf("the question of NTP is %x", question)
		return nil
	}
	b := make([]byte, 48)
	b[0], b[1] = 0x24, 2
	copy(b[24:], question[40:])
	change(b)
	return b
}

// ikeAnswerOf is an answer of IKE to a question, of one payload.
func ikeAnswerOf(t *testing.T, question []byte, version, exchange, kind byte, payload []byte) []byte {
	b := append(bytes.Clone(question[:8]), 1, 2, 3, 4, 5, 6, 7, 8, kind, version, exchange, 0x20, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(32+len(payload)))
	b = binary.BigEndian.AppendUint16(append(b, 0, 0), uint16(4+len(payload)))
	return append(b, payload...)
}

func notify(kind uint16) []byte { return binary.BigEndian.AppendUint16([]byte{0, 0}, kind) }

// TestAnswers: what is made of right answers, of wrong ones, and of none.
func TestAnswers(t *testing.T) {
	one := func(b []byte) [][]byte { return [][]byte{b} }
	for _, tt := range []struct {
		name     string
		port     uint16
		answer   func(q []byte, n int) [][]byte
		state    port.State
		text     string
		mismatch bool
	}{
		{"dns", 53, func(q []byte, _ int) [][]byte { return one(dnsAnswer(t, q, dnsmessage.RCodeSuccess)) }, port.Open, "DNS, success", false},
		{"dns that refuses", 53, func(q []byte, _ int) [][]byte { return one(dnsAnswer(t, q, dnsmessage.RCodeRefused)) }, port.Open, "DNS, refused", false},
		{"dns that refuses in its header only", 53, func(q []byte, _ int) [][]byte {
			return one([]byte{q[0], q[1], 0x80, 5, 0, 0, 0, 0, 0, 0, 0, 0})
		}, port.Open, "DNS, refused", false},
		{"dns, echoed", 53, func(q []byte, _ int) [][]byte { return one(q) }, port.Open, "17 bytes that are no answer of DNS", true},
		{"dns, another's answer first", 53, func(q []byte, _ int) [][]byte {
			right := dnsAnswer(t, q, dnsmessage.RCodeSuccess)
			wrong := bytes.Clone(right)
			wrong[0]++
			return [][]byte{wrong, right}
		}, port.Open, "DNS, success", false},
		{"dns, lost once", 53, func(q []byte, n int) [][]byte {
			if n == 0 {
				return nil
			}
			return one(dnsAnswer(t, q, dnsmessage.RCodeSuccess))
		}, port.Open, "DNS, success", false},
		{"ntp", 123, func(q []byte, _ int) [][]byte { return one(ntpAnswer(t, q, func([]byte) {})) }, port.Open, "NTP, stratum 2", false},
		{"ntp that refuses", 123, func(q []byte, _ int) [][]byte {
			return one(ntpAnswer(t, q, func(b []byte) { b[1] = 0; copy(b[12:], "RATE") }))
		}, port.Open, `NTP, refused: "RATE"`, false},
		{"ntp without a clock", 123, func(q []byte, _ int) [][]byte { return one(ntpAnswer(t, q, func(b []byte) { b[0], b[1] = 0xe4, 16 })) }, port.Open, "NTP, not synchronised", false},
		{"ntp to somebody else", 123, func(q []byte, _ int) [][]byte { return one(ntpAnswer(t, q, func(b []byte) { b[24]++ })) }, port.Open, "48 bytes that are no answer of NTP", true},
		{"ike", 500, func(q []byte, _ int) [][]byte { return one(ikeAnswerOf(t, q, 0x20, 34, 33, nil)) }, port.Open, "IKEv2, accepts what was offered", false},
		{"ike behind nat", 4500, func(q []byte, _ int) [][]byte {
			if !bytes.HasPrefix(q, make([]byte, 4)) {
				t.Errorf("to port 4500 without the marker: %x", q)
			}
			return one(append(make([]byte, 4), ikeAnswerOf(t, q[4:], 0x20, 34, 41, notify(14))...))
		}, port.Open, "IKEv2, accepts none of what was offered", false},
		{"ike of another kind", 500, func(q []byte, _ int) [][]byte { return one(ikeAnswerOf(t, q, 0x20, 34, 41, notify(17))) }, port.Open, "IKEv2, wants another key exchange", false},
		{"ike under load", 500, func(q []byte, _ int) [][]byte { return one(ikeAnswerOf(t, q, 0x20, 34, 41, notify(16390))) }, port.Open, "IKEv2, asks for a cookie", false},
		{"ike of version 1", 500, func(q []byte, _ int) [][]byte { return one(ikeAnswerOf(t, q, 0x10, 5, 11, notify(5))) }, port.Open, "IKEv1 only", false},
		{"ike cut off", 500, func(q []byte, _ int) [][]byte { return one(ikeAnswerOf(t, q, 0x20, 34, 33, nil)[:30]) }, port.Open, "30 bytes that are no answer of IKE", true},
		{"an answer without a protocol", 9, func(q []byte, _ int) [][]byte { return one([]byte("hello")) }, port.Open, "5 bytes", false},
		{"nothing", 53, func([]byte, int) [][]byte { return nil }, port.OpenOrFiltered, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			timeout := 10 * time.Second
			if tt.mismatch || tt.state == port.OpenOrFiltered {
				timeout = 700 * time.Millisecond // it waits for something better
			}
			r := port.UDP(t.Context(), netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), tt.port), port.Options{Dialer: onLoopback(t, tt.answer), Timeout: timeout})
			if r.State != tt.state || r.Answer != tt.text || r.Mismatch != tt.mismatch || r.Error != "" {
				t.Errorf("got %+v, want %s, %q, mismatch %v", r, tt.state, tt.text, tt.mismatch)
			}
			if (r.ConnectMS > 0) != (tt.state == port.Open) {
				t.Errorf("%s in %v ms", r.State, r.ConnectMS)
			}
		})
	}
}

// TestClosed: on loopback the system says at once that nobody listens.
func TestClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	if r := port.TCP(t.Context(), at, port.Options{}); r.State != port.Open || r.ConnectMS <= 0 || r.Error != "" {
		t.Errorf("a port that listens: %+v", r)
	}
	l.Close()
	if r := port.TCP(t.Context(), at, port.Options{}); r.State != port.Refused || r.ConnectMS <= 0 || r.From.IsValid() {
		t.Errorf("a port that does not: %+v", r)
	}
}

// TestClosedUDP: so it does of UDP.
func TestClosedUDP(t *testing.T) {
	lab.NotUnderWine(t, "Wine 8 has no UDP sockets as Go makes them")
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(c.LocalAddr().String())
	c.Close()
	if r := port.UDP(t.Context(), at, port.Options{}); r.State != port.Closed || r.ConnectMS <= 0 {
		t.Errorf("a port of UDP that nobody has: %+v", r)
	}
}

// TestErrors: what the errors of a dialer mean that is no net.Dialer.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		err   error
		state port.State
	}{
		{fault.New(fault.Route, "eth0 is not tun0"), port.NoRoute},
		{fault.New(fault.TCP, "no answer"), port.Filtered},
		{fault.New(fault.ESP, "the tunnel is not up"), port.Unknown},
		{fmt.Errorf("dial: %w", os.ErrDeadlineExceeded), port.Filtered},
		{errors.New("too many open files"), port.Unknown},
	} {
		d := dialFunc(func(context.Context, string, string) (net.Conn, error) { return nil, tt.err })
		r := port.TCP(t.Context(), netip.MustParseAddrPort("192.0.2.1:22"), port.Options{Dialer: d})
		if r.State != tt.state || r.State == port.Unknown && r.Error != tt.err.Error() {
			t.Errorf("%v: got %+v, want %s", tt.err, r, tt.state)
		}
	}
}

// TestCancelled: a stop by the caller is no verdict, and his deadline is one.
func TestCancelled(t *testing.T) {
	silent := dialFunc(func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	quiet := onLoopback(t, func([]byte, int) [][]byte { return nil })
	at := netip.MustParseAddrPort("192.0.2.1:53")
	stop := errors.New("somebody pressed a key")
	for name, ask := range map[string]func(ctx context.Context) port.Result{
		"tcp": func(ctx context.Context) port.Result { return port.TCP(ctx, at, port.Options{Dialer: silent}) },
		"udp": func(ctx context.Context) port.Result { return port.UDP(ctx, at, port.Options{Dialer: quiet}) },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
		began := time.Now()
		if r := ask(ctx); r.State != port.Unknown || r.Error == "" || time.Since(began) > 3*time.Second {
			t.Errorf("%s, stopped: %+v after %v", name, r, time.Since(began))
		}
		limited, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if r := ask(limited); r.State != port.Filtered && r.State != port.OpenOrFiltered || r.Error != "" {
			t.Errorf("%s, late: %+v", name, r)
		}
		end()
	}
}

// TestAtOnce: no more at the same time than was asked for, and the results in
// order.
func TestAtOnce(t *testing.T) {
	const atOnce = 4
	busy, counts, full := make(chan struct{}, 100), make(chan int, 100), make(chan struct{})
	d := dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		busy <- struct{}{}
		n := len(busy)
		counts <- n
		if n == atOnce {
			select {
			case <-full:
			default:
				close(full) // only one can be the fourth while the others wait
			}
		}
		select {
		case <-full:
		case <-ctx.Done():
		}
		<-busy
		return nil, errors.New(network + " " + address)
	})
	var targets []port.Target
	for i := range 40 {
		targets = append(targets, port.Target{Network: []string{"tcp", "udp"}[i%2], At: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1))})
	}
	for i, r := range port.All(t.Context(), targets, port.Options{Dialer: d, AtOnce: atOnce}) {
		if want := targets[i].Network + " " + targets[i].At.String(); r.Error != want || r.Port != i+1 || r.Network != targets[i].Network {
			t.Errorf("result %d is %+v, want %q", i, r, want)
		}
	}
	close(counts)
	most := 0
	for n := range counts {
		most = max(most, n)
	}
	if most != atOnce {
		t.Errorf("%d at the same time, want %d", most, atOnce)
	}
	if got := port.All(t.Context(), nil, port.Options{}); len(got) != 0 {
		t.Errorf("of no targets: %v", got)
	}
}

// FuzzAnswer: whatever comes back, no question panics, and what it says of it
// is short and fit to print.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("hello"))
	f.Add(port.DNS().Bytes)
	f.Add(port.NTP().Bytes)
	f.Add(port.IKE(false).Bytes)
	f.Add(port.IKE(true).Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, q := range []*port.Question{port.DNS(), port.NTP(), port.IKE(false), port.IKE(true)} {
			// With the number of the question in its place, it may be one.
			near := bytes.Clone(b)
			switch {
			case q.Name == "DNS" && len(near) >= 2:
				copy(near, q.Bytes[:2])
			case q.Name == "NTP" && len(near) >= 32:
				copy(near[24:], q.Bytes[40:48])
			case q.Name == "IKE":
				copy(near, q.Bytes[:min(12, len(near))])
			}
			for _, answer := range [][]byte{b, near} {
				text, right := q.Read(answer)
				if text == "" || len(text) > 80 || strings.ContainsAny(text, "\x00\n\x1b") {
					t.Errorf("%s: text %q", q.Name, text)
				}
				if right && !strings.HasPrefix(text, q.Name) {
					t.Errorf("%s takes %x for %q", q.Name, answer, text)
				}
			}
		}
	})
}
