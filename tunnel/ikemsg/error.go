package ikemsg

import (
	"fmt"
	"strings"
)

// ErrorKind says what to do about a message that cannot be used.
type ErrorKind uint8

// The kinds of Error.
const (
	// Malformed: it does not keep to the format. The answer is INVALID_SYNTAX
	// if the message was protected, and mostly silence if it was not (RFC 7296
	// section 2.21).
	Malformed ErrorKind = iota
	// OtherVersion: its major version is not 2. The answer to a request is
	// INVALID_MAJOR_VERSION (RFC 7296 section 2.5).
	OtherVersion
	// NotAuthentic: its integrity check failed, or it is no fragment of what is
	// being reassembled. It is dropped in silence (RFC 7296 section 2.21.4).
	NotAuthentic
	// TooLarge: it is beyond a bound of ours, in either direction.
	TooLarge
)

// String names the kind.
func (k ErrorKind) String() string {
	switch k {
	case Malformed:
		return "malformed"
	case OtherVersion:
		return "other version"
	case NotAuthentic:
		return "not authentic"
	case TooLarge:
		return "too large"
	}
	return number("error kind", k)
}

// An Error is what every function of the package returns.
type Error struct {
	Kind      ErrorKind
	Payload   PayloadType // where it is, 0 for the header or the whole
	Protected bool        // the integrity check of the message had passed
	Msg       string
	Err       error // the cause, where another package gave one
}

// Error says what was wrong with what.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("IKE message: ")
	if e.Payload != 0 {
		b.WriteString("payload " + e.Payload.String() + ": ")
	}
	b.WriteString(e.Msg)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// malformed is the usual Error; its place is added by who knows it.
func malformed(format string, args ...any) *Error {
	return &Error{Kind: Malformed, Msg: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) *Error {
	return &Error{Kind: TooLarge, Msg: fmt.Sprintf(format, args...)}
}
