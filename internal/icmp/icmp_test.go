package icmp_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"linehaul/internal/icmp"
)

// TestMeaning: each code of "unreachable" has words of its own, and a meaning.
func TestMeaning(t *testing.T) {
	for _, tt := range []struct {
		e    icmp.Error
		want icmp.Meaning
		text string
	}{
		{icmp.Error{Type: 3, Code: 0}, icmp.NoRoute, "network unreachable"},
		{icmp.Error{Type: 3, Code: 3}, icmp.PortUnreachable, "port unreachable"},
		{icmp.Error{Type: 3, Code: 4}, icmp.TooBig, "fragmentation needed"},
		{icmp.Error{Type: 3, Code: 13}, icmp.Prohibited, "prohibited by a firewall"},
		{icmp.Error{Type: 3, Code: 99}, icmp.NoRoute, "destination unreachable, code 99"},
		{icmp.Error{Type: 11}, icmp.Exceeded, "time to live exceeded"},
		{icmp.Error{Type: 11, Code: 1}, icmp.Other, "not all fragments came in time"},
		{icmp.Error{Type: 12}, icmp.Other, "parameter problem"},
		{icmp.Error{Type: 5}, icmp.Other, "ICMP type 5, code 0"},
		{icmp.Error{V6: true, Type: 1, Code: 0}, icmp.NoRoute, "no route to destination"},
		{icmp.Error{V6: true, Type: 1, Code: 3}, icmp.NoRoute, "address unreachable"},
		{icmp.Error{V6: true, Type: 1, Code: 4}, icmp.PortUnreachable, "port unreachable"},
		{icmp.Error{V6: true, Type: 1, Code: 6}, icmp.Prohibited, "route rejected"},
		{icmp.Error{V6: true, Type: 1, Code: 99}, icmp.NoRoute, "destination unreachable, code 99"},
		{icmp.Error{V6: true, Type: 2}, icmp.TooBig, "packet too big"},
		{icmp.Error{V6: true, Type: 3}, icmp.Exceeded, "time to live exceeded"},
		{icmp.Error{V6: true, Type: 3, Code: 1}, icmp.Other, "not all fragments came in time"},
		{icmp.Error{V6: true, Type: 4}, icmp.Other, "parameter problem"},
		{icmp.Error{V6: true, Type: 11}, icmp.Other, "ICMP type 11, code 0"},
	} {
		if got, text := tt.e.Meaning(), tt.e.String(); got != tt.want || text != tt.text {
			t.Errorf("%+v: %v %q, want %v %q", tt.e, got, text, tt.want, tt.text)
		}
	}
	seen := map[string]bool{}
	for code := range uint8(14) {
		for _, e := range []icmp.Error{{Type: 3, Code: code}, {V6: true, Type: 1, Code: code % 7}} {
			if e.Meaning() == icmp.Other {
				t.Errorf("%+v means nothing", e)
			}
			if !e.V6 && seen[e.String()] {
				t.Errorf("%q is said of two codes", e)
			}
			seen[e.String()] = !e.V6
		}
	}
	for code := range 256 {
		for _, e := range []icmp.Error{{Type: 3, Code: uint8(code)}, {V6: true, Type: 1, Code: uint8(code)}} {
			if e.String() == "" {
				t.Errorf("no words for %+v", e)
			}
		}
	}
}

// TestMTU: it is within bounds, and of "too big" only.
func TestMTU(t *testing.T) {
	for _, tt := range []struct {
		e    icmp.Error
		want int
	}{
		{icmp.Error{Type: 3, Code: 4, Info: 1300}, 1300},
		{icmp.Error{Type: 3, Code: 4, Info: 7<<16 | 1300}, 1300},
		{icmp.Error{Type: 3, Code: 4}, 0},
		{icmp.Error{Type: 3, Code: 1, Info: 1300}, 0},
		{icmp.Error{V6: true, Type: 2, Info: 1300}, 1300},
		{icmp.Error{V6: true, Type: 2, Info: 1 << 31}, 1 << 16},
		{icmp.Error{V6: true, Type: 3, Info: 1300}, 0},
	} {
		if got := tt.e.MTU(); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.e, got, tt.want)
		}
	}
}

// What raw sockets of Linux heard of a UDP datagram whose time to live ended at
// a router (TestRaw's), of IPv4 with its header.
const (
	heard4 = "45 c0 00 44 e3 72 00 00 40 01 0a 5f c6 12 00 02 c6 12 00 01 0b 00 d1 4f 00 00 00 00 45 00 00 28 f3 2d 40 00 01 11 f9 6f c6 12 00 01 c6 12 01 02 c4 20 82 9a 00 14 8d 4d 74 77 65 6c 76 65 20 62 79 74 65 73"
	heard6 = "03 00 5f 24 00 00 00 00 60 07 5d ba 00 14 11 01 20 01 0d b8 00 12 00 00 00 00 00 00 00 00 00 01 20 01 0d b8 00 12 00 01 00 00 00 00 00 00 00 02 e9 51 82 9a 00 14 5b bf 74 77 65 6c 76 65 20 62 79 74 65 73"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestParse reads what was heard, cut short everywhere, and with what is quoted
// changed.
func TestParse(t *testing.T) {
	four, six := unhex(t, heard4), unhex(t, heard6)
	const ip, quote4, quote6 = 20, 20 + 8, 8 // where what stands
	for _, tt := range []struct {
		name string
		b    []byte
		v6   bool
		ok   bool
		from string
		to   string
	}{
		{"IPv4", four, false, true, "198.18.0.1:50208", "198.18.1.2:33434"},
		{"IPv4 without its header", four[ip:], false, true, "198.18.0.1:50208", "198.18.1.2:33434"},
		{"IPv6", six, true, true, "[2001:db8:12::1]:59729", "[2001:db8:12:1::2]:33434"},
		{"IPv4 taken for IPv6", four[ip:], true, false, "", ""},
		{"IPv6 taken for IPv4", six, false, false, "", ""},
		{"an echo request", with(four, ip, 8), false, false, "", ""},
		{"an echo reply of IPv6", with(six, 0, 129), true, false, "", ""},
		{"another protocol around", with(four, 9, 17), false, false, "", ""},
		{"the end of a fragment", with(four, quote4+7, 1), false, false, "", ""},
		{"a quoted header that is too long", with(four, quote4, 0x4f), false, false, "", ""},
		{"a quoted header that is too short", with(four, quote4, 0x41), false, false, "", ""},
		{"a quoted packet of ICMP", with(four, quote4+9, 1), false, true, "198.18.0.1:0", "198.18.1.2:0"},
		{"a quoted packet of TCP", with(six, quote6+6, 6), true, true, "[2001:db8:12::1]:59729", "[2001:db8:12:1::2]:33434"},
		{"a quoted packet of version 5", with(six, quote6, 0x50), true, false, "", ""},
	} {
		e, q, ok := icmp.Parse(tt.b, tt.v6)
		if ok != tt.ok || ok && (q.From != netip.MustParseAddrPort(tt.from) || q.To != netip.MustParseAddrPort(tt.to) || e.To != q.To || e.Meaning() != icmp.Exceeded) {
			t.Errorf("%s: %+v, %+v, %v", tt.name, e, q, ok)
		}
	}
	for n := range four {
		if _, _, ok := icmp.Parse(four[:n], false); ok != (n >= quote4+20+8) {
			t.Errorf("cut at %d: %v", n, ok)
		}
	}
	for n := range six {
		if _, _, ok := icmp.Parse(six[:n], true); ok != (n >= quote6+40+8) {
			t.Errorf("cut at %d: %v", n, ok)
		}
	}
}

func with(b []byte, at int, value byte) []byte {
	c := append([]byte(nil), b...)
	c[at] = value
	return c
}

// FuzzParse: no packet makes a panic, and one that is taken for an error is one,
// and quotes as much as a router must.
func FuzzParse(f *testing.F) {
	f.Add(unhex(f, heard4), false)
	f.Add(unhex(f, heard4)[20:], false)
	f.Add(unhex(f, heard6), true)
	for _, c := range captures() {
		f.Add(unhex(f, c.packet), c.v6)
		f.Add(c.whole(f), c.v6)
	}
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		if e, q, ok := icmp.Parse(b, v6); ok {
			checkError(t, b, e, q, v6)
		}
		if e, q, ok := icmp.ParsePacket(b); ok {
			if !e.From.IsValid() {
				t.Errorf("%x is from nobody", b)
			}
			checkError(t, b, e, q, e.V6)
		}
	})
}

func checkError(t *testing.T, b []byte, e icmp.Error, q icmp.Quoted, v6 bool) {
	if e.V6 != v6 || q.To.Addr().Is4() == v6 || q.From.Addr().Is4() == v6 || len(e.Quote) < 8 || len(e.Quote) > len(b) || e.To != q.To {
		t.Errorf("%+v, %+v", e, q)
	}
	if e.String() == "" || e.Meaning() == icmp.Other && !strings.Contains(e.String(), "problem") && !strings.Contains(e.String(), "fragments") {
		t.Errorf("%+v is taken for an error: %s", e, e)
	}
	if mtu := e.MTU(); mtu < 0 || mtu > 1<<16 || mtu > 0 && e.Meaning() != icmp.TooBig {
		t.Errorf("%x: an MTU of %d", b, mtu)
	}
	if request, ok := e.Request(); ok && request.Data != nil {
		t.Errorf("%x: a request with data", b)
	}
}
