package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"testing"
)

var errICV = errors.New("wrong")

// aead is a Protection of an AEAD cipher with a salt: RFC 4106 and RFC 7634.
type aead struct {
	c     cipher.AEAD
	nonce [12]byte
	ad    [12]byte
	iv    uint64 // in place of the counter, where a vector says so
}

func newAEAD(c cipher.AEAD, salt []byte) *aead {
	a := &aead{c: c}
	copy(a.nonce[:4], salt)
	return a
}

func newGCM(t testing.TB, key, salt []byte) *aead {
	t.Helper()
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cipher.NewGCM(b)
	if err != nil {
		t.Fatal(err)
	}
	return newAEAD(c, salt)
}

func (a *aead) IVSize() int    { return 8 }
func (a *aead) ICVSize() int   { return 16 }
func (a *aead) BlockSize() int { return 1 }

func (a *aead) associated(packet, high []byte) []byte {
	ad := append(a.ad[:0], packet[:4]...)
	return append(append(ad, high...), packet[4:8]...)
}

func (a *aead) Seal(packet []byte, head int, high []byte, counter uint64) {
	if a.iv != 0 {
		counter = a.iv
	}
	binary.BigEndian.PutUint64(packet[head:], counter)
	copy(a.nonce[4:], packet[head:head+8])
	content := packet[head+8 : len(packet)-16]
	a.c.Seal(content[:0], a.nonce[:], content, a.associated(packet, high))
}

func (a *aead) Open(packet []byte, head int, high []byte) error {
	copy(a.nonce[4:], packet[head:head+8])
	content := packet[head+8:]
	if _, err := a.c.Open(content[:0], a.nonce[:], content, a.associated(packet, high)); err != nil {
		return errICV
	}
	return nil
}

// cbc is a Protection of AES-CBC and HMAC-SHA2-256-128: RFC 3602 and RFC 4868.
type cbc struct {
	block    cipher.Block
	enc, dec cipher.BlockMode
	mac      hash.Hash
	sum      [32]byte
}

func newCBC(t testing.TB, key, macKey []byte) *cbc {
	t.Helper()
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, 16)
	return &cbc{block: b, enc: cipher.NewCBCEncrypter(b, iv), dec: cipher.NewCBCDecrypter(b, iv), mac: hmac.New(sha256.New, macKey)}
}

type ivSetter interface{ SetIV(iv []byte) }

func (c *cbc) IVSize() int    { return 16 }
func (c *cbc) ICVSize() int   { return 16 }
func (c *cbc) BlockSize() int { return 16 }

func (c *cbc) icv(packet, high []byte) []byte {
	c.mac.Reset()
	c.mac.Write(packet[:len(packet)-16])
	c.mac.Write(high)
	return c.mac.Sum(c.sum[:0])[:16]
}

func (c *cbc) Seal(packet []byte, head int, high []byte, counter uint64) {
	iv := packet[head : head+16]
	clear(iv)
	binary.BigEndian.PutUint64(iv[8:], counter)
	c.block.Encrypt(iv, iv)
	c.enc.(ivSetter).SetIV(iv)
	content := packet[head+16 : len(packet)-16]
	c.enc.CryptBlocks(content, content)
	copy(packet[len(packet)-16:], c.icv(packet, high))
}

func (c *cbc) Open(packet []byte, head int, high []byte) error {
	if !hmac.Equal(c.icv(packet, high), packet[len(packet)-16:]) {
		return errICV
	}
	c.dec.(ivSetter).SetIV(packet[head : head+16])
	content := packet[head+16 : len(packet)-16]
	c.dec.CryptBlocks(content, content)
	return nil
}

var (
	_ Protection = (*aead)(nil)
	_ Protection = (*cbc)(nil)
)
