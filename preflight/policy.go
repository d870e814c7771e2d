package preflight

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"linehaul/preflight/ping"
	"linehaul/preflight/trace"
)

// A Level is what becomes of a check that fails.
type Level string

// The levels, as the config spells them.
const (
	Require Level = "require" // all fails
	Wait    Level = "wait"    // so it does, and is tried again later
	Warning Level = "warn"    // it is said
	Off     Level = "off"     // it is not asked at all
)

// Levels are the levels in their order.
func Levels() []Level { return []Level{Require, Wait, Warning, Off} }

// A Policy is what is asked, and how much it counts.
type Policy struct {
	Levels map[string]Level // by check; one that is absent is off
	Ping   ping.Options     // without To
	Limits Limits
	Ports  []Port // beside the subject's own
	// MustHear: that nothing at all is heard of the host is a failure, where no
	// check could tell more. A run sees that for itself.
	MustHear bool
	Traces   []trace.Options
}

// Of is a check's level.
func (p Policy) Of(check string) Level {
	if l, ok := p.Levels[check]; ok {
		return l
	}
	return Off
}

// Needs reports whether all fails if a check does.
func (p Policy) Needs(check string) bool { return p.Of(check) == Require || p.Of(check) == Wait }

// PutsOff reports whether what failed may be otherwise later: each of the checks
// that failed is one to wait for.
func (p Policy) PutsOff(r Report) bool {
	return r.Verdict == Fail && !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Verdict == Fail && p.Of(f.Check) != Wait })
}

// lookAt reports whether one of some checks is asked.
func (p Policy) lookAt(checks ...string) bool {
	return slices.ContainsFunc(checks, func(name string) bool { return p.Of(name) != Off })
}

// ForJob is what a run asks if its job says nothing else: what it cannot do
// without, and a short look at the line.
func ForJob() Policy {
	return Policy{
		Levels: map[string]Level{CheckName: Require, CheckLink: Require, CheckPort: Require, CheckSpace: Require, CheckPing: Warning},
		Ping:   ping.Options{Count: 5, Interval: 100 * time.Millisecond, Timeout: 2 * time.Second, Size: 56},
		Limits: Limits{MaxLoss: -1},
		Traces: []trace.Options{ShortTrace(trace.TCP, 0)},
	}
}

// ShortTrace is a look at the whole way that takes about a second.
func ShortTrace(m trace.Method, port int) trace.Options {
	return trace.Options{Method: m, Port: port, Probes: 3, Interval: 150 * time.Millisecond}
}

// ForPerson is what `linehaul check` asks.
func ForPerson() Policy {
	p := ForJob()
	p.Ping.Count, p.Ping.Interval, p.MustHear = 10, 200*time.Millisecond, true
	p.Levels[CheckSSH] = Require
	p.Levels[CheckClock] = Warning
	return p
}

// A Subject is what is to be checked: the host that is dialled first, which is
// the outermost of its jump hosts if there are any, and what is known of the way
// to it and of what is behind it.
type Subject struct {
	Name    string // for the report
	Address string // a name or an IP address
	Port    int    // of TCP; 0: there is none to ask
	Jump    string // the jump host that the Address is of; empty: the host itself
	// Link is the name of the link and Networks what it leads to; Gateway and
	// Outside are of a tunnel: who is at its other end, and the way there.
	Link     string
	Networks []netip.Prefix
	Gateway  string
	Outside  *Way
	Way      Way
	Ports    []Port // asked beside Port, whatever the policy says

	// What is behind the port; nil: there is nothing to ask.
	SSH   func(ctx context.Context) (SSH, error)
	Space func(ctx context.Context) (Space, error)
	Clock func(ctx context.Context) (Clock, error)
	// OfLink: the subject is a tunnel itself. Its Address is the gateway, which
	// is looked at whether the tunnel comes up or not.
	OfLink bool
	// Nobody: the Address is one of a network, where there need be no host. What
	// counts is the way there, and silence is no failure.
	Nobody bool
	// LinkTime is how long a tunnel may take to come up; 0: 40 seconds.
	LinkTime time.Duration
	// Patience is how long the server may take to answer, and to let us in; 0:
	// half a minute.
	Patience time.Duration
	// PortTime is how long the ports may take to answer; 0: 10 seconds.
	PortTime time.Duration
	// SpaceHere: Space is about this machine, and needs no server.
	SpaceHere bool

	now func() time.Time // the clock of the look
}

// sshPort is where a trace by TCP goes if nothing else is said.
const sshPort = 22

// The longest that checks may take, beside what the series of echoes takes.
const (
	nameTime   = 10 * time.Second
	linkTime   = 40 * time.Second
	portTime   = 10 * time.Second
	traceTime  = 20 * time.Second
	mtuTime    = 20 * time.Second
	serverTime = 30 * time.Second
)

// Tasks are the checks of a subject that the policy asks for.
func (s Subject) Tasks(p Policy) []Task {
	var all []Task
	add := func(c Check, limit time.Duration, needs ...string) {
		// What the name is, others need to know, whether or not it may fail.
		if p.Of(c.Name()) != Off || c.Name() == CheckName && p.lookAt(CheckLink, CheckPing, CheckPort, CheckTrace, CheckMTU) {
			all = append(all, Task{Check: c, Needs: needs, Deadline: limit})
		}
	}
	server := cmp.Or(s.Patience, serverTime)
	inside := s.Way.Kind == "ipsec" && !s.OfLink
	name := nameCheck{address: s.Address, networks: s.Networks, way: s.Way, inside: inside, now: s.now}
	link := linkCheck{address: s.Address, networks: s.Networks, way: s.Way, gateway: s.Gateway}
	linkLimit := cmp.Or(s.LinkTime, linkTime)
	around := []string{CheckName, CheckLink} // what the checks of the line need
	if s.OfLink {
		around = []string{CheckName}
	}
	if inside { // names are asked there
		add(link, linkLimit)
		add(name, nameTime, CheckLink)
	} else {
		add(name, nameTime)
		add(link, linkLimit, CheckName)
	}
	o := p.Ping
	series := time.Duration(o.Count)*o.Interval + o.Timeout + 2*time.Second
	if o.Count == ping.Endless {
		series = 0
	}
	tracing := traceTime
	for _, t := range p.Traces {
		if t.Probes == trace.Endless {
			tracing = 0
		}
	}
	if s.Way.Ping != nil {
		add(pingCheck{s.Networks, s.Way, o, p.Limits, s.Nobody}, series, around...)
	}
	ports := slices.Concat(s.Ports, p.Ports)
	if s.Port != 0 {
		ports = append([]Port{{"tcp", s.Port}}, ports...)
	}
	if len(ports) > 0 {
		add(portCheck{s.Networks, s.Way, ports, s.OfLink}, cmp.Or(s.PortTime, portTime), around...)
	}
	add(traceCheck{s.Networks, s.Way, p.Traces, cmp.Or(s.Port, sshPort)}, tracing, around...)
	mtu := mtuCheck{networks: s.Networks, way: s.Way, outside: s.Outside, gateway: s.Gateway}
	if s.OfLink {
		mtu.way.Kind = "direct" // its gateway is asked outside of it
	}
	add(mtu, mtuTime, around...)
	if s.SSH != nil {
		add(sshCheck{s.SSH}, server, CheckName, CheckLink, CheckPort)
	}
	if s.Space != nil {
		needs := []string{CheckName, CheckLink, CheckPort, CheckSSH}
		if s.SpaceHere {
			needs = nil
		}
		add(spaceCheck{s.Space}, server, needs...)
	}
	if s.Clock != nil {
		add(clockCheck{s.Clock}, server, CheckName, CheckLink, CheckPort, CheckSSH)
	}
	for i := range all {
		if name := all[i].Check.Name(); s.Settles(CheckMTU) && (name == CheckPort || name == CheckSSH) {
			all[i].After = []string{CheckMTU}
		}
	}
	return all
}

// Settles reports whether a check sets something that connections are to have
// from their beginning on, so that they wait for it whatever it finds: inside of
// a tunnel, the sizes that both sides agree on go by the tunnel's MTU.
func (s Subject) Settles(check string) bool { return check == CheckMTU && s.Way.Shrink != nil }
