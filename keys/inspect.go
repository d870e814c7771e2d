package keys

import (
	"bytes"
	"crypto"
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/md5"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Info is what can be told of a key file without its passphrase.
type Info struct {
	Format      Format
	Type        string           // as in ssh-ed25519; empty if that takes the passphrase
	Bits        int              // 0 if that takes the passphrase
	Fingerprint string           // SHA256:…, for a certificate that of its key; empty if that takes the passphrase
	MD5         string           // aa:bb:…, likewise
	Comment     string           // the bytes as they are; empty if that takes the passphrase
	Encrypted   bool             // a passphrase is needed
	Cipher      string           // as the format names it; empty if not encrypted
	KDF         string           // as in "bcrypt, 16 rounds"; empty if not encrypted
	Certificate *ssh.Certificate // the file is one, or holds one as PuTTY's may; or nil
	Public      ssh.PublicKey    // nil if that takes the passphrase, or if the type is not known here
}

// Inspect says what a file is, private key or public, as far as that can be
// told without a passphrase. A key that cannot be used comes with an error and
// with what is known of it all the same; the Info is nil only if nothing is.
//
// The error is a *fault.Error of kind Key with a *LoadError in it.
func Inspect(data []byte) (*Info, error) {
	f, err := inspect(data)
	if err != nil {
		err = parseError(err)
	}
	if f == nil {
		return nil, err
	}
	return &f.Info, err
}

func inspect(data []byte) (*file, error) {
	f, err := recognize(data)
	if err != nil || f.Encrypted || f.open == nil {
		return f, err
	}
	key, err := f.open(nil)
	if err != nil {
		return f, err
	}
	if f.Comment == "" {
		f.Comment = key.Comment
	}
	if f.Fingerprint == "" {
		public, err := publicHalf(key.Key)
		if err != nil {
			return f, unsupported("it is of a type that SSH does not use")
		}
		return f, f.describe(public.Marshal())
	}
	return f, nil
}

// describe fills in what a public key in SSH's form says. The error is for
// keys that cannot be used, which are described as far as they can be.
func (i *Info) describe(blob []byte) error {
	i.Type = blobType(blob)
	if !isKeyType(i.Type) {
		i.Type = ""
		return damaged("its public half does not start with a type of key")
	}
	public, err := ssh.ParsePublicKey(blob)
	if cert, ok := public.(*ssh.Certificate); ok {
		i.Certificate = cert
		blob = cert.Key.Marshal()
	}
	sum, old := sha256.Sum256(blob), md5.Sum(blob)
	i.Fingerprint = sha256Prefix + base64.RawStdEncoding.EncodeToString(sum[:])
	i.MD5 = hexPairs(old[:])
	if err != nil {
		return i.strange(blob)
	}
	i.Public = public
	i.Bits = publicBits(public)
	if i.Certificate != nil && !wellSigned(i.Certificate) {
		return damaged("the signature of its authority does not fit")
	}
	return nil
}

// strange sorts a public half that the SSH library does not read.
func (i *Info) strange(blob []byte) error {
	switch {
	case i.Type == dsaType:
		r := wireReader{rest: blob}
		r.bytes("type")
		p := r.mpint("p")
		if bits := p.BitLen(); r.bad == "" && bits != dsaBits {
			i.Bits = bits
			return unsupportedDSA(bits)
		}
	case i.Type == "ssh-ed448":
		i.Bits = 448
		return unsupportedEd448()
	case !slices.Contains(keyTypes(), strings.TrimSuffix(i.Type, certSuffix)):
		return unsupported("it is of a type that this version does not know (%q)", i.Type)
	}
	return damaged("its public half is cut off or wrong")
}

func unsupportedEd448() *LoadError {
	return unsupported("it is an Ed448 key, which no OpenSSH server takes")
}

// The names of the types that have a past.
const (
	rsaType = "ssh-rsa"
	dsaType = "ssh-dss"
)

// publicBits returns how long a key is, as ssh-keygen counts it; 0 if that is
// not known.
func publicBits(key ssh.PublicKey) int {
	plain := plainKey(key)
	switch plain.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return 256
	}
	if k, ok := plain.(ssh.CryptoPublicKey); ok {
		return cryptoBits(k.CryptoPublicKey())
	}
	return 0
}

func cryptoBits(key crypto.PublicKey) int {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *dsa.PublicKey:
		return k.P.BitLen()
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize
	}
	return 0
}

// recognizeLine reads a public key or certificate of one line.
func recognizeLine(text []byte) (*file, error) {
	line, _, _ := bytes.Cut(bytes.ReplaceAll(text, []byte("\r"), []byte("\n")), []byte("\n"))
	keyType, rest := cutField(string(line))
	body, comment := cutField(rest)
	f := &file{Info: Info{Format: OpenSSHPublic, Comment: comment}}
	if strings.HasSuffix(keyType, certSuffix) {
		f.Format = Certificate
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(body)
	if err != nil {
		return f, damaged("its base64 text is cut off or wrong")
	}
	if blobType(blob) != keyType {
		return f, damaged("the type before the key is not the type in it")
	}
	return f, f.describe(blob)
}

const startRFC4716 = "---- BEGIN SSH2 PUBLIC KEY ----"

// maxHeader is our own limit on a header of several lines; RFC 4716, section
// 3.3, allows 1,024 bytes.
const maxHeader = 4096

// recognizeRFC4716 reads a public key with headers.
func recognizeRFC4716(text []byte) (*file, error) {
	f := &file{Info: Info{Format: RFC4716}}
	var body strings.Builder
	header := ""
	for i, line := range textLines(text)[1:] {
		switch {
		case header != "" || strings.Contains(line, ":"):
			more, continued := strings.CutSuffix(line, `\`)
			header += more
			if len(header) > maxHeader {
				return f, damaged("the header that ends in line %d is too long", i+2)
			}
			if continued {
				continue
			}
			if comment, ok := cutPrefixFold(header, "Comment:"); ok {
				f.Comment = strings.Trim(strings.TrimSpace(comment), `"`)
			}
			header = ""
		case strings.HasPrefix(line, "---- END SSH2 PUBLIC KEY"):
			blob, err := base64.StdEncoding.DecodeString(body.String())
			if err != nil {
				return f, damaged("its base64 text is cut off or wrong")
			}
			return f, f.describe(blob)
		case !isBase64(withoutBlanks(line)):
			return f, damaged("line %d is not base64", i+2)
		default:
			body.WriteString(withoutBlanks(line))
		}
	}
	return f, damaged("its last line is missing")
}
