package suite

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// suites returns each encryption with each key length, and where integrity goes
// with it each kind of that, for ESP.
func suites() []Suite {
	var all []Suite
	for _, a := range algorithms() {
		if a.typ != TypeEncryption {
			continue
		}
		for _, bits := range append(a.bits, 0)[:max(1, len(a.bits))] {
			e := Transform{Type: TypeEncryption, ID: a.id, KeyBits: bits}
			if a.aead() {
				all = append(all, Suite{Protocol: ESP, Encryption: e})
				continue
			}
			for _, i := range algorithms() {
				if i.typ == TypeIntegrity {
					all = append(all, Suite{Protocol: ESP, Encryption: e, Integrity: Transform{Type: TypeIntegrity, ID: i.id}})
				}
			}
		}
	}
	return all
}

// source is randomness that is the same in each run.
func source() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

func random(t testing.TB, r *rand.ChaCha8, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := r.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// pair returns two protections with the same random keys: of the sender and of
// the receiver.
func pair(t testing.TB, s Suite, r *rand.ChaCha8) (sender, receiver *Protection) {
	t.Helper()
	e, i, _ := s.KeySizes()
	encryption, integrity := random(t, r, e), random(t, r, i)
	protections := [2]*Protection{}
	for n := range protections {
		p, err := s.Protection(bytes.Clone(encryption), bytes.Clone(integrity))
		if err != nil {
			t.Fatal(err)
		}
		protections[n] = p
	}
	return protections[0], protections[1]
}

// TestSealOpen goes there and back by every suite, with and without extended
// sequence numbers, and changes each byte of some packets.
func TestSealOpen(t *testing.T) {
	all := suites()
	if len(all) < 100 {
		t.Fatalf("only %d suites", len(all))
	}
	r := source()
	for _, s := range all {
		t.Run(s.String(), func(t *testing.T) {
			sender, receiver := pair(t, s, r)
			for n, blocks := range []int{0, 1, 2, 7, 16, 90} {
				for _, high := range [][]byte{nil, {0, 0, 0, 1}} {
					const head = 8
					content := random(t, r, blocks*max(sender.BlockSize(), 4)+blocks%2*(sender.BlockSize()%2)*3)
					size := head + sender.IVSize() + len(content) + sender.ICVSize()
					packet := make([]byte, size, size+40)
					copy(packet, random(t, r, head))
					copy(packet[head+sender.IVSize():], content)
					clear := bytes.Clone(packet[:head])
					copy(packet[size:cap(packet)], strings.Repeat("x", 40))
					sender.Seal(packet, head, high, uint64(n+1))
					if string(packet[size:cap(packet)]) != strings.Repeat("x", 40) {
						t.Fatal("Seal wrote behind the packet")
					}
					if !bytes.Equal(packet[:head], clear) {
						t.Fatal("Seal changed the head")
					}
					got := packet[head+sender.IVSize() : size-sender.ICVSize()]
					if len(content) >= 16 && bytes.Equal(got, content) != (s.Encryption.ID == EncrNull) {
						t.Fatal("the content is not encrypted, or was to stay as it is")
					}
					for at := range packet {
						damaged := bytes.Clone(packet)
						damaged[at] ^= byte(1 + r.Uint64()%255)
						if err := receiver.Open(damaged, head, high); err != ErrCheck {
							t.Fatalf("byte %d of %d changed: %v", at, size, err)
						}
						if len(content) >= 16 && s.Encryption.ID != EncrNull && bytes.Contains(damaged, content) {
							t.Fatalf("byte %d of %d changed, and the content is there", at, size)
						}
						if at > 40 {
							break
						}
					}
					for _, other := range [][]byte{nil, {0, 0, 0, 0}, {0, 0, 0, 2}} {
						if err := receiver.Open(bytes.Clone(packet), head, other); bytes.Equal(other, high) != (err == nil) {
							t.Fatalf("high %x opened with %x: %v", high, other, err)
						}
					}
					if err := receiver.Open(packet, head, high); err != nil {
						t.Fatal(err)
					}
					if got := packet[head+sender.IVSize() : size-sender.ICVSize()]; !bytes.Equal(got, content) {
						t.Fatalf("opened to\n%x, sealed was\n%x", got, content)
					}
				}
			}
		})
	}
}

// TestOpenLengths: whatever the length, Open says so and does not panic.
func TestOpenLengths(t *testing.T) {
	r := source()
	for _, s := range suites() {
		_, receiver := pair(t, s, r)
		for size := range 80 {
			for _, head := range []int{-1, 0, 3, 8, 28, 100} {
				for _, high := range [][]byte{nil, {}, {1}, {0, 0, 0, 1}, {0, 0, 0, 0, 1}} {
					if err := receiver.Open(make([]byte, size), head, high); err == nil {
						t.Fatalf("%s: %d bytes of zeros with a head of %d opened", s, size, head)
					}
				}
			}
		}
	}
}

// TestIVs: the IV is the counter, or in CBC its encryption, and another with
// each counter.
func TestIVs(t *testing.T) {
	r := source()
	for _, s := range suites() {
		sender, _ := pair(t, s, r)
		if s.Encryption.ID == EncrNull {
			continue
		}
		seen := map[string]bool{}
		for counter := range uint64(50) {
			packet := make([]byte, 8+sender.IVSize()+16+sender.ICVSize())
			sender.Seal(packet, 8, nil, counter)
			iv := packet[8 : 8+sender.IVSize()]
			seen[string(iv)] = true
			plain := bytes.HasSuffix(iv, []byte{0, 0, 0, 0, 0, byte(counter)})
			if a, _ := find(s.Encryption); plain != (a.block == 1) {
				t.Fatalf("%s: IV %x for %d", s, iv, counter)
			}
		}
		if len(seen) != 50 {
			t.Errorf("%s: %d different IVs of 50", s, len(seen))
		}
	}
}

// TestNoAllocations: nothing is allocated for a packet, good or bad.
func TestNoAllocations(t *testing.T) {
	r := source()
	for _, s := range suites() {
		sender, receiver := pair(t, s, r)
		packet := make([]byte, 8+sender.IVSize()+1408+sender.ICVSize())
		high, counter := []byte{0, 0, 0, 1}, uint64(0)
		var failed error
		sender.Seal(packet, 8, high, counter) // the first may make buffers
		if err := receiver.Open(packet, 8, high); err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(20, func() {
			counter++
			sender.Seal(packet, 8, high, counter)
			if err := receiver.Open(packet, 8, high); err != nil {
				failed = err
			}
			packet[8+sender.IVSize()]++
			if receiver.Open(packet, 8, high) == nil {
				failed = errors.New("a changed packet is opened")
			}
		})
		if n != 0 || failed != nil {
			t.Errorf("%s: %v allocations a packet, error %v", s, n, failed)
		}
	}
}

func TestProtectionKeys(t *testing.T) {
	for _, s := range suites() {
		e, i, _ := s.KeySizes()
		if _, err := s.Protection(make([]byte, e+1), make([]byte, i)); err == nil {
			t.Errorf("%s takes an encryption key of %d bytes", s, e+1)
		}
		if _, err := s.Protection(make([]byte, e), make([]byte, i+1)); err == nil {
			t.Errorf("%s takes an integrity key of %d bytes", s, i+1)
		}
	}
	for _, s := range []Suite{
		{}, {Encryption: Transform{Type: TypeEncryption, ID: EncrAESCBC, KeyBits: 100}}, {Encryption: Transform{Type: TypePRF, ID: PRFHMACMD5}},
		{Encryption: Transform{Type: TypeEncryption, ID: EncrNull}, Integrity: Transform{Type: TypePRF, ID: PRFHMACMD5}},
		{Encryption: Transform{Type: TypeEncryption, ID: EncrNull}},
	} {
		if _, err := s.Protection(nil, nil); err == nil {
			t.Errorf("%v gives a protection", s)
		}
	}
	s := Suite{Encryption: Transform{Type: TypeEncryption, ID: EncrAESGCM16, KeyBits: 128}}
	p, err := s.Protection(make([]byte, 20), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Seal takes a packet without room")
		}
	}()
	p.Seal(make([]byte, 20), 8, nil, 1)
}
