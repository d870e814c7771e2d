package keys

import (
	"crypto"
	stdasn1 "encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A pemBlock is one block of RFC 7468, with the headers of RFC 1421 that
// OpenSSL writes.
type pemBlock struct {
	label   string
	headers map[string]string
	body    []byte
}

const (
	pemBegin  = "-----BEGIN "
	pemEnd    = "-----END "
	pemDashes = "-----"
)

// recognizePEM reads the first private key among the blocks of a text. Others
// may stand before it, as EC PARAMETERS do in OpenSSL's files.
func recognizePEM(text []byte) (*file, error) {
	lines := textLines(text)
	var parameters []byte // of an elliptic curve
	other := ""
	for i := 0; i < len(lines); i++ {
		label, ok := pemLabel(lines[i], pemBegin)
		if !ok {
			continue
		}
		private := strings.HasSuffix(label, "PRIVATE KEY")
		if !private && label != "EC PARAMETERS" {
			other = label
			continue
		}
		block, err := readPEM(lines[i:], i+1, label)
		switch {
		case private && err != nil:
			return nil, err
		case private:
			return recognizeBlock(block, parameters)
		case err == nil: // or else they are missed only if the key does not name its curve
			parameters = block.body
		}
	}
	if strings.HasSuffix(other, "PUBLIC KEY") {
		return nil, refuse(NotPrivate, "name the private key file; `ssh-keygen -i -m PKCS8 -f FILE` writes a public one in OpenSSH's form",
			"it is a public key; the private one is needed to log in")
	}
	return nil, refuse(NotAKey, hintName, "it is not a private key")
}

// pemLabel takes the label out of a line such as -----BEGIN LABEL-----.
func pemLabel(line, start string) (string, bool) {
	label, ok := strings.CutPrefix(line, start)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(label, pemDashes)
}

// readPEM reads the block whose first line is lines[0], which is line number
// first of the file.
func readPEM(lines []string, first int, label string) (*pemBlock, error) {
	b := &pemBlock{label: label, headers: map[string]string{}}
	var body strings.Builder
	for i, line := range lines[1:] {
		number := first + 1 + i
		if end, ok := pemLabel(line, pemEnd); ok {
			if end != label {
				return nil, damaged("line %d does not end what line %d begins", number, first)
			}
			var err error
			b.body, err = base64.StdEncoding.DecodeString(body.String())
			if err != nil || len(b.body) == 0 {
				return nil, damaged("the base64 text before line %d is cut off or wrong", number)
			}
			return b, nil
		}
		if name, value, ok := strings.Cut(line, ":"); ok && body.Len() == 0 {
			b.headers[name] = strings.TrimSpace(value)
			continue
		}
		line = withoutBlanks(line)
		if !isBase64(line) {
			return nil, damaged("line %d is not base64", number)
		}
		body.WriteString(line)
	}
	return nil, damaged("its last line, -----END %s-----, is missing", printableLabel(label))
}

// printableLabel is the label if it is one of those known here; a text of
// unknown content is not repeated.
func printableLabel(label string) string {
	switch label {
	case labelOpenSSH, labelRSA, labelDSA, labelEC, labelPKCS8, labelEncrypted:
		return label
	}
	return "PRIVATE KEY"
}

// textLines splits a text at the line ends of any system, and takes off the
// blanks around each line.
func textLines(text []byte) []string {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text)), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return lines
}

// withoutBlanks takes blanks and tabs out of a line of base64, which OpenSSL and
// OpenSSH pass over too.
func withoutBlanks(line string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, line)
}

// isBase64 reports whether a line holds nothing but base64.
func isBase64(line string) bool {
	for _, c := range []byte(line) {
		isLetter := 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !isLetter && (c < '0' || c > '9') && c != '+' && c != '/' && c != '=' {
			return false
		}
	}
	return true
}

// The labels of the blocks that are read.
const (
	labelOpenSSH   = "OPENSSH PRIVATE KEY"
	labelRSA       = "RSA PRIVATE KEY"
	labelDSA       = "DSA PRIVATE KEY"
	labelEC        = "EC PRIVATE KEY"
	labelPKCS8     = "PRIVATE KEY"
	labelEncrypted = "ENCRYPTED PRIVATE KEY"
)

// recognizeBlock reads the block of a private key.
func recognizeBlock(b *pemBlock, parameters []byte) (*file, error) {
	switch b.label {
	case labelOpenSSH:
		return recognizeOpenSSH(b.body)
	case labelPKCS8:
		return &file{Info: Info{Format: PKCS8}, open: func([]byte) (*PrivateKey, error) { return newPrivate(parsePKCS8(b.body)) }}, nil
	case labelEncrypted:
		return recognizeEncryptedPKCS8(b.body)
	case labelRSA, labelDSA, labelEC:
		return recognizeTraditional(b, parameters)
	case "SSH2 ENCRYPTED PRIVATE KEY":
		return nil, refuse(Unsupported, hintPuttygen, "it is a key in the format of ssh.com, which is not read here")
	}
	return nil, refuse(Unsupported, "`openssl pkey -in FILE -out OUT` writes it in a form that is read here, if OpenSSL knows it; or make a new key with `ssh-keygen -t ed25519`",
		"it is a private key of a kind that is not read here")
}

// newPrivate wraps what a parser returns.
func newPrivate(key crypto.PrivateKey, err error) (*PrivateKey, error) {
	if err != nil {
		return nil, err
	}
	return &PrivateKey{Key: key}, nil
}

// recognizeTraditional reads what OpenSSL wrote before it took to PKCS#8: the
// label says the type, and headers the encryption.
func recognizeTraditional(b *pemBlock, parameters []byte) (*file, error) {
	parse := func(der []byte) (crypto.PrivateKey, error) {
		switch b.label {
		case labelRSA:
			return parsePKCS1(der)
		case labelDSA:
			return parseDSA(der)
		}
		return parseSEC1(der, parameters)
	}
	f := &file{Info: Info{Format: PEM}}
	switch b.label {
	case labelRSA:
		f.Type = rsaType
	case labelDSA:
		f.Type = dsaType
	}
	if proc := withoutBlanks(b.headers["Proc-Type"]); proc != "" && proc != "4,ENCRYPTED" { // RFC 1421, section 4.6.1.1
		return f, damaged("its header Proc-Type is wrong")
	} else if proc == "" {
		f.open = func([]byte) (*PrivateKey, error) { return newPrivate(parse(b.body)) }
		return f, nil
	}
	f.Encrypted = true
	dek, err := parseDEKInfo(b.headers["DEK-Info"])
	if err != nil {
		return f, err
	}
	f.Cipher, f.KDF = dek.name, "MD5, 1 round"
	if len(b.body)%dek.block != 0 {
		return f, damaged("its length is not one that %s makes", dek.name)
	}
	f.open = func(passphrase []byte) (*PrivateKey, error) {
		der, err := dek.decrypt(b.body, passphrase)
		if err != nil {
			return nil, err
		}
		defer clear(der)
		return newPrivate(parse(der))
	}
	return f, nil
}

// wholeSequence reports whether data is one ASN.1 SEQUENCE and nothing more:
// whether a decryption made sense.
func wholeSequence(data []byte) bool {
	s := cryptobyte.String(data)
	return s.SkipASN1(asn1.SEQUENCE) && s.Empty()
}

// isDER reports whether data could be a key without the text around it.
func isDER(data []byte) bool { return wholeSequence(data) }

// A derReader takes integers off an ASN.1 SEQUENCE.
type derReader struct {
	s  cryptobyte.String
	ok bool
}

// sequence starts to read the SEQUENCE that data is.
func sequence(data []byte) *derReader {
	s := cryptobyte.String(data)
	r := &derReader{}
	r.ok = s.ReadASN1(&r.s, asn1.SEQUENCE) && s.Empty()
	return r
}

// integer takes off a whole number. It is never nil.
func (r *derReader) integer() *big.Int {
	x := new(big.Int)
	r.ok = r.ok && r.s.ReadASN1Integer(x)
	return x
}

// end reports whether all was read, and could be.
func (r *derReader) end() bool { return r.ok && r.s.Empty() }

// parsePKCS1 reads RSAPrivateKey (RFC 8017, appendix A.1.2).
func parsePKCS1(der []byte) (crypto.PrivateKey, error) {
	r := sequence(der)
	version := r.integer()
	n := rsaNumbers{n: r.integer(), e: r.integer(), d: r.integer(), p: r.integer(), q: r.integer(), dp: r.integer(), dq: r.integer(), qinv: r.integer()}
	if r.ok && version.Cmp(big.NewInt(1)) == 0 {
		return nil, unsupported("it is an RSA key of more than two primes")
	}
	if !r.end() || version.Sign() != 0 {
		return nil, damaged("its RSA numbers are cut off or wrong")
	}
	return n.key()
}

// parseDSA reads OpenSSL's form of a DSA key, which no standard has: version,
// p, q, g, y, x.
func parseDSA(der []byte) (crypto.PrivateKey, error) {
	r := sequence(der)
	version, p, q, g, y, x := r.integer(), r.integer(), r.integer(), r.integer(), r.integer(), r.integer()
	if !r.end() || version.Sign() != 0 {
		return nil, damaged("its DSA numbers are cut off or wrong")
	}
	return newDSA(p, q, g, y, x)
}

// parseSEC1 reads ECPrivateKey (RFC 5915, section 3). The curve may be named
// outside: in the block before it, or in the PKCS#8 around it.
func parseSEC1(der, parameters []byte) (crypto.PrivateKey, error) {
	r := sequence(der)
	version := r.integer()
	var scalar, public []byte
	var inner cryptobyte.String
	var hasCurve, hasPublic bool
	const curveTag, publicTag = asn1.Tag(0), asn1.Tag(1)
	r.ok = r.ok && r.s.ReadASN1Bytes(&scalar, asn1.OCTET_STRING) &&
		r.s.ReadOptionalASN1(&inner, &hasCurve, curveTag.ContextSpecific().Constructed())
	if hasCurve {
		parameters = inner
	}
	r.ok = r.ok && r.s.ReadOptionalASN1(&inner, &hasPublic, publicTag.ContextSpecific().Constructed())
	if hasPublic {
		r.ok = r.ok && inner.ReadASN1BitStringAsBytes(&public) && inner.Empty()
	}
	if !r.end() || version.Cmp(big.NewInt(1)) != 0 {
		return nil, damaged("its numbers are cut off or wrong")
	}
	var id stdasn1.ObjectIdentifier
	s := cryptobyte.String(parameters)
	switch {
	case len(parameters) == 0:
		return nil, damaged("its elliptic curve is missing")
	case s.PeekASN1Tag(asn1.SEQUENCE):
		return nil, refuse(Unsupported, "`openssl ec -in FILE -param_enc named_curve -out OUT` names the curve; then name OUT after `keys:`",
			"it describes its elliptic curve instead of naming it")
	case !s.ReadASN1ObjectIdentifier(&id) || !s.Empty():
		return nil, damaged("the name of its elliptic curve is cut off or wrong")
	}
	curve := curveByID(id)
	if curve == nil {
		return nil, unsupported("it is on an elliptic curve that SSH does not use")
	}
	return newECDSA(curve, public, new(big.Int).SetBytes(scalar))
}
