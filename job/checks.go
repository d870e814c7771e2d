package job

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"linehaul/logs"
	"linehaul/preflight"
	"linehaul/preflight/port"
	"linehaul/store"
	"linehaul/transfer/remote"
)

// afterwardsTime is how long a run that is done waits for checks that nobody
// waited for before.
const afterwardsTime = 3 * time.Second

// A looking is the checks of an attempt, while they are made.
type looking struct {
	report chan preflight.Report // the one, when all checks have ended
	stop   context.CancelCauseFunc
	hand   *handover
	done   func() // lets the tunnel go
}

var (
	// errEnough ends checks that nobody waits for any longer.
	errEnough = errors.New("the run has ended")
	// errRequired ends those that stand beside one that failed and was required.
	errRequired = errors.New("a required check failed")
)

// look makes the checks of an attempt, and returns when those have ended that it
// requires or that connections wait for, or a required one failed. The others go on until end. The dialer that
// it returns has the connection that the port was found open by.
func (a *attempt) look(ctx context.Context, dialer remote.Dialer) (*looking, remote.Dialer, error) {
	p := a.job.Checks.Policy
	if a.job.Checks.Evidence && p.Of(preflight.CheckTrace) == preflight.Off && a.run.Checks == nil && a.wantsBaseline() {
		p.Levels = with(p.Levels, preflight.CheckTrace, preflight.Warning)
	}
	hand := &handover{Dialer: dialer, now: a.now}
	s, done, err := a.subject(hand)
	if err != nil {
		return nil, nil, err
	}
	awaited := map[string]bool{} // and whether the run needs them
	for _, t := range s.Tasks(p) {
		name := t.Check.Name()
		if required := p.Needs(name); required || s.Settles(name) {
			awaited[name] = required
		}
	}
	checking, stop := context.WithCancelCause(ctx)
	l := &looking{report: make(chan preflight.Report, 1), stop: stop, hand: hand, done: done}
	settled := make(chan struct{})
	settle := sync.OnceFunc(func() { close(settled) })
	if len(awaited) == 0 {
		settle()
	}
	go func() { // end waits for it
		l.report <- preflight.Look(checking, s, p, a.now, func(f preflight.Finding) {
			if awaited[f.Check] && f.Verdict == preflight.Fail {
				stop(errRequired)
				settle()
			}
			if delete(awaited, f.Check); len(awaited) == 0 {
				settle()
			}
		})
		settle()
	}()
	<-settled
	if checking.Err() == nil {
		return l, hand, nil
	}
	r := l.end(a)
	if ctx.Err() != nil {
		return nil, nil, stopped(ctx, context.Cause(ctx))
	}
	err = r.Err()
	if p.PutsOff(r) {
		err = &notNowError{err}
	}
	return nil, nil, err
}

// end waits for what is left of the checks, for a while, and notes what they
// found.
func (l *looking) end(a *attempt) preflight.Report {
	if l == nil {
		return preflight.Report{}
	}
	late := time.AfterFunc(afterwardsTime, func() { l.stop(errEnough) })
	defer late.Stop()
	r := <-l.report
	l.stop(errEnough)
	l.hand.close()
	l.done()
	r.Version = a.run.Version
	a.noteChecks(r)
	return r
}

// noteChecks puts what was found into the log and the record.
func (a *attempt) noteChecks(r preflight.Report) {
	a.run.Checks = summary(r)
	for _, f := range r.Findings {
		switch f.Verdict {
		case preflight.Fail, preflight.Warn:
			a.log.Warn("check", logs.Check, f.Check, logs.Verdict, string(f.Verdict), logs.Layer, f.Layer, logs.Reason, f.Text)
		case preflight.Unknown:
			a.log.Info("check", logs.Check, f.Check, logs.Verdict, string(f.Verdict), logs.Reason, f.Text)
		case preflight.OK, preflight.Skipped:
			a.log.Debug("check", logs.Check, f.Check, logs.Verdict, string(f.Verdict), logs.Reason, f.Text)
		}
	}
	a.attach(checksName, r)
}

// The attachments of a run.
const (
	checksName   = "checks"
	evidenceName = "evidence"
)

func (a *attempt) attach(name string, r preflight.Report) {
	if a.store == nil {
		return
	}
	if err := a.store.Attach(*a.run, name, r); err != nil {
		a.log.Warn("cannot keep what the checks found", logs.Error, err.Error())
	}
}

// summary is what of a report stands in the record itself.
func summary(r preflight.Report) *store.Checks {
	s := &store.Checks{Verdict: string(r.Verdict), Layer: r.Layer, Summary: r.Summary}
	if f := r.Of(preflight.CheckPing); f != nil && f.Ping != nil {
		s.Loss, s.MedianMS, s.P95MS, s.JitterMS = f.Ping.Loss, f.Ping.MedianMS, f.Ping.P95MS, f.Ping.JitterMS
		s.Sent = f.Ping.Sent
	}
	if f := r.Of(preflight.CheckTrace); f != nil && len(f.Trace) > 0 && f.Trace[0].Reached {
		s.Hops = len(f.Trace[0].Hops)
	}
	return s
}

// subject is what the checks of a run are about: the host that is dialled first.
// done is to be called when they have ended.
func (a *attempt) subject(d remote.Dialer) (s preflight.Subject, done func(), err error) {
	s, done, err = a.links.Subject(a.job.Host, d)
	if err != nil {
		return s, done, err
	}
	s.Name = a.job.Name
	if a.job.Put == nil {
		dest, err := a.job.local(a.values)
		if err != nil {
			return s, done, err
		}
		s.SpaceHere, s.Space = true, func(context.Context) (preflight.Space, error) { return preflight.Room(dest.root, -1, -1) }
	}
	if a.job.Checks.Of(preflight.CheckClock) != preflight.Off {
		server := &Server{Host: a.job.Host, Dialer: d, Login: true, Log: a.log, Now: a.now, ID: a.run.ID}
		letGo := done
		done = func() { server.Close(); letGo() }
		s.Clock, s.Patience = server.Clock, server.patience()
	}
	return s, done, nil
}

// with is a copy of levels with another one.
func with(levels map[string]preflight.Level, check string, l preflight.Level) map[string]preflight.Level {
	all := map[string]preflight.Level{check: l}
	for name, level := range levels {
		if name != check {
			all[name] = level
		}
	}
	return all
}

// keepTime is how long a connection is kept for the one who dials next. A server
// that hears nothing ends it some time later (LoginGraceTime of sshd_config(5)),
// and checks that a run requires may take longer than that.
const keepTime = 10 * time.Second

// A handover is a dialer that keeps the connection by which the port was found
// open, for the one who dials next: so a check costs no connection of its own.
type handover struct {
	remote.Dialer
	now func() time.Time

	mu    sync.Mutex
	at    string // what was dialled
	kept  net.Conn
	since time.Time
}

// Link is that of the other dialer: package remote asks for it.
func (h *handover) Link() string {
	if by, ok := h.Dialer.(interface{ Link() string }); ok {
		return by.Link()
	}
	return ""
}

// DialContext returns the connection that was kept, if it is to the same place
// and not too old.
func (h *handover) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	h.mu.Lock()
	kept, at, since := h.kept, h.at, h.since
	h.kept = nil
	h.mu.Unlock()
	if kept != nil && at == address && strings.HasPrefix(network, "tcp") && h.now().Sub(since) < keepTime {
		return kept, nil
	}
	if kept != nil {
		kept.Close()
	}
	return h.Dialer.DialContext(ctx, network, address)
}

// close ends a connection that nobody took.
func (h *handover) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kept != nil {
		h.kept.Close()
		h.kept = nil
	}
}

// probing is the dialer of the check of the host's own port: it dials the host
// by its name and of the family of addresses that the transfer does, whatever
// address is asked for, and leaves the connection to the handover.
type probing struct {
	hand    *handover
	network string // tcp, tcp4 or tcp6
	target  string
}

// DialContext connects for a check.
func (p probing) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return p.DialControl(ctx, network, address, nil)
}

// DialControl is DialContext, with the socket shown before it connects where it
// is the system's.
func (p probing) DialControl(ctx context.Context, _, _ string, control func(network, address string, c syscall.RawConn) error) (net.Conn, error) {
	d := p.hand.Dialer
	if own, ok := d.(*net.Dialer); ok && control != nil {
		seen := *own
		seen.Control = control
		d = &seen
	}
	c, err := d.DialContext(ctx, p.network, p.target)
	if err != nil {
		return nil, err
	}
	p.hand.mu.Lock()
	defer p.hand.mu.Unlock()
	if p.hand.kept != nil {
		return c, nil
	}
	p.hand.kept, p.hand.at, p.hand.since = c, p.target, p.hand.now()
	return borrowed{c}, nil
}

// borrowed is a connection that its user does not end.
type borrowed struct{ net.Conn }

func (borrowed) Close() error { return nil }

var _ port.ControlDialer = probing{}
