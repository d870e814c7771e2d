package scp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// ReceiveOptions says what a Receiver puts up with.
type ReceiveOptions struct {
	// Recursive allows folders.
	Recursive bool
	// Name is the name that was asked for: exactly one entry may come, and
	// under this name alone (CVE-2019-6111). If it is empty, any entries may
	// come, as they do to a server.
	Name string
}

// A Receiver is the sink: it reads what a source sends, record by record, as
// tar.Reader reads an archive. It is for one goroutine.
type Receiver struct {
	r *bufio.Reader
	w io.Writer
	o ReceiveOptions

	state state
	err   error // what ended the session
	depth int   // folders that are open
	tops  int   // entries seen outside of all folders
	body  body
}

// A state says what Next has to settle with the source before it reads on.
type state int

const (
	starting state = iota // the source waits for the first answer
	idle                  // nothing
	offered               // a record that was neither accepted nor refused
	reading               // the body of an accepted file
	owing                 // an answer: good
)

// NewReceiver returns a sink that reads records from r and answers on w.
func NewReceiver(r io.Reader, w io.Writer, o ReceiveOptions) *Receiver {
	return &Receiver{r: bufio.NewReaderSize(r, maxLine), w: w, o: o}
}

// Next returns the next record. Whatever the caller left undone with the one
// before is settled: a record not accepted is refused, a body not read is
// dropped, and a body read to its end is acknowledged.
//
// The error is io.EOF after the last record; a *PeerError that is not Fatal
// if the source failed with an entry, after which Next may be called again;
// otherwise the session is over and each call returns the same error.
func (r *Receiver) Next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	if err := r.settle(); err != nil {
		return Record{}, err
	}
	rec, err := r.read()
	return rec, r.fail(err)
}

// settle leaves the source with nothing to wait for.
func (r *Receiver) settle() error {
	if r.state == offered {
		return r.Refuse("not wanted")
	}
	if r.state == reading {
		if _, err := io.Copy(io.Discard, &r.body); err != nil {
			return err
		}
	}
	if r.state == starting || r.state == owing {
		return r.answer(statusOK, "")
	}
	return nil
}

// read reads up to the next record that is not T.
func (r *Receiver) read() (Record, error) {
	var mtime, atime time.Time
	for {
		kind, err := r.r.ReadByte()
		if errors.Is(err, io.EOF) && (r.depth > 0 || !mtime.IsZero()) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Record{}, err
		}
		switch kind {
		case 'T', 'C', 'D', 'E':
		case statusWarning, statusFatal:
			return Record{}, readMessage(r.r, kind)
		default:
			return Record{}, unexpected(r.r, kind)
		}
		line, err := readLine(r.r)
		if err != nil {
			return Record{}, err
		}
		bad := func(err error) error {
			return &ProtocolError{Reason: err.Error(), Got: clean([]byte(string(kind) + line))}
		}
		if kind != 'T' {
			rec, err := r.record(kind, line)
			if err != nil {
				return Record{}, bad(err)
			}
			rec.MTime, rec.ATime = mtime, atime
			return rec, nil
		}
		if !mtime.IsZero() {
			return Record{}, bad(errors.New("times twice"))
		}
		if mtime, atime, err = parseTimes(line); err != nil {
			return Record{}, bad(err)
		}
		if err := r.answer(statusOK, ""); err != nil {
			return Record{}, err
		}
	}
}

// record checks a line against what may come now.
func (r *Receiver) record(kind byte, line string) (Record, error) {
	if kind == 'E' {
		if r.depth == 0 {
			return Record{}, errors.New("the end of a folder that never began")
		}
		r.depth--
		r.state = owing
		return Record{Kind: End}, nil
	}
	rec, err := parseEntry(map[byte]Kind{'C': File, 'D': Dir}[kind], line)
	if err != nil {
		return Record{}, err
	}
	if kind == 'D' && !r.o.Recursive {
		return Record{}, errors.New("a folder where a file was asked for")
	}
	if kind == 'D' && r.depth == maxDepth {
		return Record{}, fmt.Errorf("more than %d folders inside each other", maxDepth)
	}
	if r.depth == 0 && r.o.Name != "" {
		if rec.Name != r.o.Name || r.tops > 0 {
			return Record{}, fmt.Errorf("asked for %q and nothing else, was sent", r.o.Name)
		}
	} else if err := CheckName(rec.Name); err != nil {
		return Record{}, err
	}
	if r.depth == 0 {
		r.tops++
	}
	r.state = offered
	r.body = body{r: r, left: rec.Size, file: kind == 'C'}
	return rec, nil
}

// Accept takes the entry that Next returned. For a file it returns a reader of
// exactly its bytes, which returns io.EOF only after the source has said that
// they are good, and a *PeerError if it says that they are not. The reader is
// valid until the next call of Next.
func (r *Receiver) Accept() (io.Reader, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.state != offered {
		return nil, errors.New("scp: nothing to accept")
	}
	if err := r.answer(statusOK, ""); err != nil {
		return nil, err
	}
	if !r.body.file {
		r.depth++
		return nil, nil
	}
	r.state = reading
	return &r.body, nil
}

// Refuse turns the entry down that Next returned; the source goes on with the
// next one. After Accept it says that the file could not be stored.
func (r *Receiver) Refuse(msg string) error {
	if r.err != nil {
		return r.err
	}
	if r.state == reading {
		if _, err := io.Copy(io.Discard, &r.body); r.err != nil {
			return err
		}
	}
	if r.state != offered && r.state != owing {
		return errors.New("scp: nothing to refuse")
	}
	return r.answer(statusWarning, msg)
}

// answer writes a status byte, and its text if it has one.
func (r *Receiver) answer(status byte, msg string) error {
	r.state = idle
	return r.fail(writeStatus(r.w, status, msg))
}

// fail keeps an error that ends the session.
func (r *Receiver) fail(err error) error {
	if ends(err) {
		r.err = err
	}
	return err
}

// A body is the bytes of one accepted file.
type body struct {
	r    *Receiver
	left int64
	file bool
	err  error // what every further Read returns
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil || (len(p) == 0 && b.left > 0) {
		return 0, b.err
	}
	n, err := b.r.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case err != nil:
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		b.err = b.r.fail(err)
	case b.left == 0:
		// The status is asked for with the last bytes, so that also a caller
		// who counts them learns that the source could not read them.
		b.r.state = owing
		if b.err = b.r.fail(readStatus(b.r.r)); b.err == nil {
			b.err = io.EOF
			return n, nil
		}
	}
	return n, b.err
}

// writeStatus writes an answer or a status in one piece.
func writeStatus(w io.Writer, status byte, msg string) error {
	b := []byte{status}
	if status != statusOK {
		b = append(append(b, clean([]byte(msg))...), '\n')
	}
	_, err := w.Write(b)
	return err
}
