package job

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/logs"
	"linehaul/store"
	"linehaul/transfer"
)

// ledgerTime is how long a file waits, after it was moved, until it is entered in
// the ledger with others: each time costs a sync of the disk. Whoever dies
// meanwhile leaves files that the next run recognises.
const ledgerTime = time.Second

// A ledger is what a job has moved, see package store, during one attempt. What is
// entered is written by a goroutine of its own, many entries at a time; whoever
// makes a ledger calls close, which waits for it.
//
// Before a file is moved, it is entered as begun, with its target: the next run
// finds it there, whatever day its own targets have.
type ledger struct {
	job    *Job
	store  *store.Store
	run    store.Run // that enters; no id: none does
	pass   *pass
	log    *slog.Logger
	now    func() time.Time
	frozen bool // nothing is entered: of a dry run
	// own are sources that an earlier process of this run has begun, and which are
	// looked for at their targets now.
	own map[string]bool

	entries chan store.Entry
	done    chan struct{}

	mu      sync.Mutex
	broke   error
	entered int
	writes  int // to the database
}

var _ transfer.Ledger = (*ledger)(nil)

// keepsLedger reports whether the job goes by its ledger.
func (j *Job) keepsLedger() bool { return j.Select.OnlyNew && j.Select.Ledger }

// openLedger begins the ledger of a pass, which may be one that moves nothing.
func openLedger(j *Job, s *store.Store, run store.Run, p *pass, now func() time.Time, log *slog.Logger) *ledger {
	l := &ledger{
		job: j, store: s, run: run, pass: p, log: log, now: now,
		entries: make(chan store.Entry, store.LedgerBatch), done: make(chan struct{}),
	}
	go l.write()
	return l
}

// write enters what comes until there is no more.
func (l *ledger) write() {
	defer close(l.done)
	timer := time.NewTimer(ledgerTime)
	defer timer.Stop()
	var batch []store.Entry
	flush := func() {
		if len(batch) == 0 || l.err() != nil {
			batch = batch[:0]
			return
		}
		write := l.store.LedgerImport
		if l.run.ID != "" {
			write = func(entries []store.Entry) error {
				// What the ledger has from this run, its notes have: see Known.
				if err := l.pass.results.notes.Flush(); err != nil {
					return err
				}
				return l.store.LedgerEnter(l.run, entries)
			}
		}
		err := write(batch)
		l.mu.Lock()
		l.writes++
		if l.broke = err; err == nil {
			l.entered += len(batch)
		}
		l.mu.Unlock()
		batch = batch[:0]
	}
	for {
		select {
		case e, more := <-l.entries:
			if !more {
				flush()
				return
			}
			if batch = append(batch, e); len(batch) == 1 {
				timer.Reset(ledgerTime)
			}
			if len(batch) == store.LedgerBatch {
				flush()
			}
		case <-timer.C:
			flush()
		}
	}
}

// err is why the ledger could not be written; nil if it could.
func (l *ledger) err() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broke
}

// close enters what is left, and returns what err does. Nothing may be entered any
// more.
func (l *ledger) close() error {
	if l == nil {
		return nil
	}
	close(l.entries)
	<-l.done
	return l.err()
}

// enter notes a file that is at its target. It waits while the ledger is behind.
func (l *ledger) enter(i transfer.Item, target, sum string) {
	if !l.frozen {
		l.entries <- l.entry(i, target, sum)
	}
}

func (l *ledger) entry(i transfer.Item, target, sum string) store.Entry {
	return store.Entry{
		Job: l.job.Name, Host: l.job.Host.Name, Path: i.Source, Size: i.Entry.Size, MTime: i.Entry.MTime,
		SHA256: sum, Target: target, Run: l.run.ID, At: l.now(),
	}
}

// moved is told of what is moved, as transfer.Get.Moved is.
func (l *ledger) moved(res transfer.Result) {
	if isFile(res.Item) {
		l.enter(res.Item, l.pass.dest.full(res.Item.Target), res.SHA256)
	}
}

// begin enters files that are about to be moved. It is durable when it returns.
func (l *ledger) begin(items []transfer.Item) error {
	if l == nil {
		return nil
	}
	var batch []store.Entry
	for n, i := range items {
		if isFile(i) {
			batch = append(batch, l.entry(i, l.pass.dest.full(i.Target), ""))
		}
		if len(batch) == store.LedgerBatch || n == len(items)-1 && len(batch) > 0 {
			if err := l.store.LedgerBegin(l.run, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

// ahead enters items as begun before they come, some at a time.
func (l *ledger) ahead(next func() (transfer.Item, error, bool)) func() (transfer.Item, error, bool) {
	if l == nil {
		return next
	}
	var batch []transfer.Item
	var last error // comes after the batch
	ended := false
	return func() (transfer.Item, error, bool) {
		if len(batch) == 0 && last == nil && !ended {
			for len(batch) < store.LedgerBatch && last == nil && !ended {
				item, err, ok := next()
				switch {
				case !ok:
					ended = true
				case err != nil:
					last = err
				default:
					batch = append(batch, item)
				}
			}
			if err := l.begin(batch); err != nil {
				batch, last = nil, err
			}
		}
		switch {
		case len(batch) > 0:
			item := batch[0]
			batch[0], batch = transfer.Item{}, batch[1:]
			return item, nil, true
		case last != nil:
			err := last
			last = nil
			return transfer.Item{}, err, true
		}
		return transfer.Item{}, nil, false
	}
}

// Known implements transfer.Ledger. A file that was only begun is looked for where
// it was to go then; where that is its target now, the plan asks by itself.
func (l *ledger) Known(ctx context.Context, items []transfer.Item) ([]bool, error) {
	paths := make([]string, len(items))
	for i, item := range items {
		paths[i] = item.Source
	}
	rows, err := l.store.LedgerKnown(ctx, l.job.Name, l.job.Host.Name, paths)
	if err != nil {
		return nil, err
	}
	known := make([]bool, len(items))
	l.own = map[string]bool{}
	for i, item := range items {
		row, ok := rows[item.Source]
		l.own[item.Source] = l.run.ID != "" && row.Run == l.run.ID && row.Begun
		switch {
		case !ok || !row.Same(item.Entry.Size, item.Entry.MTime):
		case !row.Begun:
			if known[i] = true; row.Size < 0 { // only its name was known
				l.enter(item, row.Target, row.SHA256)
			}
		case row.Target != l.pass.dest.full(item.Target):
			if known[i], err = l.lies(ctx, item, row.Target); err != nil {
				return nil, err
			}
		}
	}
	return known, nil
}

// lies reports whether an item lies at a target of an earlier run, and enters it
// then. One that cannot be looked at is moved again.
func (l *ledger) lies(ctx context.Context, item transfer.Item, target string) (bool, error) {
	s := localSide()
	if l.job.Put != nil {
		s = remoteSide(l.pass.files, l.job.Host.Name)
	}
	there, err := s.lstat(ctx, target)
	switch {
	case err != nil && ctx.Err() != nil:
		return false, err
	case err != nil:
		return false, nil //nolint:nilerr // it is not there, or might as well not be
	case !transfer.UpToDate(item, there):
		return false, nil
	}
	return l.recognise(ctx, item, target)
}

// Recognise implements transfer.Ledger.
func (l *ledger) Recognise(ctx context.Context, item transfer.Item) (bool, error) {
	return l.recognise(ctx, item, l.pass.dest.full(item.Target))
}

// recognise holds a copy against its source as far as the job would verify it, and
// enters it if it is one.
func (l *ledger) recognise(ctx context.Context, item transfer.Item, target string) (bool, error) {
	sum := ""
	if v := l.job.Verify; item.Entry.Size > 0 && (v == VerifySHA256 || v == VerifyAuto && item.Entry.Size >= autoSize) {
		here, there := target, item.Source
		if l.job.Put != nil {
			here, there = item.Source, target
		}
		var err error
		if sum, err = fileSum(ctx, here); err == nil {
			_, err = l.pass.verifier(v).check(ctx, there, item.Entry.Size, sum)
		}
		switch {
		case err == nil:
		case ctx.Err() != nil, !fault.Is(err, fault.Verify) && !ofOneFile(err):
			return false, err
		default:
			l.log.Info("what lies at the target is not taken for a copy", logs.Source, item.Source, logs.Target, target, logs.Error, err.Error())
			return false, nil
		}
	}
	if !l.frozen {
		l.log.Info("entered in the ledger what lies at the target", logs.Source, item.Source, logs.Target, target)
	}
	l.enter(item, target, sum)
	if l.own[item.Source] {
		l.pass.results.found(item, target, sum)
	}
	return true, nil
}

// Adopt enters in a job's ledger what its target has already, under the names that
// a run would use that started now, and moves nothing: so that what another program
// has moved is not moved again. It returns how many files were entered, and how
// many of the source it knows now or knew before.
func (r *Runner) Adopt(ctx context.Context, j *Job) (entered, known int, err error) {
	d, end, err := r.reach(ctx, j)
	if err != nil {
		return 0, 0, err
	}
	defer end()
	l := openLedger(j, r.Store, store.Run{}, d.looking(), r.Now, d.log)
	p := j.selecting(d.dest, d.conn.Info())
	p.At, p.Now, p.Temp, p.Log, p.Ledger = d.values.At, r.Now, r.Temp, d.log, l
	// What is there was taken once, whether it would be taken now or not.
	p.Select.OnlyNew, p.Select.Ledger, p.Select.Newest, p.Select.Settle, p.Select.Sentinel = true, true, 0, 0, ""
	p.Skipped = func(s transfer.Skip) {
		if s.Reason.UpToDate() && isFile(s.Item) {
			known++
		}
	}
	err = transfer.Each(j.planned(ctx, p, d.files, d.dest), func(transfer.Item) error { return l.err() })
	if closeErr := l.close(); closeErr != nil {
		err = closeErr
	}
	return l.entered, known, err
}
