package store

import (
	"context"
	"errors"
	"fmt"

	"linehaul/fault"
	"linehaul/store/db"
)

// Enter records a run that is to wait in the queue, in the transaction that puts
// it there.
func (s *Store) Enter(ctx context.Context, t *db.Tx, r Run) error {
	r.State, r.Queued = Waiting, true
	if err := r.check(); err != nil {
		return fault.New(fault.Internal, "record run: %w", err)
	}
	record, err := encodeRecord(r)
	if err != nil {
		return fault.New(fault.Internal, "record run %s: %w", r.ID, err)
	}
	return putRun(ctx, t, r, "", record)
}

// Rescue finds the runs of the queue whose process died, and enters each again, to
// be taken by another process: with the next number of its takes, so that whoever
// had it can write nothing more. enqueue puts it into the queue within the same
// transaction. A run for which that fails does not keep it from the others.
func (s *Store) Rescue(ctx context.Context, enqueue func(*db.Tx, Run) error) (rescued []Run, err error) {
	rows, err := s.rows("state = $1 AND queued = 1 ORDER BY id", []any{string(Running)})
	if err != nil {
		return nil, s.readFault(err)
	}
	var errs []error
	living := map[string]bool{}
	for _, row := range rows {
		if living[row.owner] {
			continue
		}
		r, done, err := s.rescue(ctx, row, enqueue)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("hand run %s to another process: %w", row.id, err))
		case done:
			rescued = append(rescued, r)
		default:
			living[row.owner] = true
		}
	}
	return rescued, errors.Join(errs...)
}

func (s *Store) rescue(ctx context.Context, row row, enqueue func(*db.Tx, Run) error) (r Run, done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	err = s.db.Tx(ctx, func(t *db.Tx) error {
		done = false
		alive, err := s.alive(ctx, t, row.owner)
		if alive || err != nil {
			return err
		}
		if r, err = s.read(row); err != nil {
			return err
		}
		before := r.Take
		r.State, r.Take, r.Progress = Waiting, r.Take+1, nil
		record, err := encodeRecord(r)
		if err != nil {
			return fault.New(fault.Internal, "%w", err)
		}
		n, err := t.Exec(ctx, "UPDATE lh_run SET state = $4, owner = '', take = $5, record = $6 WHERE id = $1 AND owner = $2 AND take = $3 AND state = 'running'",
			row.id, row.owner, before, string(r.State), r.Take, record)
		if err != nil || n == 0 {
			return err // another process was first
		}
		done = true
		if err := forgetUnfinished(ctx, t, r); err != nil {
			return err
		}
		return enqueue(t, r)
	})
	return r, done && err == nil, err
}

// WaitingBefore is how many runs of a job wait in the queue that come before one: by
// the times that the schedule named, and by when they were asked for where it named
// none.
func (s *Store) WaitingBefore(r Run) (n int, err error) {
	ctx, cancel := opContext(opTime)
	defer cancel()
	_, err = db.One(ctx, s.db, `SELECT count(*) FROM lh_run WHERE job = $1 AND state = $2 AND id <> $3
		AND CASE WHEN nominal > 0 AND CAST($4 AS BIGINT) > 0 THEN nominal < $4 ELSE id < $3 END`, []any{r.Job, string(Waiting), r.ID, millis(r.Nominal)}, &n)
	if err != nil {
		return 0, s.readFault(err)
	}
	return n, nil
}

// Cancel ends a run, which may be another process's, for a reason that its record
// says. One that waits has ended when Cancel returns; one that is under way is told
// to end, which its process hears within a second or two. It reports the state that
// the run was in: one that had ended is left alone.
func (s *Store) Cancel(id, reason string) (State, error) {
	r, err := s.Run(id)
	if err != nil {
		return "", err
	}
	ctx, cancel := opContext(opTime)
	defer cancel()
	was := ""
	waits := r.State == Waiting
	var d *draft // of one that waits: what has ended has its receipt
	if waits {
		r.Ended = s.place.Now()
		if r, d, err = s.interrupted(ctx, r, fault.New(fault.Interrupted, "cancelled: %s", reason)); err != nil {
			return "", fmt.Errorf("cancel run %s: %w", r.ID, err)
		}
	}
	err = s.db.Tx(ctx, func(t *db.Tx) error {
		if _, err := db.One(ctx, t, "SELECT state FROM lh_run WHERE id = $1"+s.db.Kind().Locked(), []any{r.ID}, &was); err != nil {
			return err
		}
		switch State(was) {
		case Running:
			_, err := t.Exec(ctx, "UPDATE lh_run SET cancel = $2 WHERE id = $1", r.ID, reason)
			return err
		case Waiting:
			if !waits {
				return nil // it was handed back just now
			}
			record, err := encodeRecord(r)
			if err != nil {
				return fault.New(fault.Internal, "%w", err)
			}
			if _, err := t.Exec(ctx, "UPDATE lh_run SET state = $2, ended = $3, record = $4 WHERE id = $1",
				r.ID, string(r.State), millis(r.Ended), record); err != nil {
				return err
			}
			_, err = s.seal(ctx, t, d)
			return err
		case OK, Warning, Failed, Skipped, Missed, Interrupted:
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("cancel run %s: %w", r.ID, err)
	}
	if State(was) == Waiting && !waits {
		return s.Cancel(id, reason)
	}
	return State(was), nil
}
