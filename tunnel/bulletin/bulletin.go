// Package bulletin lets processes say what they are doing, and others read it:
// one file and one lock for each process, in a folder that they share.
//
//	DIR/4711-x7k2q.json   what it is doing, replaced in one step
//	DIR/4711-x7k2q.lock   locked for as long as the process lives
//
// The system drops the lock when the process dies, however it dies, so that
// what a dead one has left is known for that, on every system and whatever
// process has its number now; whoever reads takes it away.
//
// Owner and group of the folder may read. Nothing of it is synced to the disk:
// after a crash of the machine nobody wants it.
package bulletin

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/internal/flock"
)

const (
	dirMode  = 0o750
	fileMode = 0o640
	lockEnd  = ".lock"
	textEnd  = ".json"
	// maxText bounds what is read of one process, in bytes.
	maxText = 4 << 20
	// maxProcesses bounds how many are read.
	maxProcesses = 1000
)

// A Notice is what one process says.
type Notice struct {
	PID     int             `json:"pid"`
	Started time.Time       `json:"started"` // that it says something
	Written time.Time       `json:"written"` // that it said this
	Verb    string          `json:"verb"`    // of linehaul
	Content json.RawMessage `json:"content"`
}

// A Board is where one process says what it does. Its methods may be called
// concurrently.
type Board struct {
	dir string

	mu     sync.Mutex
	notice Notice
	lock   *os.File // nil: nothing was said yet, or the board is closed
	name   string
	last   []byte // the content that stands there
	closed bool
}

// New makes a board for this process. Nothing is written before there is
// something to say.
func New(dir, verb string, now time.Time) *Board {
	return &Board{dir: dir, notice: Notice{PID: os.Getpid(), Started: now, Verb: verb}}
}

// Post says something, in place of what was said before. What has not changed
// is not written again.
func (b *Board) Post(now time.Time, content any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	text, err := json.Marshal(content)
	if err != nil {
		return fault.New(fault.Internal, "say what the tunnels are doing: %w", err)
	}
	if b.lock != nil && bytes.Equal(text, b.last) {
		return nil
	}
	if err := b.post(now, text); err != nil {
		return fault.New(fault.LocalDisk, "say in %q what the tunnels are doing: %w", b.dir, err)
	}
	b.last = text
	return nil
}

func (b *Board) post(now time.Time, content []byte) error {
	if b.lock == nil {
		if err := b.open(); err != nil {
			return err
		}
	}
	b.notice.Written, b.notice.Content = now, content
	text, err := json.Marshal(b.notice)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	// Through an os.Root, files can be replaced on Windows too while another
	// process reads them.
	if err := root.WriteFile(b.name+textEnd+".tmp", append(text, '\n'), fileMode); err != nil {
		return err
	}
	return root.Rename(b.name+textEnd+".tmp", b.name+textEnd)
}

// open takes a name and its lock. A reader that comes between the two takes the
// lock for that of a dead process, and the file away: then there is another one.
func (b *Board) open() error {
	if err := os.MkdirAll(b.dir, dirMode); err != nil {
		return err
	}
	const tries = 10
	for range tries {
		name := fmt.Sprintf("%d-%s", b.notice.PID, strings.ToLower(rand.Text()[:6]))
		path := filepath.Join(b.dir, name+lockEnd)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
		if err != nil {
			return err
		}
		held, err := flock.TryLock(f)
		if err != nil {
			return errors.Join(err, f.Close(), os.Remove(path))
		}
		if held && stands(f, path) {
			b.lock, b.name = f, name
			return nil
		}
		f.Close()
	}
	return errors.New("others take new files away")
}

// stands reports whether a path still leads to an open file.
func stands(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(a, there)
}

// Close takes away what was said. It may be called again.
func (b *Board) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.lock == nil {
		return
	}
	// Whoever reads next takes away what stays, by its lock.
	gone := remove(b.dir, b.name)
	flock.Unlock(b.lock) //nolint:errcheck // closing does it too
	b.lock.Close()
	if gone {
		os.Remove(b.lock.Name()) //nolint:errcheck // see above
	}
	b.lock = nil
}

// Read returns what the processes say that are alive, the oldest first. A
// folder that is not there has none.
func Read(dir string) ([]Notice, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.LocalDisk, "read what the tunnels are doing: %w", err)
	}
	var all []Notice
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), lockEnd)
		if !ok || len(all) == maxProcesses {
			continue
		}
		n, alive, err := read(dir, name)
		if err != nil {
			return nil, fault.New(fault.LocalDisk, "read what a process is doing: %w", err)
		}
		if alive {
			all = append(all, n)
		}
	}
	slices.SortStableFunc(all, func(a, b Notice) int { return a.Started.Compare(b.Started) })
	return all, nil
}

// read returns what one process says, if it lives and has said something. Of
// one that is dead nothing is left.
func read(dir, name string) (n Notice, alive bool, err error) {
	// What is opened through an os.Root can be removed and replaced meanwhile on
	// Windows, too.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return n, false, err
	}
	defer root.Close()
	lock, err := root.Open(name + lockEnd)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return n, false, nil // it has ended just now
		}
		return n, false, err
	}
	defer lock.Close()
	free, err := flock.TryLock(lock)
	if err != nil {
		return n, false, err
	}
	if free {
		bury(dir, name, lock)
		return n, false, nil
	}
	f, err := root.Open(name + textEnd)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return n, false, nil // it has said nothing yet, or has ended just now
		}
		return n, false, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return n, false, err
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return n, false, fault.New(fault.Internal, "%q is not what a process says: %w", f.Name(), err)
	}
	return n, true, nil
}

// remove takes away what a process has said, and reports whether it is gone.
func remove(dir, name string) bool {
	gone := true
	for _, end := range []string{textEnd, textEnd + ".tmp"} {
		if err := os.Remove(filepath.Join(dir, name+end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			gone = false
		}
	}
	return gone
}

// bury takes away what a dead process left, under its lock.
func bury(dir, name string, lock *os.File) {
	path := filepath.Join(dir, name+lockEnd)
	left := remove(dir, name) // the lock, which stays with anything else that does
	if left {
		left = os.Remove(path) != nil
	}
	flock.Unlock(lock) //nolint:errcheck // closing does it too
	lock.Close()
	if left { // on a system that removes no file that is open, and none that another has opened now
		os.Remove(path) //nolint:errcheck // the next one tries again
	}
}
