package echo

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// wire makes bytes of hex with spaces.
func wire(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A capture is what a socket of Linux was given on a path with a router, with
// what it says.
type capture struct {
	name   string
	packet string
	is6    bool
	to     string
	want   message // without data
	data   int     // how many bytes of data
}

func captures() []capture {
	const cookie4, cookie6 = "918b2bd61c9d3a4b 0809", "6d9710e12f3f1246 0809"
	return []capture{
		{
			"an answer with its header", "45000026 78a00000 4001 0437 7f000001 7f000001  0000 3c42 af73 0000 " + cookie4, false, "127.0.0.1",
			message{kind: Echoed, id: 0xaf73}, 10,
		},
		{"an answer without one", "0000 49cc 88e8 fffe 141df4cea7e77c77", false, "127.0.0.1", message{kind: Echoed, id: 0x88e8, seq: 65534}, 8},
		{"an answer without data", "4500001c 789a0000 4001 0445 7f000001 7f000001  0000 508e af73 fffd", false, "127.0.0.1", message{kind: Echoed, id: 0xaf73, seq: 65533}, 0},
		{"an answer of IPv6", "8100 b3e8 1f99 0001 " + cookie6, true, "::1", message{kind: Echoed, id: 0x1f99, seq: 1}, 10},
		{
			"host unreachable", "45c0009c b3f10000 4001 3988 c6120002 c6120001  0301 fcfe 00000000  45000080 c3f54000 3f01 ea5f c6120001 c6120102  0800 50c6 6067 0003", false, "198.18.1.2",
			message{kind: Refused, id: 0x6067, seq: 3, said: "host unreachable"}, 0,
		},
		{
			"prohibited", "45c0009c b44e0000 4001 392b c6120002 c6120001  030d fcf2 00000000  45000080 c42a4000 3f01 ea2a c6120001 c6120102  0800 ccb4 9f65 0000 a0f1", false, "198.18.1.2",
			message{kind: Refused, id: 0x9f65, said: "prohibited by a firewall"}, 0,
		},
		{
			"fragmentation needed", "45c00240 2e870000 4001 bd4e c6120002 c6120001  0304 34a4 00000514  45000515 00004000 4001 a8c0 c6120001 c6120102  0800 20f2 4128 0000 f639", false, "198.18.1.2",
			message{kind: TooBig, id: 0x4128, mtu: 1300, said: "fragmentation needed"}, 0,
		},
		{
			"no route, of IPv6", "0100 32a4 00000000  600dd5d9 006c 3a 3f 20010db8001200000000000000000001 20010db8001200010000000000000002  8000 5d23 9cfc 0000 1669", true, "2001:db8:12:1::2",
			message{kind: Refused, id: 0x9cfc, said: "no route to destination"}, 0,
		},
		{
			"packet too big", "0200 c831 00000514  600dd5d9 04ed 3a 40 20010db8001200000000000000000001 20010db8001200010000000000000002  8000 7d68 11be 0002 5bec", true, "2001:db8:12:1::2",
			message{kind: TooBig, id: 0x11be, seq: 2, mtu: 1300, said: "packet too big"}, 0,
		},
	}
}

func TestParse(t *testing.T) {
	for _, c := range captures() {
		t.Run(c.name, func(t *testing.T) {
			b, to := wire(t, c.packet), netip.MustParseAddr(c.to)
			got, ok := parse(b, c.is6, to.AsSlice())
			if !ok || len(got.data) != c.data || !bytes.HasSuffix(b, got.data) {
				t.Fatalf("%v, data %x", ok, got.data)
			}
			// A quoted header may be all that there is.
			least := len(b) - len(got.data)
			if c.want.kind != Echoed {
				least = len(b) - 2
				if c.name == "host unreachable" {
					least = len(b)
				}
			}
			for n := range least {
				if m, ok := parse(b[:n], c.is6, to.AsSlice()); ok {
					t.Errorf("%d bytes of %d: %+v", n, len(b), m)
				}
			}
			got.data = nil
			if got.kind != c.want.kind || got.id != c.want.id || got.seq != c.want.seq || got.mtu != c.want.mtu || got.said != c.want.said {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if other := to.Next(); c.want.kind != Echoed {
				if m, ok := parse(b, c.is6, other.AsSlice()); ok {
					t.Errorf("taken for an error about a packet to %v: %+v", other, m)
				}
			}
		})
	}
}

// TestIgnored are messages that are about no request of ours.
func TestIgnored(t *testing.T) {
	to := netip.MustParseAddr("198.18.1.2")
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
		if m, ok := parse(wire(t, packet), false, to.AsSlice()); ok {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestRequest(t *testing.T) {
	for _, test := range []struct {
		is6  bool
		want string
	}{{false, "0800 e1c2 1234 0007 0102 03"}, {true, "8000 0000 1234 0007 0102 03"}} {
		b := appendRequest([]byte{9}, test.is6, 0x1234, 7, []byte{1, 2, 3})
		if want := wire(t, "09"+test.want); !bytes.Equal(b, want) {
			t.Errorf("got %x, want %x", b, want)
		}
		if !test.is6 && checksum(b[1:]) != 0 {
			t.Errorf("the checksum of %x is wrong", b[1:])
		}
	}
}

func TestOverheard(t *testing.T) {
	for _, c := range captures() {
		b := wire(t, c.packet)
		if c.is6 {
			head := wire(t, "60000000 0000 3a 40 20010db8001200000000000000000009 20010db8001200000000000000000001")
			b = append(head, b...)
		} else if b[0] != 0x45 {
			continue
		}
		e, id, to, ok := Overheard(b)
		if c.want.kind == Echoed {
			if ok {
				t.Errorf("%s: %+v", c.name, e)
			}
			continue
		}
		from := "198.18.0.2"
		if c.is6 {
			from = "2001:db8:12::9"
		}
		if !ok || id != c.want.id || to.String() != c.to || e.Seq != c.want.seq || e.Kind != c.want.kind || e.MTU != c.want.mtu || e.Said != c.want.said || e.From.String() != from {
			t.Errorf("%s: %+v, %x, %v, %v", c.name, e, id, to, ok)
		}
	}
}

// TestMeanings has words for every code, and different ones for what differs.
func TestMeanings(t *testing.T) {
	for code := range 256 {
		for _, words := range []string{unreachable4Words(byte(code)), unreachable6Words(byte(code))} {
			if words == "" {
				t.Errorf("no words for code %d", code)
			}
		}
	}
	for _, test := range []struct {
		is6        bool
		kind, code byte
		want       string
	}{
		{false, timeExceeded4, 0, "time to live exceeded"},
		{true, timeExceeded6, 1, "not all fragments came in time"},
		{false, badParameter4, 0, "parameter problem"},
		{false, unreachable4, 200, "unreachable, code 200"},
		{true, unreachable6, 3, "address unreachable"},
	} {
		if m, ok := meaning(test.is6, test.kind, test.code, 0); !ok || m.kind != Refused || m.said != test.want {
			t.Errorf("%d, %d: %+v, %v", test.kind, test.code, m, ok)
		}
	}
	if m, ok := meaning(true, packetTooBig6, 0, 1<<31); !ok || m.mtu > 1<<16 {
		t.Errorf("an MTU out of bounds: %+v, %v", m, ok)
	}
}

// FuzzParse: what is taken for an answer is one to the bit, and nothing is read
// that is not there.
func FuzzParse(f *testing.F) {
	for _, c := range captures() {
		f.Add(wire(f, c.packet), c.is6)
	}
	f.Fuzz(func(t *testing.T, b []byte, is6 bool) {
		to := netip.MustParseAddr("198.18.1.2")
		if is6 {
			to = netip.MustParseAddr("2001:db8:12:1::2")
		}
		m, ok := parse(b, is6, to.AsSlice())
		switch {
		case !ok:
		case m.kind == Echoed:
			again := appendRequest(nil, is6, m.id, m.seq, m.data)
			if !bytes.HasSuffix(b, again[4:]) {
				t.Errorf("%x is read as %x", b, again)
			}
		case m.said == "" || m.mtu < 0 || m.mtu > 1<<16 || m.data != nil:
			t.Errorf("%x is read as %+v", b, m)
		}
		if e, _, to, ok := Overheard(b); ok && (!to.IsValid() || !e.From.IsValid() || e.Said == "" || e.Kind == Echoed) {
			t.Errorf("%x is overheard as %+v to %v", b, e, to)
		}
	})
}
