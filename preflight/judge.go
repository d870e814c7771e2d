package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/preflight/port"
	"linehaul/preflight/trace"
)

// Look runs the checks of a subject that the policy asks for, and judges them.
// each is told of each finding as it comes, before it is judged; nil: nobody.
func Look(ctx context.Context, s Subject, p Policy, now func() time.Time, each func(Finding)) Report {
	s.now = now
	r := Report{Subject: s.Name, Link: s.Link, Target: s.target(), Jump: s.Jump, Started: now()}
	tree := Tree{Tasks: s.Tasks(p), Now: now, Each: each}
	r.Findings = tree.Run(ctx)
	r.Ended = now()
	r.Judge(p)
	return r
}

func (s Subject) target() string {
	if s.Port == 0 {
		return s.Address
	}
	if strings.Contains(s.Address, ":") {
		return fmt.Sprintf("[%s]:%d", s.Address, s.Port)
	}
	return fmt.Sprintf("%s:%d", s.Address, s.Port)
}

// Judge says which of the findings is to blame, and what all of them come to.
// What one check could not tell, another one may know.
func (r *Report) Judge(p Policy) {
	for i := range r.Findings {
		f := &r.Findings[i]
		r.relate(f)
		if f.Verdict == Fail && !p.Needs(f.Check) {
			f.Verdict = Warn
		}
	}
	order := slices.Clone(r.Findings)
	slices.SortStableFunc(order, func(a, b Finding) int { return b.Verdict.weight() - a.Verdict.weight() })
	r.Verdict = OK
	if len(order) == 0 {
		r.Summary = "nothing was asked"
		return
	}
	worst := order[0]
	if worst.Verdict != Fail && worst.Verdict != Warn {
		worst = Finding{Verdict: OK}
		if f := r.unheard(); f != nil && p.MustHear {
			worst = *f
		}
	}
	r.Verdict, r.Layer, r.Next = worst.Verdict, worst.Layer, worst.Hint
	if worst.Verdict == OK {
		r.Summary = r.praise()
		return
	}
	r.Summary = worst.Text
	if r.Jump != "" && slices.Contains([]string{CheckName, CheckLink, CheckPing, CheckPort, CheckTrace, CheckMTU}, worst.Check) {
		r.Summary = "jump host " + r.Jump + ": " + r.Summary
	}
	if worst.Code == "link-down" {
		r.blameGateway()
	}
	if ping := r.Of(CheckPing); worst.Code == "port-silent" && ping != nil && ping.Ping != nil && ping.Ping.Received > 0 {
		r.Summary += "; the host answers echoes, so that it is up"
		r.Next = "a firewall behind the gateway or at the host drops it: ask who looks after them"
	}
	if more := r.whereItEnds(); more != "" && slices.Contains([]string{"port-filtered", "port-prohibited", "port-no-route"}, worst.Code) {
		r.Summary += "; " + more
	}
}

// blameGateway says what is known of the gateway of a tunnel that does not come
// up, if it was asked.
func (r *Report) blameGateway() {
	f := r.Of(CheckPort)
	if f == nil {
		return
	}
	var answer, silent, closed []string
	for _, p := range f.Ports {
		name := Port{p.Network, p.Port}.String()
		switch {
		case p.Network != "udp":
		case p.State == port.Open:
			answer = append(answer, fmt.Sprintf("%s answers (%s)", name, p.Answer))
		case p.State == port.OpenOrFiltered:
			silent = append(silent, name)
		case p.State == port.Closed:
			closed = append(closed, name+" is closed")
		}
	}
	ping := r.Of(CheckPing)
	heard := ping != nil && ping.Ping != nil && ping.Ping.Received > 0
	switch all := slices.Concat(answer, closed); {
	case len(answer) > 0 && len(silent) > 0:
		r.Summary += "; " + strings.Join(all, ", ") + ", and nothing comes back from " + strings.Join(silent, ", ")
		r.Next = "a firewall on the way drops one of the two ports: both are needed"
	case len(answer) > 0:
		r.Summary += "; " + strings.Join(all, ", ")
		r.Next = "the gateway is there and speaks IKE: `linehaul tunnel up LINK -v` shows what it does not agree to"
	case len(closed) > 0:
		r.Summary += "; " + strings.Join(closed, ", ")
		r.Next = "the host is there and no IKE program listens: start it, or check the address of the gateway"
	case len(silent) > 0 && heard:
		r.Summary += "; the gateway answers echoes, and nothing on " + strings.Join(silent, ", ")
		r.Next = "a firewall on the way drops IKE, or the gateway does not know us: ask who looks after it"
	case len(silent) > 0:
		r.Summary += "; nothing at all is heard of the gateway"
		r.Next = "check its address, and the line: `linehaul check LINK --trace` shows how far packets come"
	}
}

// relate lets a finding know of the others.
func (r *Report) relate(f *Finding) {
	if f.Code != "ping-silent" {
		return
	}
	open := r.openPort()
	if open == nil {
		return
	}
	took := f.TookMS
	series := f.Ping
	*f = verdict(CheckPing, "ping-filtered", series.Sent, Port{open.Network, open.Port})
	f.TookMS, f.Ping = took, series
}

// openPort is a port that was found open; nil: none was.
func (r *Report) openPort() *port.Result {
	f := r.Of(CheckPort)
	if f == nil {
		return nil
	}
	for i := range f.Ports {
		if f.Ports[i].State == port.Open {
			return &f.Ports[i]
		}
	}
	return nil
}

// Of is what a check found; nil: it was not asked.
func (r *Report) Of(check string) *Finding {
	for i := range r.Findings {
		if r.Findings[i].Check == check {
			return &r.Findings[i]
		}
	}
	return nil
}

// unheard is the verdict where nothing has gone wrong, and nothing of the host
// was heard either.
func (r *Report) unheard() *Finding {
	silent := false
	if r.openPort() != nil {
		return nil
	}
	for _, f := range r.Findings {
		switch {
		case f.Code == "ping-silent" || f.Code == "port-untold":
			silent = true
		case f.Verdict == OK && f.Check != CheckName && f.Check != CheckLink && f.Check != CheckSpace:
			return nil
		}
	}
	if !silent {
		return nil
	}
	return &Finding{
		Verdict: Fail, Layer: fault.Route.String(), Text: "nothing is heard of " + r.Target + ": " + r.text("ping-silent", "port-untold"),
		Hint: "ask for a TCP port that must be open, or see how far packets come with `linehaul check --trace`",
	}
}

func (r *Report) text(codes ...string) string {
	var all []string
	for _, f := range r.Findings {
		if slices.Contains(codes, f.Code) {
			all = append(all, f.Check+": "+f.Text)
		}
	}
	return strings.Join(all, "; ")
}

// whereItEnds is what the trace knows of packets that do not arrive.
func (r *Report) whereItEnds() string {
	f := r.Of(CheckTrace)
	if f == nil {
		return ""
	}
	for _, t := range f.Trace {
		if hop := lastAnswer(t); !t.Reached && hop != nil {
			return fmt.Sprintf("by %s, nobody answers behind hop %d (%s)", method(t), hop.TTL, at(*hop))
		} else if t.Reached && t.Method != trace.TCP {
			return fmt.Sprintf("the host answers to %s", method(t))
		}
	}
	return ""
}

// praise is the summary where all is well.
func (r *Report) praise() string {
	parts := []string{}
	for _, f := range r.Findings {
		if f.Verdict == OK && (f.Link != nil && f.Link.Kind != "direct" || f.Check == CheckPing || f.Check == CheckPort || f.Check == CheckSSH || f.Check == CheckTrace) || f.Code == "ping-filtered" {
			parts = append(parts, f.Text)
		}
	}
	if len(parts) == 0 {
		return "nothing is wrong as far as was asked"
	}
	return strings.Join(parts, "; ")
}

// Kind is the layer to blame, as a kind whose exit code is the one of `linehaul
// check`; Internal: nobody is.
func (r *Report) Kind() fault.Kind {
	if r.Verdict != Fail {
		return fault.Internal
	}
	for _, k := range fault.Kinds() {
		if k.String() != r.Layer || k == fault.Internal {
			continue
		}
		switch k.ExitCode() {
		case fault.TCP.ExitCode(), fault.IKE.ExitCode(), fault.HostKeyChanged.ExitCode(), fault.Login.ExitCode():
			return k
		}
	}
	return fault.Check
}

// Err is what fails an attempt whose required checks did; nil: none did.
func (r *Report) Err() error {
	if r.Verdict != Fail {
		return nil
	}
	e := fault.New(fault.Check, "%s: %s", r.Layer, r.Summary)
	for _, k := range fault.Kinds() {
		if k.String() == r.Layer && !k.Transient() {
			e = e.AsPermanent()
		}
	}
	if r.Next != "" {
		e = e.WithHint("%s", r.Next)
	}
	return e
}
