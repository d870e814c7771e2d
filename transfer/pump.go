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
	// requestSize is what every SFTP server answers in one piece: OpenSSH,
	// ProFTPD and others take up to 255 KiB, the specification promises
	// 32,768 bytes (draft-ietf-secsh-filexfer-02, section 3).
	requestSize = 32 << 10
	// defaultInFlight fills an SSH channel's usual window of 2 MiB.
	defaultInFlight = 64
	// maxInFlight bounds the memory of the buffers to 32 MiB.
	maxInFlight = 1024
	// sequentialSize is the buffer where requests cannot overlap.
	sequentialSize = 256 << 10
	// maxEmptyReads is how often a reader may return nothing and no error.
	maxEmptyReads = 100
)

// A pump moves the content of files. It is not safe for concurrent use.
type pump struct {
	window window
	buf    []byte // of sequential transfers
}

func newPump(inFlight int) pump {
	if inFlight <= 0 {
		inFlight = defaultInFlight
	}
	return pump{window: window{requests: min(inFlight, maxInFlight), size: requestSize}}
}

// shut closes what has failed already, and so has no more to say.
func shut(c io.Closer) { c.Close() }

func (p *pump) sequentialBuffer() []byte {
	if p.buf == nil {
		p.buf = make([]byte, sequentialSize)
	}
	return p.buf
}

// errShort says that a source ended before the size it had when it was opened.
var errShort = errors.New("it ended early")

// errLong says that a source went on after that size.
var errLong = errors.New("it went on after its end")

// pull copies the size bytes of r to w, strictly in order, and returns how
// many it wrote and their SHA-256. A size of 0 is what servers say of files
// that are made while they are read, such as those in /proc: they are read to
// their end. r is closed if pull fails.
func (p *pump) pull(ctx context.Context, w io.Writer, r Reader, size int64, moved func(int64)) (int64, string, error) {
	release := closeWhenDone(ctx, r)
	defer release()
	out := &hashed{w: w, hash: sha256.New(), moved: moved}
	at, ok := r.(io.ReaderAt)
	if !ok || size == 0 {
		err := p.pullInOrder(out, r, size)
		if err != nil {
			shut(r)
		}
		return out.n, out.sum(), err
	}
	err := p.window.run(size, steps{
		request: func(c *chunk) error { return readFull(at, c.data, c.offset) },
		drain:   func(c *chunk) error { return out.write(c.data) },
		abort:   func() { shut(r) },
	})
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

// pullInOrder reads size bytes and then the end, or to the end if size is 0.
// A protocol may give its verdict on the transfer only there.
func (p *pump) pullInOrder(out *hashed, r io.Reader, size int64) error {
	buf := p.sequentialBuffer()
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

// push copies size bytes of r to w and returns their SHA-256. w is closed if
// push fails.
func (p *pump) push(ctx context.Context, w Writer, r io.Reader, size int64, moved func(int64)) (string, error) {
	release := closeWhenDone(ctx, w)
	defer release()
	sum := sha256.New()
	read := func(buf []byte) error {
		switch _, err := io.ReadFull(r, buf); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errShort
		case err != nil:
			return fault.Wrap(fault.LocalDisk, err)
		}
		sum.Write(buf)
		return nil
	}
	var err error
	if at, ok := w.(io.WriterAt); ok {
		err = p.window.run(size, steps{
			fill:    func(c *chunk) error { return read(c.data) },
			request: func(c *chunk) error { return wrote(c.data)(at.WriteAt(c.data, c.offset)) },
			drain:   func(c *chunk) error { moved(c.offset + int64(len(c.data))); return nil },
			abort:   func() { shut(w) },
		})
	} else {
		err = p.pushInOrder(w, size, read, moved)
		if err != nil {
			shut(w)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), err
}

func (p *pump) pushInOrder(w io.Writer, size int64, read func([]byte) error, moved func(int64)) error {
	buf := p.sequentialBuffer()
	for done := int64(0); done < size; {
		piece := buf[:min(int64(len(buf)), size-done)]
		if err := read(piece); err != nil {
			return err
		}
		if err := wrote(piece)(w.Write(piece)); err != nil {
			return err
		}
		done += int64(len(piece))
		moved(done)
	}
	return nil
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
