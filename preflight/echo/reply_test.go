package echo

import (
	"bytes"
	"net/netip"
	"testing"
)

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

func TestStatus(t *testing.T) {
	for status := uint32(ipStatusBase + 1); status < ipStatusBase+100; status++ {
		for _, is6 := range []bool{false, true} {
			if m, _ := statusMeaning(status, is6); m.said == "" || m.kind == Echoed || (m.kind == TooBig) != (status == ipTooBig) {
				t.Errorf("%d: %+v", status, m)
			}
		}
	}
	if m, local := statusMeaning(11004, true); m.said != "prohibited by a firewall" || local {
		t.Errorf("%+v, %v", m, local)
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
