package store

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/internal/flock"
)

// Lock is a job's lock: whoever holds it runs the job. The system drops it
// when the process ends, however it ends. Its methods are safe for concurrent
// use.
type Lock struct {
	mu sync.Mutex
	f  *os.File // nil: released
}

// holder is the content of a lock's file while somebody runs the job. It tells
// people who; the lock itself is the system's.
type holder struct {
	PID int    `json:"pid"`
	Run string `json:"run,omitempty"`
}

const (
	// lockTries and lockPause bound the wait for a holder that does not say
	// who it is: one that has just come, or Recover, which only looks.
	lockTries = 20
	lockPause = 10 * time.Millisecond
	// maxHolder bounds what is read of a lock's file, in bytes.
	maxHolder = 4 << 10
)

// Lock takes the lock of a job without waiting for another run to end: if one
// holds it, the error is of kind fault.Overlap and names it.
func (s *Store) Lock(job string) (*Lock, error) {
	if err := checkJob(job); err != nil {
		return nil, fault.New(fault.Internal, "lock a job: %w", err)
	}
	for try := 1; ; try++ {
		l, err := s.tryLock(job)
		if err != nil {
			return nil, err
		}
		if l != nil {
			if err := l.note(holder{PID: os.Getpid()}); err != nil {
				l.Release()
				return nil, err
			}
			return l, nil
		}
		by, known := readHolder(s.lockPath(job))
		if known || try == lockTries {
			return nil, overlap(job, by)
		}
		time.Sleep(lockPause)
	}
}

// Note writes the run that holds the lock into its file, for the message that
// another gets who wants it.
func (l *Lock) Note(runID string) error {
	return l.note(holder{PID: os.Getpid(), Run: runID})
}

// Release gives the lock up. It may be called again.
func (l *Lock) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return
	}
	// None of these can keep the lock: Close drops it at the latest.
	l.f.Truncate(0)   //nolint:errcheck // see above
	flock.Unlock(l.f) //nolint:errcheck // see above
	l.f.Close()
	l.f = nil
}

func (s *Store) lockPath(job string) string { return filepath.Join(s.dir, locksDir, job+".lock") }

// tryLock takes the lock and says nothing about who holds it. It returns nil
// if somebody else does. The file stays when the lock is released: removing it
// would let two processes lock two files of one name.
func (s *Store) tryLock(job string) (*Lock, error) {
	f, err := os.OpenFile(s.lockPath(job), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fault.New(fault.LocalDisk, "lock job %q: %w", job, err)
	}
	held, err := flock.TryLock(f)
	if err != nil || !held {
		f.Close()
	}
	switch {
	case err != nil:
		return nil, fault.New(fault.LocalDisk, "lock job %q: %w", job, err).
			WithHint("the state folder must lie on a file system with locks, such as a local disk")
	case !held:
		return nil, nil
	}
	return &Lock{f: f}, nil
}

func (l *Lock) note(h holder) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return fault.New(fault.Internal, "note a run in a lock that was released")
	}
	data, err := json.Marshal(h)
	if err != nil {
		return fault.New(fault.Internal, "note a run in %q: %w", l.f.Name(), err)
	}
	if err = l.f.Truncate(0); err == nil {
		_, err = l.f.WriteAt(append(data, '\n'), 0)
	}
	if err != nil {
		return fault.New(fault.LocalDisk, "note a run in %q: %w", l.f.Name(), err)
	}
	return nil
}

// readHolder reads who holds a lock, and whether the file says.
func readHolder(path string) (holder, bool) {
	f, err := os.Open(path)
	if err != nil {
		return holder{}, false
	}
	defer f.Close()
	var h holder
	data, err := io.ReadAll(io.LimitReader(f, maxHolder))
	if err != nil || json.Unmarshal(data, &h) != nil || h.PID <= 0 {
		return holder{}, false
	}
	return h, true
}

// overlap says that a job runs already, and as much of who runs it as is known.
func overlap(job string, by holder) error {
	var who []string
	if by.PID > 0 {
		who = append(who, fmt.Sprintf("process %d", by.PID))
	}
	if since, ok := parseID(by.Run); ok {
		who = append([]string{"run " + by.Run}, who...)
		who = append(who, "since "+since.Format(time.RFC3339))
	}
	if len(who) == 0 {
		return fault.New(fault.Overlap, "job %q runs already", job)
	}
	return fault.New(fault.Overlap, "job %q runs already: %s", job, strings.Join(who, ", "))
}
