package suite

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"linehaul/fault"
)

// A PRF is a negotiated pseudo-random function (RFC 7296 section 2.13). Values
// hold no key and may be used concurrently.
type PRF struct {
	transform Transform
	size      int
	with      func(key []byte) hash.Hash
}

// NewPRF returns the function that t names.
func NewPRF(t Transform) (PRF, error) {
	a, ok := find(t)
	if !ok || t.Type != TypePRF {
		return PRF{}, fault.New(fault.Internal, "no such pseudo-random function: %s", t)
	}
	p := PRF{transform: t, size: a.key}
	switch t.ID {
	case PRFHMACMD5:
		p.with = keyed(md5.New)
	case PRFHMACSHA1:
		p.with = keyed(sha1.New)
	case PRFHMACSHA256:
		p.with = keyed(sha256.New)
	case PRFHMACSHA384:
		p.with = keyed(sha512.New384)
	case PRFHMACSHA512:
		p.with = keyed(sha512.New)
	case PRFAESXCBC:
		p.with = func(key []byte) hash.Hash { return mustChain(newXCBC(fit(key))) }
	case PRFAESCMAC:
		p.with = func(key []byte) hash.Hash {
			if len(key) != 16 { // RFC 4615 section 3: short ones go through it too
				key = hashed(key, newCMAC)
			}
			return mustChain(newCMAC(key))
		}
	}
	return p, nil
}

func keyed(h func() hash.Hash) func([]byte) hash.Hash {
	return func(key []byte) hash.Hash { return hmac.New(h, key) }
}

// fit makes a key of any length one for XCBC (RFC 4434 section 2): a short one
// gets zeros at its end, a long one goes through the function itself.
func fit(key []byte) []byte {
	if len(key) > 16 {
		return hashed(key, newXCBC)
	}
	return append(append(make([]byte, 0, 16), key...), make([]byte, 16-len(key))...)
}

// hashed returns the tag of a long key under a key of zeros.
func hashed(key []byte, mac func([]byte) (*chained, error)) []byte {
	var h hash.Hash = mustChain(mac(make([]byte, 16)))
	h.Write(key)
	return h.Sum(nil)
}

// mustChain is for keys of 16 bytes, which AES always takes.
func mustChain(c *chained, err error) *chained {
	if err != nil {
		panic("suite: " + err.Error())
	}
	return c
}

// Transform returns what the function was made from.
func (p PRF) Transform() Transform { return p.transform }

// Size returns the length of the output.
func (p PRF) Size() int { return p.size }

// KeySize returns the preferred length of the key: that of SK_d, SK_pi and
// SK_pr (RFC 7296 section 2.14). It equals Size for all there are.
func (p PRF) KeySize() int { return p.size }

// Sum returns the function of the parts, one after the other, under a key of
// any length.
func (p PRF) Sum(key []byte, parts ...[]byte) []byte {
	h := p.with(key)
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(make([]byte, 0, p.size))
}

// NonceKey returns the key for SKEYSEED (RFC 7296 section 2.14): both nonces,
// of which the functions with a fixed key take the first eight bytes each.
func (p PRF) NonceKey(initiator, responder []byte) []byte {
	if p.transform.ID == PRFAESXCBC || p.transform.ID == PRFAESCMAC {
		initiator, responder = initiator[:min(8, len(initiator))], responder[:min(8, len(responder))]
	}
	return append(append(make([]byte, 0, len(initiator)+len(responder)), initiator...), responder...)
}

// Plus returns n bytes of prf+ (RFC 7296 section 2.13). It panics if n is more
// than 255 outputs: no set of keys is.
func (p PRF) Plus(key, seed []byte, n int) []byte {
	if n < 0 || n > 255*p.size {
		panic("suite: prf+ of more than 255 blocks")
	}
	out := make([]byte, 0, n+p.size)
	var last []byte
	for i := byte(1); len(out) < n; i++ {
		last = p.Sum(key, last, seed, []byte{i})
		out = append(out, last...)
	}
	return out[:n:n]
}
