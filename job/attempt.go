package job

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"linehaul/bandwidth"
	"linehaul/fault"
	"linehaul/logs"
	"linehaul/stamp"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// attempt is one try within a run. What an earlier try has moved already is
// kept in done, and is not moved again unless the source has changed since.
type attempt struct {
	job      *Job
	run      *store.Run
	values   stamp.Values
	dialer   remote.Dialer
	store    *store.Store // nil: nothing is recorded
	now      func() time.Time
	progress transfer.Progress
	log      *slog.Logger
	gate     *bandwidth.Gate // what its bytes pass; nil: no limit
	temp     string          // folder for temporary files; empty: the system's
	done     map[string]transfer.Result
	dead     []string          // runs of this job that ended, and may have left something
	upToDate int               // files of this try that the target had already
	last     bool              // there is no further one, whatever happens
	files    map[[2]string]int // where run.Files has a source and target; made by recorded

	// What is moved for good, now and when progressed was last asked.
	kept, keptBefore int64
}

// progressed reports whether something was moved since it was last asked that
// need not be moved again.
func (a *attempt) progressed() bool {
	more := a.kept > a.keptBefore
	a.keptBefore = a.kept
	return more
}

// do connects, finds what there is to move, says so, and moves it, until moving
// ends. What follows then is up to ctx.
func (a *attempt) do(ctx, moving context.Context) error {
	verb, from, to := a.job.describe()
	a.log.Info("will "+verb, logs.Source, from, logs.Target, to)
	if a.job.Put == nil {
		// What is wrong with the target is said before anybody is called.
		if _, err := a.job.local(a.values); err != nil {
			return err
		}
	}
	began := a.now()
	conn, err := remote.Dial(moving, a.dialer, a.job.Host, a.log)
	if err != nil {
		return err
	}
	defer conn.Close()
	files, err := conn.FilesAt(moving, a.job.first(a.values))
	if err != nil {
		return err
	}
	pool := remote.NewPool(conn, a.dialer, a.job.Connections)
	defer func() { pool.Close() }() //nolint:errcheck // what was moved is named by now
	info := conn.Info()
	a.log.Info("logged in", logs.Address, info.Address, "user", info.User, logs.Fingerprint, info.HostKey,
		"server", info.ServerVersion, logs.Protocol, info.Protocol.String(), logs.Seconds, a.now().Sub(began).Round(time.Millisecond).Seconds())

	dest, err := a.job.destination(moving, files, a.values)
	if err != nil {
		return err
	}
	items, missed := a.find(moving, files, dest, info)
	if missed != nil && !fault.Is(missed, fault.Partial) {
		return missed
	}
	a.run.Matched = len(items)
	if len(items) == 0 && missed == nil {
		return a.none()
	}
	if err := a.begin(dest); err != nil {
		return err
	}
	// What could not be looked at does not keep back what could.
	fit, over := a.within(a.left(items), dest)
	if err = a.move(moving, conn, pool, files, dest, fit); err == nil {
		err = cmp.Or(missed, over)
	}
	return a.afterwards(ctx, files, dest, err)
}

// find plans what is to be moved, and counts what is not.
func (a *attempt) find(ctx context.Context, files transfer.Remote, dest destination, info remote.Info) ([]transfer.Item, error) {
	a.run.Skipped, a.run.Failed, a.upToDate = 0, 0, 0
	p := a.job.selecting(dest, info)
	p.At, p.Now, p.Temp, p.Log = a.run.Started, a.now, a.temp, a.log
	p.Skipped = func(s transfer.Skip) {
		if _, moved := a.done[key(s.Item)]; moved {
			return // by an earlier attempt
		}
		if a.run.Skipped++; s.Reason == transfer.WhyUpToDate {
			a.upToDate++
		}
	}
	return transfer.Collect(telling(a.job.planned(ctx, p, files, dest), func(item transfer.Item, err error) {
		a.log.Warn("failed", logs.Name, item.Entry.Name, logs.Source, item.Source, logs.Error, err.Error())
		a.record(dest, transfer.Result{Item: item, Err: err})
	}))
}

// begin records where files are about to land, so that a later run can clean
// up after this one if it is killed.
func (a *attempt) begin(dest destination) error {
	if a.store == nil || a.run.Root == dest.root {
		return nil
	}
	a.run.Root = dest.root
	return a.store.Put(*a.run)
}

// none answers a run that found nothing.
func (a *attempt) none() error {
	_, from, _ := a.job.describe()
	if a.upToDate > 0 {
		a.log.Info("everything is up to date", logs.Source, from)
		return nil
	}
	switch a.job.IfNone {
	case NoneOK:
		a.log.Info("nothing matched", logs.Source, from)
		return nil
	case NoneWarns:
		a.log.Warn("nothing matched", logs.Source, from)
		a.run.State = store.Warning
		return nil
	case NoneFails:
	}
	return nothing(from, a.run.Skipped)
}

// nothing is the failure of a run that found nothing to move.
func nothing(from string, skipped int) error {
	if skipped > 0 {
		return fault.New(fault.NoMatch, "nothing matched %s but %d files that were left alone", from, skipped).
			WithHint("a dry run (`linehaul run JOB -n`) gives a reason for each; `if_none: ok` accepts that nothing is left")
	}
	return fault.New(fault.NoMatch, "nothing matched %s", from)
}

// key is what makes a source the same one in the next attempt.
func key(i transfer.Item) string {
	return fmt.Sprintf("%s\x00%s\x00%d\x00%d", i.Source, i.Target, i.Entry.Size, i.Entry.MTime.UnixNano())
}

// left leaves out what an earlier attempt has moved.
func (a *attempt) left(items []transfer.Item) []transfer.Item {
	var left []transfer.Item
	for _, i := range items {
		if _, moved := a.done[key(i)]; !moved {
			left = append(left, i)
		}
	}
	return left
}

// move moves the items and enters what became of each into the run's record.
// Links come last: they may lead to the files.
func (a *attempt) move(ctx context.Context, conn *remote.Conn, pool *remote.Pool, r transfer.WritableRemote, dest destination, items []transfer.Item) error {
	var verify transfer.VerifyFunc
	if a.job.Verify == VerifyAuto || a.job.Verify == VerifySHA256 {
		verify = (&verifier{how: a.job.Verify, conn: conn, files: r, get: a.job.Put == nil}).check
	}
	var m mover
	if a.job.Put == nil {
		m = &transfer.Get{
			Remote: r, More: pool.Files, Root: dest.root, Run: a.run.ID, Host: a.job.Host.Name, Log: a.log, Progress: a.progress,
			Verify: verify, NoSum: verify == nil, AtOnce: a.job.FilesInFlight,
			Limit: a.limit(), Pace: a.pace(), KeepBad: a.job.KeepBad, SkipSpaceCheck: a.job.NoSpaceCheck,
		}
	} else {
		m = &transfer.Put{
			Remote: r, More: pool.Files, Dead: a.dead, Run: a.run.ID, Host: a.job.Host.Name, Log: a.log, Progress: a.progress,
			Verify: verify, NoSum: verify == nil, AtOnce: a.job.FilesInFlight,
			Limit: a.limit(), Pace: a.pace(), KeepBad: a.job.KeepBad, SkipSpaceCheck: a.job.NoSpaceCheck,
		}
	}
	var files, links []transfer.Item
	for _, i := range items {
		if i.Link != "" {
			links = append(links, i)
		} else {
			files = append(files, i)
		}
	}
	results, err := m.Files(ctx, files)
	if len(links) > 0 && (err == nil || fault.Is(err, fault.Partial)) {
		made, linkErr := m.Links(ctx, links)
		results = append(results, made...)
		if err == nil && linkErr != nil && len(files) > 0 {
			err = fault.New(fault.Partial, "some links could not be made: %w", linkErr)
		} else if err == nil {
			err = linkErr
		}
	}
	a.kept = a.run.Bytes
	for _, res := range results {
		a.record(dest, res)
		a.kept += res.Kept + res.Bytes
	}
	return err
}

// A mover moves files and links one way.
type mover interface {
	Files(ctx context.Context, items []transfer.Item) ([]transfer.Result, error)
	Links(ctx context.Context, items []transfer.Item) ([]transfer.Result, error)
}

var (
	_ mover = (*transfer.Get)(nil)
	_ mover = (*transfer.Put)(nil)
)

func (a *attempt) record(dest destination, res transfer.Result) {
	f := store.File{
		Source: res.Item.Source, Target: dest.full(res.Item.Target), Bytes: res.Bytes, MTime: res.Item.Entry.MTime,
		SHA256: res.SHA256, Verified: res.Verified, Resumed: res.Resumed, Seconds: res.Took.Seconds(),
	}
	if res.Err != nil {
		f.Error = res.Err.Error()
		a.run.Failed++
	} else {
		a.done[key(res.Item)] = res
		a.run.Moved++
		a.run.Bytes += res.Bytes
	}
	for i, old := range a.run.Files {
		if old.Source == f.Source && old.Target == f.Target {
			a.run.Files[i] = f
			return
		}
	}
	a.run.Files = append(a.run.Files, f)
}
