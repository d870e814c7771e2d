package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"linehaul/fault"
	"linehaul/transfer/sftp"
)

// lostGrace is how long an error that looks like a lost connection waits for
// the reason, which another goroutine finds out.
const lostGrace = 250 * time.Millisecond

// spawn runs f in a goroutine that Close waits for. It reports false if the
// connection was closed already.
func (c *Conn) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

// lend is spawn for what is short and frequent: a goroutine that has ended
// something else takes it on, as one whose stack is new costs more than many a
// question. Such goroutines stay until the connection ends, as many as were
// busy at a time.
func (c *Conn) lend(f func()) bool {
	select {
	case c.idle <- f:
		return true
	default:
	}
	return c.spawn(func() {
		for {
			f()
			select {
			case f = <-c.idle:
			case <-c.ctx.Done():
				return
			}
		}
	})
}

// fail ends the connection for a reason; the first one counts. With a jump
// host all of its connection goes: closing the inner one alone would wait for
// a server that may be silent.
func (c *Conn) fail(cause error) {
	c.cancel(cause)
	if c.jump != nil {
		c.jump.fail(cause)
	}
	c.net.Close()
}

// gone returns why the connection has ended, or nil.
func (c *Conn) gone() error {
	if c.ctx.Err() == nil {
		return nil
	}
	return context.Cause(c.ctx)
}

// call runs f, which asks the server for something and waits for it as long as
// it takes, and returns early when ctx, stop or the connection ends. Then f is
// left behind: it must not touch what the caller owns, and drop gets a result
// that comes too late. stop and drop may be nil.
func call[T any](ctx context.Context, c *Conn, stop <-chan struct{}, f func() (T, error), drop func(T)) (T, error) {
	return leave(ctx, c, stop, func() (T, error) {
		c.watch.begin()
		defer c.watch.end()
		return f()
	}, drop)
}

// leave is call for what the watch does not judge.
func leave[T any](ctx context.Context, c *Conn, stop <-chan struct{}, f func() (T, error), drop func(T)) (T, error) {
	var zero T
	if ctx.Err() != nil {
		return zero, ctxError(ctx)
	}
	if gone := c.gone(); gone != nil {
		return zero, gone
	}
	select {
	case <-stop:
		return zero, fs.ErrClosed
	default:
	}
	type result struct {
		v   T
		err error
	}
	done, left := make(chan result), make(chan struct{})
	defer close(left)
	ok := c.lend(func() {
		v, err := f()
		select {
		case done <- result{v, err}:
		case <-left:
			if err == nil && drop != nil {
				drop(v)
			}
		}
	})
	if !ok {
		return zero, errClosed
	}
	select {
	case r := <-done:
		return r.v, c.reason(r.err)
	case <-ctx.Done():
		return zero, ctxError(ctx)
	case <-stop:
		return zero, fs.ErrClosed
	case <-c.ctx.Done():
		return zero, c.gone()
	}
}

// do is call for what returns an error alone.
func (c *Conn) do(ctx context.Context, f func() error) error {
	_, err := call(ctx, c, nil, func() (struct{}, error) { return struct{}{}, f() }, nil)
	return err
}

// reason puts the end of the connection, if there was one, in the place of an
// error that merely follows from it. Every error of a server passes here.
func (c *Conn) reason(err error) error {
	if err == nil || err == io.EOF || errors.Is(err, fs.ErrClosed) {
		return err
	}
	if gone := c.gone(); gone != nil {
		return gone
	}
	if !lost(err) {
		return err
	}
	// Not wrapped: nobody may take an io.EOF in it for the end of a file.
	return c.reasonOr(fault.New(fault.SSH, "the server ended the session: %s", oneLine(err.Error())).
		WithHint("the connection itself lives: the server's log says why it ended the session"))
}

// lost reports whether err says that nothing comes any more. A bare io.EOF is
// the end of a file, not of a session.
func lost(err error) bool {
	if err == io.EOF {
		return false
	}
	var broken *sftp.ProtocolError
	return network(err) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, sftp.ErrEnded) || errors.As(err, &broken)
}

// ctxError returns why ctx ended, so that it still counts as interrupted or
// out of time where the cause says nothing of the kind.
func ctxError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	var sorted *fault.Error
	if errors.Is(cause, err) || errors.As(cause, &sorted) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// fileError says what was done to which file, and sorts the error as one of
// that file unless it is known to be another.
func (c *Conn) fileError(op, path string, err error) error {
	var sorted *fault.Error
	if cutOff(err) {
		err = c.reasonOr(err)
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &sorted), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errClosed):
		return fmt.Errorf("%s %q on %s: %w", op, path, c.host.Name, err)
	}
	return fault.New(fault.RemoteFile, "%s %q on %s: %w", op, path, c.host.Name, plain(err))
}

// cutOff reports whether err is the end of a session in the place of an answer. The file
// or the command may have brought it about, or the end of the connection.
func cutOff(err error) bool {
	var exit *exitError
	return errors.Is(err, io.EOF) || errors.Is(err, errNoAnswer) || errors.As(err, &exit) && exit.status < 0 && exit.signal == ""
}

// reasonOr returns why the connection has ended, or ends in a moment, and otherwise err.
func (c *Conn) reasonOr(err error) error {
	select {
	case <-c.ctx.Done():
		return c.gone()
	case <-time.After(lostGrace):
		return err
	}
}

// plain drops the wrapping that repeats the operation and the path, and gives
// SFTP's status the server's words.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	var status *sftp.StatusError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist
	case errors.Is(err, fs.ErrPermission):
		return fs.ErrPermission
	case errors.As(err, &status):
		return &serverError{text: oneLine(status.Error()), err: err}
	case errors.Is(err, io.EOF):
		return errors.New("the server ends where it should answer")
	}
	return err
}

// A serverError has the server's words and what they stand for.
type serverError struct {
	text string
	err  error // may be nil
}

func (e *serverError) Error() string { return e.text }
func (e *serverError) Unwrap() error { return e.err }

// maxText bounds what of a server's text goes into a message.
const maxText = 300

// oneLine makes a server's text fit for a message.
func oneLine(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// joinLine joins errors on one line.
func joinLine(errs []error) error {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return &serverError{text: strings.Join(texts, "; "), err: errors.Join(errs...)}
}
