package ppk

import (
	"crypto"
	"errors"

	"golang.org/x/crypto/ssh"
)

// A Key is what a file holds.
type Key struct {
	Version     int               // of the file: 1, 2 or 3
	Private     crypto.PrivateKey // *rsa.PrivateKey, *dsa.PrivateKey, *ecdsa.PrivateKey or ed25519.PrivateKey
	Public      ssh.PublicKey     // the plain public half, never a certificate
	Certificate *ssh.Certificate  // nil if the file holds none; nothing in it is judged
	Comment     string            // raw bytes; in version 1 the MAC does not cover it
	Encrypted   bool
	KDF         string // Argon2id, Argon2i or Argon2d; empty where there is none
}

// Info is what a file says of itself without its passphrase. Nobody has
// checked a MAC over it.
type Info struct {
	Version     int
	Algorithm   string // as in the file, perhaps of a certificate
	Encrypted   bool
	KDF         string
	Comment     string
	Public      ssh.PublicKey    // nil if Parse calls the type of key Unsupported
	Certificate *ssh.Certificate // nil if there is none
}

// Inspect reads what needs no passphrase. It takes little time and memory,
// whatever the file says.
//
// The error is an *Error of kind Damaged or Unsupported; the latter is about
// the form of the file, not the type of key.
func Inspect(data []byte) (*Info, error) {
	f := &file{}
	defer func() { clear(f.private) }()
	if err := f.read(data); err != nil {
		return nil, err
	}
	public, cert, err := publicHalf(f.algorithm, f.public)
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != Unsupported {
		return nil, err
	}
	return &Info{
		Version: f.version, Algorithm: f.algorithm, Encrypted: f.encrypted, KDF: f.kdf.name,
		Comment: f.comment, Public: public, Certificate: cert,
	}, nil
}

// Parse reads a key. A passphrase is needed only for an encrypted file, and
// ignored for others. It remains the caller's, and so does data.
//
// Everything that can be refused without the passphrase is refused before the
// derivation of keys from it starts, which in version 3 may take up to 1 GiB
// of memory and half a minute, if the file says so; as PuTTY writes them, 8 MiB
// and 0.1 seconds. What costs more is TooCostly. All functions of the package
// may run concurrently.
//
// The error is an *Error of any kind. With no passphrase, NeedPassphrase means
// that the file is otherwise fit to be read.
func Parse(data, passphrase []byte) (*Key, error) {
	return parse(data, passphrase, usualLimits())
}

func parse(data, passphrase []byte, most limits) (*Key, error) {
	f := &file{}
	defer func() { clear(f.private) }()
	if err := f.read(data); err != nil {
		return nil, err
	}
	public, cert, err := publicHalf(f.algorithm, f.public)
	if err != nil {
		return nil, err
	}
	if f.encrypted && f.version == 3 {
		if err := f.kdf.check(most); err != nil {
			return nil, err
		}
	}
	if f.encrypted && len(passphrase) == 0 {
		return nil, &Error{Kind: NeedPassphrase, Msg: "it is encrypted, and there is no passphrase"}
	}
	if err := f.open(passphrase); err != nil {
		return nil, err
	}
	private, err := privateHalf(public, f.private)
	if err != nil {
		return nil, err
	}
	return &Key{
		Version: f.version, Private: private, Public: public, Certificate: cert,
		Comment: f.comment, Encrypted: f.encrypted, KDF: f.kdf.name,
	}, nil
}
