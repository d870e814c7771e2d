package esp

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// FuzzOpen gives any bytes to associations of every kind, once as they are and
// once as the content of a packet that is authentic. Nothing panics, what comes
// out is a whole IP packet, and bytes that are not authentic never come out.
func FuzzOpen(f *testing.F) {
	for _, kind := range kinds() {
		out := NewOutbound(testSPI, kind(f), Options{})
		f.Add(mustSeal(f, out, ipPacket(4, 60)), byte(nextIPv4))
		f.Add(mustSeal(f, out, ipPacket(6, 60)), byte(nextIPv6))
	}
	f.Add(ipPacket(4, 77), byte(nextIPv4))
	f.Add(append(ipPacket(6, 40), 1, 2, 2, nextIPv6), byte(nextIPv6))
	f.Add([]byte{0, 255, nextDummy}, byte(nextDummy))
	f.Add([]byte{}, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, next byte) {
		for name, kind := range kinds() {
			p := kind(t)
			in := NewInbound(testSPI, p, Options{ESN: next%2 == 1})
			if inner, err := in.Open(slices.Clone(b)); err == nil {
				// The seeds themselves are authentic where no upper half is.
				packet := slices.Clone(b)
				if in.esn || p.Open(packet, headSize, nil) != nil {
					t.Fatalf("%s: %d bytes that nobody sealed came out", name, len(inner))
				}
			}
			out := NewOutbound(testSPI, kind(t), Options{ESN: in.esn})
			sealed, err := out.seal(nil, b, 0, next)
			if err != nil {
				t.Fatal(err)
			}
			in = NewInbound(testSPI, p, Options{ESN: in.esn})
			inner, err := in.Open(sealed)
			if err != nil {
				continue
			}
			if !bytes.HasPrefix(b, inner) {
				t.Fatalf("%s: other bytes came out than went in", name)
			}
			switch next {
			case nextIPv4:
				if inner[0]>>4 != 4 || int(binary.BigEndian.Uint16(inner[2:])) != len(inner) {
					t.Fatalf("%s: not a whole IPv4 packet: % x", name, inner)
				}
			case nextIPv6:
				if inner[0]>>4 != 6 || int(binary.BigEndian.Uint16(inner[4:]))+ipv6Header != len(inner) {
					t.Fatalf("%s: not a whole IPv6 packet: % x", name, inner)
				}
			default:
				t.Fatalf("%s: next header %d came out", name, next)
			}
		}
	})
}

// FuzzSort: whatever a datagram holds, what is taken off it is in it.
func FuzzSort(f *testing.F) {
	f.Add([]byte{0xff})
	f.Add(AppendIKE(nil, []byte{1, 2, 3}))
	f.Add([]byte{0, 0, 1, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		switch Sort(b) {
		case IKE:
			if m := TrimIKE(b); len(m) != len(b)-markerSize || len(m) == 0 || !bytes.HasSuffix(b, m) {
				t.Fatalf("% x", m)
			}
		case Packet:
			if spi, ok := SPI(b); !ok || spi < minSPI {
				t.Fatalf("SPI %d, %v", spi, ok)
			}
		case Keepalive:
			if len(b) != 1 {
				t.Fatalf("a keepalive of %d bytes", len(b))
			}
		case Junk:
		}
	})
}
