package preflight

import (
	"context"
	"net/netip"
	"strings"
	"sync"

	"linehaul/preflight/trace"
)

// A traceCheck finds the routers on the way, by all of its methods at once.
type traceCheck struct {
	networks []netip.Prefix
	way      Way
	options  []trace.Options
	port     int // of TCP, where the options name none
}

func (c traceCheck) Name() string { return CheckTrace }

func (c traceCheck) Run(ctx context.Context, found *Found) Finding {
	if c.way.Trace == nil {
		return verdict(CheckTrace, "trace-inside")
	}
	to, ok := addressOf(found, c.networks)
	if !ok {
		return verdict(CheckTrace, codeSkipped, CheckName)
	}
	traces := make([]*trace.Trace, len(c.options))
	errs := make([]error, len(c.options))
	var tracing sync.WaitGroup
	for i, o := range c.options {
		o.To = to
		if o.Method == trace.TCP && o.Port == 0 {
			o.Port = c.port
		}
		tracing.Go(func() { traces[i], errs[i] = c.way.Trace(ctx, o) })
	}
	tracing.Wait()
	var best Finding
	var all []*trace.Trace
	for i, t := range traces {
		f := judgeTrace(ctx, t, errs[i])
		if t != nil {
			all = append(all, t)
		}
		// The method that comes furthest speaks for all.
		if i == 0 || best.Verdict.worse(f.Verdict) && f.Verdict != Skipped || best.Verdict == Unknown {
			best = f
		}
	}
	best.Trace = all
	return best
}

func judgeTrace(ctx context.Context, t *trace.Trace, err error) Finding {
	switch {
	case ctx.Err() != nil && !late(ctx) && (t == nil || len(t.Hops) == 0):
		return verdict(CheckTrace, codeStopped, context.Cause(ctx))
	case err != nil && t == nil:
		return verdict(CheckTrace, "trace-failed", err)
	case len(t.Hops) == 0 && t.Missing != "":
		return verdict(CheckTrace, "trace-rights", t.Missing)
	case len(t.Hops) == 0 && late(ctx):
		return verdict(CheckTrace, codeLate, CheckTrace)
	}
	if hop, said := refusal(t); said != "" {
		return verdict(CheckTrace, "trace-said", hop.TTL, at(*hop), said)
	}
	last := lastAnswer(t)
	switch {
	case last == nil:
		return verdict(CheckTrace, "trace-first", method(t))
	case !t.Reached:
		return verdict(CheckTrace, "trace-ends", last.TTL, at(*last), method(t))
	}
	if hop := t.LossFrom(); hop != nil {
		return verdict(CheckTrace, "trace-loss", hop.TTL, at(*hop), percent(hop.Loss), percent(t.Hops[len(t.Hops)-1].Loss))
	}
	return verdict(CheckTrace, "trace-reached", len(t.Hops), plural(len(t.Hops), "hop"), method(t))
}

// method is a trace's in a text.
func method(t *trace.Trace) string { return strings.ToUpper(string(t.Method)) }

// at names a hop by who answers there.
func at(h trace.Hop) string {
	if len(h.Routers) == 0 {
		return "silent"
	}
	r := h.Routers[0]
	if r.Name != "" {
		return r.Name + ", " + r.Addr.String()
	}
	return r.Addr.String()
}

// refusal is the hop at which a router says that it goes no further.
func refusal(t *trace.Trace) (*trace.Hop, string) {
	for i := range t.Hops {
		for _, r := range t.Hops[i].Routers {
			if r.Said != "" && !t.Reached && !r.IsTarget {
				return &t.Hops[i], r.Said
			}
		}
	}
	return nil, ""
}

// lastAnswer is the last hop that answered.
func lastAnswer(t *trace.Trace) *trace.Hop {
	for i := len(t.Hops) - 1; i >= 0; i-- {
		if t.Hops[i].Recv > 0 {
			return &t.Hops[i]
		}
	}
	return nil
}
