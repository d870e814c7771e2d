package scp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Sender is the source: it sends files and folders to a sink, and reads its
// answer after each step. It is for one goroutine.
//
// An error that is a *PeerError and not Fatal concerns one entry only, and the
// session goes on; after any other error it is over.
type Sender struct {
	r       *bufio.Reader
	w       io.Writer
	started bool
	open    bool // a file is being sent
	err     error
}

// NewSender returns a source that writes to w and reads the answers from r.
func NewSender(r io.Reader, w io.Writer) *Sender {
	return &Sender{r: bufio.NewReaderSize(r, maxLine), w: w}
}

// Start waits until the sink is ready. The other methods do so too.
func (s *Sender) Start() error {
	if s.err != nil || s.started {
		return s.err
	}
	s.started = true
	return s.fail(readStatus(s.r))
}

// File announces a file and returns where its Size bytes are to be written.
// Times are sent if MTime is set; an ATime that is not set is MTime.
func (s *Sender) File(rec Record) (*FileWriter, error) {
	if err := s.announce('C', rec); err != nil {
		return nil, err
	}
	s.open = true
	return &FileWriter{s: s, left: rec.Size}, nil
}

// SendFile sends a file whose bytes come from body. If body fails or ends
// early, zeros make the size up and the sink is told that the file is bad;
// the session goes on, and the body's error is returned.
func (s *Sender) SendFile(rec Record, body io.Reader) error {
	w, err := s.File(rec)
	if err != nil {
		return err
	}
	n, bad := io.Copy(w, io.LimitReader(body, rec.Size))
	if s.err != nil {
		return s.err
	}
	if bad == nil && n < rec.Size {
		bad = io.ErrUnexpectedEOF
	}
	if bad == nil {
		return w.Close()
	}
	if err := w.fill(); err != nil {
		return err
	}
	s.open = false
	if err := s.write(statusWarning, rec.Name+": "+bad.Error()); err != nil {
		return err
	}
	if err := s.fail(readStatus(s.r)); s.err != nil {
		return err
	}
	return bad
}

// Mkdir begins a folder: what follows goes into it until EndDir.
func (s *Sender) Mkdir(rec Record) error {
	rec.Size = 0
	return s.announce('D', rec)
}

// EndDir ends the folder that Mkdir began.
func (s *Sender) EndDir() error { return s.line("E\n") }

// Warn tells the sink that an entry could not be read. There is no answer.
func (s *Sender) Warn(msg string) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.write(statusWarning, msg)
}

// announce sends the times and the record of an entry.
func (s *Sender) announce(kind byte, rec Record) error {
	// "." is what a source calls the folder that was asked for as such.
	if err := CheckName(rec.Name); err != nil && rec.Name != "." {
		return fmt.Errorf("scp: cannot send: %w", err)
	}
	if rec.Size < 0 {
		return fmt.Errorf("scp: cannot send %q: negative size", rec.Name)
	}
	if !rec.MTime.IsZero() {
		if rec.ATime.IsZero() {
			rec.ATime = rec.MTime
		}
		if err := s.line(fmt.Sprintf("T%d 0 %d 0\n", seconds(rec.MTime), seconds(rec.ATime))); err != nil {
			return err
		}
	}
	return s.line(fmt.Sprintf("%c%04o %d %s\n", kind, modeBits(rec.Mode), rec.Size, rec.Name))
}

// seconds clamps a time to what a T record can carry.
func seconds(t time.Time) int64 { return min(max(t.Unix(), 0), maxTime) }

// line sends a control line and reads the answer.
func (s *Sender) line(text string) error {
	if err := s.ready(); err != nil {
		return err
	}
	if _, err := io.WriteString(s.w, text); err != nil {
		return s.fail(err)
	}
	return s.fail(readStatus(s.r))
}

// ready reports whether a control line may be sent now.
func (s *Sender) ready() error {
	if err := s.Start(); err != nil {
		return err
	}
	if s.open {
		return errors.New("scp: the file before is not finished")
	}
	return nil
}

// write sends a status.
func (s *Sender) write(status byte, msg string) error {
	return s.fail(writeStatus(s.w, status, msg))
}

// fail keeps an error that ends the session.
func (s *Sender) fail(err error) error {
	if ends(err) {
		s.err = err
	}
	return err
}

// A FileWriter takes the bytes of one file.
type FileWriter struct {
	s    *Sender
	left int64
	done bool
}

// Write sends bytes of the file. More than its size is an error, and nothing
// of p is sent then.
func (f *FileWriter) Write(p []byte) (int, error) {
	if f.s.err != nil {
		return 0, f.s.err
	}
	if f.done || int64(len(p)) > f.left {
		return 0, errors.New("scp: more bytes than were announced")
	}
	n, err := f.s.w.Write(p)
	f.left -= int64(n)
	return n, f.s.fail(err)
}

// Close ends the file and returns what the sink says of it. A file that is not
// whole is an error that ends the session, as the sink waits for the rest.
func (f *FileWriter) Close() error {
	if f.s.err != nil || f.done {
		return f.s.err
	}
	if f.left > 0 {
		return f.s.fail(fmt.Errorf("scp: %d bytes of the file are missing", f.left))
	}
	f.done, f.s.open = true, false
	if err := f.s.write(statusOK, ""); err != nil {
		return err
	}
	return f.s.fail(readStatus(f.s.r))
}

// fill writes zeros up to the announced size.
func (f *FileWriter) fill() error {
	zeros := make([]byte, 32<<10)
	for f.left > 0 {
		if _, err := f.Write(zeros[:min(f.left, int64(len(zeros)))]); err != nil {
			return err
		}
	}
	f.done = true
	return nil
}
