package ikev2

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1" // what gateways without RFC 7427 sign over
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"slices"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// A scheme is how a key signs: the hash, and for RSA the padding.
type scheme struct {
	hash crypto.Hash // 0: Ed25519, which signs all of it (RFC 8420)
	pss  bool
}

// hashOf are those of RFC 7427 section 7 that are offered, and believed. SHA-1
// is not among them.
func hashOf(h ikemsg.HashAlgorithm) crypto.Hash {
	switch h {
	case ikemsg.HashSHA256:
		return crypto.SHA256
	case ikemsg.HashSHA384:
		return crypto.SHA384
	case ikemsg.HashSHA512:
		return crypto.SHA512
	case ikemsg.HashSHA1, ikemsg.HashIdentity:
	}
	return 0
}

// ownAuth makes our AUTH payload by the certificate's key, in the best way that
// the gateway knows.
func (c *Certificate) ownAuth(known []ikemsg.HashAlgorithm, octets []byte, random io.Reader) (*ikemsg.Auth, error) {
	if s, algorithm, ok := c.digital(known); ok {
		signature, err := s.sign(c.Key, octets, random)
		if err != nil {
			return nil, fault.New(fault.Key, "sign with the key of %s: %w", quotedName(c.Chain[0]), err)
		}
		return &ikemsg.Auth{Method: ikemsg.AuthDigitalSignature, Data: ikemsg.JoinSignature(algorithm, signature)}, nil
	}
	return c.oldAuth(octets, random)
}

// digital chooses how to sign by RFC 7427: over the hash that is as strong as
// the key, or the nearest that the gateway knows.
func (c *Certificate) digital(known []ikemsg.HashAlgorithm) (s scheme, algorithm []byte, ok bool) {
	var wanted []ikemsg.HashAlgorithm
	all := []ikemsg.HashAlgorithm{ikemsg.HashSHA256, ikemsg.HashSHA384, ikemsg.HashSHA512}
	stronger := func(at int) []ikemsg.HashAlgorithm { // then the weaker ones, the strongest first
		weaker := slices.Clone(all[:at])
		slices.Reverse(weaker)
		return append(slices.Clone(all[at:]), weaker...)
	}
	switch key := c.Key.Public().(type) {
	case ed25519.PublicKey:
		wanted = []ikemsg.HashAlgorithm{ikemsg.HashIdentity}
	case *ecdsa.PublicKey:
		wanted = stronger(min(2, max(0, key.Curve.Params().BitSize-256)/128))
	case *rsa.PublicKey:
		switch {
		case key.N.BitLen() > 7680: // NIST SP 800-57 part 1 table 2
			wanted = stronger(2)
		case key.N.BitLen() > 3072:
			wanted = stronger(1)
		default:
			wanted = stronger(0)
		}
	}
	for _, h := range wanted {
		if !slices.Contains(known, h) {
			continue
		}
		s = scheme{hash: hashOf(h), pss: c.PSS}
		algorithm, err := s.identifier(c.Key.Public())
		return s, algorithm, err == nil
	}
	return scheme{}, nil, false
}

// oldAuth signs as before RFC 7427: RSA over SHA-1 (RFC 7296 section 3.8), or
// ECDSA over the hash of its curve (RFC 4754).
func (c *Certificate) oldAuth(octets []byte, random io.Reader) (*ikemsg.Auth, error) {
	refused := func(what string) (*ikemsg.Auth, error) {
		return nil, fault.New(fault.GatewayLogin, "the gateway knows no signatures of %s", what).AsPermanent().
			WithHint("it has no RFC 7427 for this key: a certificate for an RSA key of 2048 bits, or an ECDSA key, may be what it knows")
	}
	switch key := c.Key.Public().(type) {
	case *rsa.PublicKey:
		signature, err := scheme{hash: crypto.SHA1}.sign(c.Key, octets, random)
		if err != nil {
			return nil, fault.New(fault.Key, "sign with the key of %s: %w", quotedName(c.Chain[0]), err)
		}
		return &ikemsg.Auth{Method: ikemsg.AuthRSA, Data: signature}, nil
	case *ecdsa.PublicKey:
		method, hash, ok := oldCurve(key.Curve.Params().BitSize)
		if !ok {
			return refused("this elliptic curve")
		}
		der, err := scheme{hash: hash}.sign(c.Key, octets, random)
		if err != nil {
			return nil, fault.New(fault.Key, "sign with the key of %s: %w", quotedName(c.Chain[0]), err)
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &rs); err != nil {
			return nil, fault.New(fault.Internal, "take a signature apart: %w", err)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		data := make([]byte, 2*size)
		rs.R.FillBytes(data[:size])
		rs.S.FillBytes(data[size:])
		return &ikemsg.Auth{Method: method, Data: data}, nil
	}
	return refused("Ed25519")
}

// oldCurve is the method of a curve by RFC 4754 section 7, with its hash.
func oldCurve(bits int) (ikemsg.AuthMethod, crypto.Hash, bool) {
	switch bits {
	case 256:
		return ikemsg.AuthECDSA256, crypto.SHA256, true
	case 384:
		return ikemsg.AuthECDSA384, crypto.SHA384, true
	case 521:
		return ikemsg.AuthECDSA521, crypto.SHA512, true
	}
	return 0, 0, false
}

func (s scheme) digest(octets []byte) []byte {
	if s.hash == 0 {
		return octets
	}
	h := s.hash.New()
	h.Write(octets)
	return h.Sum(nil)
}

func (s scheme) sign(key crypto.Signer, octets []byte, random io.Reader) ([]byte, error) {
	var o crypto.SignerOpts = s.hash
	if _, isRSA := key.Public().(*rsa.PublicKey); isRSA && s.pss {
		o = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
	}
	return key.Sign(random, s.digest(octets), o)
}

// errSignature is a signature that does not fit.
var errSignature = errors.New("the signature does not fit")

func (s scheme) verify(key crypto.PublicKey, octets, signature []byte) error {
	ok := false
	switch key := key.(type) {
	case *rsa.PublicKey:
		if s.pss {
			return rsa.VerifyPSS(key, s.hash, s.digest(octets), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
		}
		return rsa.VerifyPKCS1v15(key, s.hash, s.digest(octets), signature)
	case *ecdsa.PublicKey:
		ok = s.hash != 0 && ecdsa.VerifyASN1(key, s.digest(octets), signature)
	case ed25519.PublicKey:
		ok = s.hash == 0 && ed25519.Verify(key, octets, signature)
	}
	if !ok {
		return errSignature
	}
	return nil
}

// The object identifiers of RFC 7427 appendix A and RFC 8420 section 3.
func oidRSAPSS() asn1.ObjectIdentifier  { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10} }
func oidMGF1() asn1.ObjectIdentifier    { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8} }
func oidEd25519() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 101, 112} }

// oids names the identifiers of a hash: with RSA, with ECDSA, and alone.
func oids(h crypto.Hash) (withRSA, withECDSA, alone asn1.ObjectIdentifier) {
	last := 0 // SHA-256, -384 and -512 are numbered in this order
	switch h {
	case crypto.SHA256:
	case crypto.SHA384:
		last = 1
	case crypto.SHA512:
		last = 2
	default:
		return nil, nil, nil
	}
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11 + last}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2 + last},
		asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1 + last}
}

// A pssParameters is RSASSA-PSS-params (RFC 8017 appendix A.2.3).
type pssParameters struct {
	Hash    pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
	MGF     pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
	Salt    int                      `asn1:"explicit,tag:2"`
	Trailer int                      `asn1:"optional,explicit,tag:3,default:1"`
}

// identifier is the DER of a scheme's AlgorithmIdentifier.
func (s scheme) identifier(key crypto.PublicKey) ([]byte, error) {
	rsaOID, ecdsaOID, hashOID := oids(s.hash)
	switch key.(type) {
	case ed25519.PublicKey:
		return asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: oidEd25519()})
	case *ecdsa.PublicKey:
		return asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: ecdsaOID})
	case *rsa.PublicKey:
		if !s.pss {
			return asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: rsaOID, Parameters: asn1.NullRawValue})
		}
		hash := pkix.AlgorithmIdentifier{Algorithm: hashOID, Parameters: asn1.NullRawValue}
		inner, err := asn1.Marshal(hash)
		if err != nil {
			return nil, err
		}
		parameters, err := asn1.Marshal(pssParameters{
			Hash: hash, MGF: pkix.AlgorithmIdentifier{Algorithm: oidMGF1(), Parameters: asn1.RawValue{FullBytes: inner}},
			Salt: s.hash.Size(), Trailer: 1,
		})
		if err != nil {
			return nil, err
		}
		return asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: oidRSAPSS(), Parameters: asn1.RawValue{FullBytes: parameters}})
	}
	return nil, errors.New("a key of a type that signs nothing here")
}

// schemeOf finds the scheme of an AlgorithmIdentifier among those that a key
// may sign by. Parameters that are NULL may be left out (RFC 4055 section 5).
func schemeOf(algorithm []byte, key crypto.PublicKey) (scheme, bool) {
	var id pkix.AlgorithmIdentifier
	if rest, err := asn1.Unmarshal(algorithm, &id); err != nil || len(rest) > 0 {
		return scheme{}, false
	}
	bare := len(id.Parameters.FullBytes) == 0 || bytes.Equal(id.Parameters.FullBytes, asn1.NullBytes)
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, 0} {
		rsaOID, ecdsaOID, hashOID := oids(hash)
		switch key.(type) {
		case ed25519.PublicKey:
			if hash == 0 && bare && id.Algorithm.Equal(oidEd25519()) {
				return scheme{}, true
			}
		case *ecdsa.PublicKey:
			if hash != 0 && bare && id.Algorithm.Equal(ecdsaOID) {
				return scheme{hash: hash}, true
			}
		case *rsa.PublicKey:
			if hash != 0 && bare && id.Algorithm.Equal(rsaOID) {
				return scheme{hash: hash}, true
			}
			if hash != 0 && id.Algorithm.Equal(oidRSAPSS()) && pssOf(id.Parameters.FullBytes, hashOID) {
				return scheme{hash: hash, pss: true}, true
			}
		}
	}
	return scheme{}, false
}

// pssOf reports whether parameters are those of one hash, for the message and
// for the mask.
func pssOf(der []byte, hash asn1.ObjectIdentifier) bool {
	var p pssParameters
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) > 0 || p.Trailer != 1 {
		return false
	}
	var mask pkix.AlgorithmIdentifier
	if rest, err := asn1.Unmarshal(p.MGF.Parameters.FullBytes, &mask); err != nil || len(rest) > 0 {
		return false
	}
	return p.Hash.Algorithm.Equal(hash) && mask.Algorithm.Equal(hash) && p.MGF.Algorithm.Equal(oidMGF1())
}

// signedBy checks the gateway's signature by the key of its certificate. weak
// reports that it is over SHA-1.
func signedBy(key crypto.PublicKey, auth *ikemsg.Auth, octets []byte) (weak bool, err error) {
	switch auth.Method { //nolint:exhaustive // the others are no signatures, or none of a certificate
	case ikemsg.AuthDigitalSignature:
		algorithm, signature, err := ikemsg.SplitSignature(auth.Data)
		if err != nil {
			return false, err
		}
		s, ok := schemeOf(algorithm, key)
		if !ok {
			return false, errors.New("the signature is of an algorithm that was not offered, or that is not its key's")
		}
		return false, s.verify(key, octets, signature)
	case ikemsg.AuthRSA:
		public, ok := key.(*rsa.PublicKey)
		if !ok {
			return false, errors.New("the signature is of RSA, and the key is not")
		}
		for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA1} {
			if err = (scheme{hash: hash}).verify(public, octets, auth.Data); err == nil {
				return hash == crypto.SHA1, nil
			}
		}
		return false, errSignature
	case ikemsg.AuthECDSA256, ikemsg.AuthECDSA384, ikemsg.AuthECDSA521:
		return false, oldECDSA(key, auth, octets)
	}
	return false, errors.New("it is no signature")
}

// oldECDSA checks a signature of RFC 4754, whose two numbers stand side by side.
func oldECDSA(key crypto.PublicKey, auth *ikemsg.Auth, octets []byte) error {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return errors.New("the signature is of ECDSA, and the key is not")
	}
	bits := public.Curve.Params().BitSize
	method, hash, ok := oldCurve(bits)
	size := (bits + 7) / 8
	if !ok || method != auth.Method || len(auth.Data) != 2*size {
		return errors.New("the signature is of another curve than its key")
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(auth.Data[:size]), new(big.Int).SetBytes(auth.Data[size:])})
	if err != nil {
		return err
	}
	return scheme{hash: hash}.verify(public, octets, der)
}
