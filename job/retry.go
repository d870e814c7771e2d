package job

import (
	"context"
	"time"
)

// Retry says how often a run may try, and how long it waits in between.
type Retry struct {
	Attempts int           // in all; at least 1
	Min, Max time.Duration // the first wait and the longest one
	// Reconnect goes on with a transfer whose connection broke as long as each
	// connection gets something done; such a one does not count as an attempt.
	Reconnect bool
}

// Wait returns how long to wait after the given attempt, counted from 1: Min
// doubled for each further attempt, at most Max. Of that, a random part of up
// to a half is left out, so that jobs that failed together do not come back
// together. random is in [0, 1).
func (r Retry) Wait(attempt int, random float64) time.Duration {
	wait := r.Min
	for range attempt - 1 {
		if wait >= r.Max/2 {
			wait = r.Max
			break
		}
		wait *= 2
	}
	wait = min(wait, r.Max)
	return wait - time.Duration(random*float64(wait)/2)
}

// sleep waits, or returns ctx's cause when it ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
