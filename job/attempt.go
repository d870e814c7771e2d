package job

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"linehaul/bandwidth"
	"linehaul/fault"
	"linehaul/logs"
	"linehaul/stamp"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
	"linehaul/tunnel"
)

// attempt is one try within a run. What an earlier try has moved already stands
// in results, and is not moved again unless the source has changed since.
type attempt struct {
	job      *Job
	run      *store.Run
	values   stamp.Values
	dialer   remote.Dialer
	links    *Links
	tally    tally        // of what goes through the host's link
	line     *lineMeter   // nil: nobody asks
	store    *store.Store // nil: nothing is recorded
	now      func() time.Time
	progress transfer.Progress
	log      *slog.Logger
	gate     *bandwidth.Gate // what its bytes pass; nil: no limit
	temp     string          // folder for temporary files; empty: the system's
	dead     []string        // runs of this job that ended, and may have left something
	last     bool            // there is no further one, whatever happens
	loggedIn bool            // an earlier one was
	crowded  bool            // an earlier one could not have another connection
	greets   bool            // the server's greeting is waited for, as an earlier one got none
	ahead    int             // how many items are planned before the first is moved

	second   *secondLook
	results  *results
	upToDate int // files of this try that the target had already

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
	dialer, err := a.links.Dialer(a.job.Host, a.dialer)
	if err != nil {
		return err
	}
	if _, ok := dialer.(*tunnel.Shared); ok && a.line != nil {
		a.line.by = store.ByTheTunnel
	}
	if a.job.Host.Link != "" {
		dialer = a.tally.dialer(dialer)
	}
	looking, way, err := a.look(moving, dialer)
	if err != nil {
		return err
	}
	defer func() { looking.end(a) }()
	host := a.job.Host
	host.LoggedIn = a.loggedIn
	pool, err := remote.DialPool(moving, way, dialer, host, a.spread(), a.log)
	if err != nil {
		return err
	}
	defer func() {
		a.crowded = a.crowded || pool.Refused()
		pool.Close() //nolint:errcheck // what was moved is named by now
	}()
	conn := pool.First()
	a.loggedIn = true
	files, err := a.open(moving, conn)
	if err != nil {
		return err
	}
	defer func() { a.greets = a.greets || remote.Unanswered(files) }()
	defer a.watchLine(pool)() // ends before the connections do
	info := conn.Info()
	a.run.Address, a.run.HostKey = info.Address, &store.HostKey{Type: info.HostKeyType, Fingerprint: info.HostKey}
	a.log.Info("logged in", logs.Address, info.Address, "user", info.User, logs.Fingerprint, info.HostKey,
		"server", info.ServerVersion, logs.Protocol, info.Protocol.String(), logs.Seconds, a.now().Sub(began).Round(time.Millisecond).Seconds())

	dest, err := a.job.destination(moving, files, a.values)
	if err != nil {
		return err
	}
	if err := a.job.checkSource(moving, files); err != nil {
		return err
	}
	p := a.pass(moving, conn, pool, files, dest)
	defer p.close()
	err = p.carry(moving)
	if ledgerErr := p.ledger.close(); ledgerErr != nil {
		return ledgerErr // and no source goes
	}
	if resultsErr := cmp.Or(a.results.err(), a.results.settle()); resultsErr != nil {
		return resultsErr
	}
	if p.nothing {
		return err
	}
	if a.job.Sync != nil {
		err = p.mirror(moving, err)
	}
	return a.afterwards(ctx, files, dest, err)
}

// open opens the files of a connection. The greeting is waited for where the server
// has left one unanswered.
func (a *attempt) open(ctx context.Context, conn *remote.Conn) (transfer.WritableRemote, error) {
	if a.greets {
		return conn.Files(ctx)
	}
	return conn.FilesAhead(ctx)
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
	if a.job.Sync != nil && a.job.Sync.Delete {
		a.log.Warn("nothing is deleted at the target, as nothing is at the source", logs.Source, from)
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
