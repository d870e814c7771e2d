package ppk

import "fmt"

// An ErrorKind says what the caller can do about an Error.
type ErrorKind int

// The kinds of Error.
const (
	// Damaged: the file is not what any program wrote.
	Damaged ErrorKind = iota
	// NeedPassphrase: the file is encrypted, and no passphrase was given.
	NeedPassphrase
	// WrongPassphrase: the file's MAC does not fit under this passphrase.
	// Damage to the encrypted part looks the same.
	WrongPassphrase
	// Unsupported: the file may be sound, and this package does not do it.
	Unsupported
	// TooCostly: deriving the key would take more memory or time than a file
	// is granted.
	TooCostly
)

// String returns the kind in words.
func (k ErrorKind) String() string {
	switch k {
	case Damaged:
		return "damaged"
	case NeedPassphrase:
		return "needs a passphrase"
	case WrongPassphrase:
		return "wrong passphrase"
	case Unsupported:
		return "unsupported"
	case TooCostly:
		return "too costly"
	}
	return fmt.Sprintf("ErrorKind(%d)", int(k))
}

// An Error says why a file or key was refused. It holds nothing of the file's
// content. All errors of this package are *Error, but for those of
// Options.Rand.
type Error struct {
	Kind ErrorKind
	Line int    // counted from 1; 0 if the reason is not in one line
	Msg  string // what is wrong, without the line
	Hint string // what to do about it, for files FILE and NEW; empty where the caller knows better
}

// Error returns the message, with the line before it if there is one.
func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
	}
	return e.Msg
}

func damaged(line int, format string, args ...any) error {
	return &Error{Kind: Damaged, Line: line, Msg: fmt.Sprintf(format, args...)}
}

func unsupported(line int, msg, hint string) error {
	return &Error{Kind: Unsupported, Line: line, Msg: msg, Hint: hint}
}
