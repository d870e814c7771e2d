package job

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"path"
	"path/filepath"

	"linehaul/stamp"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// What a dry run says of a file besides get and put.
const (
	doesSkip   = "skip"
	doesFail   = "fail"
	doesSet    = "set"    // its mode or time, of a mirror
	doesDelete = "delete" // what a mirror's source does not have
)

// Planned is one file as a dry run shows it: one that is looked at to be moved,
// or a copy that is there.
type Planned struct {
	Does   string `json:"does"`             // get, put, skip or fail; set or delete of a mirror; keep or remove of a copy
	Source string `json:"source,omitempty"` // empty of a copy, and of what is deleted
	Target string `json:"target,omitempty"`
	Bytes  int64  `json:"bytes"`
	Dir    bool   `json:"dir,omitempty"`    // an empty folder that is made, or a folder that is deleted
	Link   string `json:"link,omitempty"`   // the text of a link that is made anew
	After  string `json:"after,omitempty"`  // what becomes of the source, if it goes
	Reason string `json:"reason,omitempty"` // of a skip one of transfer.Reasons; of keep and remove
	Error  string `json:"error,omitempty"`  // of a fail
}

// selecting is what of a plan the job says, and the server that it is for.
func (j *Job) selecting(dest destination, info remote.Info) transfer.Plan {
	p := transfer.Plan{
		Recursive: j.Recursive, Select: j.Select, Name: dest.name, Tree: dest.tree,
		Compare: j.comparison(dest, info),
	}
	if j.All {
		p.Select.OnlyNew = false
	}
	if j.Put != nil {
		p.Target = system(info)
	}
	if info.Protocol == remote.SCP {
		p.Ahead = -1 // each listing is a command of its own, and takes a session
	}
	return p
}

// planned is what a plan gives.
func (j *Job) planned(ctx context.Context, p transfer.Plan, r transfer.Remote, dest destination) iter.Seq2[transfer.Item, error] {
	if j.Put == nil {
		return p.Get(ctx, r, dest.root, j.Get...)
	}
	return p.Put(ctx, r, j.Put...)
}

// Plan connects, finds what the job would do with each file and each old copy,
// and does nothing. Names are those of a run that starts now. show is called for one
// file after the other; its error ends the plan. The error of a plan in which
// some files fail comes after them.
func (r *Runner) Plan(ctx context.Context, j *Job, show func(Planned) error) error {
	d, end, err := r.reach(ctx, j)
	if err != nil {
		return err
	}
	defer end()
	d.show = show
	err = d.plan(ctx)
	switch {
	case d.failed != nil:
		return d.failed
	case err != nil:
		return err
	case j.Sync != nil && j.Sync.Delete && d.moved+d.upToDate > 0 && !d.over:
		return d.extra(ctx)
	}
	copies, err := j.planCopies(ctx, d.files, d.dest, d.items, r.Store, d.values.At)
	for _, c := range copies {
		if err := d.say(c); err != nil {
			return err
		}
	}
	return err
}

// reach connects for a job of which nothing is done but to look at files. The
// caller calls end.
func (r *Runner) reach(ctx context.Context, j *Job) (d *dryRun, end func(), err error) {
	values, err := r.valuesNow(j)
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.DiscardHandler)
	if r.Console != nil {
		log = slog.New(r.Console)
	}
	dialer, err := r.Links.Dialer(j.Host, r.Dialer)
	if err != nil {
		return nil, nil, err
	}
	conn, err := remote.Dial(ctx, dialer, j.Host, log)
	if err != nil {
		return nil, nil, err
	}
	d = &dryRun{Runner: r, job: j, conn: conn, values: values, log: log}
	if d.files, err = conn.Files(ctx); err == nil {
		d.dest, err = j.destination(ctx, d.files, values)
	}
	if err == nil {
		err = j.checkSource(ctx, d.files)
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return d, func() { conn.Close() }, nil
}

// looking is a pass that moves nothing.
func (d *dryRun) looking() *pass {
	return &pass{attempt: &attempt{job: d.job, log: d.log}, conn: d.conn, files: d.files, dest: d.dest}
}

// valuesNow are the stamps of a run that would start now.
func (r *Runner) valuesNow(j *Job) (stamp.Values, error) {
	now := r.Now()
	if j.Zone != nil {
		now = now.In(j.Zone)
	}
	id, err := store.NewRunID(now, r.Random)
	if err != nil {
		return stamp.Values{}, fmt.Errorf("make a run id: %w", err)
	}
	return stamp.Values{At: now, Job: j.Name, Host: j.Host.Name, Run: id}, nil
}

// A dryRun shows what a job would do.
type dryRun struct {
	*Runner
	job    *Job
	conn   *remote.Conn
	files  transfer.WritableRemote
	dest   destination
	values stamp.Values
	log    *slog.Logger
	show   func(Planned) error
	failed error // of show

	moved, skipped, upToDate int
	over                     bool            // something is left for another run
	items                    []transfer.Item // as far as retention has to know them
}

func (d *dryRun) say(p Planned) error {
	if d.failed == nil {
		d.failed = d.show(p)
	}
	return d.failed
}

// plan shows what would be moved, and what would not.
func (d *dryRun) plan(ctx context.Context) error {
	j := d.job
	verb := "get"
	if j.Put != nil {
		verb = "put"
	}
	p := j.selecting(d.dest, d.conn.Info())
	p.At, p.Now, p.Temp, p.Log = d.values.At, d.Now, d.Temp, d.log
	if p.Compare != nil && j.Sync.hash() {
		p.Compare.Same = d.looking().comparer()
	}
	if j.keepsLedger() && d.Store != nil {
		l := openLedger(j, d.Store, store.Run{}, d.looking(), d.Now, d.log)
		defer l.close() //nolint:errcheck // it writes nothing
		l.frozen, p.Ledger = true, l
	}
	p.Skipped = func(s transfer.Skip) {
		if d.skipped++; s.Reason.UpToDate() {
			d.upToDate++
		}
		d.say(d.dest.planned(doesSkip, s.Item, s.Reason)) //nolint:errcheck // the next item brings it
	}
	found := telling(j.planned(ctx, p, d.files, d.dest), func(item transfer.Item, err error) {
		fail := d.dest.planned(doesFail, item, "")
		fail.Error = err.Error()
		d.say(fail) //nolint:errcheck // likewise
	})
	blocked := error(nil)
	allowed := newAllowance(j.Limits.MaxTransfer, 0)
	err := transfer.Each(found, func(item transfer.Item) error {
		does := verb
		switch {
		case item.Closing:
			return nil
		case item.Standing == transfer.Alike:
			d.upToDate++
			does = doesSet
		case item.Standing == transfer.InTheWay && !j.Sync.Delete:
			fail := d.dest.planned(doesFail, item, "")
			blocked = j.inTheWay(d.dest, item)
			fail.Error = blocked.Error()
			return d.say(fail)
		case !allowed.fits(item):
			d.skipped++
			d.over = true
			return d.say(d.dest.planned(doesSkip, item, transfer.WhyOverTransfer))
		default:
			d.moved++
		}
		if !j.Keep.Empty() {
			d.items = append(d.items, item)
		}
		line := d.dest.planned(does, item, "")
		var err error
		if line.After, err = j.planAfter(item, d.values); err != nil {
			return err
		}
		return d.say(line)
	})
	_, from, _ := j.describe()
	switch {
	case err != nil:
		return err
	case blocked != nil:
		return blocked
	case d.moved == 0 && d.upToDate == 0 && j.IfNone == NoneFails:
		return nothing(from, d.skipped)
	}
	return nil
}

// extra shows what a mirror would delete. More than it may is shown all the
// same, before the error that says so.
func (d *dryRun) extra(ctx context.Context) error {
	left, err := d.job.surplus(ctx, d.files, d.dest, d.conn.Info(), transfer.Surplus{Temp: d.Temp, Log: d.log})
	if err != nil {
		return err
	}
	defer left.Extra.Close() //nolint:errcheck // it goes with the process at the latest
	full := func(p string) string { return filepath.Join(d.dest.root, filepath.FromSlash(p)) }
	if d.job.Put != nil {
		full = func(p string) string { return path.Join(d.dest.dir, p) }
	}
	for item, err := range left.Extra.Items() {
		if err != nil {
			return err
		}
		p := Planned{Does: doesDelete, Target: full(item.Target), Bytes: item.Entry.Size, Dir: item.Entry.Mode.IsDir()}
		if p.Dir {
			p.Bytes = 0
		}
		if err := d.say(p); err != nil {
			return err
		}
	}
	return d.job.tooMuch(left)
}

// telling tells of the items that cannot be moved as they come by.
func telling(planned iter.Seq2[transfer.Item, error], failed func(transfer.Item, error)) iter.Seq2[transfer.Item, error] {
	return func(yield func(transfer.Item, error) bool) {
		for item, err := range planned {
			if err != nil && item.Source != "" {
				failed(item, err)
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

func (d destination) planned(does string, i transfer.Item, why transfer.Reason) Planned {
	p := Planned{Does: does, Source: i.Source, Bytes: i.Entry.Size, Dir: i.Entry.Mode.IsDir(), Link: i.Link, Reason: string(why)}
	if i.Target != "" {
		p.Target = d.full(i.Target)
	}
	return p
}
