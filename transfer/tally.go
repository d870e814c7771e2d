package transfer

import (
	"context"
	"errors"
	"fmt"

	"linehaul/fault"
)

// stopsAll reports whether an error concerns more than one file: the network,
// the clock, or a disk that is full or read-only.
func stopsAll(err error) bool {
	switch fault.KindOf(err) {
	case fault.RemoteFile, fault.Verify, fault.Config:
		return false
	case fault.LocalDisk:
		return isFull(err) || isReadOnly(err)
	default:
		return true
	}
}

// sorted gives an error its kind. Once ctx has ended, that is the reason for
// whatever fails.
func sorted(ctx context.Context, kind fault.Kind, path string, err error) error {
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if e := (*fault.Error)(nil); !errors.As(cause, &e) && !errors.Is(cause, ctx.Err()) {
			cause = fmt.Errorf("%w: %w", ctx.Err(), cause)
		}
		return fmt.Errorf("%q: %w", clip(path), cause)
	}
	if e := (*fault.Error)(nil); errors.As(err, &e) {
		return err
	}
	return fault.New(kind, "%q: %w", clip(path), err)
}

// A tally sums up the failures of single files.
type tally struct {
	n         int
	first     error
	mixed     bool // not all of one kind
	transient bool // trying again can help with one of them
}

func (t *tally) add(err error) {
	if t.n++; t.n == 1 {
		t.first = err
	}
	t.mixed = t.mixed || fault.KindOf(err) != fault.KindOf(t.first)
	t.transient = t.transient || fault.Transient(err)
}

// all is the error of a transfer of which nothing succeeded, nil if there was
// nothing.
func (t *tally) all(noun string) error {
	switch {
	case t.n <= 1:
		return t.first
	case t.mixed:
		return t.partial(t.n)
	}
	return fmt.Errorf("all %d %ss failed, first: %w", t.n, noun, t.first)
}

// partial is the error of a transfer of which something succeeded.
func (t *tally) partial(total int) error {
	if t.n == 0 {
		return nil
	}
	err := fault.New(fault.Partial, "%d of %d files failed, first: %w", t.n, total, t.first)
	if !t.transient {
		err = err.AsPermanent()
	}
	return err
}
