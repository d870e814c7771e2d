package keys

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"strings"

	"golang.org/x/crypto/ssh"
)

// OpenSSH's own format (PROTOCOL.key) inside its PEM block:
//
//	"openssh-key-v1" 0
//	string cipher, string KDF, string KDF options, uint32 number of keys (1)
//	string public half
//	string sealed, and after it the cipher's tag, if it makes one
//
// The sealed part is, padded with 1, 2, 3… to the cipher's block:
//
//	uint32 check, uint32 the same again
//	string type, the numbers of the type, string comment
const opensshMagic = "openssh-key-v1\x00"

// An envelope is the part that is not encrypted.
type envelope struct {
	cipher opensshCipher
	salt   []byte
	rounds int
	public []byte
	sealed []byte
	tag    []byte
}

// recognizeOpenSSH reads the envelope, which says nearly all.
func recognizeOpenSSH(body []byte) (*file, error) {
	f := &file{Info: Info{Format: OpenSSH}}
	rest, ok := bytes.CutPrefix(body, []byte(opensshMagic))
	if !ok {
		return f, damaged("it does not start with openssh-key-v1")
	}
	r := wireReader{rest: rest}
	cipher, kdf, options := r.string("its cipher"), r.string("its KDF"), r.bytes("the options of its KDF")
	count := r.uint32("its number of keys")
	e := envelope{public: r.bytes("its public half"), sealed: r.bytes("its private half")}
	e.tag = r.rest
	if err := r.err(); err != nil {
		return f, err
	}
	if count != 1 {
		return f, damaged("its number of keys is %d", count)
	}
	f.Encrypted = cipher != "none" || kdf != "none"
	err := f.describe(e.public)
	if strings.HasPrefix(f.Type, "sk-") {
		return f, refuse(Unsupported, "add it to an agent with `ssh-add FILE`, and write `agent` after `keys:`",
			"it is a security key: the private half is in the token, and only an agent can use it")
	}
	if err != nil {
		return f, err
	}
	if f.Certificate != nil {
		return f, unsupported("it has a certificate for its public half, as no program writes it")
	}
	if e.cipher, ok = findOpenSSHCipher(cipher); !ok {
		return f, refuse(Unsupported, "`ssh-keygen -p -Z aes256-ctr -f FILE` encrypts it anew",
			"it is encrypted with %q, which is not read here", shorten(cipher, 40))
	}
	if err := e.setKDF(kdf, options); err != nil {
		return f, err
	}
	if len(e.tag) != e.cipher.tag || len(e.sealed) == 0 || len(e.sealed)%e.cipher.block != 0 {
		return f, damaged("its private half is cut off, or too long")
	}
	if f.Encrypted {
		f.Cipher, f.KDF = cipher, inRounds(kdf, e.rounds)
	}
	f.open = e.open
	return f, nil
}

// setKDF reads how the passphrase becomes a key.
func (e *envelope) setKDF(kdf string, options []byte) error {
	if (kdf == "none") != (e.cipher.name == "none") {
		return damaged("its cipher and its KDF do not belong together")
	}
	if kdf == "none" {
		return nil
	}
	if kdf != "bcrypt" {
		return refuse(Unsupported, "`ssh-keygen -p -f FILE` encrypts it anew", "its passphrase takes a KDF that is not known here (%q)", shorten(kdf, 40))
	}
	r := wireReader{rest: options}
	e.salt = r.bytes("the salt of its KDF")
	rounds := r.uint32("the rounds of its KDF")
	switch {
	case r.err() != nil:
		return r.err()
	case len(r.rest) > 0, len(e.salt) == 0, rounds == 0:
		return damaged("the options of its KDF are wrong")
	case rounds > maxBcryptRounds:
		return refuse(TooCostly, "`ssh-keygen -p -a 64 -f FILE` encrypts it anew",
			"its passphrase takes %d rounds of bcrypt, and at most %d are spent on it", rounds, maxBcryptRounds)
	}
	e.rounds = int(rounds)
	return nil
}

// open decrypts the private half and holds it against the public one.
func (e *envelope) open(passphrase []byte) (*PrivateKey, error) {
	plain := e.sealed
	if e.cipher.name != "none" {
		key := bcryptPBKDF(passphrase, e.salt, e.rounds, e.cipher.key+e.cipher.iv)
		defer clear(key)
		var err error
		plain, err = e.cipher.open(key, e.sealed, e.tag)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
	}
	const checks = 8 // bytes
	if len(plain) < checks || !bytes.Equal(plain[:checks/2], plain[checks/2:checks]) {
		if e.cipher.name != "none" {
			return nil, wrongPassphrase()
		}
		return nil, damaged("its two check numbers differ")
	}
	r := wireReader{rest: plain[checks:]}
	keyType := r.string("the type of its private half")
	if keyType != blobType(e.public) {
		return nil, damaged("its private half is of another type than its public half")
	}
	key, err := readOpenSSHKey(&r, keyType)
	if err != nil {
		return nil, err
	}
	comment := r.string("its comment")
	if err := r.err(); err != nil {
		return nil, err
	}
	if strings.Contains(comment, "\x00") {
		return nil, damaged("there is a zero byte in its comment")
	}
	for i, b := range r.rest {
		if b != byte(i+1) {
			return nil, damaged("its padding is wrong")
		}
	}
	public, err := publicHalf(key)
	if err != nil || !bytes.Equal(public.Marshal(), e.public) {
		return nil, mismatched()
	}
	return &PrivateKey{Key: key, Comment: comment}, nil
}

// readOpenSSHKey takes the numbers of one type of key off r.
func readOpenSSHKey(r *wireReader, keyType string) (crypto.PrivateKey, error) {
	switch keyType {
	case rsaType:
		n := rsaNumbers{n: r.mpint("n"), e: r.mpint("e"), d: r.mpint("d"), qinv: r.mpint("iqmp"), p: r.mpint("p"), q: r.mpint("q")}
		if err := r.err(); err != nil {
			return nil, err
		}
		return n.key()
	case dsaType:
		p, q, g, y, x := r.mpint("p"), r.mpint("q"), r.mpint("g"), r.mpint("y"), r.mpint("x")
		if err := r.err(); err != nil {
			return nil, err
		}
		return newDSA(p, q, g, y, x)
	case ssh.KeyAlgoED25519:
		public, both := r.bytes("its public half"), r.bytes("its private half")
		if err := r.err(); err != nil {
			return nil, err
		}
		if len(both) != ed25519.PrivateKeySize || !bytes.Equal(public, both[ed25519.SeedSize:]) {
			return nil, mismatched()
		}
		return newEd25519(both[:ed25519.SeedSize], public)
	}
	name, point, d := r.string("its curve"), r.bytes("its public half"), r.mpint("its private half")
	if err := r.err(); err != nil {
		return nil, err
	}
	curve := curveByName(name)
	if curve == nil || keyType != ecdsaPrefix+name {
		return nil, damaged("its curve does not belong to its type")
	}
	return newECDSA(curve, point, d)
}

const ecdsaPrefix = "ecdsa-sha2-"

// curveByName returns the curve that SSH calls so (RFC 5656, section 10.1), or
// nil.
func curveByName(name string) elliptic.Curve {
	switch name {
	case "nistp256":
		return elliptic.P256()
	case "nistp384":
		return elliptic.P384()
	case "nistp521":
		return elliptic.P521()
	}
	return nil
}
