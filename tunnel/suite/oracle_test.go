package suite

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cloudflare/circl/kem/mlkem/mlkem512"

	"linehaul/fault"
)

// Answers in testdata were computed by others: OpenSSL, Python, Project
// Wycheproof, NIST.

// lines returns the fields of each line of a file that is no comment.
func lines(t *testing.T, name string, fields int) [][]string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all [][]string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		line := strings.Fields(s.Text())
		if fields > 0 && len(line) != fields {
			t.Fatalf("%s: %d fields in %q", name, len(line), s.Text())
		}
		all = append(all, line)
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return all
}

// unhex reads hexadecimal with blanks; "-" is nothing.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(strings.TrimPrefix(s, "-")), ""))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

// esp returns the suite that a proposal for ESP with one choice makes.
func esp(t testing.TB, text string) Suite {
	t.Helper()
	p, err := Parse(ESP, text)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Choose(p.Transforms)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPackets: every suite opens what OpenSSL sealed, and seals the same.
func TestPackets(t *testing.T) {
	covered := map[Transform]bool{}
	for _, f := range lines(t, "packets.txt", 8) {
		s := esp(t, f[0])
		covered[s.Encryption], covered[s.Integrity] = true, true
		counter, err := strconv.ParseUint(f[3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		head, high, content, packet := unhex(t, f[1]), unhex(t, f[2]), unhex(t, f[6]), unhex(t, f[7])
		p, err := s.Protection(unhex(t, f[4]), unhex(t, f[5]))
		if err != nil {
			t.Fatalf("%s: %v", f[0], err)
		}
		own := make([]byte, len(packet))
		copy(own, head)
		copy(own[len(head)+p.IVSize():], content)
		p.Seal(own, len(head), high, counter)
		if !bytes.Equal(own, packet) {
			t.Errorf("%s of %d bytes, high %x: sealed to\n%x, by OpenSSL to\n%x", f[0], len(content), high, own, packet)
		}
		if err := p.Open(packet, len(head), high); err != nil {
			t.Errorf("%s of %d bytes, high %x: %v", f[0], len(content), high, err)
		} else if got := packet[len(head)+p.IVSize() : len(packet)-p.ICVSize()]; !bytes.Equal(got, content) {
			t.Errorf("%s of %d bytes, high %x: opened to\n%x, not\n%x", f[0], len(content), high, got, content)
		}
	}
	for _, s := range suites() {
		if !covered[s.Encryption] || !covered[s.Integrity] {
			t.Errorf("no packet of %s", s)
		}
	}
}

// TestExchanges: the initiator's half of every method but ML-KEM-512.
func TestExchanges(t *testing.T) {
	covered := map[Transform]bool{{Type: TypeKeyExchange, ID: MLKEM512}: true}
	for _, f := range lines(t, "exchanges.txt", 5) {
		method, _, ok := lookup(f[0])
		if !ok {
			t.Fatalf("no method %s", f[0])
		}
		covered[method] = true
		k, err := NewKeyExchange(method, bytes.NewReader(unhex(t, f[1])))
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if sum := sha256.Sum256(k.Public()); hex.EncodeToString(sum[:]) != f[2] {
			t.Errorf("%s: another public value, %x", method, k.Public())
		}
		shared, err := k.Shared(unhex(t, f[3]))
		if sum := sha256.Sum256(shared); err != nil || hex.EncodeToString(sum[:]) != f[4] {
			t.Errorf("%s: shared secret %x, %v", method, shared, err)
		}
	}
	for _, method := range methods() {
		if !covered[method] {
			t.Errorf("no exchange by %s", method)
		}
	}
}

// TestWycheproofX25519: among them points of small order and on the twist.
func TestWycheproofX25519(t *testing.T) {
	refused, seen := 0, 0
	for _, f := range lines(t, "wycheproof-x25519.txt", 5) {
		seen++
		k, err := NewKeyExchange(Transform{Type: TypeKeyExchange, ID: Curve25519}, bytes.NewReader(unhex(t, f[1])))
		if err != nil {
			t.Fatal(err)
		}
		shared, err := k.Shared(unhex(t, f[2]))
		if zero := strings.Trim(f[3], "0") == ""; zero {
			refused++
			if !fault.Is(err, fault.IKE) {
				t.Errorf("%s (%s): %x, %v", f[0], f[4], shared, err)
			}
		} else if err != nil || !bytes.Equal(shared, unhex(t, f[3])) {
			t.Errorf("%s (%s): %x, %v, want %s", f[0], f[4], shared, err, f[3])
		}
	}
	if seen != 87 || refused == 0 {
		t.Errorf("saw %d, refused %d", seen, refused)
	}
}

// TestMLKEM: NIST's answers for making keys, and with ML-KEM-512 for both
// sides. The others encapsulate with randomness of their own.
func TestMLKEM(t *testing.T) {
	seen := 0
	for _, f := range lines(t, "mlkem.txt", 0) {
		method, _, ok := lookup(f[1])
		if !ok {
			t.Fatalf("no method %s", f[1])
		}
		seen++
		switch f[0] {
		case "keygen":
			k, err := NewKeyExchange(method, bytes.NewReader(unhex(t, f[3])))
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(k.Public()); hex.EncodeToString(sum[:]) != f[4] {
				t.Errorf("%s %s: another encapsulation key", method, f[2])
			}
		case "encap":
			ciphertext, shared, err := Respond(method, bytes.NewReader(unhex(t, f[3])), unhex(t, f[4]))
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(ciphertext); hex.EncodeToString(sum[:]) != f[5] || !bytes.Equal(shared, unhex(t, f[6])) {
				t.Errorf("%s %s: ciphertext %x, key %x", method, f[2], ciphertext, shared)
			}
		}
	}
	if seen != 20 {
		t.Errorf("saw %d", seen)
	}
	// A ciphertext that was changed gives another key, and no error.
	for _, id := range []uint16{MLKEM512, MLKEM768, MLKEM1024} {
		method := Transform{Type: TypeKeyExchange, ID: id}
		k, err := NewKeyExchange(method, source())
		if err != nil {
			t.Fatal(err)
		}
		ciphertext, theirs, err := Respond(method, source(), k.Public())
		if err != nil {
			t.Fatal(err)
		}
		ciphertext[7] ^= 1
		if ours, err := k.Shared(ciphertext); err != nil || bytes.Equal(ours, theirs) || len(ours) != mlkem512.SharedKeySize {
			t.Errorf("%s: %x, %v for a changed ciphertext", method, ours, err)
		}
	}
}
