package job

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"linehaul/fault"
	"linehaul/logs"
	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/trace"
	"linehaul/store"
)

const (
	// baselineAge is how old the last look at the whole way may be before a run
	// that goes well takes another one: what a bad night is compared with.
	baselineAge = 24 * time.Hour
	// lookBack is how many runs are gone through for it.
	lookBack = 100
	// evidenceTime is how long a second look may take.
	evidenceTime = 15 * time.Second
	// evidenceLinkTime is how much of it a tunnel may take to come up.
	evidenceLinkTime = 10 * time.Second
)

// A secondLook is at the line, after an attempt failed in a way that the line
// may explain. One is taken at a time, beside the next attempt.
type secondLook struct {
	work sync.WaitGroup
	busy atomic.Bool
	last time.Time // when the last one began
}

// lookGap is the least time from one second look of a run to the next. Each of
// its probes that reaches the server's port is a connection without a login,
// and a server may shut out who makes many (OpenSSH's PerSourcePenalties).
const lookGap = time.Minute

// lookAgain begins a second look, unless one is under way.
func (a *attempt) lookAgain(ctx context.Context, failure error) {
	now := a.now()
	if !a.job.Checks.Evidence || !lineFault(failure) || fault.Is(failure, fault.Check) && !lineLayer(a.run.Checks) || ctx.Err() != nil || !a.second.last.IsZero() && now.Sub(a.second.last) < lookGap {
		return
	}
	if !a.second.busy.CompareAndSwap(false, true) {
		return
	}
	a.second.last = now
	run := store.Run{ID: a.run.ID, Job: a.run.Job, State: store.Running, Started: a.run.Started, Version: a.run.Version}
	// The attempts go on meanwhile.
	own := attempt{job: a.job, run: &run, dialer: a.dialer, links: a.links, store: a.store, now: a.now, log: a.log}
	a.second.work.Go(func() {
		defer a.second.busy.Store(false)
		own.evidence(ctx)
	})
}

// evidence looks, and keeps what it finds with the run, beside what is other
// than in the last run that went well.
func (a *attempt) evidence(ctx context.Context) {
	p := preflight.ForJob()
	p.Levels = map[string]preflight.Level{
		preflight.CheckName: preflight.Require, preflight.CheckLink: preflight.Require, preflight.CheckPing: preflight.Warning,
		preflight.CheckPort: preflight.Require, preflight.CheckTrace: preflight.Warning,
	}
	p.Ping = ping.Options{Count: 10, Interval: 100 * time.Millisecond, Timeout: 2 * time.Second, Size: ping.DefaultSize}
	p.Traces = []trace.Options{{Method: trace.TCP, Probes: 10, Interval: 200 * time.Millisecond}}
	dialer, err := a.links.Dialer(a.job.Host, a.dialer)
	if err != nil {
		return // the attempt says so
	}
	s, done, err := a.links.Subject(a.job.Host, dialer)
	if err != nil {
		return
	}
	defer done()
	s.Name, s.LinkTime = a.job.Name, evidenceLinkTime
	limited, cancel := context.WithTimeoutCause(ctx, evidenceTime, errEnough)
	defer cancel()
	r := preflight.Look(limited, s, p, a.now, nil)
	if ctx.Err() != nil {
		return
	}
	r.Version, r.Log = a.run.Version, a.links.Recent(a.job.Host.Link)
	if before, of := a.baseline(); of != "" {
		r.Before, r.Compared = of, r.Compare(before)
	}
	a.log.Warn("looked at the line once more", logs.Verdict, string(r.Verdict), logs.Layer, r.Layer, logs.Reason, r.Summary)
	for _, difference := range r.Compared {
		a.log.Warn("the line is other than it was", logs.Reason, difference)
	}
	a.attach(evidenceName, r)
}

// lineFault reports whether something went wrong that a look at the line may
// explain.
func lineFault(err error) bool {
	switch fault.KindOf(err) { //nolint:exhaustive // the rest is not of the line
	case fault.Name, fault.Route, fault.TCP, fault.SSH, fault.IKE, fault.GatewayLogin, fault.ESP, fault.Stall, fault.Check:
		return true
	}
	return false
}

// lineLayer reports whether the check that failed was one of the line, and not of
// a disk, say.
func lineLayer(c *store.Checks) bool {
	for _, k := range fault.Kinds() {
		if c != nil && c.Layer == k.String() && k != fault.Check {
			return lineFault(fault.New(k, ""))
		}
	}
	return false
}

// baseline is the last look at the whole way by a run of the job that went well,
// and that run's ID; empty: there is none.
func (a *attempt) baseline() (preflight.Report, string) {
	var found preflight.Report
	id := ""
	a.before(func(run store.Run) bool {
		var r preflight.Report
		if ok, err := a.store.Attachment(run, checksName, &r); !ok || err != nil {
			return true
		}
		if f := r.Of(preflight.CheckTrace); f != nil && len(f.Trace) > 0 {
			found, id = r, run.ID
		} else if id == "" {
			found, id = r, run.ID // better than nothing
			return true
		}
		return false
	})
	return found, id
}

// wantsBaseline reports whether it is time for another one.
func (a *attempt) wantsBaseline() bool {
	r, id := a.baseline()
	f := r.Of(preflight.CheckTrace)
	return a.store != nil && (id == "" || f == nil || len(f.Trace) == 0 || a.now().Sub(r.Started) > baselineAge)
}

// before goes through the earlier runs of the job that went well, the newest
// first, until f returns false.
func (a *attempt) before(f func(store.Run) bool) {
	if a.store == nil {
		return
	}
	// What is wrong with the store, the run's own record says.
	_, _ = a.store.Each(store.Filter{Job: a.job.Name, Limit: lookBack}, func(run store.Run) bool {
		return run.ID == a.run.ID || run.State != store.OK && run.State != store.Warning || f(run)
	})
}
