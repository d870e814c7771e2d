package suite

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// ivSize is the explicit part of the nonce in GCM (RFC 4106 section 3.1), CCM
// (RFC 4309 section 3.1), CTR (RFC 3686 section 3.1) and ChaCha20 (RFC 7634
// section 2): the rest is the salt.
const ivSize = 8

// associated returns what an AEAD authenticates besides the content. scratch is
// used if high stands in between.
func associated(scratch *[]byte, packet []byte, head int, high []byte) []byte {
	if len(high) == 0 {
		return packet[:head]
	}
	*scratch = append(append(append((*scratch)[:0], packet[:4]...), high...), packet[4:head]...)
	return *scratch
}

// combined is an AEAD of the standard form: the nonce is salt and IV.
type combined struct {
	aead  cipher.AEAD
	nonce []byte // the salt, and room for the IV
	aad   []byte
}

var _ mode = (*combined)(nil)

func newCombined(aead cipher.AEAD, salt []byte) *combined {
	return &combined{aead: aead, nonce: append(append(make([]byte, 0, len(salt)+ivSize), salt...), make([]byte, ivSize)...)}
}

// setIV completes the nonce with the IV of a packet.
func (c *combined) setIV(iv []byte) { copy(c.nonce[len(c.nonce)-ivSize:], iv) }

func (c *combined) seal(packet []byte, head int, high []byte, counter uint64) {
	body := packet[head+ivSize:]
	binary.BigEndian.PutUint64(packet[head:], counter)
	c.setIV(packet[head : head+ivSize])
	c.aead.Seal(body[:0], c.nonce, body[:len(body)-c.aead.Overhead()], associated(&c.aad, packet, head, high))
}

func (c *combined) open(packet []byte, head int, high []byte) bool {
	body := packet[head+ivSize:]
	c.setIV(packet[head : head+ivSize])
	_, err := c.aead.Open(body[:0], c.nonce, body, associated(&c.aad, packet, head, high))
	return err == nil
}

// shortened is GCM with an ICV of eight bytes, which crypto/cipher does not
// make. Its tag is the first half of the full one, so sealing is that, done
// beside the packet. Opening uses that GCM's encryption is its own inverse:
// sealing the ciphertext gives the content, and sealing that gives the tag to
// compare with. All of it stays beside the packet until the tag is right.
type shortened struct {
	combined
	icv             int
	content, sealed []byte
}

var _ mode = (*shortened)(nil)

func newShortened(aead cipher.AEAD, salt []byte, icv int) *shortened {
	return &shortened{combined: *newCombined(aead, salt), icv: icv}
}

func (c *shortened) seal(packet []byte, head int, high []byte, counter uint64) {
	body := packet[head+ivSize:]
	binary.BigEndian.PutUint64(packet[head:], counter)
	c.setIV(packet[head : head+ivSize])
	c.sealed = c.aead.Seal(c.sealed[:0], c.nonce, body[:len(body)-c.icv], associated(&c.aad, packet, head, high))
	copy(body, c.sealed)
}

func (c *shortened) open(packet []byte, head int, high []byte) bool {
	body := packet[head+ivSize:]
	size := len(body) - c.icv
	c.setIV(packet[head : head+ivSize])
	aad := associated(&c.aad, packet, head, high)
	c.content = c.aead.Seal(c.content[:0], c.nonce, body[:size], aad)
	c.sealed = c.aead.Seal(c.sealed[:0], c.nonce, c.content[:size], aad)
	if subtle.ConstantTimeCompare(c.sealed[size:size+c.icv], body[size:]) != 1 {
		return false
	}
	copy(body, c.content[:size])
	return true
}
