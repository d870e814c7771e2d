package daemon

import (
	"context"
	"time"

	"linehaul/logs"
	"linehaul/store"
)

// pruneEvery is how often runs that are too old or too many are removed.
const pruneEvery = time.Hour

// keepHistory removes runs from the history that are too old or too many by the
// config in force, at once and then each hour, until ctx ends.
func (d *Daemon) keepHistory(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		s := d.setting()
		keep := store.Keep{MaxAge: s.file.History.MaxAge, Runs: s.file.History.Keep}
		if _, err := s.runner.PruneHistory(ctx, keep, d.Log); err != nil && ctx.Err() == nil {
			d.Log.Error("old runs could not be removed from the history", logs.Error, err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
