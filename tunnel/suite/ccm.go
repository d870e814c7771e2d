package suite

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// ccm is AES in the mode of RFC 3610 with the parameters of RFC 4309 section
// 3: a nonce of eleven bytes, which is salt and IV, and so a length field of
// four (L = 4).
//
//	B0: | flags | nonce (11) | length of the content (4) |  then associated data, content: the CBC-MAC
//	A0: | L - 1 | nonce (11) | 0 (4)                     |  encrypts the CBC-MAC
//	Ai: | L - 1 | nonce (11) | i (4)                     |  encrypts the content
type ccm struct {
	stream keystream // its counter is Ai
	chain  [16]byte  // the CBC-MAC so far
	filled int       // bytes of the block that is being added to it
	icv    int
	aad    []byte
}

var _ mode = (*ccm)(nil)

// The nonce takes what the length field leaves of a block after the flags, in
// which L - 1 stands.
const (
	ccmNonce  = 11
	ccmLength = 15 - ccmNonce
)

func newCCM(block cipher.Block, salt []byte, icv int) *ccm {
	c := &ccm{stream: keystream{block: block}, icv: icv}
	c.stream.counter[0] = ccmLength - 1
	copy(c.stream.counter[1:], salt)
	return c
}

// setIV completes the nonce with the IV of a packet.
func (c *ccm) setIV(iv []byte) { copy(c.stream.counter[1+ccmNonce-ivSize:], iv) }

func (c *ccm) seal(packet []byte, head int, high []byte, counter uint64) {
	binary.BigEndian.PutUint64(packet[head:], counter)
	c.setIV(packet[head : head+ivSize])
	content, icv := packet[head+ivSize:len(packet)-c.icv], packet[len(packet)-c.icv:]
	c.mac(content, associated(&c.aad, packet, head, high))
	c.stream.xor(c.chain[:], 0)
	copy(icv, c.chain[:])
	c.stream.xor(content, 1)
}

// open has to decrypt before it can check, as CCM authenticates what is
// encrypted. It encrypts again what was not good.
func (c *ccm) open(packet []byte, head int, high []byte) bool {
	c.setIV(packet[head : head+ivSize])
	content, icv := packet[head+ivSize:len(packet)-c.icv], packet[len(packet)-c.icv:]
	c.stream.xor(content, 1)
	c.mac(content, associated(&c.aad, packet, head, high))
	c.stream.xor(c.chain[:], 0)
	if subtle.ConstantTimeCompare(c.chain[:c.icv], icv) != 1 {
		c.stream.xor(content, 1)
		return false
	}
	return true
}

// mac leaves the CBC-MAC in chain (RFC 3610 section 2.2).
func (c *ccm) mac(content, aad []byte) {
	b0 := &c.chain
	copy(b0[:], c.stream.counter[:])
	b0[0] = byte((c.icv-2)/2)<<3 | (ccmLength - 1)
	if len(aad) > 0 {
		b0[0] |= 1 << 6
	}
	binary.BigEndian.PutUint32(b0[12:], uint32(len(content)))
	c.stream.block.Encrypt(b0[:], b0[:])
	if len(aad) > 0 {
		// Lengths below 2^16 - 2^8 take two bytes, all that a datagram can have
		// take six.
		if len(aad) < 0xff00 {
			c.chain[0] ^= byte(len(aad) >> 8)
			c.chain[1] ^= byte(len(aad))
			c.filled = 2
		} else {
			c.chain[0] ^= 0xff
			c.chain[1] ^= 0xfe
			for i := range 4 {
				c.chain[2+i] ^= byte(uint32(len(aad)) >> (24 - 8*i))
			}
			c.filled = 6
		}
		c.add(aad)
	}
	c.add(content)
}

// add takes data into the CBC-MAC, with zeros up to a full block.
func (c *ccm) add(data []byte) {
	for len(data) > 0 {
		n := subtle.XORBytes(c.chain[c.filled:], c.chain[c.filled:], data)
		data = data[n:]
		c.filled += n
		if c.filled == 16 || len(data) == 0 {
			c.stream.block.Encrypt(c.chain[:], c.chain[:])
			c.filled = 0
		}
	}
}
