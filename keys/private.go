package keys

import (
	"bytes"
	"crypto"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"linehaul/keys/ppk"
)

// A Format is a way to write a key down.
type Format string

// The formats of private keys, and of public ones.
const (
	OpenSSH       Format = "openssh" // openssh-key-v1 (PROTOCOL.key)
	PEM           Format = "pem"     // PKCS#1 (RFC 8017), SEC 1 (RFC 5915), OpenSSL's form for DSA
	PKCS8         Format = "pkcs8"   // RFC 5208, RFC 5958
	PPK1          Format = "ppk1"    // PuTTY before 0.52
	PPK2          Format = "ppk2"    // PuTTY before 0.75
	PPK3          Format = "ppk3"
	OpenSSHPublic Format = "openssh-public" // one line, as in authorized_keys
	RFC4716       Format = "rfc4716"
	Certificate   Format = "certificate" // one line (PROTOCOL.certkeys)
)

// A PrivateKey is a private key as a file has it.
type PrivateKey struct {
	Key         crypto.PrivateKey // *rsa.PrivateKey, *dsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey
	Format      Format
	Comment     string           // the bytes as they are: old ones may be Latin-1
	Encrypted   bool             // the file is
	Cipher      string           // as the format names it; empty if not encrypted
	KDF         string           // as in "bcrypt, 16 rounds"; empty if not encrypted
	Certificate *ssh.Certificate // a user certificate in the same file, which only PuTTY writes; or nil
}

// String returns the fingerprint, so that no log gets to see the key.
func (k *PrivateKey) String() string {
	public, err := publicHalf(k.Key)
	if err != nil {
		return "private key"
	}
	return "private key " + ssh.FingerprintSHA256(public)
}

// GoString returns String.
func (k *PrivateKey) GoString() string { return k.String() }

// MarshalText returns String, for encoders that would write the fields.
func (k *PrivateKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// ParsePrivate reads a private key in any of the formats, decided by its
// content. The passphrase is used if the key is encrypted, and ignored if it is
// not. The private half is checked against the public one. Line ends may be
// those of any system, and text may stand before and after a PEM block.
//
// It takes memory and time as the key's own KDF asks for, up to limits of ours;
// see maxBcryptRounds, maxIterations and maxScryptMemory.
//
// The error is a *fault.Error of kind Key with a *LoadError in it.
func ParsePrivate(data, passphrase []byte) (*PrivateKey, error) {
	f, err := recognize(data)
	if err != nil {
		return nil, parseError(err)
	}
	key, err := f.unlock(passphrase)
	if err != nil {
		return nil, parseError(err)
	}
	return key, nil
}

// A file is what a key file says without its passphrase.
type file struct {
	Info
	// open reads the private half, with the passphrase if the key is
	// encrypted. It is nil for a public key.
	open func(passphrase []byte) (*PrivateKey, error)
}

// unlock reads the private half.
func (f *file) unlock(passphrase []byte) (*PrivateKey, error) {
	switch {
	case f.Format == Certificate:
		return nil, refuse(NotPrivate, "name the private key file; a certificate is found by itself when it lies beside its key as KEY-cert.pub",
			"it is a certificate, not a private key")
	case f.open == nil:
		return nil, refuse(NotPrivate, "name the private key file: it usually has the same name without .pub",
			"it is a public key; the private one is needed to log in")
	case f.Encrypted && len(passphrase) == 0:
		return nil, needsPassphrase()
	}
	key, err := f.open(passphrase)
	if err != nil {
		return nil, err
	}
	key.Format, key.Encrypted, key.Cipher, key.KDF = f.Format, f.Encrypted, f.Cipher, f.KDF
	return key, nil
}

// The first bytes of the files that are told apart. A file's name says
// nothing.
const (
	startSSH1   = "SSH PRIVATE KEY FILE FORMAT 1.1"
	startSSHCom = "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----" // also when it is not encrypted
	byteOrder   = "\ufeff"                                     // what some editors on Windows put first
)

// recognize decides by content what a key file is. A refusal may come with
// what could be told all the same.
func recognize(data []byte) (*file, error) {
	if len(data) > maxKeyFile {
		return nil, tooLarge()
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(data, []byte(byteOrder)), " \t\r\n")
	if ppk.Is(text) {
		return recognizePPK(text)
	}
	text = bytes.TrimSpace(text)
	starts := func(prefix string) bool { return bytes.HasPrefix(text, []byte(prefix)) }
	switch {
	case len(text) == 0:
		return nil, refuse(NotAKey, hintBackup, "it is empty")
	case starts(startSSH1):
		return nil, refuse(Unsupported, "no server takes SSH-1 any more: make a new key with `ssh-keygen -t ed25519`", "it is an SSH-1 key")
	case starts(startSSHCom):
		return nil, refuse(Unsupported, hintPuttygen, "it is a key in the format of ssh.com, which is not read here")
	case starts(startRFC4716):
		return recognizeRFC4716(text)
	case isPublicLine(text):
		return recognizeLine(text)
	case starts("\xff\xfe"), starts("\xfe\xff"):
		return nil, refuse(Unsupported, "open it in an editor and save it as UTF-8 or ANSI", "it is text in UTF-16")
	case text[0] == 0x30 && isDER(data):
		return nil, refuse(Unsupported, "`openssl pkey -inform DER -in FILE -out OUT` writes it as PEM, `openssl pkcs12 -in FILE -nocerts -out OUT` takes it out of a .pfx or .p12",
			"it is binary (DER or PKCS#12)")
	case isKeyType(blobType(data)):
		return nil, refuse(Unsupported, "`dropbearconvert dropbear openssh FILE OUT` converts it", "it is a key in Dropbear's format")
	}
	return recognizePEM(text)
}

// isPublicLine reports whether a text is a type of key and what starts as a
// length below 2^24 does in base64.
func isPublicLine(text []byte) bool {
	keyType, rest := cutField(string(text[:min(len(text), maxTypeName+5)]))
	return isKeyType(keyType) && strings.HasPrefix(rest, "AAAA")
}

// isKeyType reports whether a word is the name of a type of key.
func isKeyType(word string) bool {
	named := slices.ContainsFunc([]string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"}, func(start string) bool {
		return strings.HasPrefix(word, start)
	})
	strange := strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' })
	return named && !strange && len(word) <= maxTypeName
}

// maxTypeName is RFC 4251's limit on a name (section 6).
const maxTypeName = 64
