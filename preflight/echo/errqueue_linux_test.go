package echo

import (
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

// What the kernel wrote beside three errors: a time stamp, and IP_RECVERR or
// IPV6_RECVERR.
const (
	stamp    = "2000000000000000 01000000 23000000  eb1d0b6b00000000 2eea0e2d00000000  "
	control4 = stamp + "3000000000000000 00000000 0b000000  71000000 02 03 01 00 00000000 00000000  0200 0000 c6120002 0000000000000000"
	tooBig4  = stamp + "3000000000000000 00000000 0b000000  5a000000 02 03 04 00 14050000 00000000  0200 0000 c6120002 0000000000000000"
	tooBig6  = stamp + "3c00000000000000 29000000 19000000  5a000000 03 02 00 00 14050000 00000000  0a00 0000 00000000 20010db8001200000000000000000002 00000000 00000000"

	quoted4 = "0800 13f0 5725 0009 f0c4"
	quoted6 = "8000 d78e 8376 0009 d486"
)

func sixtyFour() bool {
	one := uint16(1)
	return unsafe.Sizeof(uintptr(0)) == 8 && *(*byte)(unsafe.Pointer(&one)) == 1
}

func TestErrorQueue(t *testing.T) {
	if !sixtyFour() {
		t.Log("written by another kind of machine: TestRefusals shows it here")
		return
	}
	now := time.Unix(0x6b0b1deb, 0x2d0eea2e).Add(300 * time.Microsecond)
	for _, test := range []struct {
		name, control, quoted string
		is6                   bool
		from                  string
		want                  message
	}{
		{"host unreachable", control4, quoted4, false, "198.18.0.2", message{kind: Refused, id: 0x5725, seq: 9, said: "host unreachable"}},
		{"fragmentation needed", tooBig4, quoted4, false, "198.18.0.2", message{kind: TooBig, id: 0x5725, seq: 9, mtu: 1300, said: "fragmentation needed"}},
		{"packet too big", tooBig6, quoted6, true, "2001:db8:12::2", message{kind: TooBig, id: 0x8376, seq: 9, mtu: 1300, said: "packet too big"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, quoted := wire(t, test.control), wire(t, test.quoted)
			at, e := readControl(b, now, test.is6)
			if age := now.Sub(at); age != 300*time.Microsecond {
				t.Errorf("it came %v ago", age)
			}
			m, ok := e.about(quoted, test.is6)
			if !ok || e.from != netip.MustParseAddr(test.from) || m.kind != test.want.kind || m.id != test.want.id || m.seq != test.want.seq || m.mtu != test.want.mtu || m.said != test.want.said {
				t.Errorf("%+v, %+v, %v", e, m, ok)
			}
			for n := range quoted[:headerLen] {
				if m, ok := e.about(quoted[:n], test.is6); ok {
					t.Errorf("%d bytes quoted: %+v", n, m)
				}
			}
			for n := range b {
				if _, e := readControl(b[:n], now, test.is6); e.from.IsValid() && n < len(b)-12 {
					t.Errorf("%d bytes of %d: %+v", n, len(b), e)
				}
			}
			if _, e := readControl(b, now, !test.is6); e != (trouble{}) {
				t.Errorf("of the other protocol: %+v", e)
			}
		})
	}
	// A clock that was set between the two is not believed.
	for _, off := range []time.Duration{-time.Microsecond, 2 * time.Second, -time.Hour} {
		later := time.Unix(0x6b0b1deb, 0x2d0eea2e).Add(off)
		if at, _ := readControl(wire(t, control4), later, false); !at.Equal(later) {
			t.Errorf("a clock that is %v off: %v", off, at.Sub(later))
		}
	}
	// What this machine says itself is told by sending.
	if m, ok := (trouble{origin: 1, kind: unreachable4, code: 1}).about(wire(t, quoted4), false); ok {
		t.Errorf("an error of this machine's own: %+v", m)
	}
}

// FuzzErrorQueue: an error is said only of a request that is quoted, and has
// words.
func FuzzErrorQueue(f *testing.F) {
	f.Add(wire(f, control4), wire(f, quoted4), false)
	f.Add(wire(f, tooBig4), wire(f, quoted4), false)
	f.Add(wire(f, tooBig6), wire(f, quoted6), true)
	f.Fuzz(func(t *testing.T, control, quoted []byte, is6 bool) {
		now := time.Unix(2_000_000_000, 0)
		at, e := readControl(control, now, is6)
		if at.After(now) || now.Sub(at) >= late {
			t.Errorf("%x came at %v", control, at)
		}
		if m, ok := e.about(quoted, is6); ok && (len(quoted) < headerLen || m.said == "" || m.kind == Echoed || m.mtu > 1<<16) {
			t.Errorf("%x about %x: %+v", control, quoted, m)
		}
	})
}
