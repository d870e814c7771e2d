package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"linehaul/fault"
	"linehaul/store/db"
)

// Recover finds the runs whose process ended before they did, marks them as
// interrupted and returns them, but for those that the queue hands to another
// process. It also cleans up after processes that died. A run for which that fails
// does not keep it from the others; the error joins them all.
func (s *Store) Recover() ([]Run, error) {
	s.dropLocks()
	rows, err := s.rows("state = $1 AND queued = 0 ORDER BY id", []any{string(Running)})
	if err != nil {
		return nil, s.readFault(err)
	}
	var runs []Run
	var errs []error
	living := map[string]bool{}
	for _, row := range rows {
		if living[row.owner] {
			continue
		}
		r, dead, err := s.bury(row)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("clean up after run %s: %w", row.id, err))
		case dead:
			runs = append(runs, r)
		default:
			living[row.owner] = true
		}
	}
	return runs, errors.Join(errs...)
}

// bury marks a run as interrupted if its process is dead, and reports whether this
// call did.
func (s *Store) bury(row row) (r Run, dead bool, err error) {
	ctx, cancel := opContext(opTime)
	defer cancel()
	if alive, err := s.alive(ctx, s.db, row.owner); alive || err != nil {
		return Run{}, false, err
	}
	if r, err = s.read(row); err != nil {
		return Run{}, false, err
	}
	r, d, err := s.interrupted(ctx, r, fault.New(fault.Interrupted, "process %d ended in the middle of the run", r.PID))
	if err != nil {
		return r, false, err
	}
	record, err := encodeRecord(r)
	if err != nil {
		return r, false, fault.New(fault.Internal, "%w", err)
	}
	err = s.db.Tx(ctx, func(t *db.Tx) error {
		dead = false
		alive, err := s.alive(ctx, t, row.owner)
		if alive || err != nil {
			return err
		}
		n, err := t.Exec(ctx, "UPDATE lh_run SET state = $3, record = $4 WHERE id = $1 AND owner = $2 AND state = $5",
			row.id, row.owner, string(r.State), record, string(Running))
		if err != nil || n == 0 {
			return err // another process was first
		}
		dead = true
		if err := forgetUnfinished(ctx, t, r); err != nil {
			return err
		}
		r.Receipt, err = s.seal(ctx, t, d)
		return err
	})
	if dead && err == nil {
		r.more = func(do func(File) error) error { return s.eachFile(r.ID, do) }
		err = s.dropList(r.ID)
	}
	return r, dead, err
}

// interrupted is how a run ends that its process does not end, with the draft of its
// receipt.
func (s *Store) interrupted(ctx context.Context, r Run, why error) (Run, *draft, error) {
	r.State, r.Code = Interrupted, fault.ExitCode(why)
	r.Layer, r.Error, r.Hint = fault.KindOf(why).String(), why.Error(), fault.HintOf(why)
	r.Progress = nil
	if err := s.gather(&r); err != nil {
		return r, nil, err
	}
	d, err := s.draft(ctx, r, false)
	return r, d, err
}

// forgetUnfinished removes what a run had noted besides its record, as far as the
// record does not say that it is there.
func forgetUnfinished(ctx context.Context, t *db.Tx, r Run) error {
	if _, err := t.Exec(ctx, "DELETE FROM lh_progress WHERE run = $1", r.ID); err != nil || r.MoreFiles > 0 {
		return err
	}
	_, err := t.Exec(ctx, "DELETE FROM lh_run_files WHERE run = $1", r.ID)
	return err
}

// listPath is the file with a run's list of files while it is under way.
func (s *Store) listPath(run string) string {
	return filepath.Join(s.place.Dir, listsDir, run+".jsonl")
}

// dropList removes the list of a run that died.
func (s *Store) dropList(run string) error {
	for _, name := range []string{s.listPath(run), s.listPath(run) + ".tmp"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.LocalDisk, "%w", err)
		}
	}
	return nil
}
