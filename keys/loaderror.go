package keys

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"linehaul/fault"
	"linehaul/keys/guard"
)

// A LoadKind says in one word why a key cannot be used.
type LoadKind string

// The kinds of LoadError.
const (
	NeedsPassphrase LoadKind = "needs-passphrase" // it is encrypted, and there is no passphrase
	WrongPassphrase LoadKind = "wrong-passphrase" // the passphrase does not fit
	Unsupported     LoadKind = "unsupported"      // a type, form or cipher that is not read here
	TooCostly       LoadKind = "too-costly"       // its passphrase takes more time or memory than is spent on it
	Legacy          LoadKind = "legacy"           // of a type of the past that the host's `legacy:` does not name
	Damaged         LoadKind = "damaged"          // a key by its first bytes, and not by the others
	NotPrivate      LoadKind = "public"           // a public key or a certificate
	NotAKey         LoadKind = "not-a-key"        // something else, or nothing
	TooOpen         LoadKind = "permissions"      // others may use the file
	Unreadable      LoadKind = "unreadable"       // absent, closed to us, no file, or far too large
)

// A LoadError says why a key cannot be used. It stands in the chain of a
// *fault.Error of kind Key, which has the path, where there is one, and the
// hint.
type LoadError struct {
	Kind LoadKind
	Err  error // what is wrong, and where, as far as that can be told

	hint string // where it says FILE, the path belongs
}

// Error returns what is wrong, without the path.
func (e *LoadError) Error() string { return e.Err.Error() }

// Unwrap returns what the message was made from.
func (e *LoadError) Unwrap() error { return e.Err }

// refuse makes a LoadError. FILE in the hint stands for the path.
func refuse(kind LoadKind, hint, format string, args ...any) *LoadError {
	return &LoadError{Kind: kind, Err: fmt.Errorf(format, args...), hint: hint}
}

// The next steps that serve several refusals.
const (
	hintBackup   = "restore it from a backup, or make a new key with `ssh-keygen -t ed25519`"
	hintNewKey   = "make a key that every server of today takes: `ssh-keygen -t ed25519`"
	hintPuttygen = "`puttygen FILE -O private-openssh -o OUT` converts it (on Windows: Conversions, Export OpenSSH key, in PuTTYgen); then name OUT after `keys:`"
	hintName     = "name a private key file after `keys:`; one in OpenSSH's format starts with -----BEGIN OPENSSH PRIVATE KEY-----"
)

// damaged says that a key is damaged, and where.
func damaged(format string, args ...any) *LoadError {
	return refuse(Damaged, hintBackup, "it is damaged: "+format, args...)
}

func unsupported(format string, args ...any) *LoadError {
	return refuse(Unsupported, hintNewKey, format, args...)
}

func needsPassphrase() *LoadError {
	return refuse(NeedsPassphrase,
		"set `passphrase:` beside `keys:`, as in `passphrase: env:NAME` or `file:PATH`, or add the key to an agent",
		"it is encrypted, and there is no passphrase")
}

func wrongPassphrase() *LoadError {
	return refuse(WrongPassphrase,
		"try the passphrase with the program that made the key (`ssh-keygen -y -f FILE`; PuTTYgen for a .ppk); if it fits there, look for a line end or a space after it in the secret",
		"the passphrase does not fit")
}

// parseError sorts what a parser says of data that has no path.
func parseError(err error) error {
	if e, ok := errors.AsType[*LoadError](err); ok {
		return fault.New(fault.Key, "read the key: %w", e).WithHint("%s", e.hint)
	}
	return err
}

// loadError sorts what is wrong with the key file path.
func loadError(path string, err error) error {
	if e, ok := errors.AsType[*LoadError](err); ok {
		return fault.New(fault.Key, "load key %q: %w", path, e).
			WithHint("%s", e.hintFor(shellQuote(path)))
	}
	return err
}

// hintFor is the next step for the file, which is quoted.
func (e *LoadError) hintFor(file string) string {
	if open, ok := errors.AsType[*guard.OpenError](e.Err); ok {
		return open.Fix(file)
	}
	return strings.ReplaceAll(e.hint, "FILE", file)
}

// privateName says which private key file belongs to a public one.
func privateName(path, suffix string) string {
	if private, ok := strings.CutSuffix(path, suffix); ok {
		if info, err := os.Stat(private); err == nil && info.Mode().IsRegular() {
			return fmt.Sprintf("the private key seems to be %s: name that one", shellQuote(private))
		}
	}
	return "name the private key file: it usually has the same name without " + suffix
}

// shellQuote writes a path so that it can be pasted into a shell.
func shellQuote(path string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=@%,.:/~"
	switch {
	case path != "" && strings.Trim(path, plain) == "":
		return path
	case runtime.GOOS == "windows" && strings.ContainsAny(path, "$`"):
		return "'" + strings.ReplaceAll(path, "'", "''") + "'" // for PowerShell, which would run it in other quotes
	case runtime.GOOS == "windows", strings.ContainsAny(path, `\`) && !strings.ContainsAny(path, `"'`):
		return `"` + path + `"` // a Windows path, which has no quotes in it
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
