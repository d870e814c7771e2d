package keys

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	stdasn1 "encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The object identifiers of keys: PKCS#1 (RFC 8017), DSA and EC (RFC 3279,
// RFC 5480), and the curves of RFC 8410.
const (
	idRSA     = "1.2.840.113549.1.1.1"
	idRSAPSS  = "1.2.840.113549.1.1.10"
	idDSA     = "1.2.840.10040.4.1"
	idEC      = "1.2.840.10045.2.1"
	idX25519  = "1.3.101.110"
	idX448    = "1.3.101.111"
	idEd25519 = "1.3.101.112"
	idEd448   = "1.3.101.113"

	idP256 = "1.2.840.10045.3.1.7"
	idP384 = "1.3.132.0.34"
	idP521 = "1.3.132.0.35"
)

// curveByID returns one of the curves that SSH uses, or nil.
func curveByID(id stdasn1.ObjectIdentifier) elliptic.Curve {
	switch id.String() {
	case idP256:
		return elliptic.P256()
	case idP384:
		return elliptic.P384()
	case idP521:
		return elliptic.P521()
	}
	return nil
}

// An algorithm is ASN.1's AlgorithmIdentifier: a name and what belongs to it.
type algorithm struct {
	id         string
	parameters cryptobyte.String // empty if absent
}

// readAlgorithm takes an AlgorithmIdentifier off s.
func readAlgorithm(s *cryptobyte.String) (algorithm, bool) {
	var inner cryptobyte.String
	var id stdasn1.ObjectIdentifier
	if !s.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1ObjectIdentifier(&id) {
		return algorithm{}, false
	}
	return algorithm{id.String(), inner}, true
}

// bare reports whether no parameter belongs to it: RFC 3279, section 2.3.1, and
// RFC 8018, appendix B.1, write NULL there.
func (a algorithm) bare() bool {
	return a.parameters.Empty() || bytes.Equal(a.parameters, []byte{5, 0})
}

// parsePKCS8 reads PrivateKeyInfo (RFC 5208, section 5), and its successor
// OneAsymmetricKey (RFC 5958, section 2), which may hold the public half too.
func parsePKCS8(der []byte) (crypto.PrivateKey, error) {
	r := sequence(der)
	version := r.integer()
	kind, ok := readAlgorithm(&r.s)
	var private, public []byte
	var attributes, inner cryptobyte.String
	var hasPublic bool
	const attributesTag, publicTag = asn1.Tag(0), asn1.Tag(1)
	r.ok = r.ok && ok && r.s.ReadASN1Bytes(&private, asn1.OCTET_STRING) &&
		r.s.ReadOptionalASN1(&attributes, new(bool), attributesTag.ContextSpecific().Constructed()) &&
		r.s.ReadOptionalASN1(&inner, &hasPublic, publicTag.ContextSpecific())
	if hasPublic { // a BIT STRING whose own tag is replaced
		unused := uint8(1)
		r.ok = r.ok && inner.ReadUint8(&unused) && unused == 0 && inner.ReadBytes(&public, len(inner))
	}
	if !r.end() || !version.IsInt64() || version.Int64() < 0 || version.Int64() > 1 {
		return nil, damaged("its PKCS#8 structure is cut off or wrong")
	}
	switch kind.id {
	case idRSA:
		if !kind.bare() {
			return nil, damaged("its PKCS#8 structure is cut off or wrong")
		}
		return parsePKCS1(private)
	case idDSA:
		return parsePKCS8DSA(kind.parameters, private)
	case idEC:
		return parseSEC1(private, kind.parameters)
	case idEd25519:
		var seed []byte
		s := cryptobyte.String(private)
		if !s.ReadASN1Bytes(&seed, asn1.OCTET_STRING) || !s.Empty() {
			return nil, damaged("its private half is cut off or wrong")
		}
		return newEd25519(seed, public)
	case idEd448:
		return nil, unsupportedEd448()
	case idX25519, idX448:
		return nil, unsupported("it is a key for key agreement (X25519 or X448), which SSH does not use")
	case idRSAPSS:
		return nil, unsupported("it is an RSA key for PSS signatures only, which SSH does not use")
	}
	return nil, unsupported("it is of a type that SSH does not use (%s)", shorten(kind.id, 60))
}

// parsePKCS8DSA reads the private number of a DSA key, whose domain stands in
// the parameters (RFC 3279, section 2.3.2).
func parsePKCS8DSA(parameters, private []byte) (crypto.PrivateKey, error) {
	domain := sequence(parameters)
	p, q, g := domain.integer(), domain.integer(), domain.integer()
	x := new(big.Int)
	s := cryptobyte.String(private)
	if !domain.end() || !s.ReadASN1Integer(x) || !s.Empty() {
		return nil, damaged("its DSA numbers are cut off or wrong")
	}
	return newDSA(p, q, g, nil, x)
}

// recognizeEncryptedPKCS8 reads EncryptedPrivateKeyInfo (RFC 5958, section 3).
// What type of key is in it takes the passphrase.
func recognizeEncryptedPKCS8(der []byte) (*file, error) {
	f := &file{Info: Info{Format: PKCS8, Encrypted: true}}
	var inner cryptobyte.String
	var sealed []byte
	s := cryptobyte.String(der)
	if !s.ReadASN1(&inner, asn1.SEQUENCE) || !s.Empty() {
		return f, damaged("its PKCS#8 structure is cut off or wrong")
	}
	scheme, ok := readAlgorithm(&inner)
	if !ok || !inner.ReadASN1Bytes(&sealed, asn1.OCTET_STRING) || !inner.Empty() {
		return f, damaged("its PKCS#8 structure is cut off or wrong")
	}
	e, err := parseEncryption(scheme)
	if err != nil {
		return f, err
	}
	f.Cipher, f.KDF = e.cipher.name, e.kdf
	if len(sealed) == 0 || len(sealed)%e.cipher.block != 0 {
		return f, damaged("its length is not one that %s makes", e.cipher.name)
	}
	f.open = func(passphrase []byte) (*PrivateKey, error) {
		plain, err := e.decrypt(sealed, passphrase)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
		return newPrivate(parsePKCS8(plain))
	}
	return f, nil
}
