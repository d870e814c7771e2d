package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/keys/guard"
)

// maxKeyFile is the most bytes that a key file may have: our own limit. The
// largest real one, RSA with 16384 bits, is 13 KiB.
const maxKeyFile = 1 << 20

// A Secret fetches a passphrase or password. Whoever calls it wipes what it
// returns. A nil Secret means that none is configured.
type Secret func(ctx context.Context) ([]byte, error)

// A Key is a private key that is ready to sign. It is safe for concurrent use.
type Key struct {
	Path        string           // the file that it was read from
	Format      Format           // what the file is
	Comment     string           // in the file, or else in Path.pub
	Type        string           // as in ssh-ed25519
	Fingerprint string           // SHA256:…
	Signer      ssh.Signer       // the plain key; signs with PublicKeyAlgorithms only, but for one of Legacy type
	Certificate *ssh.Certificate // the user certificate beside the file or in it, or nil

	signers []ssh.Signer
}

// Load reads the private key in the file path, in any format and whatever its
// name, and the certificate beside it: path-cert.pub, or the same with the
// extension of path taken off. It comes before a certificate in the file.
// passphrase is called only if the file is encrypted, and what it returns is
// wiped after use.
//
// legacy lists the algorithms of the past that the host takes. With ssh-dss a
// DSA key is loaded, which otherwise is refused; with ssh-rsa an RSA key is
// offered a second time, for signatures with SHA-1. Other names mean nothing
// here.
//
// A file that others may use is refused, as OpenSSH does it: see package guard.
//
// The errors are permanent *fault.Error of kind Key with a *LoadError in them,
// but for an error of passphrase that is sorted already, and the cause of a ctx
// that ended while passphrase ran.
func Load(ctx context.Context, path string, passphrase Secret, legacy ...string) (*Key, error) {
	private, err := LoadPrivate(ctx, path, passphrase)
	if err != nil {
		return nil, err
	}
	return newKey(path, private, legacy)
}

// LoadPrivate is Load for what is not an SSH server: the key alone, of any type,
// as ParsePrivate returns it.
func LoadPrivate(ctx context.Context, path string, passphrase Secret) (*PrivateKey, error) {
	data, tooOpen, err := readKeyFile(path)
	if err != nil {
		return nil, loadError(path, err)
	}
	defer clear(data)
	f, err := recognize(data)
	if err == nil && f.open != nil {
		err = tooOpen
	}
	if err != nil {
		return nil, loadError(path, err)
	}
	private, err := f.unlockWith(ctx, path, passphrase)
	if err != nil {
		return nil, loadError(path, f.ofPublic(path, err))
	}
	return private, nil
}

// unlockWith reads the private half, and fetches the passphrase if it takes
// one.
func (f *file) unlockWith(ctx context.Context, path string, passphrase Secret) (*PrivateKey, error) {
	if !f.Encrypted || passphrase == nil {
		return f.unlock(nil)
	}
	phrase, err := passphrase(ctx)
	defer clear(phrase)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fault.Wrap(fault.Key, fmt.Errorf("fetch the passphrase of key %q: %w", path, err))
	}
	return f.unlock(phrase)
}

// ofPublic adds to the refusal of a public file which file is meant.
func (f *file) ofPublic(path string, err error) error {
	e, ok := errors.AsType[*LoadError](err)
	if !ok || e.Kind != NotPrivate {
		return err
	}
	if f.Format == Certificate {
		return refuse(NotPrivate, privateName(path, "-cert.pub")+"; a certificate is found by itself when it lies beside its key as KEY-cert.pub", "%w", e.Err)
	}
	return refuse(NotPrivate, privateName(path, ".pub"), "%w", e.Err)
}

// newKey makes what is offered to servers of a private key and the files
// beside it.
func newKey(path string, private *PrivateKey, legacy []string) (*Key, error) {
	plain, err := newSigner(private.Key)
	if err != nil {
		return nil, loadError(path, unsupported("it is of a type that SSH does not use"))
	}
	public := plain.PublicKey()
	key := &Key{
		Path:        path,
		Format:      private.Format,
		Comment:     private.Comment,
		Type:        public.Type(),
		Fingerprint: ssh.FingerprintSHA256(public),
		Certificate: private.Certificate,
	}
	if beside, comment, err := readPublic(path + ".pub"); err == nil && key.Comment == "" && sameKey(beside, public) {
		key.Comment = comment
	}
	if beside, err := certificateBeside(path, public); err != nil {
		return nil, err
	} else if beside != nil {
		key.Certificate = beside
	} else if key.Certificate != nil && !wellSigned(key.Certificate) {
		return nil, loadError(path, damaged("the signature of the authority under the certificate in it does not fit"))
	}
	now, old := offers(plain, legacy)
	key.signers = slices.Concat(now, old)
	if len(key.signers) == 0 {
		return nil, loadError(path, refuse(Legacy,
			"if the server takes nothing newer, write `legacy: ["+key.Type+"]` at the host; better make a new key with `ssh-keygen -t ed25519`",
			"it is of type %s, which servers of today refuse", key.Type))
	}
	key.Signer = key.signers[0]
	if key.Certificate != nil {
		certified, err := ssh.NewCertSigner(key.Certificate, plain)
		if err != nil {
			return nil, loadError(path, damaged("the certificate in it is for another key"))
		}
		certNow, certOld := offers(certified.(ssh.AlgorithmSigner), legacy)
		key.signers = slices.Concat(certNow, now, certOld, old)
	}
	return key, nil
}

// Signers returns what to offer to a server, in order: the certificate, if
// there is one, and the plain key; then, for hosts whose legacy names say so,
// the same with algorithms of the past, which makes an RSA key occur twice.
func (k *Key) Signers() []ssh.Signer { return slices.Clone(k.signers) }

// ReadFile returns the content of a file that should be a key: at most 1 MiB,
// and never a pipe that would block. Its errors are of kind fault.Key with a
// *LoadError in them.
func ReadFile(path string) ([]byte, error) {
	data, _, err := readKeyFile(path)
	if err != nil {
		return nil, loadError(path, err)
	}
	return data, nil
}

// readKeyFile returns a file's content, and in tooOpen why it would not do as a
// private key. Its errors are LoadErrors.
func readKeyFile(path string) (data []byte, tooOpen, err error) {
	// A named pipe would block the opening, so look first.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		what := "a device, pipe or socket"
		if info.IsDir() {
			what = "a folder"
		}
		return nil, nil, refuse(Unreadable, "name the private key file itself after `keys:`", "it is %s", what)
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, refuse(Unreadable, "check the path after `keys:`; `ssh-keygen -t ed25519 -f FILE` makes a new key", "%w", fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, refuse(Unreadable, hintDenied(), "%w", fs.ErrPermission)
	case err != nil:
		return nil, nil, refuse(Unreadable, "check the path after `keys:`", "%w", bareError(err))
	}
	defer file.Close()
	tooOpen = openToOthers(file)
	data, err = readWiping(file, maxKeyFile+1)
	switch {
	case err != nil:
		return nil, nil, refuse(Unreadable, "check the disk that the file is on", "%w", bareError(err))
	case len(data) > maxKeyFile:
		return nil, nil, tooLarge()
	}
	return data, tooOpen, nil
}

// openToOthers says that others may use an open file, or that this cannot be
// known, which is as bad.
func openToOthers(file *os.File) error {
	err := guard.Check(file)
	if open, ok := errors.AsType[*guard.OpenError](err); ok {
		return &LoadError{Kind: TooOpen, Err: open}
	}
	if err != nil {
		return refuse(Unreadable, "check the disk that the file is on", "%w", bareError(err))
	}
	return nil
}

// hintDenied is the next step where the system lets this user not read a key.
func hintDenied() string {
	if runtime.GOOS == "windows" {
		return "an administrator lets the user that linehaul runs as read it: `icacls FILE /grant \"USER:R\"`, and with /setowner \"USER\" makes it theirs"
	}
	return "make the user that linehaul runs as the owner of the file, with mode 600"
}

func tooLarge() *LoadError {
	return refuse(Unreadable, "name a private key file after `keys:`; they have a few KiB", "it is larger than %d MiB", maxKeyFile>>20)
}

// readWiping reads to the end, or limit bytes, and leaves no copy behind where
// its buffer had to grow.
func readWiping(r io.Reader, limit int) ([]byte, error) {
	buf := make([]byte, 8<<10)
	n := 0
	for {
		more, err := r.Read(buf[n:])
		n += more
		switch {
		case errors.Is(err, io.EOF), err == nil && n == limit:
			return buf[:n], nil
		case err != nil:
			clear(buf)
			return nil, err
		case n == len(buf):
			larger := make([]byte, min(2*len(buf), limit))
			copy(larger, buf)
			clear(buf)
			buf = larger
		}
	}
}
