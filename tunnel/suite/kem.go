package suite

import (
	"crypto/mlkem"
	"errors"
	"fmt"
	"io"

	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
)

// A kemKey is the initiator's half of ML-KEM (FIPS 203): its public value is
// the encapsulation key, the responder's is a ciphertext, and the shared secret
// is the key in it (draft-ietf-ipsecme-ikev2-mlkem section 2).
type kemKey struct {
	public      []byte
	ciphertext  int
	decapsulate func(ciphertext []byte) ([]byte, error)
}

var _ KeyExchange = (*kemKey)(nil)

func isKEM(id uint16) bool { return id == MLKEM512 || id == MLKEM768 || id == MLKEM1024 }

func newKEM(id uint16, random io.Reader) (*kemKey, error) {
	seed := make([]byte, mlkem.SeedSize)
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, err
	}
	switch id {
	case MLKEM768:
		key, err := mlkem.NewDecapsulationKey768(seed)
		if err != nil {
			return nil, err
		}
		return &kemKey{key.EncapsulationKey().Bytes(), mlkem.CiphertextSize768, key.Decapsulate}, nil
	case MLKEM1024:
		key, err := mlkem.NewDecapsulationKey1024(seed)
		if err != nil {
			return nil, err
		}
		return &kemKey{key.EncapsulationKey().Bytes(), mlkem.CiphertextSize1024, key.Decapsulate}, nil
	}
	public, private := mlkem512.NewKeyFromSeed(seed)
	packed := make([]byte, mlkem512.PublicKeySize)
	public.Pack(packed)
	return &kemKey{packed, mlkem512.CiphertextSize, func(ciphertext []byte) ([]byte, error) {
		shared := make([]byte, mlkem512.SharedKeySize)
		private.DecapsulateTo(shared, ciphertext)
		return shared, nil
	}}, nil
}

// Public returns the encapsulation key.
func (k *kemKey) Public() []byte { return k.public }

// Shared returns the key in a ciphertext. A ciphertext that was changed on its
// way gives another key and no error (FIPS 203 section 6.3), so that the
// exchange fails when the other side cannot read what is encrypted.
func (k *kemKey) Shared(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != k.ciphertext {
		return nil, fmt.Errorf("the ciphertext has %d bytes, not %d", len(ciphertext), k.ciphertext)
	}
	return k.decapsulate(ciphertext)
}

// encapsulate is the responder's half. Keys that are no vector of numbers below
// the modulus are refused (FIPS 203 section 7.2).
func encapsulate(id uint16, random io.Reader, peer []byte) (ciphertext, shared []byte, err error) {
	bad := errors.New("the encapsulation key is none (FIPS 203 section 7.2)")
	switch id {
	case MLKEM768:
		key, err := mlkem.NewEncapsulationKey768(peer)
		if err != nil {
			return nil, nil, bad
		}
		shared, ciphertext = key.Encapsulate()
		return ciphertext, shared, nil
	case MLKEM1024:
		key, err := mlkem.NewEncapsulationKey1024(peer)
		if err != nil {
			return nil, nil, bad
		}
		shared, ciphertext = key.Encapsulate()
		return ciphertext, shared, nil
	}
	var key mlkem512.PublicKey
	if len(peer) != mlkem512.PublicKeySize || key.Unpack(peer) != nil {
		return nil, nil, bad
	}
	seed := make([]byte, mlkem512.EncapsulationSeedSize)
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, nil, err
	}
	ciphertext, shared = make([]byte, mlkem512.CiphertextSize), make([]byte, mlkem512.SharedKeySize)
	key.EncapsulateTo(ciphertext, shared, seed)
	return ciphertext, shared, nil
}
