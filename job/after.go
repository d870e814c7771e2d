package job

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/logs"
	"linehaul/store"
	"linehaul/transfer"
)

// What became of a source, as the record has it.
const (
	sourceDeleted = "deleted"
	sourceMoved   = "moved"
	sourceKept    = "kept"
	sourceFailed  = "failed"
)

// maxTaken bounds how many names a move tries: name, name.1 and so on.
const maxTaken = 10_000

// afterwards does what follows the transfer of an attempt that ended with err:
// the sources of what was moved go, and where all went well, old copies.
//
// Sources stay until no further attempt follows: it would miss them.
func (a *attempt) afterwards(ctx context.Context, files transfer.WritableRemote, dest destination, err error) error {
	if ctx.Err() != nil || err != nil && fault.Transient(err) && !a.last {
		return err
	}
	if afterErr := a.dispose(ctx, files); err == nil {
		err = afterErr
	}
	if err != nil || a.run.State != store.Running {
		return err
	}
	return a.prune(ctx, files, dest)
}

// A side is where the sources are: on the server for a get, here for a put.
type side struct {
	lstat  func(ctx context.Context, path string) (transfer.Entry, error)
	remove func(ctx context.Context, path string) error
	move   func(ctx context.Context, from, to string) error
	show   func(path string) string // for the log
}

func localSide() side {
	return side{
		lstat:  func(_ context.Context, p string) (transfer.Entry, error) { return transfer.LstatLocal(p) },
		remove: func(_ context.Context, p string) error { return transfer.RemoveLocal(p) },
		move:   func(_ context.Context, from, to string) error { return transfer.MoveLocal(from, to) },
		show:   func(p string) string { return p },
	}
}

func remoteSide(files transfer.WritableRemote, host string) side {
	s := side{lstat: files.Stat, remove: files.Remove, show: func(p string) string { return host + ":" + p }}
	if l, ok := files.(transfer.LinkStater); ok {
		s.lstat = l.Lstat
	}
	made := map[string]bool{}
	s.move = func(ctx context.Context, from, to string) error {
		m, ok := files.(transfer.Mover)
		if !ok {
			return fault.New(fault.RemoteFile, "move %q: there is no way to do that on this server without writing over other files", from)
		}
		if err := makeRemoteFolder(ctx, files, path.Dir(to), made); err != nil {
			return err
		}
		return m.Move(ctx, from, to)
	}
	return s
}

// makeRemoteFolder makes a folder with all that lead to it.
func makeRemoteFolder(ctx context.Context, files transfer.WritableRemote, dir string, made map[string]bool) error {
	if made[dir] || dir == "." || dir == "/" {
		return nil
	}
	if _, err := files.Stat(ctx, dir); errors.Is(err, fs.ErrNotExist) {
		if err := makeRemoteFolder(ctx, files, path.Dir(dir), made); err != nil {
			return err
		}
		if err := files.Mkdir(ctx, dir); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	made[dir] = true
	return nil
}

// dispose deletes or moves the sources of all files that this run has moved.
// One that cannot be is a failure of the run, which no further attempt helps;
// one that has changed since is kept with a warning, as its copy is not of
// what is there now.
func (a *attempt) dispose(ctx context.Context, files transfer.WritableRemote) error {
	action := a.job.After.Source
	if action != config.SourceDelete && action != config.SourceMove {
		return nil
	}
	if err := a.results.notes.Flush(); err != nil {
		return err // no source goes of which nobody would know
	}
	s := localSide()
	if a.job.Put == nil {
		s = remoteSide(files, a.job.Host.Name)
	}
	total, failed, stopped := 0, 0, false
	var first error
	changed := a.results.list.Change(func(f *store.File) bool {
		if !a.results.latest(*f) {
			return false // its source changed between two attempts, and it was moved again
		}
		if f.Error != "" || f.Kind != "" || f.Deleted || f.Take > 0 {
			return true
		}
		total++
		if stopped {
			failed++
			return true
		}
		became, err := a.disposeOne(ctx, s, *f)
		f.After, f.AfterTarget, f.AfterReason = became.what, became.target, became.reason
		if err == nil {
			a.results.note(*f)
			return true
		}
		if first == nil {
			first = err
		}
		failed++
		a.log.Warn("the source stays: it could not be "+done(action), logs.Name, nameOf(*f), logs.Source, s.show(f.Source), logs.Error, err.Error())
		stopped = !ofOneFile(err)
		return true
	})
	switch {
	case failed == 0:
		return changed
	case changed != nil:
		return changed
	}
	return fault.New(fault.Partial, "everything was moved, and %d of %d sources could not be %s, first: %w", failed, total, done(action), first).
		AsPermanent().WithHint("the copies are whole; the log names each source that stayed and why")
}

// nameOf is the base name of a source, on this machine or on a server.
func nameOf(f store.File) string { return path.Base(filepath.ToSlash(f.Source)) }

// isFile: only files have sources that go and copies that are kept. Folders
// stay where they are, and so do links that were made anew.
func isFile(i transfer.Item) bool { return i.Link == "" && !i.Entry.Mode.IsDir() }

// done is the participle of an action.
func done(action string) string {
	if action == config.SourceDelete {
		return sourceDeleted
	}
	return sourceMoved
}

// ofOneFile reports whether an error concerns one file, so that the next one
// may be tried.
func ofOneFile(err error) bool {
	switch fault.KindOf(err) {
	case fault.RemoteFile, fault.LocalDisk, fault.Config:
		return true
	default:
		return false
	}
}

// disposal is what became of one source.
type disposal struct{ what, target, reason string }

// disposeOne deletes or moves one source, if it still is what was copied.
func (a *attempt) disposeOne(ctx context.Context, s side, f store.File) (disposal, error) {
	fields := []any{logs.Name, nameOf(f), logs.Source, s.show(f.Source)}
	now, err := s.lstat(ctx, f.Source)
	why := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "it is gone already"
	case err != nil:
		return disposal{sourceFailed, "", err.Error()}, err
	case now.Mode&fs.ModeSymlink != 0:
		why = "it is a symbolic link"
	case f.Listed != nil, !transfer.SameFile(now, f.Bytes, f.MTime):
		why = "it has changed since it was copied"
	}
	if why != "" {
		a.log.Warn("the source stays", append(fields, logs.Reason, why)...)
		a.warn()
		return disposal{sourceKept, "", why}, nil
	}
	if a.job.After.Source == config.SourceDelete {
		if err := s.remove(ctx, f.Source); err != nil {
			return disposal{sourceFailed, "", err.Error()}, err
		}
		a.log.Info("deleted the source", fields...)
		return disposal{what: sourceDeleted}, nil
	}
	target, err := a.moveAway(ctx, s, f)
	if err != nil {
		return disposal{sourceFailed, "", err.Error()}, err
	}
	a.log.Info("moved the source", append(fields, logs.Target, s.show(target))...)
	return disposal{what: sourceMoved, target: target}, nil
}

// moveAway moves one source to the first name that is not taken.
func (a *attempt) moveAway(ctx context.Context, s side, f store.File) (string, error) {
	v := a.values
	v.Name, v.Path, v.MTime = nameOf(f), f.Path, f.MTime
	wanted, err := a.job.After.Target(f.Source, v, a.job.Put != nil)
	if err != nil {
		return "", err
	}
	target := wanted
	for n := 1; ; n++ {
		err := s.move(ctx, f.Source, target)
		if err == nil {
			return target, nil
		}
		if !errors.Is(err, fs.ErrExist) || n == maxTaken {
			return "", err
		}
		target = wanted + "." + strconv.Itoa(n)
	}
}

// warn makes the run one that went well, but for something that somebody
// should look at.
func (a *attempt) warn() {
	if a.run.State == store.Running {
		a.run.State = store.Warning
	}
}
