package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"math/big"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/scrypt"
)

// Our own limits on what a file may ask for. OpenSSL takes 2,048 rounds of
// PBKDF2, and N=16384, r=8, p=1 of scrypt, which is 16 MiB.
const (
	maxIterations   = 10_000_000 // a few seconds
	maxScryptMemory = 256 << 20  // bytes
	maxScryptWork   = 1 << 23    // N·r·p, a few seconds
)

// A blockCipher is a cipher in CBC mode as PKCS#5 and PKCS#12 name it.
type blockCipher struct {
	name  string
	key   int // bytes
	block int // bytes
	open  func(key []byte) (cipher.Block, error)
}

// An encryption is a scheme with all its parameters.
type encryption struct {
	cipher blockCipher
	kdf    string // in words
	// derive makes the key, and the initial value unless the file has it.
	derive func(passphrase []byte) (key, iv []byte, err error)
}

// decrypt returns the ASN.1 text of a key.
func (e *encryption) decrypt(data, passphrase []byte) ([]byte, error) {
	key, iv, err := e.derive(passphrase)
	if err != nil {
		return nil, unsupported("this machine's settings forbid the way in which it is encrypted (%s)", e.kdf)
	}
	defer clear(key)
	block, err := e.cipher.open(key)
	if err != nil {
		return nil, unsupported("this machine's settings forbid the cipher with which it is encrypted (%s)", e.cipher.name)
	}
	return openCBC(block, iv, data)
}

// The object identifiers of encryption schemes (RFC 8018, appendix A; RFC 7292,
// appendix C; RFC 7914, section 7; RFC 8018, appendix B).
const (
	idPBES2  = "1.2.840.113549.1.5.13"
	idPBKDF2 = "1.2.840.113549.1.5.12"
	idScrypt = "1.3.6.1.4.1.11591.4.11"

	idMD5DES     = "1.2.840.113549.1.5.3"
	idSHA1DES    = "1.2.840.113549.1.5.10"
	idPKCS12DES3 = "1.2.840.113549.1.12.1.3"
	idPKCS12DES2 = "1.2.840.113549.1.12.1.4"

	idHMACSHA1   = "1.2.840.113549.2.7"
	idHMACSHA224 = "1.2.840.113549.2.8"
	idHMACSHA256 = "1.2.840.113549.2.9"
	idHMACSHA384 = "1.2.840.113549.2.10"
	idHMACSHA512 = "1.2.840.113549.2.11"

	idAES128CBC = "2.16.840.1.101.3.4.1.2"
	idAES192CBC = "2.16.840.1.101.3.4.1.22"
	idAES256CBC = "2.16.840.1.101.3.4.1.42"
	idDESEDE3   = "1.2.840.113549.3.7"
	idDES       = "1.3.14.3.2.7"
)

// oldScheme names a scheme that is not read.
func oldScheme(id string) string {
	switch id {
	case "1.2.840.113549.1.5.1":
		return "pbeWithMD2AndDES-CBC"
	case "1.2.840.113549.1.5.4":
		return "pbeWithMD2AndRC2-CBC"
	case "1.2.840.113549.1.5.6":
		return "pbeWithMD5AndRC2-CBC"
	case "1.2.840.113549.1.5.11":
		return "pbeWithSHA1AndRC2-CBC"
	case "1.2.840.113549.1.12.1.1":
		return "pbeWithSHA1And128BitRC4"
	case "1.2.840.113549.1.12.1.2":
		return "pbeWithSHA1And40BitRC4"
	case "1.2.840.113549.1.12.1.5":
		return "pbeWithSHA1And128BitRC2-CBC"
	case "1.2.840.113549.1.12.1.6":
		return "pbeWithSHA1And40BitRC2-CBC"
	case "1.2.840.113549.3.2":
		return "RC2-CBC"
	}
	return shorten(id, 60)
}

func unsupportedScheme(id string) *LoadError {
	return refuse(Unsupported, "`openssl pkcs8 -topk8 -v2 aes256 -in FILE -out OUT -provider legacy -provider default` encrypts it anew; then name OUT after `keys:`",
		"it is encrypted in a way that is not read here (%s)", oldScheme(id))
}

// parseEncryption reads a scheme and its parameters.
func parseEncryption(a algorithm) (*encryption, error) {
	des1 := blockCipher{"DES-CBC", 8, des.BlockSize, des.NewCipher}
	des3 := blockCipher{"DES-EDE3-CBC", 24, des.BlockSize, des.NewTripleDESCipher}
	des2 := blockCipher{"DES-EDE-CBC", 16, des.BlockSize, func(key []byte) (cipher.Block, error) {
		return des.NewTripleDESCipher(append(key[:16:16], key[:8]...))
	}}
	switch a.id {
	case idPBES2:
		return parsePBES2(a.parameters)
	case idMD5DES:
		return parsePBES1(a.parameters, des1, "PBKDF1-MD5", deriveOld(md5.New))
	case idSHA1DES:
		return parsePBES1(a.parameters, des1, "PBKDF1-SHA1", deriveOld(sha1.New))
	case idPKCS12DES3:
		return parsePBES1(a.parameters, des3, "PKCS#12-SHA1", derivePKCS12(des3))
	case idPKCS12DES2:
		return parsePBES1(a.parameters, des2, "PKCS#12-SHA1", derivePKCS12(des2))
	}
	return nil, unsupportedScheme(a.id)
}

// A deriver makes key and initial value of a passphrase.
type deriver func(passphrase, salt []byte, rounds int) (key, iv []byte)

// parsePBES1 reads PBEParameter, which the old schemes share (RFC 8018,
// appendix A.3): a salt and a number of rounds.
func parsePBES1(parameters cryptobyte.String, c blockCipher, name string, derive deriver) (*encryption, error) {
	var inner cryptobyte.String
	var salt []byte
	rounds := new(big.Int)
	if !parameters.ReadASN1(&inner, asn1.SEQUENCE) || !parameters.Empty() ||
		!inner.ReadASN1Bytes(&salt, asn1.OCTET_STRING) || !inner.ReadASN1Integer(rounds) || !inner.Empty() {
		return nil, damaged("the parameters of its encryption are cut off or wrong")
	}
	n, err := iterations(rounds)
	if err != nil {
		return nil, err
	}
	return &encryption{c, inRounds(name, n), func(passphrase []byte) ([]byte, []byte, error) {
		key, iv := derive(passphrase, salt, n)
		return key, iv, nil
	}}, nil
}

// parsePBES2 reads PBES2-params: a way to make a key, and a cipher.
func parsePBES2(parameters cryptobyte.String) (*encryption, error) {
	var inner cryptobyte.String
	ok := parameters.ReadASN1(&inner, asn1.SEQUENCE) && parameters.Empty()
	kdf, ok1 := readAlgorithm(&inner)
	scheme, ok2 := readAlgorithm(&inner)
	if !ok || !ok1 || !ok2 || !inner.Empty() {
		return nil, damaged("the parameters of its encryption are cut off or wrong")
	}
	var c blockCipher
	switch scheme.id {
	case idAES128CBC:
		c = blockCipher{"AES-128-CBC", 16, aes.BlockSize, aes.NewCipher}
	case idAES192CBC:
		c = blockCipher{"AES-192-CBC", 24, aes.BlockSize, aes.NewCipher}
	case idAES256CBC:
		c = blockCipher{"AES-256-CBC", 32, aes.BlockSize, aes.NewCipher}
	case idDESEDE3:
		c = blockCipher{"DES-EDE3-CBC", 24, des.BlockSize, des.NewTripleDESCipher}
	case idDES:
		c = blockCipher{"DES-CBC", 8, des.BlockSize, des.NewCipher}
	default:
		return nil, unsupportedScheme(scheme.id)
	}
	var iv []byte
	if !scheme.parameters.ReadASN1Bytes(&iv, asn1.OCTET_STRING) || !scheme.parameters.Empty() || len(iv) != c.block {
		return nil, damaged("the initial value of its encryption is cut off or wrong")
	}
	e := &encryption{cipher: c}
	var derive func(passphrase []byte) ([]byte, error)
	var err error
	switch kdf.id {
	case idPBKDF2:
		e.kdf, derive, err = parsePBKDF2(kdf.parameters, c.key)
	case idScrypt:
		e.kdf, derive, err = parseScrypt(kdf.parameters, c.key)
	default:
		err = unsupportedScheme(kdf.id)
	}
	if err != nil {
		return nil, err
	}
	e.derive = func(passphrase []byte) ([]byte, []byte, error) {
		key, err := derive(passphrase)
		return key, iv, err
	}
	return e, nil
}

// parsePBKDF2 reads PBKDF2-params (RFC 8018, appendix A.2).
func parsePBKDF2(parameters cryptobyte.String, size int) (string, func([]byte) ([]byte, error), error) {
	var inner cryptobyte.String
	var salt []byte
	rounds := new(big.Int)
	ok := parameters.ReadASN1(&inner, asn1.SEQUENCE) && parameters.Empty() &&
		inner.ReadASN1Bytes(&salt, asn1.OCTET_STRING) && inner.ReadASN1Integer(rounds) && skipKeyLength(&inner, size)
	mac := algorithm{id: idHMACSHA1} // the default
	if ok && !inner.Empty() {
		mac, ok = readAlgorithm(&inner)
		ok = ok && mac.bare()
	}
	if !ok || !inner.Empty() {
		return "", nil, damaged("the parameters of PBKDF2 are cut off or wrong")
	}
	n, err := iterations(rounds)
	if err != nil {
		return "", nil, err
	}
	var newHash func() hash.Hash
	var name string
	switch mac.id {
	case idHMACSHA1:
		name, newHash = "SHA1", sha1.New
	case idHMACSHA224:
		name, newHash = "SHA224", sha256.New224
	case idHMACSHA256:
		name, newHash = "SHA256", sha256.New
	case idHMACSHA384:
		name, newHash = "SHA384", sha512.New384
	case idHMACSHA512:
		name, newHash = "SHA512", sha512.New
	default:
		return "", nil, unsupportedScheme(mac.id)
	}
	return inRounds("PBKDF2-"+name, n), func(passphrase []byte) ([]byte, error) {
		return pbkdf2.Key(newHash, string(passphrase), salt, n, size)
	}, nil
}

// parseScrypt reads scrypt-params (RFC 7914, section 7.1).
func parseScrypt(parameters cryptobyte.String, size int) (string, func([]byte) ([]byte, error), error) {
	var inner cryptobyte.String
	var salt []byte
	bigN, bigR, bigP := new(big.Int), new(big.Int), new(big.Int)
	if !parameters.ReadASN1(&inner, asn1.SEQUENCE) || !parameters.Empty() || !inner.ReadASN1Bytes(&salt, asn1.OCTET_STRING) ||
		!inner.ReadASN1Integer(bigN) || !inner.ReadASN1Integer(bigR) || !inner.ReadASN1Integer(bigP) ||
		!skipKeyLength(&inner, size) || !inner.Empty() || bigN.Sign() <= 0 || bigR.Sign() <= 0 || bigP.Sign() <= 0 {
		return "", nil, damaged("the parameters of scrypt are cut off or wrong")
	}
	n, r, p := uint64(maxScryptWork+1), uint64(1), uint64(1)
	if max(bigN.BitLen(), bigR.BitLen(), bigP.BitLen()) <= bits.Len(maxScryptWork) { // or the products might not fit
		n, r, p = bigN.Uint64(), bigR.Uint64(), bigP.Uint64()
	}
	if 128*n*r > maxScryptMemory || n*r > maxScryptWork/p {
		return "", nil, refuse(TooCostly, hintAnew, "its passphrase takes scrypt with N=%s, r=%s, p=%s, more than is spent on it",
			briefly(bigN), briefly(bigR), briefly(bigP))
	}
	if n < 2 || n&(n-1) != 0 {
		return "", nil, damaged("the parameters of scrypt are cut off or wrong")
	}
	return fmt.Sprintf("scrypt, N=%d, r=%d, p=%d", n, r, p), func(passphrase []byte) ([]byte, error) {
		return scrypt.Key(passphrase, salt, int(n), int(r), int(p), size)
	}, nil
}

const hintAnew = "`openssl pkcs8 -topk8 -v2 aes256 -iter 600000 -in FILE -out OUT` encrypts it anew; then name OUT after `keys:`"

// iterations bounds a number of rounds.
func iterations(n *big.Int) (int, error) {
	switch {
	case n.Sign() <= 0:
		return 0, damaged("its number of rounds is not positive")
	case n.Cmp(big.NewInt(maxIterations)) > 0:
		return 0, refuse(TooCostly, hintAnew, "its passphrase takes %s rounds, and at most %d are spent on it", briefly(n), maxIterations)
	}
	return int(n.Int64()), nil
}

// briefly writes a number that may have a million digits.
func briefly(n *big.Int) string {
	if n.BitLen() > 64 {
		return fmt.Sprintf("2^%d and more", n.BitLen()-1)
	}
	return n.String()
}

func inRounds(name string, n int) string {
	if n == 1 {
		return name + ", 1 round"
	}
	return fmt.Sprintf("%s, %d rounds", name, n)
}

// skipKeyLength takes off the optional length of the key, which must be what
// the cipher takes.
func skipKeyLength(s *cryptobyte.String, size int) bool {
	if !s.PeekASN1Tag(asn1.INTEGER) {
		return true
	}
	var n int64
	return s.ReadASN1Integer(&n) && n == int64(size)
}

// deriveOld is PBKDF1 (RFC 8018, section 5.1): eight bytes of key, eight of
// initial value.
func deriveOld(newHash func() hash.Hash) deriver {
	return func(passphrase, salt []byte, rounds int) (key, iv []byte) {
		h := newHash()
		h.Write(passphrase)
		h.Write(salt)
		sum := h.Sum(nil)
		for range rounds - 1 {
			h.Reset()
			h.Write(sum)
			sum = h.Sum(sum[:0])
		}
		return sum[:8], sum[8:16]
	}
}

// derivePKCS12 is the derivation of RFC 7292, appendix B.2, with SHA-1.
func derivePKCS12(c blockCipher) deriver {
	const forKey, forIV = 1, 2
	return func(passphrase, salt []byte, rounds int) (key, iv []byte) {
		wide := bmpString(passphrase)
		defer clear(wide)
		return pkcs12(wide, salt, forKey, rounds, c.key), pkcs12(wide, salt, forIV, rounds, c.block)
	}
}

// pkcs12 makes size bytes for one purpose. Names are those of the RFC.
func pkcs12(wide, salt []byte, purpose byte, rounds, size int) []byte {
	const u, v = sha1.Size, sha1.BlockSize
	var d [v]byte
	for i := range d {
		d[i] = purpose
	}
	i := append(repeatTo(salt, v), repeatTo(wide, v)...)
	defer clear(i)
	one := big.NewInt(1)
	var out []byte
	for len(out) < size {
		h := sha1.New()
		h.Write(d[:])
		h.Write(i)
		a := h.Sum(nil)
		for range rounds - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		out = append(out, a...)
		b := new(big.Int).SetBytes(repeatTo(a[:u], v))
		b.Add(b, one)
		for j := 0; j < len(i); j += v {
			block := new(big.Int).SetBytes(i[j : j+v])
			block.Add(block, b)
			raw := block.FillBytes(make([]byte, v+1))
			copy(i[j:j+v], raw[1:]) // modulo 2^(8v)
		}
	}
	return out[:size]
}

// repeatTo repeats b up to the next multiple of size, none if b is empty.
func repeatTo(b []byte, size int) []byte {
	if len(b) == 0 {
		return nil
	}
	out := make([]byte, (len(b)+size-1)/size*size)
	for i := range out {
		out[i] = b[i%len(b)]
	}
	return out
}

// bmpString writes a passphrase in UTF-16, highest byte first, with a zero at
// the end. One that is not UTF-8 counts as Latin-1, as for OpenSSL.
func bmpString(passphrase []byte) []byte {
	var units []uint16
	if utf8.Valid(passphrase) {
		units = utf16.Encode([]rune(string(passphrase)))
	} else {
		for _, c := range passphrase {
			units = append(units, uint16(c))
		}
	}
	out := make([]byte, 0, 2*len(units)+2)
	for _, unit := range append(units, 0) {
		out = binary.BigEndian.AppendUint16(out, unit)
	}
	clear(units)
	return out
}
