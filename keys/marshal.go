package keys

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	"linehaul/fault"
	"linehaul/keys/ppk"
)

// The cost of passphrases in files that are written here.
const (
	bcryptRounds = 24      // as ssh-keygen has it since 9.4
	pbkdf2Rounds = 600_000 // OWASP's advice of 2023 for HMAC-SHA-256
	saltSize     = 16      // bytes
)

// Marshal writes a private key in a format, encrypted if the passphrase is not
// empty: OpenSSH with aes256-ctr, PEM with AES-256-CBC behind a single round of
// MD5 (OpenSSL's only way, and weak), PKCS8 with AES-256-CBC behind PBKDF2,
// PPK2 and PPK3 as PuTTY does. Random bytes are read from random: crypto/rand
// in earnest.
//
// PEM knows no Ed25519. Only OpenSSH and the PPK formats keep the comment, and
// only these hold a certificate: the caller writes it beside the others.
//
// The error is a *fault.Error of kind Key with a *LoadError in it, for a format
// that the key has no form in, or an error of random.
func Marshal(k *PrivateKey, f Format, passphrase []byte, random io.Reader) ([]byte, error) {
	var text []byte
	var err error
	switch f {
	case OpenSSH:
		text, err = marshalOpenSSH(k, passphrase, random)
	case PEM:
		text, err = marshalPEM(k.Key, passphrase, random)
	case PKCS8:
		text, err = marshalPKCS8(k.Key, passphrase, random)
	case PPK2, PPK3:
		text, err = marshalPPK(k, f, passphrase, random)
	default:
		err = refuse(Unsupported, "private keys are written as openssh, pem, pkcs8, ppk2 and ppk3", "no private key is written as %q", shorten(string(f), 40))
	}
	if e, ok := errors.AsType[*LoadError](err); ok {
		return nil, fault.New(fault.Key, "write the key: %w", e).WithHint("%s", e.hint)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Key, fmt.Errorf("write the key: %w", err))
	}
	return text, nil
}

// unwritable says that a key has no form in a format.
func unwritable(key crypto.PrivateKey, f Format) *LoadError {
	return refuse(Unsupported, "private keys of every type are written as openssh, pkcs8, ppk2 and ppk3", "there is no form of a key of type %T in the format %s", key, f)
}

// marshalOpenSSH writes what recognizeOpenSSH reads.
func marshalOpenSSH(k *PrivateKey, passphrase []byte, random io.Reader) ([]byte, error) {
	public, err := publicHalf(k.Key)
	if err != nil {
		return nil, unwritable(k.Key, OpenSSH)
	}
	check, salt := make([]byte, 4), make([]byte, saltSize)
	for _, b := range [][]byte{check, salt} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
	}
	name, kdf := "none", "none"
	var options []byte
	if len(passphrase) > 0 {
		name, kdf = "aes256-ctr", "bcrypt"
		options = binary.BigEndian.AppendUint32(appendString(nil, salt), bcryptRounds)
	}
	c, _ := findOpenSSHCipher(name)
	sealed := append(check, check...)
	sealed = appendOpenSSHKey(appendString(sealed, public.Type()), k.Key)
	sealed = appendString(sealed, k.Comment)
	defer clear(sealed)
	for i := byte(1); len(sealed)%c.block != 0; i++ {
		sealed = append(sealed, i)
	}
	if len(passphrase) > 0 {
		secret := bcryptPBKDF(passphrase, salt, bcryptRounds, c.key+c.iv)
		defer clear(secret)
		block, err := aes.NewCipher(secret[:c.key])
		if err != nil {
			return nil, err
		}
		cipher.NewCTR(block, secret[c.key:]).XORKeyStream(sealed, sealed)
	}
	body := appendString(appendString([]byte(opensshMagic), name), kdf)
	body = binary.BigEndian.AppendUint32(appendString(body, options), 1)
	body = appendString(appendString(body, public.Marshal()), sealed)
	defer clear(body)
	return wrapPEM(labelOpenSSH, nil, body, 70), nil
}

// appendOpenSSHKey appends the numbers of a key, as readOpenSSHKey takes them.
func appendOpenSSHKey(b []byte, key crypto.PrivateKey) []byte {
	var numbers []*big.Int
	switch k := key.(type) {
	case *rsa.PrivateKey:
		n := numbersOf(k)
		numbers = []*big.Int{n.n, n.e, n.d, n.qinv, n.p, n.q}
	case *dsa.PrivateKey:
		numbers = []*big.Int{k.P, k.Q, k.G, k.Y, k.X}
	case *ecdsa.PrivateKey:
		scalar, err1 := k.Bytes()
		point, err2 := k.PublicKey.Bytes()
		if err1 != nil || err2 != nil {
			return nil
		}
		defer clear(scalar)
		b = appendString(b, fmt.Sprintf("nistp%d", k.Curve.Params().BitSize))
		b = appendString(b, point)
		numbers = []*big.Int{new(big.Int).SetBytes(scalar)}
	case ed25519.PrivateKey:
		return appendString(appendString(b, k[ed25519.SeedSize:]), k)
	}
	for _, x := range numbers {
		b = appendMpint(b, x)
	}
	return b
}

// numbersOf is the reverse of rsaNumbers.key.
func numbersOf(k *rsa.PrivateKey) rsaNumbers {
	k.Precompute()
	return rsaNumbers{
		n: k.N, e: big.NewInt(int64(k.E)), d: k.D, p: k.Primes[0], q: k.Primes[1],
		dp: k.Precomputed.Dp, dq: k.Precomputed.Dq, qinv: k.Precomputed.Qinv,
	}
}

// marshalPEM writes what recognizeTraditional reads.
func marshalPEM(key crypto.PrivateKey, passphrase []byte, random io.Reader) ([]byte, error) {
	var label string
	var der []byte
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		label, der = labelRSA, x509.MarshalPKCS1PrivateKey(k)
	case *dsa.PrivateKey:
		label = labelDSA
		der, err = asn1.Marshal(struct {
			Version       int
			P, Q, G, Y, X *big.Int
		}{0, k.P, k.Q, k.G, k.Y, k.X})
	case *ecdsa.PrivateKey:
		label = labelEC
		der, err = x509.MarshalECPrivateKey(k)
	default:
		return nil, unwritable(key, PEM)
	}
	if err != nil {
		return nil, unwritable(key, PEM)
	}
	defer clear(der)
	if len(passphrase) == 0 {
		return wrapPEM(label, nil, der, 64), nil
	}
	iv := make([]byte, aes.BlockSize)
	if _, err := io.ReadFull(random, iv); err != nil {
		return nil, err
	}
	dek := "AES-256-CBC," + strings.ToUpper(hex.EncodeToString(iv))
	d, err := parseDEKInfo(dek)
	if err != nil {
		return nil, err
	}
	block, err := d.cipher(passphrase)
	if err != nil {
		return nil, err
	}
	return wrapPEM(label, []string{"Proc-Type: 4,ENCRYPTED", "DEK-Info: " + dek}, sealCBC(block, iv, der), 64), nil
}

// marshalPKCS8 writes what parsePKCS8 and recognizeEncryptedPKCS8 read.
func marshalPKCS8(key crypto.PrivateKey, passphrase []byte, random io.Reader) ([]byte, error) {
	var der []byte
	var err error
	if k, ok := key.(*dsa.PrivateKey); ok {
		der, err = marshalPKCS8DSA(k)
	} else {
		der, err = x509.MarshalPKCS8PrivateKey(key)
	}
	if err != nil {
		return nil, unwritable(key, PKCS8)
	}
	defer clear(der)
	if len(passphrase) == 0 {
		return wrapPEM(labelPKCS8, nil, der, 64), nil
	}
	salt, iv := make([]byte, saltSize), make([]byte, aes.BlockSize)
	for _, b := range [][]byte{salt, iv} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, err
		}
	}
	secret, err := pbkdf2.Key(sha256.New, string(passphrase), salt, pbkdf2Rounds, 32)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	sealed, err := asn1.Marshal(encryptedKey{
		Scheme: schemeOf(idPBES2, pbes2{
			KDF:    schemeOf(idPBKDF2, pbkdf2Parameters{salt, pbkdf2Rounds, schemeOf(idHMACSHA256, asn1.NullRawValue)}),
			Cipher: schemeOf(idAES256CBC, iv),
		}),
		Sealed: sealCBC(block, iv, der),
	})
	if err != nil {
		return nil, err
	}
	return wrapPEM(labelEncrypted, nil, sealed, 64), nil
}

// The structures of RFC 8018, appendix A, and RFC 5958, for writing.
type (
	scheme struct {
		ID         asn1.ObjectIdentifier
		Parameters any
	}
	encryptedKey struct {
		Scheme scheme
		Sealed []byte
	}
	pbes2            struct{ KDF, Cipher scheme }
	pbkdf2Parameters struct {
		Salt   []byte
		Rounds int
		PRF    scheme
	}
	plainKey8 struct {
		Version int
		Scheme  scheme
		Key     []byte
	}
)

// schemeOf makes an AlgorithmIdentifier.
func schemeOf(id string, parameters any) scheme {
	var s scheme
	for part := range strings.SplitSeq(id, ".") {
		n := 0
		for _, digit := range part {
			n = 10*n + int(digit-'0')
		}
		s.ID = append(s.ID, n)
	}
	s.Parameters = parameters
	return s
}

// marshalPKCS8DSA writes what the standard library does not.
func marshalPKCS8DSA(k *dsa.PrivateKey) ([]byte, error) {
	x, err := asn1.Marshal(k.X)
	if err != nil {
		return nil, err
	}
	defer clear(x)
	return asn1.Marshal(plainKey8{0, schemeOf(idDSA, struct{ P, Q, G *big.Int }{k.P, k.Q, k.G}), x})
}

// marshalPPK has ppk write the key.
func marshalPPK(k *PrivateKey, f Format, passphrase []byte, random io.Reader) ([]byte, error) {
	public, err := publicHalf(k.Key)
	if err != nil {
		return nil, unwritable(k.Key, f)
	}
	version := 3
	if f == PPK2 {
		version = 2
	}
	text, err := ppk.Marshal(
		&ppk.Key{Version: version, Private: k.Key, Public: public, Certificate: k.Certificate, Comment: k.Comment},
		ppk.Options{Version: version, Passphrase: passphrase, Rand: random})
	if err != nil {
		return nil, ppkError(err)
	}
	return text, nil
}

// wrapPEM writes a block with lines of a width.
func wrapPEM(label string, headers []string, body []byte, width int) []byte {
	var out bytes.Buffer
	out.WriteString(pemBegin + label + pemDashes + "\n")
	for _, h := range headers {
		out.WriteString(h + "\n")
	}
	if len(headers) > 0 {
		out.WriteString("\n")
	}
	for line := range slices.Chunk(base64.StdEncoding.AppendEncode(nil, body), width) {
		out.Write(line)
		out.WriteString("\n")
	}
	out.WriteString(pemEnd + label + pemDashes + "\n")
	return out.Bytes()
}
