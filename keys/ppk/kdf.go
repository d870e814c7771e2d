package ppk

import (
	"fmt"

	"golang.org/x/crypto/argon2"
)

// The names of the key derivation functions of version 3 (RFC 9106).
const (
	Argon2id = "Argon2id" // PuTTY's own choice
	Argon2i  = "Argon2i"
	Argon2d  = "Argon2d"
)

// kdf is how version 3 makes keys of a passphrase.
type kdf struct {
	name        string
	memory      uint32 // KiB
	passes      uint32
	parallelism uint32
	salt        []byte
}

// limits bounds what deriving a key may cost, since the numbers come from the
// file. They are ours.
type limits struct {
	memory uint64 // KiB
	work   uint64 // KiB times passes
}

// usualLimits leaves room for every file that people make: PuTTY takes 8 MiB
// and what it can do in 0.1 s, which is some 30 passes. The most work takes
// 20 to 30 s.
func usualLimits() limits { return limits{memory: 1 << 20, work: 16 << 20} }

func (k *kdf) read(l *lineReader) error {
	var err error
	if k.name, err = l.header("Key-Derivation"); err != nil {
		return err
	}
	switch k.name {
	case Argon2id, Argon2i, Argon2d:
	default:
		return unsupported(l.line, "the key derivation is not one of Argon2id, Argon2i and Argon2d", "")
	}
	if k.memory, err = l.number("Argon2-Memory"); err != nil {
		return err
	}
	if k.passes, err = l.number("Argon2-Passes"); err != nil {
		return err
	}
	if k.parallelism, err = l.number("Argon2-Parallelism"); err != nil {
		return err
	}
	k.salt, err = l.hex("Argon2-Salt")
	return err
}

// check holds the parameters against RFC 9106, section 3.1, and against max.
func (k *kdf) check(max limits) error {
	const hint = "`puttygen FILE --reencrypt -o NEW` encrypts it anew with PuTTY's own choice"
	work := uint64(k.memory) * uint64(k.passes)
	switch {
	case k.passes < 1, k.parallelism < 1, uint64(k.memory) < 8*uint64(k.parallelism):
		return unsupported(0, "its Argon2 parameters are not allowed: they must be at least 1 pass, 1 lane and 8 KiB for each lane", hint)
	case k.parallelism > 255:
		return unsupported(0, fmt.Sprintf("its key derivation has %d lanes, and at most 255 are done", k.parallelism), hint)
	case uint64(k.memory) > max.memory:
		return &Error{Kind: TooCostly, Hint: hint,
			Msg: fmt.Sprintf("its key derivation takes %d KiB of memory, and at most %d KiB are granted", k.memory, max.memory)}
	case work > max.work:
		return &Error{Kind: TooCostly, Hint: hint,
			Msg: fmt.Sprintf("its key derivation fills %d KiB of memory %d times, and at most %d KiB in all are granted", k.memory, k.passes, max.work)}
	}
	return nil
}

// derive returns n bytes. The parameters must have passed check.
func (k *kdf) derive(passphrase []byte, n int) []byte {
	switch k.name {
	case Argon2i:
		return argon2.Key(passphrase, k.salt, k.passes, k.memory, uint8(k.parallelism), uint32(n))
	case Argon2d:
		return argon2d(passphrase, k.salt, nil, nil, k.passes, k.memory, k.parallelism, n)
	}
	return argon2.IDKey(passphrase, k.salt, k.passes, k.memory, uint8(k.parallelism), uint32(n))
}
