package job

import (
	"context"
	"fmt"
	"time"

	"linehaul/logs"
	"linehaul/store"
)

// A notNowError is the failure of checks that may be otherwise later.
type notNowError struct{ err error }

func (e *notNowError) Error() string { return e.err.Error() }
func (e *notNowError) Unwrap() error { return e.err }

// putOff waits until the checks are to be asked again. The run stays under way
// meanwhile, so that what its job says of overlap holds, and nothing of it is
// open. Its error is the failure where the run has waited for as long as it may,
// and ctx's cause where that ends.
func (a *attempt) putOff(ctx context.Context, why *notNowError) error {
	now, checks := a.now(), a.job.Checks
	p := store.PutOff{Since: now.In(a.run.Started.Location())}
	if before := a.run.PutOff; before != nil {
		p = *before
	}
	waited := now.Sub(p.Since)
	if waited >= checks.WaitAtMost {
		return fmt.Errorf("%w (waited %s for it)", why.err, waited.Round(time.Second))
	}
	p.Times, p.Reason = p.Times+1, why.Error()
	a.run.PutOff = &p
	if a.store != nil {
		if err := a.store.Put(*a.run); err != nil {
			return err
		}
	}
	wait := min(checks.WaitEvery, checks.WaitAtMost-waited)
	a.log.Warn("put off: a check says not now", logs.Reason, why.Error(), "wait", wait.Round(time.Millisecond))
	if err := sleep(ctx, wait); err != nil {
		return stopped(ctx, err)
	}
	return nil
}
