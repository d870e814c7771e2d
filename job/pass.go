package job

import (
	"cmp"
	"context"
	"iter"

	"linehaul/fault"
	"linehaul/logs"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

const (
	// planAhead is how many items are planned before the first is moved. If
	// that is all of them, their sizes are held against the room on the disk,
	// progress knows how many there are, and a plan that is wrong in the end
	// moves nothing. 10,000 take 5 MB.
	planAhead = 10_000
	// linksAtOnce is how many links are made by one call.
	linksAtOnce = 1000
)

// A pass is what an attempt moves over one connection.
type pass struct {
	*attempt
	conn  *remote.Conn
	files transfer.WritableRemote
	dest  destination
	move  mover

	sieve   transfer.Sieve
	within  *allowance
	count   int // of the items that were handed on to be moved
	before  int // files that earlier attempts have moved
	matched int
	nothing bool // there was nothing to move, and nothing that is up to date
	// What waits until the files are moved: links, which may lead to them, and of
	// a mirror what something is in the way of, and what modes and times are
	// set of.
	links, blocked, alike, closing *transfer.Pile

	ledger *ledger // nil: the job has none
}

// A mover moves files and links one way.
type mover interface {
	Files(ctx context.Context, items []transfer.Item) ([]transfer.Result, error)
	Stream(ctx context.Context, first []transfer.Item, rest iter.Seq2[transfer.Item, error], emit func(transfer.Result)) error
	Links(ctx context.Context, items []transfer.Item) ([]transfer.Result, error)
	Attributes(ctx context.Context, c transfer.Comparison, items iter.Seq2[transfer.Item, error]) (int, error)
}

var (
	_ mover = (*transfer.Get)(nil)
	_ mover = (*transfer.Put)(nil)
)

func (a *attempt) pass(ctx context.Context, conn *remote.Conn, pool *remote.Pool, files transfer.WritableRemote, dest destination) *pass {
	p := &pass{
		attempt: a, conn: conn, files: files, dest: dest, before: a.run.Moved,
		within: newAllowance(a.job.Limits.MaxTransfer, a.run.Bytes),
		links:  transfer.NewPile(a.temp), blocked: transfer.NewPile(a.temp), alike: transfer.NewPile(a.temp), closing: transfer.NewPile(a.temp),
	}
	var moved func(transfer.Result)
	if a.store != nil {
		moved = func(res transfer.Result) { p.results.note(p.results.file(res)) }
	}
	if a.job.keepsLedger() && a.store != nil {
		p.ledger = openLedger(a.job, a.store, store.Run{ID: a.run.ID, Job: a.run.Job, Take: a.run.Take}, p, a.now, a.log)
		noted := moved
		moved = func(res transfer.Result) { noted(res); p.ledger.moved(res) }
	}
	var verify transfer.VerifyFunc
	if a.job.sums() {
		verify = p.verifier(a.job.Verify).check
	}
	if a.job.Put == nil {
		p.move = &transfer.Get{
			Remote: files, More: pool.Files, Spread: pool.Spread, Root: dest.root, Run: a.run.Writer(), Host: a.job.Host.Name, Log: a.log, Progress: a.progress,
			Verify: verify, NoSum: verify == nil, AtOnce: a.job.FilesInFlight, ExactModes: a.job.Preserve || a.job.Sync != nil,
			Limit: a.limit(), Pace: a.pace(), KeepBad: a.job.KeepBad, SkipSpaceCheck: a.job.NoSpaceCheck, Moved: moved,
		}
	} else {
		p.move = &transfer.Put{
			Remote: files, More: pool.Files, Spread: pool.Spread, Dead: a.dead, Run: a.run.Writer(), Host: a.job.Host.Name, Log: a.log, Progress: a.progress,
			Verify: verify, NoSum: verify == nil, AtOnce: a.job.FilesInFlight,
			Limit: a.limit(), Pace: a.pace(), KeepBad: a.job.KeepBad, SkipSpaceCheck: a.job.NoSpaceCheck, Moved: moved,
		}
	}
	return p
}

func (p *pass) verifier(how Verify) *verifier {
	return &verifier{how: how, conn: p.conn, files: p.files, get: p.job.Put == nil, log: p.log}
}

func (p *pass) close() {
	for _, pile := range []*transfer.Pile{p.links, p.blocked, p.alike, p.closing} {
		if err := pile.Close(); err != nil {
			p.log.Warn("cannot remove a temporary file", logs.Error, err.Error())
		}
	}
}

// items plans what is to be moved, counts what is not, and puts aside what
// waits.
func (p *pass) items(ctx context.Context) iter.Seq2[transfer.Item, error] {
	p.run.Skipped, p.upToDate = 0, 0
	p.results.begin(p.dest)
	plan := p.job.selecting(p.dest, p.conn.Info())
	plan.At, plan.Now, plan.Temp, plan.Log = p.run.Started, p.now, p.temp, p.log
	if plan.Compare != nil && p.job.Sync.hash() {
		plan.Compare.Same = p.comparer()
	}
	if p.ledger != nil {
		plan.Ledger = p.ledger
	}
	plan.Skipped = func(s transfer.Skip) {
		if p.results.moved(s.Item) { // by an earlier attempt
			p.matched++
			return
		}
		if p.results.earlier(s.Item, false) { // it is counted in the end
			return
		}
		if p.run.Skipped++; s.Reason.UpToDate() {
			p.upToDate++
		}
	}
	planned := telling(p.job.planned(ctx, plan, p.files, p.dest), func(item transfer.Item, err error) {
		p.log.Warn("failed", logs.Name, item.Entry.Name, logs.Source, item.Source, logs.Error, err.Error())
		p.results.add(transfer.Result{Item: item, Err: err}, p.count)
	})
	return func(yield func(transfer.Item, error) bool) {
		for item, err := range p.sieve.Items(planned) {
			aside := (*transfer.Pile)(nil)
			if err == nil && !item.Closing && item.Standing != transfer.Alike {
				p.results.earlier(item, true)
			}
			switch {
			case err != nil:
				yield(item, err)
				return
			case item.Closing:
				aside = p.closing
			case item.Standing == transfer.Alike:
				aside = p.alike
			case item.Standing == transfer.InTheWay:
				p.matched++
				aside = p.blocked
			case p.results.moved(item):
				p.matched++
				continue
			case !p.within.fits(item):
				p.matched++
				p.run.Skipped++
				p.log.Info("left for another run", logs.Source, item.Source, logs.Target, p.dest.full(item.Target), logs.Bytes, item.Entry.Size, logs.Reason, string(transfer.WhyOverTransfer))
				continue
			case item.Link != "":
				p.matched++
				aside = p.links
			default:
				p.matched++
				p.count++
			}
			if err = cmp.Or(p.results.err(), p.ledger.err()); err == nil && aside != nil {
				err = aside.Add(item)
			}
			if err == nil && aside != nil {
				continue
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// carry moves what the plan gives, and enters what became of each into the
// run's record. Where there is nothing, it says what that means.
func (p *pass) carry(ctx context.Context) error {
	next, stop := iter.Pull2(p.items(ctx))
	defer stop()
	var head []transfer.Item
	more := false
	for len(head) < p.ahead {
		item, err, ok := next()
		if err != nil {
			p.nothing = true
			return err
		}
		if more = ok; !ok {
			break
		}
		head = append(head, item)
	}
	p.run.Matched = p.matched
	if !more {
		missed := p.sieve.Err()
		idle := p.matched == 0 && len(p.results.before) == 0 && (p.job.Sync == nil || p.upToDate+p.alike.Len() == 0)
		if missed != nil && !fault.Is(missed, fault.Partial) || missed == nil && idle {
			p.nothing = true
			if missed == nil {
				missed = p.none()
			}
			return missed
		}
	}
	err := p.begin(p.dest)
	if err == nil {
		err = p.ledger.begin(head)
	}
	if err != nil {
		p.nothing = true
		return err
	}
	kept := int64(0)
	note := func(res transfer.Result, place int) {
		p.results.add(res, place)
		kept += res.Kept
		p.kept = p.run.Bytes + int64(p.run.Moved) + kept
	}
	switch {
	case more:
		if p.progress != nil {
			p.progress.Begin(0, 0)
		}
		err = p.move.Stream(ctx, head, following(p.ledger.ahead(next)), func(res transfer.Result) { note(res, res.Number) })
	case len(head) > 0:
		var results []transfer.Result
		results, err = p.move.Files(ctx, head)
		for i, res := range results {
			note(res, i)
		}
	}
	p.run.Matched = p.matched
	if err == nil || fault.Is(err, fault.Partial) {
		err = p.makeLinks(ctx, p.links, err)
	}
	if p.job.Sync != nil {
		// What earlier attempts have moved is up to date by now.
		p.run.Matched += p.before
		p.run.Skipped = max(0, p.run.Skipped-p.before)
	}
	if err == nil {
		// What could not be looked at does not keep back what could.
		err = cmp.Or(p.sieve.Err(), p.within.err())
	}
	return err
}

// following are the items that next gives, to their end.
func following(next func() (transfer.Item, error, bool)) iter.Seq2[transfer.Item, error] {
	return func(yield func(transfer.Item, error) bool) {
		for {
			item, err, ok := next()
			if !ok || !yield(item, err) {
				return
			}
		}
	}
}

// makeLinks makes links anew. err is what became of the files.
func (p *pass) makeLinks(ctx context.Context, pile *transfer.Pile, err error) error {
	var batch []transfer.Item
	flush := func() error {
		results, linkErr := p.move.Links(ctx, batch)
		for _, res := range results {
			p.results.add(res, p.count)
			p.count++
			if res.Err == nil {
				p.results.note(p.results.file(res))
			}
		}
		batch = batch[:0]
		switch {
		case linkErr == nil:
		case !fault.Is(linkErr, fault.Partial) && !ofOneFile(linkErr):
			return linkErr
		case err == nil && p.run.Moved > 0:
			err = fault.New(fault.Partial, "some links could not be made: %w", linkErr)
		case err == nil:
			err = linkErr
		}
		return nil
	}
	for item, itemErr := range pile.Items() {
		if itemErr != nil {
			return itemErr
		}
		if batch = append(batch, item); len(batch) == linksAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(batch) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	return err
}
