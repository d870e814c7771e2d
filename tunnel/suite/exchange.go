package suite

import (
	"io"

	"linehaul/fault"
)

// A KeyExchange is the initiator's half of one exchange. It is used once: a
// method that is tried again starts with a new one.
type KeyExchange interface {
	// Public returns what the KE payload carries (RFC 7296 section 3.4).
	Public() []byte
	// Shared returns the shared secret for what the responder's KE payload
	// carries, which is checked as RFC 6989 says.
	Shared(peer []byte) ([]byte, error)
}

// NewKeyExchange begins an exchange by method t with a key from random. It
// reads from random only here.
func NewKeyExchange(t Transform, random io.Reader) (KeyExchange, error) {
	if !t.Type.exchange() {
		return nil, fault.New(fault.Internal, "%s is no key exchange", t)
	}
	k, err := newKey(t.ID, random)
	if err != nil {
		return nil, fault.New(fault.Internal, "begin a key exchange by %s: %w", t, err)
	}
	return checked{t, k}, nil
}

// Respond is the other side: it returns what the responder's KE payload carries
// and the shared secret, for what the initiator's carried.
//
// ML-KEM-768 and ML-KEM-1024 take their randomness from crypto/rand, whatever
// random is, as crypto/mlkem leaves no choice.
func Respond(t Transform, random io.Reader, peer []byte) (public, shared []byte, err error) {
	if !t.Type.exchange() {
		return nil, nil, fault.New(fault.Internal, "%s is no key exchange", t)
	}
	if isKEM(t.ID) {
		public, shared, err = encapsulate(t.ID, random, peer)
		if err != nil {
			return nil, nil, fault.New(fault.IKE, "key exchange by %s: %w", t, err)
		}
		return public, shared, nil
	}
	k, err := NewKeyExchange(t, random)
	if err != nil {
		return nil, nil, err
	}
	if shared, err = k.Shared(peer); err != nil {
		return nil, nil, err
	}
	return k.Public(), shared, nil
}

// newKey makes the key of a method.
func newKey(id uint16, random io.Reader) (KeyExchange, error) {
	if g, ok := modp(id); ok {
		return newMODP(g, random)
	}
	switch id {
	case Curve448:
		return newX448(random)
	case MLKEM512, MLKEM768, MLKEM1024:
		return newKEM(id, random)
	}
	return newCurve(id, random)
}

// PublicSize returns the length of what the initiator's KE payload carries, 0
// for a method that there is not.
func (t Transform) PublicSize() int {
	initiator, _ := t.exchangeSizes()
	return initiator
}

// ReplySize returns the length of what the responder's KE payload carries. Only
// for ML-KEM it is another than PublicSize.
func (t Transform) ReplySize() int {
	_, responder := t.exchangeSizes()
	return responder
}

func (t Transform) exchangeSizes() (initiator, responder int) {
	if !t.Type.exchange() {
		return 0, 0
	}
	if g, ok := modp(t.ID); ok {
		return g.size(), g.size()
	}
	switch t.ID {
	case ECP256:
		return 64, 64
	case ECP384:
		return 96, 96
	case ECP521:
		return 132, 132
	case Curve25519:
		return 32, 32
	case Curve448:
		return 56, 56
	case MLKEM512: // FIPS 203 table 3
		return 800, 768
	case MLKEM768:
		return 1184, 1088
	case MLKEM1024:
		return 1568, 1568
	}
	return 0, 0
}

// checked names the method in errors.
type checked struct {
	transform Transform
	KeyExchange
}

func (c checked) Shared(peer []byte) ([]byte, error) {
	shared, err := c.KeyExchange.Shared(peer)
	if err != nil {
		return nil, fault.New(fault.IKE, "key exchange by %s: %w", c.transform, err)
	}
	return shared, nil
}
