package ppk

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Options says how Marshal writes a file. The zero value makes a file of
// version 3 that is not encrypted.
type Options struct {
	Version    int    // 2 or 3; 0 means 3. PuTTY before 0.75 reads 2 alone
	Passphrase []byte // encrypts the file, unless it is empty; remains the caller's

	// For version 3 with a passphrase only.
	KDF         string // empty means Argon2id
	Memory      uint32 // KiB; 0 means 8192
	Passes      uint32 // 0 means 32
	Parallelism uint8  // 0 means 1

	Rand io.Reader // for salt and padding; nil means crypto/rand's
}

// What PuTTY takes by default, but for the passes: it counts how many it does
// in 0.1 s, which are about so many.
const (
	defaultMemory = 8192 // KiB
	defaultPasses = 32
	saltSize      = 16
)

// Marshal writes a key as a file, with LF at the end of each line. Of k, it
// takes Private, Certificate and Comment. Certificate and Public must belong to
// Private if they are set. Private may also be an *ed25519.PrivateKey.
//
// The error is an *Error of kind Unsupported, for a key or option that no file
// can hold, or TooCostly, for one that Parse would refuse; or what Options.Rand
// returned.
func Marshal(k *Key, o Options) ([]byte, error) {
	f, err := newFile(k)
	if err != nil {
		return nil, err
	}
	defer func() { clear(f.private) }()
	f.version, f.encrypted = o.Version, len(o.Passphrase) > 0
	switch f.version {
	case 0:
		f.version = 3
	case 2, 3:
	default:
		return nil, unsupported(0, fmt.Sprintf("files of version %d are not written", o.Version), "choose version 2 or 3")
	}
	random := o.Rand
	if random == nil {
		random = rand.Reader
	}
	if f.encrypted {
		if err := f.pad(random); err != nil {
			return nil, err
		}
	}
	if f.encrypted && f.version == 3 {
		if f.kdf, err = o.kdf(random); err != nil {
			return nil, err
		}
	}
	f.seal(o.Passphrase)
	text := f.text()
	if len(text) > maxFile {
		return nil, unsupported(0, "the comment or certificate is too long", "shorten it")
	}
	return text, nil
}

// newFile fills in what the key says, and leaves the private half plain.
func newFile(k *Key) (*file, error) {
	wrong := func(msg string) error { return unsupported(0, msg, "") }
	if strings.ContainsAny(k.Comment, "\r\n\x00") {
		return nil, wrong("the comment has a line end or zero byte in it")
	}
	private, ok := privateFields(k.Private)
	if !ok {
		return nil, unsupported(0, fmt.Sprintf("a %T does not fit into a PuTTY file", k.Private), newKeyHint)
	}
	f := &file{comment: k.Comment, private: private}
	signer, err := ssh.NewSignerFromKey(k.Private)
	if err != nil {
		return nil, unsupported(0, "it is a key that SSH does not use", newKeyHint)
	}
	public := signer.PublicKey()
	f.algorithm, f.public = public.Type(), public.Marshal()
	if k.Public != nil && !bytes.Equal(k.Public.Marshal(), f.public) {
		return nil, wrong("the public half is that of another key")
	}
	if k.Certificate != nil {
		if !bytes.Equal(k.Certificate.Key.Marshal(), f.public) {
			return nil, wrong("the certificate is for another key")
		}
		f.algorithm, f.public = k.Certificate.Type(), k.Certificate.Marshal()
	}
	// What Parse would refuse is not written.
	if public, _, err = publicHalf(f.algorithm, f.public); err != nil {
		return nil, err
	}
	if _, err := privateHalf(public, f.private); err != nil || len(f.private) > maxPrivate-blockSize {
		return nil, wrong("the key is not valid")
	}
	return f, nil
}

// pad makes the private half a whole number of blocks.
func (f *file) pad(random io.Reader) error {
	plain := f.private
	n := (len(plain) + blockSize - 1) / blockSize * blockSize
	f.private = make([]byte, n)
	copy(f.private, plain)
	clear(plain)
	_, err := io.ReadFull(random, f.private[len(plain):])
	return err
}

func (o Options) kdf(random io.Reader) (kdf, error) {
	k := kdf{name: o.KDF, memory: o.Memory, passes: o.Passes, parallelism: uint32(o.Parallelism), salt: make([]byte, saltSize)}
	switch k.name {
	case "":
		k.name = Argon2id
	case Argon2id, Argon2i, Argon2d:
	default:
		return k, unsupported(0, "the key derivation is not one of Argon2id, Argon2i and Argon2d", "")
	}
	if k.memory == 0 {
		k.memory = defaultMemory
	}
	if k.passes == 0 {
		k.passes = defaultPasses
	}
	if k.parallelism == 0 {
		k.parallelism = 1
	}
	if err := k.check(usualLimits()); err != nil {
		return k, err
	}
	_, err := io.ReadFull(random, k.salt)
	return k, err
}
