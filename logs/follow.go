package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// followPoll is how often a followed log is looked at: quick for a person, and
// nothing for the machine. Asking the system to be told of changes works
// differently everywhere, and not at all on network file systems.
const followPoll = 250 * time.Millisecond

// Follow writes the last lines of a log to w, all of it if lines is negative,
// and then what is added, through rotation and truncation, until ctx ends:
// that is no error, and what was in the file by then has been written. If the
// log is rotated twice within a quarter of a second, what lies in between is
// left out.
//
// An error of reading is of kind fault.LocalDisk; it wraps os.ErrNotExist if
// the log does not exist. An error of w is returned as it is.
func Follow(ctx context.Context, path string, w io.Writer, lines int) error {
	return follow(ctx, path, w, lines, followPoll)
}

func follow(ctx context.Context, path string, w io.Writer, lines int, poll time.Duration) error {
	t := &tail{path: path, w: w}
	defer t.close()
	if err := t.open(); err != nil {
		return readFault(t.path, err)
	}
	if err := t.skip(lines); err != nil {
		return readFault(t.path, err)
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ended := ctx.Err() != nil // before reading, so that nothing is missed
		if err := t.copy(); err != nil {
			return err
		}
		if ended {
			return nil
		}
		again, err := t.check()
		if err != nil {
			return err
		}
		if again {
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// tail is a log that is being followed.
type tail struct {
	path string
	w    io.Writer
	f    *os.File
	at   int64 // what was read of f
}

func (t *tail) open() error {
	f, err := openShared(t.path, os.O_RDONLY)
	if err != nil {
		return err
	}
	t.close()
	t.f, t.at = f, 0
	return nil
}

func (t *tail) close() {
	if t.f != nil {
		t.f.Close()
	}
}

// skip goes to where the last lines begin.
func (t *tail) skip(lines int) error {
	info, err := t.f.Stat()
	if err != nil {
		return err
	}
	if lines >= 0 {
		t.at, err = lastLines(t.f, info.Size(), lines)
	}
	return err
}

// copy writes what f has beyond t.at.
func (t *tail) copy() error {
	buf := make([]byte, 32<<10)
	for {
		n, err := t.f.ReadAt(buf, t.at)
		t.at += int64(n)
		if n > 0 {
			if _, err := t.w.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return readFault(t.path, err)
		}
	}
}

// check finds out whether the log was rotated or truncated. It reports whether
// there is something to copy at once.
func (t *tail) check() (bool, error) {
	named, err := os.Stat(t.path)
	if err != nil {
		return false, nil //nolint:nilerr // between rename and creation, or gone: wait
	}
	open, err := t.f.Stat()
	if err != nil {
		return false, readFault(t.path, err)
	}
	switch {
	case !os.SameFile(named, open):
		// Lines may have come between the last read and the rename.
		if err := t.copy(); err != nil {
			return false, err
		}
		return t.open() == nil, nil // if it is gone again, the next check sees
	case named.Size() < t.at:
		t.at = 0
		return true, nil
	}
	return false, nil
}

// lastLines returns the offset at which the last n lines of the first size
// bytes begin. A last line without a line break counts.
func lastLines(r io.ReaderAt, size int64, n int) (int64, error) {
	if n == 0 {
		return size, nil
	}
	buf := make([]byte, 32<<10)
	end := size
	for end > 0 {
		block := buf[:min(end, int64(len(buf)))]
		start := end - int64(len(block))
		if _, err := r.ReadAt(block, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if end == size {
			block = bytes.TrimSuffix(block, []byte{'\n'})
		}
		for {
			i := bytes.LastIndexByte(block, '\n')
			if i < 0 {
				break
			}
			if n--; n == 0 {
				return start + int64(i) + 1, nil
			}
			block = block[:i]
		}
		end = start
	}
	return 0, nil
}
