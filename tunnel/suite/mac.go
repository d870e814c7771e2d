package suite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
)

// newIntegrity returns the function whose sum, cut to the ICV's length, is the
// ICV of an integrity algorithm.
func newIntegrity(id uint16, key []byte) (hash.Hash, error) {
	var h func() hash.Hash
	switch id {
	case IntegAESXCBC:
		return newXCBC(key)
	case IntegAESCMAC:
		return newCMAC(key)
	case IntegHMACMD5:
		h = md5.New
	case IntegHMACSHA1:
		h = sha1.New
	case IntegHMACSHA256:
		h = sha256.New
	case IntegHMACSHA384:
		h = sha512.New384
	case IntegHMACSHA512:
		h = sha512.New
	default:
		return nil, fmt.Errorf("no function for integrity algorithm %d", id)
	}
	m := hmac.New(h, key)
	m.Reset() // from here on it starts from a kept state, and allocates no more
	return m, nil
}

// chained is a CBC-MAC whose last block is masked: CMAC (RFC 4493) and XCBC-MAC
// (RFC 3566), which differ in how they come by their keys.
type chained struct {
	block       cipher.Block
	whole, part [16]byte // the masks of a last block that is full, and of one that was not
	chain       [16]byte // what was encrypted last
	last        [16]byte // up to a block, kept back until it is known whether it is the last
	filled      int
	sum         [16]byte
}

var _ hash.Hash = (*chained)(nil)

// newCMAC returns AES-CMAC (RFC 4493 section 2.3): the masks are the double and
// the fourfold of the encryption of zero, in GF(2^128).
func newCMAC(key []byte) (*chained, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	c := &chained{block: block}
	block.Encrypt(c.whole[:], c.whole[:])
	double(&c.whole)
	c.part = c.whole
	double(&c.part)
	return c, nil
}

// double multiplies by x modulo x^128 + x^7 + x^2 + x + 1, in constant time.
func double(b *[16]byte) {
	carry := b[0] >> 7
	for i := range 15 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[15] = b[15]<<1 ^ carry*0x87
}

// newXCBC returns AES-XCBC-MAC (RFC 3566 section 4): three keys are the
// encryptions of blocks of ones, twos and threes.
func newXCBC(key []byte) (*chained, error) {
	outer, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	var keys [3][16]byte
	for i := range keys {
		for j := range keys[i] {
			keys[i][j] = byte(i + 1)
		}
		outer.Encrypt(keys[i][:], keys[i][:])
	}
	block, err := aes.NewCipher(keys[0][:])
	if err != nil {
		return nil, err
	}
	return &chained{block: block, whole: keys[1], part: keys[2]}, nil
}

// Write adds to the message. It never fails.
func (c *chained) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if c.filled == len(c.last) {
			subtle.XORBytes(c.chain[:], c.chain[:], c.last[:])
			c.block.Encrypt(c.chain[:], c.chain[:])
			c.filled = 0
		}
		m := copy(c.last[c.filled:], p)
		c.filled += m
		p = p[m:]
	}
	return n, nil
}

// Sum appends the tag of what was written so far.
func (c *chained) Sum(b []byte) []byte {
	c.sum = c.last
	mask := &c.whole
	if c.filled < len(c.last) {
		c.sum[c.filled] = 0x80
		clear(c.sum[c.filled+1:])
		mask = &c.part
	}
	subtle.XORBytes(c.sum[:], c.sum[:], mask[:])
	subtle.XORBytes(c.sum[:], c.sum[:], c.chain[:])
	c.block.Encrypt(c.sum[:], c.sum[:])
	return append(b, c.sum[:]...)
}

// Reset begins a new message.
func (c *chained) Reset() {
	clear(c.chain[:])
	c.filled = 0
}

// Size returns the length of a tag.
func (c *chained) Size() int { return 16 }

// BlockSize returns the length of a block.
func (c *chained) BlockSize() int { return 16 }
