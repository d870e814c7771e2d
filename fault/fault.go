// Package fault says what went wrong, once, for every part of linehaul: which
// layer failed, whether trying again can help, which exit code the process
// ends with, and what the administrator can do next.
//
// An error is sorted where it happens, by wrapping it in an *Error with a
// Kind. Everything above only asks: KindOf, ExitCode, Transient, HintOf, Line.
// The message says what was tried on what; the hint is kept apart from it, so
// that a log line stays one line. Neither ever holds a secret.
//
// The package imports the standard library only, so that every other package
// may import it.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// An Error is a cause with a Kind and, where the kind's own hint is too
// general, a hint of its own. Values are immutable once made, and so safe for
// concurrent use.
type Error struct {
	kind  Kind
	err   error
	hint  string
	retry retry
}

// retry overrides the table's answer to "can trying again help".
type retry int8

const (
	retryByKind retry = iota
	retryYes
	retryNo
)

// New returns an error of kind k whose message is made as by fmt.Errorf: one
// %w keeps a cause.
func New(k Kind, format string, args ...any) *Error {
	return &Error{kind: k, err: fmt.Errorf(format, args...)}
}

// Wrap gives err the kind k. It returns nil for a nil err, and leaves the kind
// alone if err has one already: the place closest to the failure knows best.
func Wrap(k Kind, err error) error {
	if err == nil {
		return nil
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	return &Error{kind: k, err: err}
}

// WithHint returns a copy of e with its own next step for the administrator.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.hint = fmt.Sprintf(format, args...)
	return &c
}

// AsTransient returns a copy of e for which trying again can help, whatever
// its kind says.
func (e *Error) AsTransient() *Error {
	c := *e
	c.retry = retryYes
	return &c
}

// AsPermanent returns a copy of e for which trying again cannot help, whatever
// its kind says.
func (e *Error) AsPermanent() *Error {
	c := *e
	c.retry = retryNo
	return &c
}

// Error returns the message without the layer; Line puts the layer before it.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns what the message was made from.
func (e *Error) Unwrap() error { return e.err }

// Kind returns the kind that the error was sorted into.
func (e *Error) Kind() Kind { return e.kind }

// KindOf returns the kind of the first *Error in err's chain. A cancelled
// context counts as Interrupted and a passed deadline as Timeout; anything
// else that nobody sorted is Internal. It panics on a nil err: there is no
// kind of success.
func KindOf(err error) Kind {
	if err == nil {
		panic("fault: KindOf(nil)")
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.kind
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Internal
}

// Is reports whether err is of kind k. A nil err is of no kind.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// ExitCode returns the exit code of PRODUCT.md's table for err, 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return KindOf(err).ExitCode()
}

// Transient reports whether trying again can help.
func Transient(err error) bool {
	if err == nil {
		return false
	}
	var e *Error
	if errors.As(err, &e) && e.retry != retryByKind {
		return e.retry == retryYes
	}
	return KindOf(err).Transient()
}

// HintOf returns the next step for err: its own, or the one of its kind. It is
// empty for nil.
func HintOf(err error) string {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) && e.hint != "" {
		return e.hint
	}
	return KindOf(err).Hint()
}

// Line returns "LAYER: message", the one line that says what failed.
func Line(err error) string {
	if err == nil {
		return ""
	}
	return KindOf(err).String() + ": " + oneLine(err.Error())
}

// oneLine keeps a message on one line: names from a server may hold anything.
func oneLine(s string) string {
	clean := []rune(s)
	for i, r := range clean {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 {
			clean[i] = ' '
		}
	}
	return string(clean)
}
