package suite

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"
	"testing/iotest"

	"linehaul/fault"
)

// methods returns every key exchange there is.
func methods() []Transform {
	var all []Transform
	for _, a := range exchanges() {
		if a.id != KENone {
			all = append(all, Transform{Type: TypeKeyExchange, ID: a.id})
		}
	}
	return all
}

func TestExchangeBothSides(t *testing.T) {
	if len(methods()) != 16 {
		t.Fatalf("%d methods", len(methods()))
	}
	for _, method := range methods() {
		t.Run(method.String(), func(t *testing.T) {
			k, err := NewKeyExchange(method, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if len(k.Public()) != method.PublicSize() {
				t.Errorf("a public value of %d bytes, want %d", len(k.Public()), method.PublicSize())
			}
			public, theirs, err := Respond(method, rand.Reader, k.Public())
			if err != nil {
				t.Fatal(err)
			}
			if len(public) != method.ReplySize() {
				t.Errorf("an answer of %d bytes, want %d", len(public), method.ReplySize())
			}
			ours, err := k.Shared(public)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(ours, theirs) || len(ours) < 32 || bytes.Equal(ours, make([]byte, len(ours))) {
				t.Errorf("secrets differ or are none:\n%x\n%x", ours, theirs)
			}
			again, _, err := Respond(method, rand.Reader, k.Public())
			if err != nil || bytes.Equal(again, public) {
				t.Errorf("the same answer twice, or %v", err)
			}
		})
	}
}

// TestExchangeBadPublic: lengths that are wrong, and values that RFC 6989
// forbids.
func TestExchangeBadPublic(t *testing.T) {
	for _, method := range methods() {
		t.Run(method.String(), func(t *testing.T) {
			k, err := NewKeyExchange(method, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			bad := map[string][]byte{"empty": {}}
			n := method.ReplySize()
			bad["short"] = bytes.Repeat([]byte{9}, n-1)
			bad["long"] = bytes.Repeat([]byte{9}, n+1)
			if !isKEM(method.ID) {
				bad["zero"] = make([]byte, n)
			}
			if g, ok := modp(method.ID); ok {
				p := new(big.Int).SetBytes(g.prime())
				for name, v := range map[string]*big.Int{
					"one": big.NewInt(1), "p-1": new(big.Int).Sub(p, big.NewInt(1)), "p": p, "p+1": new(big.Int).Add(p, big.NewInt(1)),
					"all ones": new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(g.bits)), big.NewInt(1)),
				} {
					bad[name] = v.FillBytes(make([]byte, n))
				}
			}
			switch method.ID {
			case ECP256, ECP384, ECP521:
				off := bytes.Clone(k.Public())
				off[n-1] ^= 1
				bad["off the curve"] = off
				bad["above the prime"] = bytes.Repeat([]byte{0xff}, n)
			case Curve25519, Curve448: // points of small order, RFC 7748 section 6
				one := make([]byte, n)
				one[0] = 1
				bad["one"] = one
			}
			for name, public := range bad {
				shared, err := k.Shared(public)
				if shared != nil || !fault.Is(err, fault.IKE) {
					t.Errorf("%s: secret of %d bytes, error %v", name, len(shared), err)
				}
				if isKEM(method.ID) && len(public) == method.PublicSize() {
					continue
				}
				if _, _, err := Respond(method, rand.Reader, public); !fault.Is(err, fault.IKE) {
					t.Errorf("%s: Respond: %v", name, err)
				}
			}
			if isKEM(method.ID) { // coefficients above the modulus
				if _, _, err := Respond(method, rand.Reader, bytes.Repeat([]byte{0xff}, method.PublicSize())); !fault.Is(err, fault.IKE) {
					t.Errorf("no such encapsulation key: %v", err)
				}
			}
		})
	}
}

func TestExchangeWithoutRandomness(t *testing.T) {
	dry := errors.New("dry")
	for _, method := range methods() {
		if _, err := NewKeyExchange(method, iotest.ErrReader(dry)); !errors.Is(err, dry) {
			t.Errorf("%s: %v", method, err)
		}
	}
	for _, none := range []Transform{{}, {Type: TypeKeyExchange}, {Type: TypeKeyExchange, ID: 4711}, {Type: TypeEncryption, ID: MODP2048}} {
		if _, err := NewKeyExchange(none, rand.Reader); err == nil {
			t.Errorf("%s gives a key exchange", none)
		}
		if _, _, err := Respond(none, rand.Reader, nil); err == nil {
			t.Errorf("%s gives an answer", none)
		}
		if none.PublicSize() != 0 || none.ReplySize() != 0 {
			t.Errorf("%s has a size", none)
		}
	}
	// A reader that gives nothing but ones never gives a scalar below the order.
	if _, err := NewKeyExchange(Transform{Type: TypeKeyExchange, ID: ECP256}, ones{}); err == nil {
		t.Error("ones for ever give a key")
	}
}

type ones struct{}

func (ones) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 0xff
	}
	return len(p), nil
}
