package logs

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/internal/flock"
)

// Options say how a log file is written and what becomes of it. The zero value
// writes text at level info into a file that is never rotated.
type Options struct {
	Format   Format
	Level    slog.Leveler   // nil: slog.LevelInfo
	Location *time.Location // of instants in records and names; nil: time.Local

	MaxSize  int64         // bytes after which the file is put aside; 0: never
	MaxAge   time.Duration // how long after that it is kept; 0: for ever
	Keep     int           // how many put aside are kept; 0: all
	Compress bool          // those put aside are compressed to NAME.gz

	Now func() time.Time // nil: time.Now
}

// A File is a log file that is being written. Its methods are safe for
// concurrent use, and any number of Files, also of other processes, may write
// the same path: no line is lost or torn, whoever rotates it.
//
// Before a write that would make the file larger than MaxSize it is renamed to
// NAME.20261123-023001 (with -2, -3 and so on within one second): one rename
// that either happened or did not, and a name that never changes again.
// Whatever else moves the file away or truncates it, such as logrotate, is
// noticed at the next write.
//
// A log that cannot be written must not end a transfer: slog ignores what
// Write returns, so the first failure is kept for Close.
type File struct {
	path string
	o    Options

	mu      sync.Mutex // guards what follows, and makes writes take turns
	f       *os.File   // nil: to be opened at the next write
	ends    bool       // f is known to end in a line break
	hurry   bool       // the lock could not be had the last time
	blocked time.Time  // a rotation failed then: the next try is later
	closed  bool
	lost    int   // writes that failed
	err     error // the first failure

	wake chan struct{} // asks the cleaner to look; closed by Close
	done chan struct{} // closed by the cleaner when it ends
}

var _ io.WriteCloser = (*File)(nil)

const (
	// lockPatience bounds the wait for another process that is writing: one
	// that was stopped at that instant must not stop us too. Who waited in
	// vain is less patient until the lock can be had again.
	lockPatience = 3 * time.Second
	lockHurry    = 20 * time.Millisecond
	// maxReopen bounds the search for the current file, for file systems on
	// which a file never looks the same twice.
	maxReopen = 20
	// rotatePause is the time until a rotation that failed is tried again, for
	// instance while a program on Windows keeps the file open.
	rotatePause = time.Minute
)

// Open opens the log file path for appending, readable by owner and group, and
// makes the folders above it. An error is of kind fault.LocalDisk. The caller
// must Close the File.
func Open(path string, o Options) (*File, error) {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.New(fault.LocalDisk, "open log %q: %w", path, err)
	}
	// Of a file behind a link, it is the file that rotates.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	f := &File{path: path, o: o, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if err := f.reopen(); err != nil {
		return nil, fault.New(fault.LocalDisk, "open log %q: %w", path, err)
	}
	go f.cleaner()
	if o.MaxSize > 0 {
		f.wake <- struct{}{} // an earlier process may have left something
	}
	return f, nil
}

// Path returns the absolute path of the file, behind links.
func (f *File) Path() string { return f.path }

// Handler returns a handler that writes records into the file.
func (f *File) Handler() slog.Handler {
	return newHandler(f, f.o.Format, f.o.Level, f.o.Location)
}

// Write appends p, which should be whole lines, in one piece.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	n, err := f.appendLocked(p)
	if err != nil {
		f.lost++
		f.failedLocked(err)
	}
	return n, err
}

// Close waits for compression that is under way, syncs and closes the file. It
// returns the first failure since Open, as fault.LocalDisk, once: closing
// again does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	f.mu.Unlock()
	close(f.wake)
	<-f.done

	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f != nil {
		if f.regularLocked() {
			f.failedLocked(f.f.Sync())
		}
		f.failedLocked(f.f.Close())
		f.f = nil
	}
	switch {
	case f.err == nil:
		return nil
	case f.lost > 0:
		return fault.New(fault.LocalDisk, "write log %q: %w (%d records lost)", f.path, f.err, f.lost)
	default:
		return fault.New(fault.LocalDisk, "keep log %q: %w", f.path, f.err)
	}
}

func (f *File) failedLocked(err error) {
	if f.err == nil {
		f.err = err
	}
}

// appendLocked writes p at the end of the file that bears the name now.
func (f *File) appendLocked(p []byte) (int, error) {
	held, err := f.prepareLocked(int64(len(p)))
	if err != nil {
		return 0, err
	}
	if held {
		// Nothing can be done about a lock that cannot be given up, and the
		// system drops it with the file.
		defer flock.Unlock(f.f) //nolint:errcheck // see above
	}
	if !f.regularLocked() {
		return f.f.Write(p)
	}
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	var extra int
	if !f.ends && info.Size() > 0 && !endsInBreak(f.f, info.Size()) {
		// A power cut or a full disk left part of a line: it must not take
		// the next one with it.
		p, extra = append([]byte{'\n'}, p...), 1
	}
	n, err := f.f.Write(p)
	f.ends = err == nil
	if err != nil && n > 0 && held {
		// Part of a line helps nobody. If this fails too, the line break
		// above comes before the next write.
		f.f.Truncate(info.Size()) //nolint:errcheck // see above
		n = 0
	}
	return max(n-extra, 0), err
}

// prepareLocked leaves f.f open on the file that bears the name, with room for
// n more bytes. It reports whether f.f is locked against other writers, which
// it is unless one of them does not give the lock up.
func (f *File) prepareLocked(n int64) (bool, error) {
	waited, pause, patience := time.Duration(0), 50*time.Microsecond, lockPatience
	if f.hurry {
		patience = lockHurry
	}
	for reopened := 0; ; {
		if f.f == nil {
			if err := f.reopen(); err != nil {
				return false, err
			}
		}
		if !f.regularLocked() { // a terminal or pipe, such as /dev/stderr
			return false, nil
		}
		held, err := flock.TryLock(f.f)
		if err != nil {
			held = true // this file system knows no locks
		}
		switch {
		case !f.currentLocked() && reopened < maxReopen:
			f.dropLocked() // it was rotated, by another process or an administrator
			reopened++
		case !held && waited >= patience:
			f.hurry = true
			return false, nil
		case !held:
			time.Sleep(pause)
			waited += pause
			pause = min(2*pause, 5*time.Millisecond)
		case f.fullLocked(n) && f.rotateLocked():
			f.dropLocked()
		default:
			f.hurry = false
			return true, nil
		}
	}
}

// reopen opens the file, making it and its folders where they are absent. It
// is called by Open and with f.mu held.
func (f *File) reopen() error {
	var file *os.File
	var err error
	// Prune may remove a folder that is empty between the two steps.
	for range 3 {
		if err = os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
			return err
		}
		if file, err = openShared(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, os.ErrPermission) {
		// Perhaps it exists and may be written, but not read.
		if only, onlyErr := openShared(f.path, os.O_WRONLY|os.O_APPEND); onlyErr == nil {
			file, err = only, nil
		}
	}
	if err != nil {
		return err
	}
	f.f, f.ends = file, false
	return nil
}

// dropLocked gives the open file and its lock up.
func (f *File) dropLocked() {
	flock.Unlock(f.f) //nolint:errcheck // not held, or dropped by Close
	f.f.Close()
	f.f = nil
}

func (f *File) regularLocked() bool {
	info, err := f.f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// currentLocked reports whether the open file is the one that bears the name.
func (f *File) currentLocked() bool {
	open, err := f.f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.path)
	return err == nil && os.SameFile(open, named)
}

// fullLocked reports whether the file has to be put aside before n more bytes.
// An empty one never has to, or a long record would find no place.
func (f *File) fullLocked(n int64) bool {
	if f.o.MaxSize <= 0 {
		return false
	}
	info, err := f.f.Stat()
	return err == nil && info.Size() > 0 && info.Size()+n > f.o.MaxSize
}

// endsInBreak reports whether the last byte of f is a line break, or cannot be
// read.
func endsInBreak(f *os.File, size int64) bool {
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	return err != nil || last[0] == '\n'
}
