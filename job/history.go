package job

import (
	"context"
	"log/slog"
	"path/filepath"

	"linehaul/logs"
	"linehaul/store"
)

// PruneHistory removes the runs that are too old or too many, with their logs, and
// returns how many runs are gone. Only logs below the log folder are touched, and none
// that a run that stays names. A log that cannot be removed does not keep its run.
func (r *Runner) PruneHistory(ctx context.Context, k store.Keep, log *slog.Logger) (int, error) {
	if r.Store == nil || k.IsZero() {
		return 0, nil
	}
	gone := 0
	runs, err := r.Store.Prune(ctx, k, func(paths []string) error {
		var names []string
		for _, path := range paths {
			rel, err := filepath.Rel(r.Logs.Dir, path)
			if r.Logs.Dir != "" && err == nil && filepath.IsLocal(rel) {
				names = append(names, filepath.ToSlash(rel))
			}
		}
		if len(names) == 0 {
			return nil
		}
		n, err := logs.Remove(r.Logs.Dir, names)
		if gone += n; err != nil {
			log.Warn("logs of old runs could not be removed", logs.Error, err.Error())
		}
		return nil
	})
	if runs > 0 {
		log.Info("old runs are removed from the history", "runs", runs, "logs", gone)
	}
	return runs, err
}
