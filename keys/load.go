package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// maxKeyFile is the most bytes that a key file may have: our own limit. The
// largest real one, RSA with 16384 bits, is 13 KiB.
const maxKeyFile = 1 << 20

// minRSABits is the least that OpenSSH accepts (RequiredRSASize).
const minRSABits = 1024

// A Secret fetches a passphrase or password. Whoever calls it wipes what it
// returns. A nil Secret means that none is configured.
type Secret func(ctx context.Context) ([]byte, error)

// A Key is a private key that is ready to sign. It is safe for concurrent use.
type Key struct {
	Path        string           // the file that it was read from
	Comment     string           // from Path.pub; empty if there is none for this key
	Type        string           // as in ssh-ed25519
	Fingerprint string           // SHA256:…
	Signer      ssh.Signer       // signs with PublicKeyAlgorithms only
	Certificate *ssh.Certificate // the user certificate beside the file, or nil
}

// Load reads the private key in the file path, whatever its name, and the
// certificate beside it: path-cert.pub, or the same with the extension of path
// taken off. passphrase is called only if the file is encrypted, and what it
// returns is wiped after use.
//
// A file of the calling user's that others may use is refused, as OpenSSH does
// it on Unix; on Windows the access list is not looked at yet.
//
// The errors are permanent *fault.Error of kind Key, but for an error of
// passphrase that is sorted already, and the cause of a ctx that ended while
// passphrase ran.
func Load(ctx context.Context, path string, passphrase Secret) (*Key, error) {
	data, info, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	text, err := privateText(path, data)
	if err != nil {
		return nil, err
	}
	if tooOpen(info) {
		return nil, badKey(path, "others may use it (mode %#o)", info.Mode().Perm()).
			WithHint("`chmod 600 %s` leaves it to you alone; if others could read it until now, make a new key", shellQuote(path))
	}
	signer, err := decode(ctx, path, text, passphrase)
	if err != nil {
		return nil, err
	}
	public := signer.PublicKey()
	key := &Key{
		Path:        path,
		Type:        public.Type(),
		Fingerprint: ssh.FingerprintSHA256(public),
		Signer:      signer,
	}
	if beside, comment, err := readPublic(path + ".pub"); err == nil && sameKey(beside, public) {
		key.Comment = comment
	}
	key.Certificate, err = certificateBeside(path, public)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// Signers returns what to offer to a server, in order: the certificate, if
// there is one, and the plain key.
func (k *Key) Signers() []ssh.Signer {
	if k.Certificate != nil {
		if s, err := ssh.NewCertSigner(k.Certificate, k.Signer); err == nil {
			return []ssh.Signer{s, k.Signer}
		}
	}
	return []ssh.Signer{k.Signer}
}

// readKeyFile returns a file's content and what is known of the open file.
func readKeyFile(path string) ([]byte, fs.FileInfo, error) {
	// A named pipe would block the opening, so look first.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		what := "a device, pipe or socket"
		if info.IsDir() {
			what = "a folder"
		}
		return nil, nil, badKey(path, "it is %s", what).WithHint("name the private key file itself after `keys:`")
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, badKey(path, "%w", fs.ErrNotExist).
			WithHint("check the path after `keys:`; `ssh-keygen -t ed25519 -f FILE` makes a new key")
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, badKey(path, "%w", fs.ErrPermission).
			WithHint("make the user that linehaul runs as the owner of the file, with mode 600")
	case err != nil:
		return nil, nil, badKey(path, "%w", bareError(err))
	}
	defer file.Close()
	info, err = file.Stat()
	if err != nil {
		return nil, nil, badKey(path, "%w", bareError(err))
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, nil, badKey(path, "%w", bareError(err)).WithHint("check the disk that the file is on")
	case len(data) > maxKeyFile:
		return nil, nil, badKey(path, "it is larger than %d MiB", maxKeyFile>>20).
			WithHint("name a private key file after `keys:`; they have a few KiB")
	}
	return data, info, nil
}

// decode turns the text of a private key in a form that the SSH library reads
// into a signer that is limited to PublicKeyAlgorithms.
func decode(ctx context.Context, path string, text []byte, passphrase Secret) (ssh.Signer, error) {
	if err := checkEnvelope(path, text); err != nil {
		return nil, err
	}
	raw, err := ssh.ParseRawPrivateKey(text)
	if _, missing := errors.AsType[*ssh.PassphraseMissingError](err); missing {
		raw, err = decrypt(ctx, path, text, passphrase)
		if err != nil {
			return nil, err
		}
	}
	// The library's texts are not passed on, as they may quote the file.
	if err != nil {
		return nil, damaged(path)
	}
	plain, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return nil, unsupported(path, "it is of a type that SSH does not use")
	}
	return usable(path, text, plain)
}

// decrypt fetches the passphrase and parses the key with it.
func decrypt(ctx context.Context, path string, text []byte, passphrase Secret) (any, error) {
	locked := badKey(path, "it is encrypted, and there is no passphrase").
		WithHint("set `passphrase:` beside `keys:`, as in `passphrase: env:NAME` or `file:PATH`, or add the key to an agent")
	if passphrase == nil {
		return nil, locked
	}
	phrase, err := passphrase(ctx)
	defer clear(phrase)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fault.Wrap(fault.Key, fmt.Errorf("fetch the passphrase of key %q: %w", path, err))
	case len(phrase) == 0:
		return nil, locked
	}
	raw, err := ssh.ParseRawPrivateKeyWithPassphrase(text, phrase)
	if _, ok := parseEnvelope(text); ok && err != nil && !errors.Is(err, x509.IncorrectPasswordError) {
		return nil, damaged(path)
	}
	if err != nil {
		// The format of PEM notices 255 wrong passphrases of 256; the others
		// lead to a key that does not parse.
		return nil, badKey(path, "the passphrase does not fit").
			WithHint("try the passphrase with `ssh-keygen -y -f %s`; if it fits there, look for a line end or a space after it in the secret", shellQuote(path))
	}
	return raw, nil
}

// usable makes sure that the private half belongs to the public one, by a
// signature, and that servers of today take the key.
func usable(path string, text []byte, plain ssh.Signer) (ssh.Signer, error) {
	public := plain.PublicKey()
	signer, err := modern(plain)
	if err != nil {
		return nil, unsupported(path, "it is of type "+public.Type()+", which this version does not log in with")
	}
	if bits := rsaBits(public); bits > 0 && bits < minRSABits {
		return nil, badKey(path, "its %d bits of RSA are too few", bits).
			WithHint("servers want 2048 bits and more: make a new key with `ssh-keygen -t ed25519`")
	}
	probe := []byte("linehaul key check")
	sig, err := signer.SignWithAlgorithm(rand.Reader, probe, signer.Algorithms()[0])
	if err != nil || public.Verify(probe, sig) != nil {
		return nil, damaged(path)
	}
	if head, ok := parseEnvelope(text); ok && !bytes.Equal(head.PublicKey, public.Marshal()) {
		return nil, damaged(path)
	}
	return signer, nil
}

// rsaBits returns the length of an RSA key's modulus, 0 for other keys.
func rsaBits(key ssh.PublicKey) int {
	if k, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok {
			return r.N.BitLen()
		}
	}
	return 0
}

// modern limits a signer to PublicKeyAlgorithms, which for RSA means no SHA-1.
// It fails if none of them is for the signer's type of key.
func modern(signer ssh.Signer) (ssh.MultiAlgorithmSigner, error) {
	s, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("the signer cannot choose its algorithm")
	}
	return ssh.NewSignerWithAlgorithms(s, typeAlgorithms(PublicKeyAlgorithms(), plainKey(signer.PublicKey()).Type()))
}

// Match returns the signers whose public key is one of want, in want's order:
// the keys of an agent that belong to configured files. A certificate stands
// for its key, on either side.
func Match(signers []ssh.Signer, want []ssh.PublicKey) []ssh.Signer {
	var matching []ssh.Signer
	for i, key := range want {
		same := func(other ssh.PublicKey) bool { return sameKey(plainKey(other), plainKey(key)) }
		if slices.ContainsFunc(want[:i], same) {
			continue
		}
		for _, s := range signers {
			if same(s.PublicKey()) {
				matching = append(matching, s)
			}
		}
	}
	return matching
}
