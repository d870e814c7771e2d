package icmp_test

import (
	"bytes"
	"net/netip"
	"testing"

	"linehaul/internal/icmp"
)

// A capture is what a socket of Linux for ICMP was given on a path with a
// router, with what it says.
type capture struct {
	name   string
	packet string
	v6     bool
	id     uint16
	seq    uint16
	answer string // its data
	to     string // of an error: where the request went
	said   string
	mtu    int
}

func captures() []capture {
	const cookie4, cookie6 = "918b2bd61c9d3a4b 0809", "6d9710e12f3f1246 0809"
	return []capture{
		{
			name: "an answer with its header", packet: "45000026 78a00000 4001 0437 7f000001 7f000001  0000 3c42 af73 0000 " + cookie4,
			id: 0xaf73, answer: cookie4,
		},
		{name: "an answer without one", packet: "0000 49cc 88e8 fffe 141df4cea7e77c77", id: 0x88e8, seq: 65534, answer: "141df4cea7e77c77"},
		{name: "an answer without data", packet: "4500001c 789a0000 4001 0445 7f000001 7f000001  0000 508e af73 fffd", id: 0xaf73, seq: 65533},
		{name: "an answer of IPv6", packet: "8100 b3e8 1f99 0001 " + cookie6, v6: true, id: 0x1f99, seq: 1, answer: cookie6},
		{
			name: "host unreachable", packet: "45c0009c b3f10000 4001 3988 c6120002 c6120001  0301 fcfe 00000000  45000080 c3f54000 3f01 ea5f c6120001 c6120102  0800 50c6 6067 0003",
			id: 0x6067, seq: 3, to: "198.18.1.2", said: "host unreachable",
		},
		{
			name: "prohibited", packet: "45c0009c b44e0000 4001 392b c6120002 c6120001  030d fcf2 00000000  45000080 c42a4000 3f01 ea2a c6120001 c6120102  0800 ccb4 9f65 0000 a0f1",
			id: 0x9f65, to: "198.18.1.2", said: "prohibited by a firewall",
		},
		{
			name: "fragmentation needed", packet: "45c00240 2e870000 4001 bd4e c6120002 c6120001  0304 34a4 00000514  45000515 00004000 4001 a8c0 c6120001 c6120102  0800 20f2 4128 0000 f639",
			id: 0x4128, to: "198.18.1.2", mtu: 1300, said: "fragmentation needed",
		},
		{
			name: "no route, of IPv6", packet: "0100 32a4 00000000  600dd5d9 006c 3a 3f 20010db8001200000000000000000001 20010db8001200010000000000000002  8000 5d23 9cfc 0000 1669",
			v6: true, id: 0x9cfc, to: "2001:db8:12:1::2", said: "no route to destination",
		},
		{
			name: "packet too big", packet: "0200 c831 00000514  600dd5d9 04ed 3a 40 20010db8001200000000000000000001 20010db8001200010000000000000002  8000 7d68 11be 0002 5bec",
			v6: true, id: 0x11be, seq: 2, to: "2001:db8:12:1::2", mtu: 1300, said: "packet too big",
		},
	}
}

// whole is the packet with its header of IP, which a socket for ICMPv6 is not
// given.
func (c capture) whole(t testing.TB) []byte {
	b := unhex(t, c.packet)
	if c.v6 {
		return append(unhex(t, "60000000 0000 3a 40 20010db8001200000000000000000009 20010db8001200000000000000000001"), b...)
	}
	return b
}

// TestReply reads answers to the bit, and whole ones only.
func TestReply(t *testing.T) {
	for _, c := range captures() {
		b, want := unhex(t, c.packet), unhex(t, c.answer)
		got, ok := icmp.ParseReply(b, c.v6)
		if ok != (c.to == "") || ok && (got.ID != c.id || got.Seq != c.seq || !bytes.Equal(got.Data, want)) {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		}
		for n := range len(b) - len(want) {
			if got, ok := icmp.ParseReply(b[:n], c.v6); ok {
				t.Errorf("%s, %d bytes of %d: %+v", c.name, n, len(b), got)
			}
		}
		if got, ok := icmp.ParseReply(b, !c.v6); ok {
			t.Errorf("%s, taken for the other protocol: %+v", c.name, got)
		}
	}
}

// TestRefusal reads errors about echo requests, as a socket has them and as whole
// packets.
func TestRefusal(t *testing.T) {
	for _, c := range captures() {
		b := unhex(t, c.packet)
		e, q, ok := icmp.Parse(b, c.v6)
		if ok != (c.to != "") {
			t.Errorf("%s: %+v, %v", c.name, e, ok)
		}
		if !ok {
			continue
		}
		check := func(e icmp.Error, q icmp.Quoted, ok bool) {
			request, is := e.Request()
			if !ok || !is || request.ID != c.id || request.Seq != c.seq || q.Protocol != icmp.Protocol(c.v6) ||
				q.To.Addr() != netip.MustParseAddr(c.to) || e.MTU() != c.mtu || e.String() != c.said {
				t.Errorf("%s: %+v about %+v of %+v", c.name, e, request, q)
			}
		}
		check(e, q, ok)
		least := len(b) - len(e.Quote) + icmp.HeaderLen // the header may be all that is quoted
		for n := range b {
			if _, _, ok := icmp.Parse(b[:n], c.v6); ok != (n >= least) {
				t.Errorf("%s, %d bytes of %d: %v", c.name, n, len(b), ok)
			}
		}
		from := "198.18.0.2"
		if c.v6 {
			from = "2001:db8:12::9"
		}
		whole := c.whole(t)
		e, q, ok = icmp.ParsePacket(whole)
		check(e, q, ok)
		if e.From != netip.MustParseAddr(from) {
			t.Errorf("%s: it is from %v", c.name, e.From)
		}
		for n := range len(whole) - len(e.Quote) + icmp.HeaderLen {
			if e, _, ok := icmp.ParsePacket(whole[:n]); ok {
				t.Errorf("%s, %d bytes of %d: %+v", c.name, n, len(whole), e)
			}
		}
	}
}

// TestIgnored are messages that are about no echo request, and no answers.
func TestIgnored(t *testing.T) {
	for name, packet := range map[string]string{
		"a request":                    "0800 50c6 6067 0003 0000",
		"a redirect":                   "0501 fcfe 0a000001  45000080 c3f54000 3f01 ea5f c6120001 c6120102  0800 50c6 6067 0003",
		"an error about an answer":     "0301 fcfe 00000000  45000080 c3f54000 3f01 ea5f c6120001 c6120102  0000 50c6 6067 0003",
		"an error about UDP":           "0301 fcfe 00000000  45000080 c3f54000 3f11 ea5f c6120001 c6120102  0800 50c6 6067 0003",
		"an error about a later piece": "0301 fcfe 00000000  45000080 c3f52002 3f01 ea5f c6120001 c6120102  0800 50c6 6067 0003",
		"an error with a long header":  "0301 fcfe 00000000  4f000080 c3f54000 3f01 ea5f c6120001 c6120102  0800 50c6 6067 0003",
		"an answer with a code":        "0001 50c6 6067 0003 0000",
		"a header of UDP":              "45000026 78a00000 4011 0437 7f000001 7f000001  0000 3c42 af73 0000",
		"a header that is too short":   "44000026 78a00000 4001 0437 7f000001 7f000001  0000 3c42 af73 0000",
	} {
		b := unhex(t, packet)
		if got, ok := icmp.ParseReply(b, false); ok {
			t.Errorf("%s: an answer, %+v", name, got)
		}
		if e, q, ok := icmp.Parse(b, false); ok && q.Protocol == icmp.Protocol(false) {
			if request, ok := e.Request(); ok {
				t.Errorf("%s: %+v about %+v", name, e, request)
			}
		}
	}
}

func TestAppendRequest(t *testing.T) {
	for _, test := range []struct {
		v6   bool
		want string
	}{{false, "0800 e1c2 1234 0007 0102 03"}, {true, "8000 0000 1234 0007 0102 03"}} {
		b := icmp.Echo{ID: 0x1234, Seq: 7, Data: []byte{1, 2, 3}}.AppendRequest([]byte{9}, test.v6)
		if want := unhex(t, "09"+test.want); !bytes.Equal(b, want) {
			t.Errorf("got %x, want %x", b, want)
		}
	}
	// Whole words sum up to 0xffff, however often that carries (RFC 1071 section 1).
	for size := range 3000 {
		b := icmp.Echo{ID: 0xffff, Seq: uint16(size), Data: bytes.Repeat([]byte{0xff, byte(size)}, size)[:size]}.AppendRequest(nil, false)
		sum := 0
		for i, c := range b {
			sum += int(c) << (8 * (1 - i%2))
		}
		if sum%0xffff != 0 {
			t.Fatalf("the checksum of %x is wrong", b)
		}
	}
}

// FuzzReply: what is taken for an answer is one to the bit.
func FuzzReply(f *testing.F) {
	for _, c := range captures() {
		f.Add(unhex(f, c.packet), c.v6)
	}
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		if got, ok := icmp.ParseReply(b, v6); ok {
			if again := got.AppendRequest(nil, v6); !bytes.HasSuffix(b, again[4:]) {
				t.Errorf("%x is read as %x", b, again)
			}
		}
	})
}
