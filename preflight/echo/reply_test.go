package echo

import (
	"bytes"
	"net/netip"
	"testing"
)

// What the API wrote for 127.0.0.1 and ::1, with its data at the end.
const (
	reply4 = "7f000001 00000000 00000000 0400 0000 2800001000000000 40 00 00 00 00000000 0000000000000000  61626364 0000000000000000 00000000000000000000000000000000"
	reply6 = "0000 00000000 00000000000000000000000000000001 00000000 0000 00000000 01000000  61626364 0000000000000000 00000000000000000000000000000000"
	base4  = 0x10000000
)

func TestReply4(t *testing.T) {
	b := wire(t, reply4)
	r, ok := readReply4(b, base4)
	if !ok || r.from != netip.MustParseAddr("127.0.0.1") || r.status != ipSuccess || string(r.data) != "abcd" {
		t.Errorf("%+v, %v", r, ok)
	}
	for n := range replyLen4 + 4 {
		if r, ok := readReply4(b[:n], base4); ok {
			t.Errorf("%d bytes of it: %+v", n, r)
		}
	}
	for name, base := range map[string]uint64{"before the buffer": base4 + 41, "behind it": base4 - 1000, "at its very end": base4 - uint64(len(b)-40-3), "far away": 1 << 63} {
		if r, ok := readReply4(b, base); ok {
			t.Errorf("data that is %s: %+v", name, r)
		}
	}
	copy(b[4:], wire(t, "fa2a0000")) // IP_DEST_HOST_UNREACHABLE
	b[4], b[5] = 0xfb, 0x2a
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
	r, ok := readReply6(b, 4)
	if !ok || r.from != netip.MustParseAddr("::1") || r.status != ipSuccess || string(r.data) != "abcd" {
		t.Errorf("%+v, %v", r, ok)
	}
	for n := range replyLen6 + 4 {
		if r, ok := readReply6(b[:n], 4); ok {
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
	f.Add(wire(f, reply4), uint64(base4), 4)
	f.Add(wire(f, reply6), uint64(0), 4)
	f.Fuzz(func(t *testing.T, b []byte, base uint64, size int) {
		if r, ok := readReply4(b, base); ok && !bytes.Contains(b, r.data) {
			t.Errorf("%x at %x holds no %x", b, base, r.data)
		}
		if r, ok := readReply6(b, size); ok && (!bytes.Contains(b, r.data) || r.status == ipSuccess && len(r.data) != size) {
			t.Errorf("%x holds no %x", b, r.data)
		}
	})
}
