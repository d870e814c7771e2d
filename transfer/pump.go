package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"linehaul/fault"
)

const (
	// orderedSize is the buffer of a transfer in order, in bytes.
	orderedSize = 256 << 10
	// maxEmptyReads is how often a reader may return nothing and no error.
	maxEmptyReads = 100
)

// shut closes what has failed already, or has no more to say.
func shut(c io.Closer) { c.Close() }

// errShort says that a source ended before the size it had when it was opened.
var errShort = errors.New("it ended early")

// errLong says that a source went on after that size.
var errLong = errors.New("it went on after its end")

// pull copies the size bytes of r to w, in order, and then reads the end, where
// a protocol may give its verdict on the transfer. It returns how many bytes it
// wrote and their SHA-256. A size of 0 is what servers say of files that are
// made while they are read, such as those in /proc: they are read to their end.
// r is closed if pull fails.
func pull(ctx context.Context, w io.Writer, r Reader, size int64, moved func(int64)) (int64, string, error) {
	release := closeWhenDone(ctx, r)
	defer release()
	out := &hashed{w: w, hash: sha256.New(), moved: moved}
	err := pullInOrder(out, r, size)
	if err != nil {
		shut(r)
	}
	return out.n, out.sum(), err
}

// readFull asks for the rest where an answer is shorter than what was asked
// for, as any answer may be.
func readFull(r io.ReaderAt, buf []byte, offset int64) error {
	for empty := 0; len(buf) > 0; {
		n, err := r.ReadAt(buf, offset)
		if n < 0 || n > len(buf) {
			return errors.New("more came than was asked for")
		}
		buf, offset = buf[n:], offset+int64(n)
		switch {
		case n > 0 && (err == nil || errors.Is(err, io.EOF)):
			// An end that comes with data may be the server's largest packet.
			empty = 0
		case errors.Is(err, io.EOF):
			return errShort
		case err != nil:
			return err
		default:
			if empty++; empty == maxEmptyReads {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

func pullInOrder(out *hashed, r io.Reader, size int64) error {
	buf := make([]byte, orderedSize)
	for empty := 0; ; {
		n, err := r.Read(buf)
		if n < 0 || n > len(buf) {
			return errors.New("more came than was asked for")
		}
		if size > 0 && int64(n) > size-out.n {
			return errLong
		}
		if n > 0 {
			empty = 0
			if err := out.write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if out.n < size {
				return errShort
			}
			return nil
		case err != nil:
			return err
		case n == 0:
			if empty++; empty == maxEmptyReads {
				return io.ErrNoProgress
			}
		}
	}
}

// push copies size bytes of r to w, in order and so many at a time, and returns
// their SHA-256. w is closed if push fails.
func push(ctx context.Context, w Writer, r io.Reader, size int64, atATime int, moved func(int64)) (string, error) {
	release := closeWhenDone(ctx, w)
	defer release()
	sum := sha256.New()
	buf := make([]byte, atATime)
	for done := int64(0); done < size; {
		piece := buf[:min(int64(len(buf)), size-done)]
		if _, err := io.ReadFull(r, piece); err != nil {
			shut(w)
			return "", localEnd(err)
		}
		sum.Write(piece)
		if err := wrote(piece)(w.Write(piece)); err != nil {
			shut(w)
			return "", err
		}
		done += int64(len(piece))
		moved(done)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// localEnd sorts the failure to read a local file.
func localEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	return fault.Wrap(fault.LocalDisk, err)
}

// wrote checks the answer of a write of data.
func wrote(data []byte) func(int, error) error {
	return func(n int, err error) error {
		if err == nil && n != len(data) {
			return io.ErrShortWrite
		}
		return err
	}
}

// hashed writes to the local disk, and sums up on the way.
type hashed struct {
	w     io.Writer
	hash  hash.Hash
	n     int64
	moved func(int64)
}

func (h *hashed) write(data []byte) error {
	n, err := h.w.Write(data)
	h.hash.Write(data[:n])
	h.n += int64(n)
	h.moved(h.n)
	return err
}

func (h *hashed) sum() string { return hex.EncodeToString(h.hash.Sum(nil)) }
