package esp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

const testSPI = 0xc0ffee01

// kinds returns a fresh Protection of each kind that differs in how a packet is
// laid out; both sides of a test ask for one of their own.
func kinds() map[string]func(testing.TB) Protection {
	return map[string]func(testing.TB) Protection{
		"aes256gcm16": func(t testing.TB) Protection {
			return newGCM(t, bytes.Repeat([]byte{7}, 32), []byte("salt"))
		},
		"aes128-sha256": func(t testing.TB) Protection {
			return newCBC(t, bytes.Repeat([]byte{7}, 16), bytes.Repeat([]byte{8}, 32))
		},
	}
}

// ipPacket returns an IP packet of n bytes whose header is right in version and
// length.
func ipPacket(version, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 7)
	}
	if version == 4 {
		p[0] = 0x45
		binary.BigEndian.PutUint16(p[2:], uint16(n))
	} else {
		p[0] = 0x60
		binary.BigEndian.PutUint16(p[4:], uint16(n-ipv6Header))
	}
	return p
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustSeal(t testing.TB, o *Outbound, packet []byte) []byte {
	t.Helper()
	p, err := o.Seal(nil, packet)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRoundTrip seals packets of every length up to a bit beyond the usual, in
// both IP versions, and opens them: the same bytes come back.
func TestRoundTrip(t *testing.T) {
	for name, kind := range kinds() {
		for _, esn := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s esn=%v", name, esn), func(t *testing.T) {
				out := NewOutbound(testSPI, kind(t), Options{ESN: esn})
				in := NewInbound(testSPI, kind(t), Options{ESN: esn})
				var buf []byte
				for n := ipv4Header; n < 1600; n++ {
					version := 4
					if n >= ipv6Header && n%2 == 0 {
						version = 6
					}
					packet := ipPacket(version, n)
					prefix := []byte("before")
					sealed, err := out.Seal(append(buf[:0], prefix...), packet)
					if err != nil {
						t.Fatal(err)
					}
					buf = sealed
					if !bytes.HasPrefix(sealed, prefix) {
						t.Fatalf("what was in dst is gone")
					}
					sealed = sealed[len(prefix):]
					if len(sealed) != SealedSize(out.Sizes(), n) || len(sealed)%4 != 0 {
						t.Fatalf("%d bytes inside make %d, said %d", n, len(sealed), SealedSize(out.Sizes(), n))
					}
					if bytes.Contains(sealed, packet[:16]) {
						t.Fatal("the packet can be read")
					}
					inner, err := in.Open(sealed)
					if err != nil || !bytes.Equal(inner, packet) {
						t.Fatalf("%d bytes: got %d, %v", n, len(inner), err)
					}
				}
				want := Stats{Packets: 1580, Bytes: (20 + 1599) * 1580 / 2, Sequence: 1580}
				if out.Stats() != want || in.Stats() != want {
					t.Errorf("out %+v, in %+v, want %+v", out.Stats(), in.Stats(), want)
				}
			})
		}
	}
}

// TestInnerSize: the longest packet fits, one byte more does not.
func TestInnerSize(t *testing.T) {
	for name, kind := range kinds() {
		p := kind(t)
		for n := range 3000 {
			inner := InnerSize(p, n)
			if inner > 0 && SealedSize(p, inner) > n {
				t.Fatalf("%s: %d bytes do not fit in %d", name, inner, n)
			}
			if inner > 0 && SealedSize(p, inner+1) <= n {
				t.Fatalf("%s: %d bytes would fit in %d, said %d", name, inner+1, n, inner)
			}
		}
		if InnerSize(p, 3) != 0 {
			t.Errorf("%s: something fits in 3 bytes", name)
		}
	}
	// A path of 1,500 bytes, IPv4 and UDP, AES-GCM and AES-CBC with SHA-256.
	if got := InnerSize(kinds()["aes256gcm16"](t), 1472); got != 1438 {
		t.Errorf("AES-GCM: %d", got)
	}
	if got := InnerSize(kinds()["aes128-sha256"](t), 1472); got != 1422 {
		t.Errorf("AES-CBC: %d", got)
	}
}

// TestVectorRFC7634 is the whole packet of RFC 7634 appendix A, both ways.
func TestVectorRFC7634(t *testing.T) {
	inner := unhex(t, `45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10
		0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
		2425262728292a2b2c2d2e2f3031323334353637`)
	want := unhex(t, `01020304 00000005 1011121314151617
		24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
		14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3
		cbec163fac469b502773f6fb94e664da9165b82829f641e0
		76aaa8266b7fb0f7b11b369907e1ad43`)
	key := unhex(t, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")
	protection := func() *aead {
		c, err := chacha20poly1305.New(key)
		if err != nil {
			t.Fatal(err)
		}
		p := newAEAD(c, unhex(t, "a0a1a2a3"))
		p.iv = 0x1011121314151617
		return p
	}
	out := NewOutbound(0x01020304, protection(), Options{})
	out.next = 5
	if got := mustSeal(t, out, inner); !bytes.Equal(got, want) {
		t.Errorf("sealed\n% x, want\n% x", got, want)
	}
	got, err := NewInbound(0x01020304, protection(), Options{}).Open(want)
	if err != nil || !bytes.Equal(got, inner) {
		t.Errorf("opened\n% x, %v, want\n% x", got, err, inner)
	}
}

// TestPadding holds the trailer against RFC 4303 section 2.4: bytes that count
// from 1, their number, the next header.
func TestPadding(t *testing.T) {
	p := newCBC(t, make([]byte, 16), make([]byte, 32))
	for n := 20; n < 60; n++ {
		sealed := mustSeal(t, NewOutbound(testSPI, p, Options{}), ipPacket(4, n))
		if err := p.Open(sealed, headSize, nil); err != nil {
			t.Fatal(err)
		}
		trailer := sealed[headSize+16+n : len(sealed)-16]
		pad := trailer[:len(trailer)-2]
		if len(pad) > 15 || int(trailer[len(pad)]) != len(pad) || trailer[len(pad)+1] != 4 {
			t.Fatalf("%d bytes inside: trailer % x", n, trailer)
		}
		for i, b := range pad {
			if int(b) != i+1 {
				t.Fatalf("%d bytes inside: trailer % x", n, trailer)
			}
		}
	}
}

// TestFillAndDummies: padding behind the packet is cut off, dummies are told
// from all else, and both count as received.
func TestFillAndDummies(t *testing.T) {
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			out := NewOutbound(testSPI, kind(t), Options{})
			in := NewInbound(testSPI, kind(t), Options{})
			for _, version := range []int{4, 6} {
				packet := ipPacket(version, 100)
				next := nextHeader(packet)
				for _, fill := range []int{0, 1, 2, 300, 1300} {
					sealed, err := out.seal(nil, packet, fill, next)
					if err != nil {
						t.Fatal(err)
					}
					inner, err := in.Open(sealed)
					if err != nil || !bytes.Equal(inner, packet) || cap(inner) != len(inner) {
						t.Errorf("IPv%d with %d bytes behind it: %d bytes, %v", version, fill, len(inner), err)
					}
				}
			}
			for _, n := range []int{0, 1, 1400} {
				sealed, err := out.SealDummy(nil, n)
				if err != nil {
					t.Fatal(err)
				}
				if inner, err := in.Open(slices.Clone(sealed)); !errors.Is(err, ErrDummy) || inner != nil {
					t.Errorf("a dummy of %d bytes: %v, %v", n, inner, err)
				}
				if _, err := in.Open(sealed); !errors.Is(err, ErrReplay) {
					t.Errorf("the dummy again: %v", err)
				}
			}
			if got := in.Stats(); got.Dummies != 3 || got.Replayed != 3 || got.Packets != 10 || got.Sequence != 13 {
				t.Errorf("stats %+v", got)
			}
			if got := out.Stats(); got.Dummies != 3 || got.Packets != 10 {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

// TestNonsenseInside: packets that are authentic and whose inside cannot be.
func TestNonsenseInside(t *testing.T) {
	long4, short4, long6 := ipPacket(4, 60), ipPacket(4, 60), ipPacket(6, 60)
	binary.BigEndian.PutUint16(long4[2:], 200)
	binary.BigEndian.PutUint16(short4[2:], 19)
	binary.BigEndian.PutUint16(long6[4:], 200)
	for name, tc := range map[string]struct {
		packet []byte
		next   byte
	}{
		"IPv4 longer than the packet":   {long4, nextIPv4},
		"IPv4 shorter than its header":  {short4, nextIPv4},
		"IPv6 longer than the packet":   {long6, nextIPv6},
		"IPv4 said to be IPv6":          {ipPacket(4, 60), nextIPv6},
		"IPv6 said to be IPv4":          {ipPacket(6, 60), nextIPv4},
		"TCP, as in transport mode":     {ipPacket(4, 60), 6},
		"cut off in the IPv4 header":    {ipPacket(4, 20)[:19], nextIPv4},
		"cut off in the IPv6 header":    {ipPacket(6, 40)[:39], nextIPv6},
		"nothing inside, said to be IP": {nil, nextIPv4},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range kinds() {
				out, in := NewOutbound(testSPI, kind(t), Options{}), NewInbound(testSPI, kind(t), Options{})
				sealed, err := out.seal(nil, tc.packet, 0, tc.next)
				if err != nil {
					t.Fatal(err)
				}
				if inner, err := in.Open(sealed); !errors.Is(err, ErrMalformed) {
					t.Errorf("got %d bytes, %v", len(inner), err)
				}
				if got := in.Stats(); got != (Stats{Malformed: 1, Sequence: 1}) {
					t.Errorf("stats %+v", got)
				}
			}
		})
	}
	out := NewOutbound(testSPI, kinds()["aes256gcm16"](t), Options{})
	for _, p := range [][]byte{nil, {0x45}, ipPacket(4, 20)[:19], ipPacket(6, 40)[:39], bytes.Repeat([]byte{0x55}, 60)} {
		if dst, err := out.Seal([]byte("x"), p); !errors.Is(err, ErrMalformed) || string(dst) != "x" {
			t.Errorf("sealed % x: %q, %v", p, dst, err)
		}
	}
	if got := out.Stats(); got != (Stats{Malformed: 5}) {
		t.Errorf("stats %+v", got)
	}
}

// TestPadLength: a pad length that is longer than what is there.
func TestPadLength(t *testing.T) {
	p := newGCM(t, make([]byte, 16), []byte("salt"))
	packet := make([]byte, headSize+8+24+16)
	binary.BigEndian.PutUint32(packet, testSPI)
	for _, tc := range []struct {
		pad  byte
		want error
	}{{2, nil}, {3, ErrMalformed}, {22, ErrMalformed}, {23, ErrMalformed}, {255, ErrMalformed}} {
		seq := uint32(tc.pad)
		binary.BigEndian.PutUint32(packet[4:], seq)
		content := packet[headSize+8:][:24]
		copy(content, ipPacket(4, 20))
		content[22], content[23] = tc.pad, nextIPv4
		p.Seal(packet, headSize, nil, uint64(seq))
		if _, err := NewInbound(testSPI, p, Options{}).Open(packet); err != tc.want {
			t.Errorf("pad length %d of 22 bytes: %v, want %v", tc.pad, err, tc.want)
		}
	}
}

// TestDamage flips every bit, cuts at every length and lengthens: nothing gets
// in, and the window is not moved by it.
func TestDamage(t *testing.T) {
	for name, kind := range kinds() {
		for _, esn := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s esn=%v", name, esn), func(t *testing.T) {
				in := NewInbound(testSPI, kind(t), Options{ESN: esn})
				sealed := mustSeal(t, NewOutbound(testSPI, kind(t), Options{ESN: esn}), ipPacket(4, 90))
				for bit := range len(sealed) * 8 {
					bad := slices.Clone(sealed)
					bad[bit/8] ^= 1 << (bit % 8)
					if inner, err := in.Open(bad); err == nil {
						t.Fatalf("bit %d flipped, and %d bytes got in", bit, len(inner))
					}
				}
				for n := range len(sealed) {
					if _, err := in.Open(slices.Clone(sealed[:n])); err == nil {
						t.Fatalf("%d of %d bytes got in", n, len(sealed))
					}
				}
				for n := 1; n < 40; n++ {
					if _, err := in.Open(append(slices.Clone(sealed), make([]byte, n)...)); err == nil {
						t.Fatalf("%d bytes more got in", n)
					}
				}
				if s := in.Stats(); s.Packets != 0 || s.Sequence != 0 || s.BadICV == 0 || s.Malformed == 0 {
					t.Errorf("stats %+v", s)
				}
				if _, err := in.Open(sealed); err != nil {
					t.Errorf("the packet itself: %v", err)
				}
			})
		}
	}
}

// TestReorder sends packets in disorder, with losses and doubles, past a slow
// model of the window.
func TestReorder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p := kinds()["aes256gcm16"](t)
	out := NewOutbound(testSPI, p, Options{})
	in := NewInbound(testSPI, kinds()["aes256gcm16"](t), Options{Window: 1024})
	var all [][]byte
	for range 6000 {
		all = append(all, mustSeal(t, out, ipPacket(4, 40)))
	}
	seen := map[int]bool{}
	top, replayed := 0, uint64(0)
	for range 30000 {
		k := min(max(top+rnd.IntN(3000)-2500, 0), len(all)-1)
		_, err := in.Open(slices.Clone(all[k]))
		seq := k + 1
		ok := !seen[seq] && seq > top-int(in.window.size())
		if ok != (err == nil) {
			t.Fatalf("number %d with %d as the highest, seen %v: %v", seq, top, seen[seq], err)
		}
		if err == nil {
			seen[seq] = true
			top = max(top, seq)
		} else {
			replayed++
		}
	}
	if s := in.Stats(); s.Packets != uint64(len(seen)) || s.Replayed != replayed || s.Sequence != uint64(top) {
		t.Errorf("stats %+v, model %d packets, %d replayed, top %d", s, len(seen), replayed, top)
	}
}

// TestSequenceEnds: the last number is sent, and none after it, with and
// without extended numbers.
func TestSequenceEnds(t *testing.T) {
	for _, tc := range []struct {
		esn  bool
		last uint64
	}{{false, math.MaxUint32}, {true, math.MaxUint64}} {
		for name, kind := range kinds() {
			out := NewOutbound(testSPI, kind(t), Options{ESN: tc.esn})
			in := NewInbound(testSPI, kind(t), Options{ESN: tc.esn})
			out.next = tc.last - 1
			in.window.mark(tc.last - 2)
			for range 2 {
				if _, err := in.Open(mustSeal(t, out, ipPacket(4, 40))); err != nil {
					t.Fatalf("%s esn=%v: %v", name, tc.esn, err)
				}
			}
			for range 2 {
				if dst, err := out.Seal(nil, ipPacket(4, 40)); !errors.Is(err, ErrSequence) || dst != nil {
					t.Fatalf("%s esn=%v: after the last number: %v", name, tc.esn, err)
				}
			}
			if out.Wear(time.Time{}) != Spent || out.Stats().Refused != 2 {
				t.Errorf("%s esn=%v: %v, %+v", name, tc.esn, out.Wear(time.Time{}), out.Stats())
			}
		}
	}
}

// TestExtendedTurn sends across 2^32 with disorder: the upper half is found,
// and is part of what is authenticated.
func TestExtendedTurn(t *testing.T) {
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			const turn = 1 << 32
			out := NewOutbound(testSPI, kind(t), Options{ESN: true})
			in := NewInbound(testSPI, kind(t), Options{ESN: true, Window: 1024})
			out.next = 3*turn - 500
			in.window.mark(3*turn - 501)
			var all [][]byte
			for range 1000 {
				all = append(all, mustSeal(t, out, ipPacket(6, 60)))
			}
			rnd := rand.New(rand.NewPCG(3, 4))
			order := rnd.Perm(len(all))
			for _, k := range order {
				if _, err := in.Open(slices.Clone(all[k])); err != nil {
					t.Fatalf("number %d past the turn: %v", k-500, err)
				}
			}
			for _, p := range all {
				if _, err := in.Open(slices.Clone(p)); !errors.Is(err, ErrReplay) {
					t.Fatalf("again: %v", err)
				}
			}
			// The same low half in another turn is another packet.
			other := NewInbound(testSPI, kind(t), Options{ESN: true})
			if _, err := other.Open(slices.Clone(all[900])); !errors.Is(err, ErrICV) {
				t.Errorf("two turns behind: %v", err)
			}
			plain := NewInbound(testSPI, kind(t), Options{})
			if _, err := plain.Open(slices.Clone(all[900])); !errors.Is(err, ErrICV) {
				t.Errorf("without extended numbers: %v", err)
			}
		})
	}
}

// TestLifetime: an association is worn, then spent, by bytes, packets and time.
func TestLifetime(t *testing.T) {
	created := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	size := uint64(contentSize(kinds()["aes256gcm16"](t), 100))
	for name, o := range map[string]Options{
		"packets":           {Lifetime: Lifetime{Packets: 10}},
		"bytes":             {Lifetime: Lifetime{Bytes: 10 * size}},
		"soft and hard":     {Lifetime: Lifetime{Packets: 10}, Soft: Lifetime{Packets: 8}},
		"soft by bytes":     {Lifetime: Lifetime{Packets: 10}, Soft: Lifetime{Bytes: 8 * size}},
		"esn":               {ESN: true, Lifetime: Lifetime{Packets: 10}},
		"time is of no use": {Created: created, Lifetime: Lifetime{Time: time.Hour, Packets: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			out := NewOutbound(testSPI, kinds()["aes256gcm16"](t), o)
			in := NewInbound(testSPI, kinds()["aes256gcm16"](t), o)
			twin := NewOutbound(testSPI, kinds()["aes256gcm16"](t), Options{ESN: o.ESN})
			for n := range 11 {
				want := Fresh
				switch {
				case n >= 10:
					want = Spent
				case n >= 8:
					want = Worn
				}
				if a, b := out.Wear(created), in.Wear(created); a != want || b != want {
					t.Fatalf("after %d packets: out is %v, in is %v, want %v", n, a, b, want)
				}
				_, errOut := out.Seal(nil, ipPacket(4, 100))
				_, errIn := in.Open(mustSeal(t, twin, ipPacket(4, 100)))
				if want == Spent {
					if !errors.Is(errOut, ErrSpent) || !errors.Is(errIn, ErrSpent) {
						t.Fatalf("past its lifetime: out %v, in %v", errOut, errIn)
					}
				} else if errOut != nil || errIn != nil {
					t.Fatalf("packet %d: out %v, in %v", n, errOut, errIn)
				}
			}
			if out.Stats().Refused != 1 || in.Stats().Refused != 1 {
				t.Errorf("out %+v, in %+v", out.Stats(), in.Stats())
			}
		})
	}
	o := Options{Created: created, Lifetime: Lifetime{Time: time.Hour}}
	for after, want := range map[time.Duration]Wear{0: Fresh, 47 * time.Minute: Fresh, 48 * time.Minute: Worn, time.Hour: Spent} {
		if got := NewOutbound(testSPI, kinds()["aes256gcm16"](t), o).Wear(created.Add(after)); got != want {
			t.Errorf("after %v: %v, want %v", after, got, want)
		}
	}
	// Without extended numbers there is always a limit.
	out := NewOutbound(testSPI, kinds()["aes256gcm16"](t), Options{})
	out.limits.used.Packets = 3_500_000_000
	if got := out.Wear(created); got != Worn {
		t.Errorf("after 3.5 of 4.3 billion packets: %v", got)
	}
}

// TestNoAllocation: neither way allocates for a packet.
func TestNoAllocation(t *testing.T) {
	for name, kind := range kinds() {
		for _, esn := range []bool{false, true} {
			out := NewOutbound(testSPI, kind(t), Options{ESN: esn})
			in := NewInbound(testSPI, kind(t), Options{ESN: esn})
			table := &Table{}
			table.Add(in)
			packet := ipPacket(4, 1400)
			buf := make([]byte, 0, 2048)
			got := testing.AllocsPerRun(500, func() {
				sealed, err := out.Seal(buf, packet)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := table.Open(sealed); err != nil {
					t.Fatal(err)
				}
				if _, _, err := table.Open(sealed); err != ErrReplay { // drops cost nothing either
					t.Fatal(err)
				}
			})
			if got != 0 {
				t.Errorf("%s esn=%v: %v allocations for a packet", name, esn, got)
			}
		}
	}
}
