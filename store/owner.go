package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/internal/flock"
	"linehaul/store/db"
)

const (
	// beatEvery is how often an owner says that it lives, and Lease how long it
	// counts as living after that, by the clock of the PostgreSQL.
	beatEvery = 2 * time.Second
	Lease     = 6 * time.Second
	// forgetNodes is how long owners that are dead are kept for people to see.
	forgetNodes = 7 * 24 * time.Hour
)

// locksDir has a locked file for each process that holds something in an SQLite.
const locksDir = "locks"

// owner is this process among those that use the store. In an SQLite, which is
// of one machine, it lives as long as it holds the lock on a file, which the system
// drops with the process. In a PostgreSQL it beats, and once it was too late with
// that, it never counts as living again.
type owner struct {
	id   string
	s    *Store
	file *os.File // SQLite

	lost     chan struct{} // closed when it is known to count as dead
	loseOnce sync.Once
	stop     context.CancelFunc
	beats    sync.WaitGroup
}

// ownerFor is the id of this process's owner, which is made if it is wanted; empty
// if there is none.
func (s *Store) ownerFor(ctx context.Context, want bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == nil && want {
		o, err := s.newOwner(ctx)
		if err != nil {
			return "", fmt.Errorf("enter this process into the record: %w", err)
		}
		s.owner = o
	}
	if s.owner == nil {
		return "", nil
	}
	return s.owner.id, nil
}

func (s *Store) newOwner(ctx context.Context) (*owner, error) {
	id, err := NewRunID(s.place.Now(), s.place.Random)
	if err != nil {
		return nil, fault.New(fault.Internal, "%w", err)
	}
	o := &owner{id: id, s: s, lost: make(chan struct{})}
	if s.db.Kind() == db.SQLite {
		if o.file, err = lockFile(s.lockPath(id)); err != nil {
			return nil, err
		}
	}
	err = s.db.Tx(ctx, func(t *db.Tx) error {
		clock := s.db.Kind().Clock()
		if _, err := t.Exec(ctx, "DELETE FROM lh_node WHERE beat < "+clock+" - $1", forgetNodes.Milliseconds()); err != nil {
			return err
		}
		_, err := t.Exec(ctx, `INSERT INTO lh_node (id, name, labels, pid, serves, version, config, started, beat)
			VALUES ($1, $2, $5, $3, 0, $4, '', `+clock+`, `+clock+`) ON CONFLICT (id) DO NOTHING`, id, s.place.Node, os.Getpid(), s.place.Version, strings.Join(s.place.Labels, " "))
		return err
	})
	if err != nil {
		o.dropFile()
		return nil, err
	}
	beating, stop := context.WithCancel(context.Background())
	o.stop = stop
	if s.db.Kind() == db.PostgreSQL {
		o.beats.Go(func() { o.beat(beating) })
	}
	return o, nil
}

// lockFile makes the file whose lock says that a process lives.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fault.New(fault.LocalDisk, "%w", err)
	}
	held, err := flock.TryLock(f)
	if err == nil && !held {
		err = errors.New("another process has the lock of this one")
	}
	if err != nil {
		f.Close()
		return nil, fault.New(fault.LocalDisk, "lock %q: %w", path, err).
			WithHint("the state folder must lie on a file system with locks, such as a local disk")
	}
	return f, nil
}

func (s *Store) lockPath(owner string) string {
	return filepath.Join(s.place.Dir, locksDir, owner+".lock")
}

// dropFile gives the lock up, and removes its file: nobody else is ever called so.
func (o *owner) dropFile() {
	if o.file == nil {
		return
	}
	flock.Unlock(o.file) //nolint:errcheck // Close drops it at the latest
	o.file.Close()
	os.Remove(o.file.Name()) //nolint:errcheck // it tells nobody anything
}

// end makes the owner count as dead.
func (o *owner) end() {
	o.stop()
	o.beats.Wait()
	ctx, cancel := opContext(Lease) // after which it counts as dead anyway
	defer cancel()
	if o.s.db.Kind() == db.PostgreSQL {
		o.s.db.Exec(ctx, "UPDATE lh_node SET beat = 0 WHERE id = $1", o.id) //nolint:errcheck // see above
	}
	o.dropFile()
}

// lose says that the owner counts as dead, or may.
func (o *owner) lose() { o.loseOnce.Do(func() { close(o.lost) }) }

// beat says that the owner lives until ctx ends or it was too late. Whether it was,
// the database says, or the time that passes here; that this machine's clock is set
// says nothing.
func (o *owner) beat(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	last := o.s.place.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := o.s.place.Now()
		late := Lease - began.Sub(last)
		if late <= 0 {
			o.lose()
			return
		}
		within, cancel := context.WithTimeout(ctx, late)
		n, err := o.s.db.ExecApart(within, "UPDATE lh_node SET beat = "+o.s.db.Kind().Clock()+
			" WHERE id = $1 AND beat > "+o.s.db.Kind().Clock()+" - $2", o.id, Lease.Milliseconds())
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && n == 1:
			last = began
		case err == nil || fault.Is(err, fault.Timeout):
			o.lose()
			return
		}
	}
}

// Lost is closed when this process counts as dead for the others, or may: it was
// not able to say that it lives for as long as the lease. What it holds, others may
// take. It is nil, and so never closed, for a process that holds nothing and for an
// SQLite.
func (s *Store) Lost() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == nil || s.db.Kind() == db.SQLite {
		return nil
	}
	return s.owner.lost
}

// alive reports whether an owner lives, of a store in SQLite by its lock.
func (s *Store) alive(ctx context.Context, c db.Conn, owner string) (bool, error) {
	if owner == "" {
		return false, nil
	}
	if s.db.Kind() == db.PostgreSQL {
		// Locked, so that it does not beat before the caller has made use of it.
		var left int64
		query := "SELECT beat + $2 - " + s.db.Kind().Clock() + " FROM lh_node WHERE id = $1"
		if _, inTx := c.(*db.Tx); inTx {
			query += s.db.Kind().Locked()
		}
		found, err := db.One(ctx, c, query, []any{owner, Lease.Milliseconds()}, &left)
		return found && left > 0, err
	}
	s.mu.Lock()
	own := s.owner != nil && s.owner.id == owner
	s.mu.Unlock()
	if own {
		return true, nil
	}
	f, err := os.OpenFile(s.lockPath(owner), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fault.New(fault.LocalDisk, "look whether process %s lives: %w", owner, err)
	}
	defer f.Close()
	free, err := flock.TryLock(f)
	if err != nil {
		return false, fault.New(fault.LocalDisk, "look whether process %s lives: %w", owner, err)
	}
	if free {
		flock.Unlock(f)              //nolint:errcheck // Close drops it at the latest
		os.Remove(s.lockPath(owner)) //nolint:errcheck // it tells nobody anything
	}
	return !free, nil
}

// dropLocks removes the files of processes that died and held nothing.
func (s *Store) dropLocks() {
	names, err := filepath.Glob(filepath.Join(s.place.Dir, locksDir, "*.lock"))
	if err != nil || s.db.Kind() != db.SQLite {
		return
	}
	for _, name := range names {
		id := strings.TrimSuffix(filepath.Base(name), ".lock")
		if t, ok := parseID(id); ok && s.place.Now().Sub(t) > time.Minute { // one that begins is not locked yet
			s.alive(context.Background(), nil, id) //nolint:errcheck // it removes the file of one that is dead
		}
	}
}

// Owner is the id of this process among those that use the store, which is entered
// if it was not yet.
func (s *Store) Owner() (string, error) {
	ctx, cancel := opContext(opTime)
	defer cancel()
	return s.ownerFor(ctx, true)
}
