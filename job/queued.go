package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/logs"
	"linehaul/store"
)

// StopError ends the context of a run whose process is asked to stop: one that came
// from the queue goes back there.
type StopError struct{}

func (*StopError) Error() string { return "linehaul stops" }

// WaitError says that a run from the queue cannot begin yet, and after how long it
// may be tried again.
type WaitError struct {
	For time.Duration
	Why error
}

func (e *WaitError) Error() string { return "the run waits: " + e.Why.Error() }

func (e *WaitError) Unwrap() error { return e.Why }

// overlapAgain is after how long a run is tried again that waits for another to end.
const overlapAgain = 2 * time.Second

// taken enters into a run what it is by the queue: its id, which take of it this
// is, and what was there of it before.
func (r *Runner) taken(run *store.Run, t Trigger) error {
	if t.Run == "" {
		run.Writers = []string{run.ID}
		return nil
	}
	run.ID, run.Take, run.Queued = t.Run, t.Take, true
	if r.Store == nil {
		return nil
	}
	before, err := r.Store.Run(t.Run)
	if err != nil {
		return fmt.Errorf("go on with run %s: %w", t.Run, err)
	}
	run.Lane, run.Task = before.Lane, before.Task
	if run.Trigger = before.Trigger; len(before.Attempts) > 0 || before.Take > 1 {
		run.Started = before.Started.In(run.Started.Location())
	}
	run.Attempts, run.Reconnects = before.Attempts, before.Reconnects
	run.PutOff = before.PutOff
	// Whoever had it before may still write, if he only seems to be dead: his
	// files on the server are left to him.
	writer := run.ID
	if len(before.Writers) > 0 {
		if writer, err = store.NewRunID(r.Now(), r.Random); err != nil {
			return fmt.Errorf("make an id for the files under way: %w", err)
		}
	}
	run.Writers = append(before.Writers, writer)
	return nil
}

// begin takes the job's lock for a run, and records that it is under way. Where
// another one has the lock, the job says what becomes of this run, and where there is
// no room, it waits: a *WaitError is in the chain of the error if the queue is to
// hand it out again. The lock is nil where several runs may be under way.
func (r *Runner) begin(ctx context.Context, j *Job, run store.Run, inTurn bool, log *slog.Logger) (*store.Lock, error) {
	inTurn = inTurn && j.Overlap != config.OverlapAllow
	for told := false; ; told = true {
		if inTurn && run.Queued {
			before, err := r.Store.WaitingBefore(run)
			if err != nil {
				return nil, err
			}
			if before > 0 {
				return nil, &WaitError{For: overlapAgain, Why: fault.New(fault.Overlap, "%d runs of the job come before it", before)}
			}
		}
		lock, err := r.tryBegin(j, run)
		waits, asks := r.waits(j, run, inTurn, err)
		if asks != nil {
			return nil, asks
		}
		if !waits {
			return lock, err
		}
		if j.Overlap == config.OverlapCancel && !told && !inTurn {
			if err := r.cancelRunning(j, run, log); err != nil {
				return nil, err
			}
		}
		if run.Queued {
			return nil, &WaitError{For: overlapAgain, Why: err}
		}
		if !told {
			log.Info("the run waits", logs.Reason, err.Error())
		}
		if err := sleep(ctx, overlapAgain); err != nil {
			return nil, stopped(ctx, err)
		}
	}
}

func (r *Runner) tryBegin(j *Job, run store.Run) (lock *store.Lock, err error) {
	if j.Overlap != config.OverlapAllow {
		if lock, err = r.Store.Lock(j.Name); err == nil {
			err = lock.Note(run.ID)
		}
	}
	if err == nil {
		err = r.Store.Begin(run, j.Rooms)
	}
	if err != nil && lock != nil {
		lock.Release()
		lock = nil
	}
	return lock, err
}

// waits reports whether a run that could not begin is to be tried again.
func (r *Runner) waits(j *Job, run store.Run, inTurn bool, why error) (bool, error) {
	switch {
	case !fault.Is(why, fault.Overlap):
		return false, nil
	case inTurn, errors.As(why, new(*store.FullError)):
		return true, nil
	case j.Overlap != config.OverlapQueue && j.Overlap != config.OverlapCancel:
		return false, nil
	case !run.Queued:
		return true, nil
	}
	before, err := r.Store.WaitingBefore(run)
	if err == nil && before > 0 {
		err = fmt.Errorf("%w, and another run waits for that", why)
	}
	return true, err
}

// cancelRunning tells the run of a job that is under way to end.
func (r *Runner) cancelRunning(j *Job, run store.Run, log *slog.Logger) error {
	others, _, err := r.Store.Runs(store.Filter{Job: j.Name, State: store.Running})
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == run.ID {
			continue
		}
		if _, err := r.Store.Cancel(o.ID, "run "+run.ID+" takes its place"); err != nil {
			return err
		}
		log.Warn("the run before is told to end", logs.Job, j.Name, "run_before", o.ID)
	}
	return nil
}

// handedBack reports whether a run ended because its process stops, or counts as dead
// for the others, and goes back to the queue. Where another one has it already, the
// record takes nothing more from this one.
func handedBack(run store.Run, err error) bool {
	return run.Queued && fault.Is(err, fault.Interrupted) && (errors.As(err, new(*StopError)) || errors.As(err, new(*store.LostError)))
}
