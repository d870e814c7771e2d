package keys

import (
	"bytes"
	"crypto"
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/subtle"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// The functions here make keys of the numbers that the formats hold, and make
// sure that the numbers belong together. Each number is bounded before it is
// calculated with.

// The limits on RSA: the least that OpenSSH accepts (RequiredRSASize), the most
// that ssh-keygen makes, and the longest exponent that the SSH library takes.
const (
	minRSABits      = 1024
	maxRSABits      = 16384
	maxExponentBits = 24
)

// The one size of DSA that SSH knows (FIPS 186-2; RFC 4253, section 6.6).
const (
	dsaBits    = 1024
	dsaSubBits = 160
)

// rsaNumbers are the parts of an RSA key. The last three are nil where the
// format does not hold them.
type rsaNumbers struct {
	n, e, d, p, q *big.Int
	dp, dq, qinv  *big.Int
}

// key holds the numbers against each other: p·q = n, and d·e = 1 modulo p-1
// and q-1.
func (r rsaNumbers) key() (*rsa.PrivateKey, error) {
	if err := checkRSASize(r.n); err != nil {
		return nil, err
	}
	for _, x := range []*big.Int{r.d, r.p, r.q} {
		if x.Sign() <= 0 || x.BitLen() > r.n.BitLen() {
			return nil, mismatched()
		}
	}
	if r.e.Sign() <= 0 || r.e.BitLen() > maxExponentBits {
		return nil, unsupported("its public exponent of RSA has %d bits, and at most %d are usual", r.e.BitLen(), maxExponentBits)
	}
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: r.n, E: int(r.e.Int64())},
		D:         r.d,
		Primes:    []*big.Int{r.p, r.q},
	}
	if new(big.Int).Mul(r.p, r.q).Cmp(r.n) != 0 {
		return nil, mismatched()
	}
	key.Precompute()
	if key.Validate() != nil || !r.sameCRT(key.Precomputed) {
		return nil, mismatched()
	}
	return key, nil
}

// sameCRT holds what the file has in store against what was calculated.
func (r rsaNumbers) sameCRT(own rsa.PrecomputedValues) bool {
	same := func(stored, calculated *big.Int) bool { return stored == nil || stored.Cmp(calculated) == 0 }
	return same(r.dp, own.Dp) && same(r.dq, own.Dq) && same(r.qinv, own.Qinv)
}

func checkRSASize(n *big.Int) error {
	switch bits := n.BitLen(); {
	case n.Sign() <= 0:
		return damaged("its modulus is not positive")
	case bits < minRSABits:
		return refuse(Unsupported, "servers want 2048 bits and more: make a new key with `ssh-keygen -t ed25519`",
			"its %d bits of RSA are too few", bits)
	case bits > maxRSABits:
		return unsupported("its %d bits of RSA are too many", bits)
	}
	return nil
}

// newDSA makes a DSA key. The public value y may be nil, as PKCS#8 does not
// hold it.
func newDSA(p, q, g, y, x *big.Int) (*dsa.PrivateKey, error) {
	if p.BitLen() != dsaBits || q.BitLen() != dsaSubBits {
		return nil, unsupportedDSA(p.BitLen())
	}
	one := big.NewInt(1)
	if p.Sign() <= 0 || q.Sign() <= 0 || p.Bit(0) == 0 || g.Cmp(one) <= 0 || g.Cmp(p) >= 0 || x.Sign() <= 0 || x.Cmp(q) >= 0 {
		return nil, mismatched()
	}
	// q is the order of g, or signatures would not verify.
	if new(big.Int).Exp(g, q, p).Cmp(one) != 0 {
		return nil, mismatched()
	}
	own := new(big.Int).Exp(g, x, p)
	if y != nil && y.Cmp(own) != 0 {
		return nil, mismatched()
	}
	return &dsa.PrivateKey{
		PublicKey: dsa.PublicKey{Parameters: dsa.Parameters{P: p, Q: q, G: g}, Y: own},
		X:         x,
	}, nil
}

func unsupportedDSA(bits int) *LoadError {
	return refuse(Unsupported, "SSH knows DSA with 1024 bits only, and no server takes others: make a new key with `ssh-keygen -t ed25519`",
		"it is a DSA key with %d bits", bits)
}

// newECDSA makes a key on a curve. The public point may be nil, or compressed
// (SEC 1, section 2.3.3).
func newECDSA(curve elliptic.Curve, point []byte, d *big.Int) (*ecdsa.PrivateKey, error) {
	size := (curve.Params().N.BitLen() + 7) / 8
	if d.Sign() <= 0 || d.BitLen() > size*8 {
		return nil, mismatched()
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, size)))
	if err != nil {
		return nil, mismatched()
	}
	own, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, mismatched()
	}
	if len(point) > 0 && (point[0] == 2 || point[0] == 3) {
		own = append([]byte{2 + own[len(own)-1]&1}, own[1:1+(len(own)-1)/2]...)
	}
	if point != nil && !bytes.Equal(point, own) {
		return nil, mismatched()
	}
	return key, nil
}

// newEd25519 makes a key of its seed. The public half may be nil.
func newEd25519(seed, public []byte) (ed25519.PrivateKey, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, damaged("its private half has %d bytes instead of %d", len(seed), ed25519.SeedSize)
	}
	key := ed25519.NewKeyFromSeed(seed)
	if public != nil && subtle.ConstantTimeCompare(public, key[ed25519.SeedSize:]) != 1 {
		return nil, mismatched()
	}
	return key, nil
}

func mismatched() *LoadError { return damaged("its private half does not belong to its public half") }

// publicHalf returns the public half in SSH's form. It fails on types that SSH
// does not use.
func publicHalf(key crypto.PrivateKey) (ssh.PublicKey, error) {
	var public any
	switch k := key.(type) {
	case *rsa.PrivateKey:
		public = &k.PublicKey
	case *dsa.PrivateKey:
		public = &k.PublicKey
	case *ecdsa.PrivateKey:
		public = &k.PublicKey
	case ed25519.PrivateKey:
		public = k.Public()
	}
	return ssh.NewPublicKey(public)
}
