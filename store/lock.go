package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/store/db"
)

// Lock is a job's lock: whoever holds it runs the job, on whichever machine. It is
// free when the process that holds it dies. Its methods are safe for concurrent
// use.
type Lock struct {
	s    *Store
	mu   sync.Mutex
	held holder
	free bool
}

// holder is a lock as the database has it.
type holder struct {
	job, owner, run string
	token           string // of this one Lock
	pid             int
	node            string
}

// Lock takes the lock of a job without waiting for another run to end: if one
// holds it, the error is of kind fault.Overlap and names it.
func (s *Store) Lock(job string) (*Lock, error) {
	if err := checkJob(job); err != nil {
		return nil, fault.New(fault.Internal, "lock a job: %w", err)
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	s.payReleases(ctx)
	owner, err := s.ownerFor(ctx, true)
	if err != nil {
		return nil, fmt.Errorf("lock job %q: %w", job, err)
	}
	token, err := NewRunID(s.place.Now(), s.place.Random)
	if err != nil {
		return nil, fault.New(fault.Internal, "lock job %q: %w", job, err)
	}
	l := &Lock{s: s, held: holder{job: job, owner: owner, pid: os.Getpid(), token: token}}
	err = s.db.Tx(ctx, func(t *db.Tx) error { return s.lock(ctx, t, l.held) })
	if err != nil {
		if fault.Is(err, fault.Overlap) {
			return nil, err
		}
		return nil, fmt.Errorf("lock job %q: %w", job, err)
	}
	return l, nil
}

func (s *Store) lock(ctx context.Context, t *db.Tx, want holder) error {
	by := holder{job: want.job}
	for found := false; !found; {
		n, err := t.Exec(ctx, "INSERT INTO lh_lock (job, owner, pid, run, token) VALUES ($1, $2, $3, '', $4) ON CONFLICT (job) DO NOTHING",
			want.job, want.owner, want.pid, want.token)
		if err != nil || n == 1 {
			return err
		}
		// Nobody has it any more if it was given up just now.
		found, err = db.One(ctx, t, "SELECT owner, pid, run, coalesce((SELECT name FROM lh_node WHERE id = owner), '') FROM lh_lock WHERE job = $1"+s.db.Kind().Locked(),
			[]any{want.job}, &by.owner, &by.pid, &by.run, &by.node)
		if err != nil {
			return err
		}
	}
	alive, err := s.alive(ctx, t, by.owner)
	if err != nil {
		return err
	}
	if alive && by.run != "" {
		// Its run may have ended, and the lock could not be given up then.
		var state string
		if _, err := db.One(ctx, t, "SELECT state FROM lh_run WHERE id = $1", []any{by.run}, &state); err != nil {
			return err
		}
		alive = state == "" || state == string(Running)
	}
	if alive {
		return s.overlap(by)
	}
	_, err = t.Exec(ctx, "UPDATE lh_lock SET owner = $2, pid = $3, run = '', token = $4 WHERE job = $1", want.job, want.owner, want.pid, want.token)
	return err
}

// Note writes the run that holds the lock into it, for the message that another
// gets who wants it.
func (l *Lock) Note(runID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free {
		return fault.New(fault.Internal, "note a run in a lock that was released")
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	n, err := l.s.db.Exec(ctx, "UPDATE lh_lock SET run = $3 WHERE job = $1 AND token = $2", l.held.job, l.held.token, runID)
	switch {
	case err != nil:
		return fmt.Errorf("note run %s in the lock of job %q: %w", runID, l.held.job, err)
	case n == 0:
		return fault.New(fault.Interrupted, "the lock of job %q: %w", l.held.job, &TakenError{runID})
	}
	l.held.run = runID
	return nil
}

// Release gives the lock up. It may be called again.
func (l *Lock) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free {
		return
	}
	l.free = true
	ctx, cancel := opContext(opTime)
	defer cancel()
	if l.s.release(ctx, l.held) != nil {
		l.s.mu.Lock()
		l.s.owed = append(l.s.owed, l.held)
		l.s.mu.Unlock()
	}
}

func (s *Store) release(ctx context.Context, h holder) error {
	_, err := s.db.Exec(ctx, "DELETE FROM lh_lock WHERE job = $1 AND token = $2", h.job, h.token)
	return err
}

// payReleases gives up the locks that could not be given up when it was time.
func (s *Store) payReleases(ctx context.Context) {
	s.mu.Lock()
	owed := s.owed
	s.owed = nil
	s.mu.Unlock()
	for i, r := range owed {
		if s.release(ctx, r) != nil {
			s.mu.Lock()
			s.owed = append(s.owed, owed[i:]...)
			s.mu.Unlock()
			return
		}
	}
}

// overlap says that a job runs already, and as much of who runs it as is known.
func (s *Store) overlap(by holder) error {
	var who []string
	since, known := parseID(by.run)
	if known {
		who = append(who, "run "+by.run)
	}
	who = append(who, fmt.Sprintf("process %d", by.pid))
	if by.node != "" && by.node != s.place.Node {
		who[len(who)-1] += " on " + by.node
	}
	if known {
		who = append(who, "since "+since.Format(time.RFC3339))
	}
	return fault.New(fault.Overlap, "job %q runs already: %s", by.job, strings.Join(who, ", "))
}
