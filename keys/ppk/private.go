package ppk

import (
	"bytes"
	"crypto"
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// privateHalf reads the private fields and makes sure that they belong to the
// public key. What comes after them is padding.
func privateHalf(public ssh.PublicKey, blob []byte) (crypto.PrivateKey, error) {
	broken := damaged(0, "its private half is not valid, or not that of its public half")
	known, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return nil, broken
	}
	r := reader{rest: blob}
	var key crypto.PrivateKey
	switch public := known.CryptoPublicKey().(type) {
	case *rsa.PublicKey:
		key, ok = readRSA(public, &r)
	case *dsa.PublicKey:
		key, ok = readDSA(public, &r)
	case *ecdsa.PublicKey:
		key, ok = readECDSA(public, &r)
	case ed25519.PublicKey:
		key, ok = readEd25519(public, &r)
	default:
		ok = false
	}
	if !ok {
		return nil, broken
	}
	return key, nil
}

func readRSA(public *rsa.PublicKey, r *reader) (crypto.PrivateKey, bool) {
	d, p, q, inverse := r.mpint(), r.mpint(), r.mpint(), r.mpint()
	for _, n := range []*big.Int{d, p, q, inverse} {
		if r.failed || n.Sign() == 0 || n.BitLen() > public.N.BitLen() {
			return nil, false
		}
	}
	one := big.NewInt(1)
	if p.Cmp(one) == 0 || q.Cmp(one) == 0 {
		return nil, false
	}
	key := &rsa.PrivateKey{PublicKey: *public, D: d, Primes: []*big.Int{p, q}}
	// Given these three, Validate checks them, and that n = pq and d fits e.
	// Left to make them itself, it takes seconds for numbers made to that end.
	key.Precomputed.Dp = new(big.Int).Mod(d, new(big.Int).Sub(p, one))
	key.Precomputed.Dq = new(big.Int).Mod(d, new(big.Int).Sub(q, one))
	key.Precomputed.Qinv = inverse.Mod(inverse, p)
	key.Precompute()
	if key.Validate() != nil {
		return nil, false
	}
	return key, true
}

func readDSA(public *dsa.PublicKey, r *reader) (crypto.PrivateKey, bool) {
	x := r.mpint()
	if r.failed || x.Sign() == 0 || x.Cmp(public.Q) >= 0 {
		return nil, false
	}
	// In version 1, the MAC does not cover the parameters. Were g of small
	// order, y = g^x would say little.
	one := big.NewInt(1)
	if public.G.Cmp(one) <= 0 || !public.Q.ProbablyPrime(20) || new(big.Int).Exp(public.G, public.Q, public.P).Cmp(one) != 0 {
		return nil, false
	}
	if new(big.Int).Exp(public.G, x, public.P).Cmp(public.Y) != 0 {
		return nil, false
	}
	return &dsa.PrivateKey{PublicKey: *public, X: x}, true
}

func readECDSA(public *ecdsa.PublicKey, r *reader) (crypto.PrivateKey, bool) {
	d := r.mpint()
	size := (public.Curve.Params().BitSize + 7) / 8
	if r.failed || d.BitLen() > 8*size {
		return nil, false
	}
	raw := d.FillBytes(make([]byte, size))
	defer clear(raw)
	key, err := ecdsa.ParseRawPrivateKey(public.Curve, raw)
	return key, err == nil && key.PublicKey.Equal(public)
}

// readEd25519 takes a seed of any length: PuTTY reads it as a little-endian
// number, so zeros at its end may be missing or too many.
func readEd25519(public ed25519.PublicKey, r *reader) (crypto.PrivateKey, bool) {
	number := r.bytes()
	seed := make([]byte, ed25519.SeedSize)
	defer clear(seed)
	if n := copy(seed, number); r.failed || len(bytes.Trim(number[n:], "\x00")) > 0 {
		return nil, false
	}
	key := ed25519.NewKeyFromSeed(seed)
	return key, public.Equal(key.Public())
}

// privateFields is the opposite of privateHalf: the plain blob, not padded. It
// reports whether the key is of a type that a file can hold.
func privateFields(key crypto.PrivateKey) ([]byte, bool) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if len(key.Primes) != 2 {
			return nil, false
		}
		p, q := key.Primes[0], key.Primes[1]
		inverse := new(big.Int).ModInverse(q, p)
		if inverse == nil {
			return nil, false
		}
		return appendMpint(nil, key.D, p, q, inverse), true
	case *dsa.PrivateKey:
		return appendMpint(nil, key.X), true
	case *ecdsa.PrivateKey:
		raw, err := key.Bytes()
		defer clear(raw)
		return appendMpint(nil, new(big.Int).SetBytes(raw)), err == nil
	case ed25519.PrivateKey:
		if len(key) != ed25519.PrivateKeySize {
			return nil, false
		}
		return appendBytes(nil, key.Seed()), true
	case *ed25519.PrivateKey:
		return privateFields(*key)
	}
	return nil, false
}
