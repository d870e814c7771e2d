package trace

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"linehaul/fault"
)

// A prober sends probes and tells what comes of them. Its owner takes answers
// until it has called close, which returns when nothing is left of it.
type prober interface {
	send(ttl, id int) error
	answers() <-chan answer
	way() string
	close()
}

const (
	// showEvery is how often Options.Each is told at most.
	showEvery = 100 * time.Millisecond
	// bookTime is how long names and places are waited for in the end.
	bookTime = 2 * time.Second
)

// A run is a trace that goes on.
type run struct {
	o       Options
	t       *table
	p       prober
	missing string
	shown   time.Time
	changed bool
}

func (r *run) run(ctx context.Context) (*Trace, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		r.t.expire(now)
		wake, err := r.sendDue(now)
		if err != nil {
			return nil, err
		}
		if wake.IsZero() {
			if wake = r.t.overAt(); !wake.After(now) {
				r.t.giveUp()
				return r.finish(ctx), nil
			}
		}
		wake = r.show(now, wake)
		timer.Reset(wake.Sub(now))
		select {
		case a := <-r.p.answers():
			r.t.answered(a)
			r.changed = true
		case <-timer.C:
		case <-ctx.Done():
			if r.o.Probes == Endless {
				return r.finish(ctx), nil
			}
			return r.snapshot(), fmt.Errorf("trace to %v: %w", r.o.To, context.Cause(ctx))
		}
	}
}

// sendDue sends what is to be sent now, and returns when to look again, zero if
// there is nothing to send any more.
func (r *run) sendDue(now time.Time) (time.Time, error) {
	for {
		ttl, at := r.t.due(now)
		if ttl == 0 {
			return at, nil
		}
		id := r.t.sent(ttl, now)
		if err := r.p.send(ttl, id); err != nil {
			if id == 0 {
				return at, r.cannot(err)
			}
			r.t.unsent(id, err.Error())
		}
		r.changed = true
		now = time.Now()
	}
}

// cannot says why not even the first probe left.
func (r *run) cannot(err error) error {
	kind := fault.Check
	for _, e := range []error{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EACCES} {
		if errors.Is(err, e) {
			kind = fault.Route
		}
	}
	return fault.New(kind, "trace to %v: %w", r.o.To, err)
}

// show tells the caller what is known, if it is time to, and returns when it
// is to be told next, or until when nothing is to be done.
func (r *run) show(now, until time.Time) time.Time {
	if r.o.Each == nil || !r.changed {
		return until
	}
	if next := r.shown.Add(showEvery); next.After(now) {
		if next.Before(until) {
			return next
		}
		return until
	}
	r.shown, r.changed = now, false
	r.o.Each(r.snapshot())
	return until
}

func (r *run) snapshot() *Trace {
	t := r.t.trace()
	t.Way, t.Missing = r.p.way(), r.missing
	r.o.Book.fill(t)
	return t
}

// finish waits for what is being looked up, and returns the last word.
func (r *run) finish(ctx context.Context) *Trace {
	r.snapshot() // it starts what has not been looked up
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookTime)
	defer cancel()
	if ctx.Err() == nil {
		stop := context.AfterFunc(ctx, cancel)
		defer stop()
		r.o.Book.wait(limited)
	}
	t := r.snapshot()
	if r.o.Each != nil {
		r.o.Each(t)
	}
	return t
}
