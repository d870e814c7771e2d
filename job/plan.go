package job

import (
	"context"
	"fmt"
	"log/slog"

	"linehaul/fault"
	"linehaul/stamp"
	"linehaul/store"
	"linehaul/transfer/remote"
)

// Planned is one file as a dry run shows it: one that is moved, or a copy that
// is there.
type Planned struct {
	Does   string `json:"does"` // get, put; keep or remove of a copy
	Source string `json:"source,omitempty"`
	Target string `json:"target"`
	Bytes  int64  `json:"bytes"`
	Dir    bool   `json:"dir,omitempty"` // an empty folder that is made

	After  string `json:"after,omitempty"`  // what becomes of the source, if it goes
	Reason string `json:"reason,omitempty"` // of keep and remove
}

// Plan connects, finds what the job would move and which old copies it would
// remove, and does neither. Names are those of a run that starts now.
func (r *Runner) Plan(ctx context.Context, j *Job) ([]Planned, error) {
	now := r.Now().In(j.Zone)
	id, err := store.NewRunID(now, r.Random)
	if err != nil {
		return nil, fmt.Errorf("make a run id: %w", err)
	}
	log := slog.New(slog.DiscardHandler)
	if r.Console != nil {
		log = slog.New(r.Console)
	}
	conn, err := remote.Dial(ctx, r.Dialer, j.Host, log)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	files, err := conn.Files(ctx)
	if err != nil {
		return nil, err
	}
	values := stamp.Values{At: now, Job: j.Name, Host: j.Host.Name, Run: id}
	items, dest, err := j.plan(ctx, files, values, log)
	if err != nil {
		return nil, err
	}
	verb, from, _ := j.describe()
	if len(items) == 0 && j.IfNone == NoneFails {
		return nil, fault.New(fault.NoMatch, "nothing matched %s", from)
	}
	plan := []Planned{}
	for _, i := range items {
		after, err := j.planAfter(i, values)
		if err != nil {
			return nil, err
		}
		plan = append(plan, Planned{
			Does: verb, Source: i.Source, Target: dest.full(i.Target), Bytes: i.Entry.Size, Dir: i.Entry.Mode.IsDir(), After: after,
		})
	}
	copies, err := j.planCopies(ctx, files, dest, items, r.Store, now)
	return append(plan, copies...), err
}
