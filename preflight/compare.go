package preflight

import (
	"fmt"
	"math"

	"linehaul/preflight/trace"
)

// Compare says what is other than it was in an earlier report, in sentences for
// an administrator. Both were judged.
func (r *Report) Compare(before Report) []string {
	var all []string
	then := "on " + before.Started.Format("2 January")
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, f := range r.Findings {
		b := before.Of(f.Check)
		if b == nil {
			continue
		}
		if f.Verdict.worse(OK) && f.Verdict != Skipped && b.Verdict == OK {
			add("%s: %s; %s: %s", f.Check, f.Text, then, b.Text)
		}
		if f.Name != nil && b.Name != nil && len(f.Name.Addresses) > 0 && list(f.Name.Addresses) != list(b.Name.Addresses) {
			add("%s is %s, and was %s %s", f.Name.Name, list(f.Name.Addresses), list(b.Name.Addresses), then)
		}
		if f.Link != nil && b.Link != nil && f.Link.Interface != "" && f.Link.String() != b.Link.String() {
			add("packets go %s, and went %s %s", f.Link, b.Link, then)
		}
		if f.Ping != nil && b.Ping != nil && f.Ping.Received > 0 && b.Ping.Received > 0 && slower(f.Ping.MedianMS, b.Ping.MedianMS) {
			add("a round trip takes %s in the median, and took %s %s", duration(f.Ping.MedianMS), duration(b.Ping.MedianMS), then)
		}
		for i, t := range f.Trace {
			if i < len(b.Trace) && t != nil && b.Trace[i] != nil && t.Method == b.Trace[i].Method {
				all = append(all, compareTraces(t, b.Trace[i], then)...)
			}
		}
		if len(f.MTU) > 0 && len(b.MTU) > 0 {
			if now, was := f.MTU[len(f.MTU)-1].MTU, b.MTU[len(b.MTU)-1].MTU; now != was {
				add("packets of up to %d bytes pass, and of up to %d did %s", now, was, then)
			}
		}
		if f.SSH != nil && b.SSH != nil && f.SSH.Banner != b.SSH.Banner && f.SSH.Banner != "" {
			add("the server says %q, and said %q %s", f.SSH.Banner, b.SSH.Banner, then)
		}
	}
	return all
}

// slower reports whether a round trip takes longer than it is to be expected to
// vary: half as long again, and two milliseconds.
func slower(now, was float64) bool { return now > was*1.5 && now-was > 2 }

func compareTraces(now, was *trace.Trace, then string) []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	old := map[int]trace.Hop{}
	for _, h := range was.Hops {
		old[h.TTL] = h
	}
	if hop := now.LossFrom(); hop != nil {
		if o, ok := old[hop.TTL]; ok && o.Recv > 0 && o.Loss == 0 {
			add("loss starts at hop %d (%s), which was clean %s", hop.TTL, at(*hop), then)
		}
	}
	if last := lastAnswer(now); !now.Reached && was.Reached {
		ttl := 0
		if last != nil {
			ttl = last.TTL
		}
		if next, ok := old[ttl+1]; ok {
			add("nobody answers behind hop %d; %s hop %d was %s", ttl, then, ttl+1, at(next))
		}
	}
	for _, h := range now.Hops {
		o, ok := old[h.TTL]
		if !ok || len(h.Routers) == 0 || len(o.Routers) == 0 {
			continue
		}
		if h.Routers[0].Addr != o.Routers[0].Addr {
			add("packets take another way from hop %d on: %s, and was %s %s", h.TTL, at(h), at(o), then)
			break
		}
	}
	for _, h := range now.Hops {
		if o, ok := old[h.TTL]; ok && h.Recv > 0 && o.Recv > 0 && slower(h.MedMS, o.MedMS) && math.Abs(h.MedMS-o.MedMS) > 5 {
			add("from hop %d on it takes longer: %s, and took %s %s", h.TTL, duration(h.MedMS), duration(o.MedMS), then)
			break
		}
	}
	return all
}
