package ikemsg_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"testing"

	"linehaul/tunnel/ikemsg"
)

// cbc is AES-CBC with HMAC-SHA2-256-128, as package suite has it, written
// again: tests of the codec need no other package.
type cbc struct {
	block cipher.Block
	mac   []byte
}

var errICV = errors.New("the ICV is wrong")

func newCBC(t testing.TB, encryption, integrity []byte) ikemsg.Protection {
	t.Helper()
	block, err := aes.NewCipher(encryption)
	if err != nil {
		t.Fatal(err)
	}
	return &cbc{block, integrity}
}

func (c *cbc) IVSize() int    { return 16 }
func (c *cbc) ICVSize() int   { return 16 }
func (c *cbc) BlockSize() int { return 16 }

func (c *cbc) icv(b []byte) []byte {
	h := hmac.New(sha256.New, c.mac)
	h.Write(b)
	return h.Sum(nil)[:16]
}

func (c *cbc) Seal(packet []byte, head int, high []byte, counter uint64) {
	iv := packet[head:][:16]
	binary.BigEndian.PutUint64(iv[8:], counter)
	c.block.Encrypt(iv, iv)
	end := len(packet) - 16
	cipher.NewCBCEncrypter(c.block, iv).CryptBlocks(packet[head+16:end], packet[head+16:end])
	copy(packet[end:], c.icv(packet[:end]))
}

func (c *cbc) Open(packet []byte, head int, high []byte) error {
	end := len(packet) - 16
	if subtle.ConstantTimeCompare(packet[end:], c.icv(packet[:end])) != 1 {
		return errICV
	}
	cipher.NewCBCDecrypter(c.block, packet[head:][:16]).CryptBlocks(packet[head+16:end], packet[head+16:end])
	return nil
}

// gcm is AES-GCM with an ICV of 16 bytes (RFC 5282).
type gcm struct {
	aead cipher.AEAD
	salt []byte
}

func newGCM(t testing.TB, keyAndSalt []byte) ikemsg.Protection {
	t.Helper()
	n := len(keyAndSalt) - 4
	block, err := aes.NewCipher(keyAndSalt[:n])
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return &gcm{aead, keyAndSalt[n:]}
}

func (g *gcm) IVSize() int    { return 8 }
func (g *gcm) ICVSize() int   { return 16 }
func (g *gcm) BlockSize() int { return 1 }

func (g *gcm) Seal(packet []byte, head int, high []byte, counter uint64) {
	binary.BigEndian.PutUint64(packet[head:], counter)
	nonce := append(bytes.Clone(g.salt), packet[head:][:8]...)
	g.aead.Seal(packet[:head+8], nonce, packet[head+8:len(packet)-16], packet[:head])
}

func (g *gcm) Open(packet []byte, head int, high []byte) error {
	nonce := append(bytes.Clone(g.salt), packet[head:][:8]...)
	_, err := g.aead.Open(packet[head+8:head+8], nonce, packet[head+8:], packet[:head])
	return err
}

// protections are one of each kind.
func protections(t testing.TB) map[string]ikemsg.Protection {
	key := bytes.Repeat([]byte{7}, 36)
	return map[string]ikemsg.Protection{"aes256-sha256": newCBC(t, key[:32], key), "aes256gcm16": newGCM(t, key)}
}

// counter gives 1, 2, 3 ...
func counter() func() uint64 {
	var n uint64
	return func() uint64 { n++; return n }
}
