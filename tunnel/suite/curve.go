package suite

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"

	"github.com/cloudflare/circl/dh/x448"
)

// A curveKey is a key of crypto/ecdh.
type curveKey struct {
	private *ecdh.PrivateKey
	point   bool // of a curve whose public values are points, sent as x and y
}

var _ KeyExchange = (*curveKey)(nil)

// triesForScalar bounds how often a random number may fall outside of a curve's
// order. For P-521, whose order is just below 2^521, and P-256, the worst, a
// second try is needed once in 2^32.
const triesForScalar = 64

// newCurve makes a key from random: crypto/ecdh's own way reads no reader.
func newCurve(id uint16, random io.Reader) (*curveKey, error) {
	var curve ecdh.Curve
	size, mask := 32, byte(0xff)
	switch id {
	case Curve25519:
		curve = ecdh.X25519()
	case ECP256:
		curve = ecdh.P256()
	case ECP384:
		curve, size = ecdh.P384(), 48
	case ECP521:
		curve, size, mask = ecdh.P521(), 66, 0x01
	default:
		return nil, errors.New("there is no such method")
	}
	scalar := make([]byte, size)
	defer clear(scalar)
	for range triesForScalar {
		if _, err := io.ReadFull(random, scalar); err != nil {
			return nil, err
		}
		scalar[0] &= mask
		if private, err := curve.NewPrivateKey(scalar); err == nil {
			return &curveKey{private, id != Curve25519}, nil
		}
	}
	return nil, errors.New("the source of randomness gives no usable number")
}

// Public returns x and y for a point (RFC 5903 section 7), u for X25519 (RFC
// 8031 section 3.1).
func (k *curveKey) Public() []byte {
	public := k.private.PublicKey().Bytes()
	if k.point {
		return public[1:] // after SEC 1's mark of an uncompressed point
	}
	return public
}

// Shared returns x of the shared point (RFC 5903 section 7) or u. crypto/ecdh
// refuses points that are not on the curve (RFC 6989 section 2.3) and an
// outcome of zero (RFC 7748 section 6.1).
func (k *curveKey) Shared(peer []byte) ([]byte, error) {
	if want := len(k.Public()); len(peer) != want {
		return nil, fmt.Errorf("the public value has %d bytes, not %d", len(peer), want)
	}
	if k.point {
		peer = append([]byte{4}, peer...)
	}
	public, err := k.private.Curve().NewPublicKey(peer)
	if err != nil {
		return nil, errors.New("the public value is no point of the curve (RFC 6989 section 2.3)")
	}
	shared, err := k.private.ECDH(public)
	if err != nil {
		return nil, errors.New("the public value is of low order (RFC 7748 section 6)")
	}
	return shared, nil
}

// An x448Key is a key of RFC 7748 section 5.
type x448Key struct{ private, public x448.Key }

var _ KeyExchange = (*x448Key)(nil)

func newX448(random io.Reader) (*x448Key, error) {
	k := new(x448Key)
	if _, err := io.ReadFull(random, k.private[:]); err != nil {
		return nil, err
	}
	x448.KeyGen(&k.public, &k.private)
	return k, nil
}

// Public returns u (RFC 8031 section 3.1).
func (k *x448Key) Public() []byte { return k.public[:] }

// Shared returns u of the shared point, which must not be zero (RFC 7748
// section 6.2).
func (k *x448Key) Shared(peer []byte) ([]byte, error) {
	if len(peer) != x448.Size {
		return nil, fmt.Errorf("the public value has %d bytes, not %d", len(peer), x448.Size)
	}
	var shared, public x448.Key
	copy(public[:], peer)
	if !x448.Shared(&shared, &k.private, &public) {
		return nil, errors.New("the public value is of low order (RFC 7748 section 6)")
	}
	return shared[:], nil
}
