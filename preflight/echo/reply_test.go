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

// What Wine's API wrote for 8 bytes of data, to memory at base4; and the same as
// it is documented for IPv6, which Wine has not.
const (
	reply4 = "7f000001 00000000 00000000 0800 0000 78e09436c9200000 40 00 02 00 00000000 78e09436c9200000  ce562afc8d2ed117 0000000000000000 00000000000000000000000000000000"
	reply6 = "0000 00000000 00000000000000000000000000000001 00000000 0000 00000000 01000000  ce562afc8d2ed117 0000000000000000 00000000000000000000000000000000"
	base4  = 0x20c93694e050
	data   = "\xce\x56\x2a\xfc\x8d\x2e\xd1\x17"
)

func TestReply4(t *testing.T) {
	b := wire(t, reply4)
	r, ok := readReply4(b, base4)
	if !ok || r.from != netip.MustParseAddr("127.0.0.1") || r.status != ipSuccess || string(r.data) != data {
		t.Errorf("%+v, %v", r, ok)
	}
	for n := range replyLen4 + 8 {
		if r, ok := readReply4(b[:n], base4); ok {
			t.Errorf("%d bytes of it: %+v", n, r)
		}
	}
	for name, base := range map[string]uint64{"before the buffer": base4 + 41, "behind it": base4 - 1000, "at its very end": base4 - uint64(len(b)-40-7), "far away": 1 << 63} {
		if r, ok := readReply4(b, base); ok {
			t.Errorf("data that is %s: %+v", name, r)
		}
	}
	copy(b[4:], wire(t, "fb2a0000")) // IP_DEST_HOST_UNREACHABLE
	if r, ok := readReply4(b, 0); !ok || r.status != 11003 || r.data != nil {
		t.Errorf("a refusal, whose data is anywhere: %+v, %v", r, ok)
	}
	clear(b[4:])
	if r, ok := readReply4(b, 0); !ok || len(r.data) != 0 {
		t.Errorf("no data: %+v, %v", r, ok)
	}
}

func TestReply6(t *testing.T) {
	b := wire(t, reply6)
	r, ok := readReply6(b, 8)
	if !ok || r.from != netip.MustParseAddr("::1") || r.status != ipSuccess || string(r.data) != data {
		t.Errorf("%+v, %v", r, ok)
	}
	for n := range replyLen6 + 8 {
		if r, ok := readReply6(b[:n], 8); ok {
			t.Errorf("%d bytes of it: %+v", n, r)
		}
	}
	if r, ok := readReply6(b, len(b)); ok {
		t.Errorf("more data than there is: %+v", r)
	}
}

// TestStatus has words for every status, and a sender for what ICMP said.
func TestStatus(t *testing.T) {
	from := netip.MustParseAddr("192.0.2.1")
	for status := uint32(ipStatusBase + 1); status < ipStatusBase+100; status++ {
		for _, is6 := range []bool{false, true} {
			e := reply{from: from, status: status}.event(is6)
			if e.Said == "" || e.Kind == Echoed || (e.Kind == TooBig) != (status == ipTooBig) || e.Exceeded != (status == 11013 || status == 11041) {
				t.Errorf("%d: %+v", status, e)
			}
			if _, ok := statusError(status, is6); ok && e.From != from {
				t.Errorf("%d: %+v is from nobody", status, e)
			}
		}
	}
	for _, tt := range []struct {
		status uint32
		is6    bool
		said   string
		from   netip.Addr
	}{
		{11002, false, "network unreachable", from},
		{11002, true, "no route to destination", from},
		{11003, false, "host unreachable", from},
		{11003, true, "address unreachable", from},
		{11004, false, "protocol unreachable", from},
		{11004, true, "prohibited by a firewall", from},
		{11005, false, "port unreachable", from},
		{11005, true, "port unreachable", from},
		{11013, true, "time to live exceeded", from},
		{11014, false, "not all fragments came in time", from},
		{11015, true, "parameter problem", from},
		{11018, false, "bad destination", netip.Addr{}},
		{11040, false, "unreachable", from},
		{11045, false, "out of scope", from},
		{11045, true, "beyond the scope of the source address", from},
		{11050, false, "general failure", netip.Addr{}},
		{11099, false, "IP_STATUS 11099", netip.Addr{}},
	} {
		if e := (reply{from: from, status: tt.status}).event(tt.is6); e.Said != tt.said || e.From != tt.from {
			t.Errorf("%d: %+v, want %q from %v", tt.status, e, tt.said, tt.from)
		}
	}
	if e := (reply{from: netip.IPv4Unspecified(), status: 11003}).event(false); e.From.IsValid() {
		t.Errorf("from no address: %+v", e)
	}
}

// FuzzReply: data is never read from outside of the buffer.
func FuzzReply(f *testing.F) {
	f.Add(wire(f, reply4), uint64(base4), 8)
	f.Add(wire(f, reply6), uint64(0), 8)
	f.Fuzz(func(t *testing.T, b []byte, base uint64, size int) {
		if r, ok := readReply4(b, base); ok && !bytes.Contains(b, r.data) {
			t.Errorf("%x at %x holds no %x", b, base, r.data)
		}
		if r, ok := readReply6(b, size); ok && (!bytes.Contains(b, r.data) || r.status == ipSuccess && len(r.data) != size) {
			t.Errorf("%x holds no %x", b, r.data)
		}
	})
}
