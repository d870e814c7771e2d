package job

import (
	"context"
	"time"

	"linehaul/bandwidth"
	"linehaul/fault"
	"linehaul/transfer"
)

// gate makes what the bytes of a run pass: its own limit, and those that it
// shares. It is nil if there is none.
func (r *Runner) gate(l Limits) *bandwidth.Gate {
	var all []*bandwidth.Limiter
	if l.Bandwidth != nil {
		all = append(all, bandwidth.NewLimiter(l.Bandwidth, r.Now))
	}
	for _, s := range l.Shared {
		if r.Limits != nil {
			all = append(all, r.Limits.Limiter(s.Name, s.Table))
		} else {
			all = append(all, bandwidth.NewLimiter(s.Table, r.Now))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return bandwidth.NewGate(all...)
}

// limit and pace are the gate as the engine wants it; nil where there is none.
func (a *attempt) limit() func(ctx context.Context, n int) error {
	if a.gate == nil {
		return nil
	}
	return a.gate.Wait
}

func (a *attempt) pace() func() int64 {
	if a.gate == nil {
		return nil
	}
	return func() int64 { return int64(a.gate.Rate()) }
}

// forDuration ends a context when a run has had the time that it may take.
func forDuration(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, d, &overError{fault.New(fault.Timeout, "max_duration of %s is over", d).AsPermanent().
		WithHint("the next run of the job goes on where this one stopped")})
}

// An overError is the cause of a run that has had its time.
type overError struct{ err *fault.Error }

func (e *overError) Error() string { return e.err.Error() }
func (e *overError) Unwrap() error { return e.err }

// An allowance is what of max_transfer is left.
type allowance struct {
	limit, left int64
	set         bool
	over        int   // files that did not fit
	overBytes   int64 // their sizes
	huge        int   // of these, files that no run can ever move
}

func newAllowance(limit, moved int64) *allowance {
	return &allowance{limit: limit, left: limit - moved, set: limit > 0}
}

// fits reports whether an item may be begun, and counts it. Smaller ones that
// come later may still fit where it does not.
func (w *allowance) fits(i transfer.Item) bool {
	if !w.set || i.Link != "" || i.Entry.Mode.IsDir() {
		return true
	}
	size := max(i.Entry.Size, 0)
	if size <= w.left {
		w.left -= size
		return true
	}
	w.over++
	w.overBytes += size
	if size > w.limit {
		w.huge++
	}
	return false
}

// err is the result of a run that left something, nil if it left nothing.
func (w *allowance) err() error {
	if w.over == 0 {
		return nil
	}
	err := fault.New(fault.Partial, "max_transfer of %s is reached: %d files of %s are left for another run",
		transfer.BytesText(uint64(w.limit)), w.over, transfer.BytesText(uint64(w.overBytes))).
		AsPermanent().WithHint("the log names each file that is left; where the target or the source shows what is moved already (`only_new`, `after`), the next run goes on with them")
	if w.huge > 0 {
		err = err.WithHint("%d of the files are larger than max_transfer, so that no run will ever move them: raise it, or leave them out by `max_size`", w.huge)
	}
	return err
}
