package job

import (
	"context"
	"fmt"
	"iter"
	"log/slog"

	"linehaul/stamp"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// What a dry run says of a file besides get and put.
const (
	doesSkip = "skip"
	doesFail = "fail"
)

// Planned is one file as a dry run shows it: one that is looked at to be moved,
// or a copy that is there.
type Planned struct {
	Does   string `json:"does"`             // get, put, skip or fail; keep or remove of a copy
	Source string `json:"source,omitempty"` // empty of a copy
	Target string `json:"target,omitempty"`
	Bytes  int64  `json:"bytes"`
	Dir    bool   `json:"dir,omitempty"`    // an empty folder that is made
	Link   string `json:"link,omitempty"`   // the text of a link that is made anew
	After  string `json:"after,omitempty"`  // what becomes of the source, if it goes
	Reason string `json:"reason,omitempty"` // of a skip one of transfer.Reasons; of keep and remove
	Error  string `json:"error,omitempty"`  // of a fail
}

// selecting is what of a plan the job says, and the server that it is for.
func (j *Job) selecting(dest destination, info remote.Info) transfer.Plan {
	p := transfer.Plan{
		Recursive: j.Recursive, Select: j.Select, Name: dest.name, Tree: dest.tree, Target: transfer.ThisSystem(),
		Compare: j.comparison(dest, info),
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
	now := r.Now().In(j.Zone)
	id, err := store.NewRunID(now, r.Random)
	if err != nil {
		return fmt.Errorf("make a run id: %w", err)
	}
	log := slog.New(slog.DiscardHandler)
	if r.Console != nil {
		log = slog.New(r.Console)
	}
	conn, err := remote.Dial(ctx, r.Dialer, j.Host, log)
	if err != nil {
		return err
	}
	defer conn.Close()
	files, err := conn.Files(ctx)
	if err != nil {
		return err
	}
	values := stamp.Values{At: now, Job: j.Name, Host: j.Host.Name, Run: id}
	dest, err := j.destination(ctx, files, values)
	if err != nil {
		return err
	}
	verb, from, _ := j.describe()
	moved, skipped, upToDate := 0, 0, 0
	var showErr error
	say := func(p Planned) error {
		if showErr == nil {
			showErr = show(p)
		}
		return showErr
	}
	p := j.selecting(dest, conn.Info())
	p.At, p.Now, p.Temp, p.Log = now, r.Now, r.Temp, log
	p.Skipped = func(s transfer.Skip) {
		if skipped++; s.Reason == transfer.WhyUpToDate {
			upToDate++
		}
		say(dest.planned(doesSkip, s.Item, s.Reason)) //nolint:errcheck // the next item brings it
	}
	found := telling(j.planned(ctx, p, files, dest), func(item transfer.Item, err error) {
		fail := dest.planned(doesFail, item, "")
		fail.Error = err.Error()
		say(fail) //nolint:errcheck // likewise
	})
	var items []transfer.Item // as far as retention has to know them
	allowed := newAllowance(j.Limits.MaxTransfer, 0)
	err = transfer.Each(found, func(item transfer.Item) error {
		if !allowed.fits(item) {
			skipped++
			return say(dest.planned(doesSkip, item, transfer.WhyOverTransfer))
		}
		moved++
		if !j.Keep.Empty() {
			items = append(items, item)
		}
		line := dest.planned(verb, item, "")
		var err error
		if line.After, err = j.planAfter(item, values); err != nil {
			return err
		}
		return say(line)
	})
	switch {
	case showErr != nil:
		return showErr
	case err == nil && moved == 0 && upToDate == 0 && j.IfNone == NoneFails:
		return nothing(from, skipped)
	case err != nil:
		return err
	}
	copies, err := j.planCopies(ctx, files, dest, items, r.Store, now)
	for _, c := range copies {
		if err := say(c); err != nil {
			return err
		}
	}
	return err
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
