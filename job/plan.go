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

// Planned is one file as a dry run shows it.
type Planned struct {
	Does   string `json:"does"` // get, put
	Source string `json:"source"`
	Target string `json:"target"`
	Bytes  int64  `json:"bytes"`
	Dir    bool   `json:"dir,omitempty"` // an empty folder that is made
}

// Plan connects, finds what the job would move, and moves nothing. Names are
// those of a run that starts now.
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
	items, dest, err := j.plan(ctx, files, stamp.Values{At: now, Job: j.Name, Host: j.Host.Name, Run: id}, log)
	if err != nil {
		return nil, err
	}
	verb, from, _ := j.describe()
	if len(items) == 0 && j.IfNone == NoneFails {
		return nil, fault.New(fault.NoMatch, "nothing matched %s", from)
	}
	plan := []Planned{}
	for _, i := range items {
		plan = append(plan, Planned{verb, i.Source, dest.full(i.Target), i.Entry.Size, i.Entry.Mode.IsDir()})
	}
	return plan, nil
}
