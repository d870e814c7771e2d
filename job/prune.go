package job

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/logs"
	"linehaul/stamp"
	"linehaul/store"
	"linehaul/transfer"
)

// prune removes old copies as the job's policy says, after a run that went
// well and moved something. Where a folder cannot be looked at, or a copy of
// this run cannot be found again, nothing is removed.
func (a *attempt) prune(ctx context.Context, files transfer.WritableRemote, dest destination) error {
	if a.job.Keep.Empty() || a.run.Moved == 0 {
		return nil
	}
	m, err := a.job.layout(dest)
	if err != nil {
		return notPruned(err)
	}
	t, err := a.job.copies(files, m)
	if t == nil {
		return notPruned(err)
	}
	defer t.close()
	all, err := a.job.collect(ctx, t, m)
	if err != nil {
		return notPruned(err)
	}
	there, made := map[string]bool{}, map[string]bool{}
	for _, d := range all {
		there[d.path] = true
	}
	missing := ""
	if err := a.results.list.Each(func(f store.File) error {
		if f.Kind != "" || f.Error != "" || f.Deleted {
			return nil
		}
		p, ok := below(a.job, m, f.Target)
		if (!ok || !there[p]) && f.Node == "" {
			missing = f.Target
		}
		made[p] = true
		return nil
	}); err != nil {
		return notPruned(err)
	}
	if missing != "" {
		a.log.Warn("no old copy is removed: one of this run is not found among them", logs.Target, missing)
		a.warn()
		return nil
	}
	if err := judge(a.job, a.store, t, all, a.results.list); err != nil {
		return notPruned(err)
	}
	return a.remove(ctx, t, a.job.decide(all, made, a.now()))
}

// notPruned is the error of a run whose files were moved, and whose old copies
// could not be looked through.
func notPruned(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Partial, "everything was moved, and no old copy was removed: %w", err).AsPermanent().
		WithHint("the new copies are whole; old ones stay until a run can look through all of them")
}

// remove removes what the verdicts say, the oldest first, and the folders that
// become empty by it.
func (a *attempt) remove(ctx context.Context, t *tree, verdicts []verdict) error {
	var old []verdict
	for _, v := range verdicts {
		if v.Keep {
			a.log.Debug("an old copy stays", logs.Target, t.show(v.path), logs.Reason, v.why())
		} else {
			old = append(old, v)
		}
	}
	slices.SortStableFunc(old, func(x, y verdict) int { return x.found.At.Compare(y.found.At) })
	failed, first := 0, error(nil)
	folders := map[string]bool{}
	for i, v := range old {
		err := a.removeOne(ctx, t, v)
		if err == nil {
			folders[path.Dir(v.path)] = true
			continue
		}
		if first == nil {
			first = err
		}
		failed++
		a.log.Warn("an old copy could not be removed", logs.Target, t.show(v.path), logs.Error, err.Error())
		if !ofOneFile(err) {
			failed += len(old) - i - 1
			break
		}
	}
	if first == nil || ofOneFile(first) {
		a.removeFolders(ctx, t, folders)
	}
	if failed == 0 {
		return nil
	}
	return fault.New(fault.Partial, "everything was moved, and %d of %d old copies could not be removed, first: %w", failed, len(old), first).
		AsPermanent().WithHint("the new copies are whole; the log names each old one that stayed and why")
}

// removeOne removes a copy, if it still is what was looked at.
func (a *attempt) removeOne(ctx context.Context, t *tree, v verdict) error {
	now, err := t.lstat(ctx, v.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !transfer.SameFile(now, v.entry.Size, v.entry.MTime):
		a.log.Warn("an old copy stays: it has changed while it was looked at", logs.Target, t.show(v.path))
		a.warn()
		return nil
	}
	if err := t.remove(ctx, v.path); err != nil {
		return err
	}
	a.results.pruned(store.File{Target: t.full(v.path), Bytes: v.entry.Size, MTime: v.entry.MTime})
	a.log.Info("removed an old copy", logs.Target, t.show(v.path), logs.Bytes, v.entry.Size, logs.Reason, v.why())
	return nil
}

// removeFolders removes the folders that are empty now, and those above them
// for as long as they are. A folder that is not empty cannot be removed so,
// and any other failure leaves an empty folder behind and no more.
func (a *attempt) removeFolders(ctx context.Context, t *tree, folders map[string]bool) {
	above := map[string]bool{}
	for f := range folders {
		for ; f != "."; f = path.Dir(f) {
			above[f] = true
		}
	}
	// A longer path cannot lie above a shorter one.
	deepest := slices.SortedFunc(maps.Keys(above), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	})
	for _, f := range deepest {
		left, err := t.list(ctx, f)
		if err != nil || len(left) > 0 {
			continue
		}
		if e, err := t.lstat(ctx, f); err != nil || !e.Mode.IsDir() {
			continue
		}
		if err := t.removeFolder(ctx, f); err != nil {
			a.log.Debug("an empty folder could not be removed", logs.Target, t.show(f), logs.Error, err.Error())
			continue
		}
		a.results.pruned(store.File{Target: t.full(f), Kind: kindFolder})
		a.log.Info("removed an empty folder", logs.Target, t.show(f))
	}
}

// planCopies explains what a run that moves these items would do with the
// copies that are there.
func (j *Job) planCopies(ctx context.Context, files transfer.WritableRemote, dest destination, items []transfer.Item, s *store.Store, now time.Time) ([]Planned, error) {
	if j.Keep.Empty() || len(items) == 0 {
		return nil, nil
	}
	m, err := j.layout(dest)
	if err != nil {
		return nil, err
	}
	t, err := j.copies(files, m)
	if t == nil {
		return nil, err
	}
	defer t.close()
	all, err := j.collect(ctx, t, m)
	if err != nil {
		return nil, err
	}
	if err := judge(j, s, t, all, nil); err != nil {
		return nil, err
	}
	made := map[string]bool{}
	for _, i := range items {
		if p, ok := below(j, m, dest.full(i.Target)); ok && isFile(i) {
			made[p] = true
		}
	}
	there := map[string]bool{}
	for i := range all {
		if d := &all[i]; made[d.path] {
			d.bad = "" // it will be written over
			there[d.path] = true
		}
	}
	for p := range made {
		if found, ok := m.Match(p); ok && !there[p] {
			all = append(all, dated{path: p, found: found})
		}
	}
	var plan []Planned
	for _, v := range j.decide(all, made, now) {
		does := "remove"
		switch {
		case made[v.path]:
			continue // it stands among what is moved
		case v.Keep:
			does = "keep"
		}
		plan = append(plan, Planned{Does: does, Target: t.full(v.path), Bytes: v.entry.Size, Reason: v.why()})
	}
	return plan, nil
}

// planAfter says what becomes of a source.
func (j *Job) planAfter(i transfer.Item, v stamp.Values) (string, error) {
	switch {
	case !isFile(i):
		return "", nil
	case j.After.Source == config.SourceDelete:
		return "delete", nil
	case j.After.Source == config.SourceMove:
		v.Name, v.Path, v.MTime = i.Entry.Name, i.Path, i.Entry.MTime
		target, err := j.After.Target(i.Source, v, j.Put != nil)
		return "move to " + target, err
	}
	return "", nil
}
