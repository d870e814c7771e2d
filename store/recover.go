package store

import (
	"errors"
	"os"

	"linehaul/fault"
)

// recoverLock keeps two processes from recovering at once. No job is called so.
const recoverLock = ".recover"

// Recover finds the runs whose process ended before they did, marks them as
// interrupted and returns them. It also cleans up after writes of records that
// were cut off. A run for which that fails does not keep it from the others;
// the error joins them all. While another process recovers, it does nothing.
func (s *Store) Recover() ([]Run, error) {
	lock, err := s.tryLock(recoverLock)
	if lock == nil {
		return nil, err
	}
	defer lock.Release()
	root, err := s.root()
	if err != nil {
		return nil, s.readFault(err)
	}
	defer root.Close()
	names, err := list(root, runningDir)
	if err != nil {
		return nil, s.readFault(err)
	}
	var runs []Run
	var errs []error
	for _, name := range names {
		rec, ok := parseBase(name)
		if !ok {
			continue // not ours
		}
		alive, err := s.alive(rec)
		if alive || err != nil {
			errs = append(errs, err)
			continue
		}
		r, changed, err := s.bury(root, rec)
		errs = append(errs, err)
		if changed && err == nil {
			runs = append(runs, r)
		}
	}
	return runs, errors.Join(errs...)
}

// alive reports whether a process may be at work on a run that is not known to
// have ended: its job's lock is held, by that run or by one that does not say.
func (s *Store) alive(rec record) (bool, error) {
	lock, err := s.tryLock(rec.job)
	switch {
	case err != nil:
		return false, err
	case lock != nil:
		lock.Release()
		return false, nil
	}
	by, known := readHolder(s.lockPath(rec.job))
	return !known || by.Run == "" || by.Run == rec.id, nil
}

// bury marks a dead run as interrupted. It reports whether it was running.
func (s *Store) bury(root *os.Root, rec record) (Run, bool, error) {
	r, err := read(root, rec)
	switch {
	case err == nil && r.State == Running:
		why := fault.New(fault.Interrupted, "process %d ended in the middle of the run", r.PID)
		r.State, r.Code = Interrupted, fault.ExitCode(why)
		r.Layer, r.Error, r.Hint = fault.KindOf(why).String(), why.Error(), fault.HintOf(why)
		if r.MoreFiles == 0 {
			if err := removeAny(root, rec.more()); err != nil {
				return r, true, fault.New(fault.LocalDisk, "clean up after run %s in %q: %w", rec.id, s.dir, err)
			}
		}
		return r, true, errors.Join(s.Put(r), dropHalves(root, rec))
	case errors.Is(err, os.ErrNotExist):
		err = nil // cut off before there was a record
	}
	// It has ended after all, or is damaged, which Runs will say too.
	return Run{}, false, errors.Join(fault.Wrap(fault.LocalDisk, err), s.cleanUp(root, rec))
}

func (s *Store) cleanUp(root *os.Root, rec record) error {
	err := errors.Join(removeAny(root, rec.temp()), removeAny(root, rec.progress()), removeAny(root, rec.progress()+".tmp"), dropHalves(root, rec), removeAny(root, rec.marker()))
	if err != nil {
		return fault.New(fault.LocalDisk, "clean up after run %s in %q: %w", rec.id, s.dir, err)
	}
	return nil
}
