package suite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"

	"golang.org/x/crypto/blowfish"
	"golang.org/x/crypto/cast5"
	"golang.org/x/crypto/chacha20poly1305"

	"linehaul/fault"
)

// An OpenError says why a packet was not opened. It holds nothing of the
// packet, and making one allocates nothing, however many forged packets come.
type OpenError string

// Error returns the text.
func (e OpenError) Error() string { return string(e) }

// The reasons that there are.
const (
	ErrLength OpenError = "the packet's length does not fit its algorithm"
	ErrCheck  OpenError = "the packet's integrity check value is wrong"
)

// A Protection is one key for one direction: it encrypts and authenticates
// packets in place, and allocates nothing while it does. It is not safe for
// concurrent use: it keeps what it computes with.
type Protection struct {
	mode           mode
	iv, icv, block int
}

// A mode is the work of a Protection whose caller has checked the lengths.
type mode interface {
	seal(packet []byte, head int, high []byte, counter uint64)
	open(packet []byte, head int, high []byte) bool
}

// IVSize returns the bytes of IV before the content.
func (p *Protection) IVSize() int { return p.iv }

// ICVSize returns the bytes of ICV after the content.
func (p *Protection) ICVSize() int { return p.icv }

// BlockSize returns what the content's length must be a multiple of.
func (p *Protection) BlockSize() int { return p.block }

// Seal encrypts a packet of head bytes in clear, IVSize bytes of room, the
// content, and ICVSize bytes of room.
//
// The IV is made of counter, which must never repeat under one key: eight bytes
// of it for GCM, CCM, CTR and ChaCha20, the cipher's encryption of it for CBC
// (NIST SP 800-38A appendix C), as predictable ones would not do there. high is
// nil, or the upper four bytes of an extended sequence number. An AEAD then
// authenticates packet[:4], high, packet[4:head] (RFC 4106 section 5); with an
// integrity algorithm high follows the content (RFC 4303 section 2.2.1).
//
// It panics if the packet has no room or the content's length is wrong: that is
// a fault of ours.
func (p *Protection) Seal(packet []byte, head int, high []byte, counter uint64) {
	if !p.fits(packet, head, high) {
		panic("suite: Seal of a packet whose length does not fit")
	}
	p.mode.seal(packet, head, high, counter)
}

// Open checks the ICV in constant time, and then decrypts the content in place.
// high is as for Seal. The error is an OpenError; what is left of the content
// then is worth nothing, and never what it would have decrypted to.
func (p *Protection) Open(packet []byte, head int, high []byte) error {
	if !p.fits(packet, head, high) {
		return ErrLength
	}
	if !p.mode.open(packet, head, high) {
		return ErrCheck
	}
	return nil
}

// fits reports whether there is a content, and of what length it must be.
func (p *Protection) fits(packet []byte, head int, high []byte) bool {
	content := len(packet) - head - p.iv - p.icv
	return head >= 0 && content >= 0 && content%p.block == 0 && (len(high) == 0 || len(high) == 4 && head >= 4)
}

// Protection returns the protection of one direction with its keys, of the
// sizes that KeySizes gives. It keeps nothing of the slices.
func (s Suite) Protection(encryptionKey, integrityKey []byte) (*Protection, error) {
	a, ok := find(s.Encryption)
	if !ok || a.typ != TypeEncryption {
		return nil, fault.New(fault.Internal, "no such encryption: %s", s.Encryption)
	}
	encryption, integrity, _ := s.KeySizes()
	if len(encryptionKey) != encryption || len(integrityKey) != integrity {
		return nil, fault.New(fault.Internal, "keys of %d and %d bytes for %s and %s, which take %d and %d",
			len(encryptionKey), len(integrityKey), s.Encryption, s.Integrity, encryption, integrity)
	}
	key, salt := encryptionKey[:len(encryptionKey)-a.salt], encryptionKey[len(encryptionKey)-a.salt:]
	if a.aead() {
		m, err := newAEAD(a, key, salt)
		if err != nil {
			return nil, fault.New(fault.Internal, "set up %s: %w", s.Encryption, err)
		}
		return &Protection{m, a.iv, a.icv, a.block}, nil
	}
	i, ok := find(s.Integrity)
	if !ok || i.typ != TypeIntegrity {
		return nil, fault.New(fault.Internal, "no such integrity algorithm: %s", s.Integrity)
	}
	c, err := newCipher(s.Encryption.ID, key, salt)
	if err != nil {
		return nil, fault.New(fault.Internal, "set up %s: %w", s.Encryption, err)
	}
	mac, err := newIntegrity(s.Integrity.ID, integrityKey)
	if err != nil {
		return nil, fault.New(fault.Internal, "set up %s: %w", s.Integrity, err)
	}
	return &Protection{&separate{cipher: c, mac: mac, iv: a.iv, icv: i.icv}, a.iv, i.icv, a.block}, nil
}

// newAEAD returns the mode of an algorithm that does both.
func newAEAD(a algorithm, key, salt []byte) (mode, error) {
	if a.id == EncrChaCha20Poly1305 {
		c, err := chacha20poly1305.New(key)
		if err != nil {
			return nil, err
		}
		return newCombined(c, salt), nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	switch a.id {
	case EncrAESCCM8, EncrAESCCM12, EncrAESCCM16:
		return newCCM(block, salt, a.icv), nil
	case EncrAESGCM8:
		c, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		return newShortened(c, salt, a.icv), nil
	}
	c, err := cipher.NewGCMWithTagSize(block, a.icv)
	if err != nil {
		return nil, err
	}
	return newCombined(c, salt), nil
}

// newCipher returns the encryption of an algorithm that does that only.
func newCipher(id uint16, key, salt []byte) (contentCipher, error) {
	var block cipher.Block
	var err error
	switch id {
	case EncrNull:
		return null{}, nil
	case EncrAESCTR:
		if block, err = aes.NewCipher(key); err != nil {
			return nil, err
		}
		return newCTR(block, salt), nil
	case EncrAESCBC:
		block, err = aes.NewCipher(key)
	case Encr3DES:
		block, err = des.NewTripleDESCipher(key)
	case EncrDES:
		block, err = des.NewCipher(key)
	case EncrBlowfish:
		block, err = blowfish.NewCipher(key)
	case EncrCAST:
		block, err = cast5.NewCipher(key)
	}
	if err != nil {
		return nil, err
	}
	return newCBC(block)
}
