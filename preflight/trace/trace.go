// Package trace finds the routers on the way to a host, and how many of the
// probes that end at each of them are answered, as mtr and tcptraceroute do.
//
// A probe has a time to live by which it ends at a router, which says so (RFC
// 792, RFC 4443). Several hops are probed at the same time, the probes of each
// of them evenly spread, because routers limit how many they answer: Linux has
// six at once and one each second for a client (icmp_ratelimit of icmp(7)).
//
// No rights are needed on Linux: ICMP by datagram sockets, UDP and TCP by
// ordinary ones with their queue of errors (IP_RECVERR of ip(7)). macOS has
// datagram sockets for ICMP; Windows its ICMP API, for ICMP only; the BSDs let
// root only hear ICMP. What cannot be had is said in Trace.Missing.
//
// TCP probes that arrive at an open port are connections made and dropped, one
// for each probe of the last hop.
//
// Left out: MPLS labels (RFC 4950), and probes that keep to one of several
// paths: each hop shows all routers that answered.
package trace

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"linehaul/fault"
)

// A Method is what the probes are.
type Method string

// The methods. Each ends at a host that answers: an echo, an unreachable port,
// or a SYN+ACK or RST.
const (
	ICMP Method = "icmp"
	UDP  Method = "udp"
	TCP  Method = "tcp"
)

// A Trace is what was found. Times are in milliseconds.
type Trace struct {
	To     netip.Addr `json:"to"`
	Method Method     `json:"method"`
	Port   int        `json:"port,omitempty"` // of TCP; of UDP that of the first hop's probes
	Way    string     `json:"way"`            // how probes were sent and answers were heard

	Hops    []Hop `json:"hops"`
	Reached bool  `json:"reached"` // the last hop is the host
	// Missing is what the system does not let us do, and the right that
	// would; empty: nothing was missing.
	Missing string `json:"missing,omitempty"`
	// Error is what the system last said to a probe that it did not send.
	Error string `json:"error,omitempty"`
}

// A Hop is how far probes of one TTL came. A probe that has not been answered
// and may be yet is not counted.
type Hop struct {
	TTL     int       `json:"ttl"`
	Routers []Router  `json:"routers,omitempty"` // who answered, the most often first
	Sent    int       `json:"sent"`
	Recv    int       `json:"received"`
	Loss    float64   `json:"loss"` // from 0 to 1
	BestMS  float64   `json:"best_ms"`
	MedMS   float64   `json:"median_ms"`
	WorstMS float64   `json:"worst_ms"`
	RTTsMS  []float64 `json:"rtts_ms,omitempty"` // in the order of sending; the latest 1,000
}

// A Router is somebody who answered for a TTL.
type Router struct {
	Addr     netip.Addr `json:"addr"`            // not valid: this machine
	Name     string     `json:"name,omitempty"`  // by reverse DNS
	AS       string     `json:"as,omitempty"`    // as in "AS64500 EXAMPLE"
	Place    string     `json:"place,omitempty"` // as in "Singapore, SG": from the user's MaxMind file
	Answers  int        `json:"answers"`
	Said     string     `json:"said,omitempty"` // what it said if not that time was exceeded: "host unreachable"
	IsTarget bool       `json:"is_target,omitempty"`
}

// LossFrom is the hop that loss begins at and then goes on at, to the host. A
// router that loses answers while those behind it do not is one that answers
// only so many: that is no loss on the line. Nil: there is none, or the host was
// not reached.
func (t *Trace) LossFrom() *Hop {
	if !t.Reached {
		return nil
	}
	var from *Hop
	for i := len(t.Hops) - 1; i >= 0; i-- {
		h := &t.Hops[i]
		switch {
		case h.Recv == 0 && i < len(t.Hops)-1: // it never answers, so that it tells nothing
		case h.Loss == 0:
			return from
		default:
			from = h
		}
	}
	return from
}

// Options are what to trace, and how. What is 0 is as in the constants.
type Options struct {
	To     netip.Addr
	From   netip.Addr // if valid: the address of ours to send from
	Device string     // if not empty: the interface to send by, where the system can be told (Linux, macOS)
	Method Method     // "": ICMP, or UDP where this user may have no ICMP
	// Port is the one that TCP and UDP probes go to. Of UDP, 0 is 33434 for the
	// first hop and one more for each after it, as traceroute has it.
	Port    int
	MaxHops int
	// Probes is how many each hop gets; Endless: until the context ends.
	Probes   int
	Interval time.Duration // between two probes of a hop
	Timeout  time.Duration // how long an answer may take; of TCP no longer than 950 ms, as the system sends again after a second
	// Each, if there is one, is told what is known by now, not too often, by
	// the goroutine that called Run.
	Each func(*Trace)
	// Book knows names and places of routers; nil: they have none.
	Book *Book
}

// What Options leave open, and what they may be.
const (
	DefaultMaxHops = 30
	DefaultProbes  = 10
	DefaultTimeout = time.Second
	// DefaultInterval spreads ten probes over what Linux needs to answer them.
	DefaultInterval = 460 * time.Millisecond
	// EndlessInterval is slow enough for any router, and for an SSH server that
	// counts connections without a login (OpenSSH's PerSourcePenalties).
	EndlessInterval = 1100 * time.Millisecond

	Endless     = -1
	MinInterval = 10 * time.Millisecond

	maxMaxHops = 64
	maxProbes  = 1000
	sshPort    = 22
	udpPort    = 33434
)

// Run traces. It returns what was found when each hop has had its probes, or
// when the context ends: that is an error then, unless it was to be endless.
// If this user may not send such probes, or hear what comes of them, that is
// no error: the trace is empty, and Missing says why.
func Run(ctx context.Context, o Options) (*Trace, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	p, method, missing, err := open(o)
	if err != nil {
		return nil, fault.New(fault.Check, "trace to %v: %w", o.To, err)
	}
	o.Method = method
	if p == nil {
		return &Trace{To: o.To, Method: method, Port: o.port(1), Hops: []Hop{}, Missing: missing}, nil
	}
	defer p.close()
	r := &run{o: o, t: newTable(o, self(o)), p: p, missing: missing}
	return r.run(ctx)
}

// self is the address of ours that probes are sent from; not valid: the system
// does not say.
func self(o Options) netip.Addr {
	if o.From.IsValid() {
		return o.From
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(o.To, udpPort))) // it sends nothing
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close() //nolint:errcheck // nothing was sent
	a, _ := c.LocalAddr().(*net.UDPAddr)
	return a.AddrPort().Addr().Unmap()
}

// open returns what sends probes, or nil and what is missing. Without a method
// it takes the first that there is.
func open(o Options) (p prober, m Method, missing string, err error) {
	methods := []Method{o.Method}
	if o.Method == "" {
		methods = []Method{ICMP, UDP}
	}
	for _, m := range methods {
		p, err := openMethod(o, m)
		var lacks *missingError
		switch {
		case err == nil:
			return p, m, missing, nil
		case !errors.As(err, &lacks):
			return nil, m, "", err
		case missing == "":
			missing = lacks.Error()
		}
	}
	return nil, methods[0], missing, nil
}

func openMethod(o Options, m Method) (prober, error) {
	if m == ICMP {
		return openICMP(o)
	}
	return openSockets(o, m)
}

// A missingError is what the system does not let this user do.
type missingError struct {
	what  string // as in "TCP probes"
	right string // what it takes, "" if nothing will do
	err   error  // what the system said, if it did
}

func (e *missingError) Error() string {
	text := e.what
	if e.err != nil {
		text += ": " + e.err.Error()
	}
	if e.right == "" {
		return text
	}
	return text + ": it takes " + e.right
}

func (e *missingError) Unwrap() error { return e.err }

// complete fills in what is not given and refuses what cannot be.
func (o Options) complete() (Options, error) {
	if o.MaxHops == 0 {
		o.MaxHops = DefaultMaxHops
	}
	if o.Probes == 0 {
		o.Probes = DefaultProbes
	}
	if o.Interval == 0 {
		o.Interval = DefaultInterval
		if o.Probes == Endless {
			o.Interval = EndlessInterval
		}
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Port == 0 && o.Method == TCP {
		o.Port = sshPort
	}
	if o.Method == TCP {
		o.Timeout = min(o.Timeout, tcpTimeout)
	}
	o.To, o.From = o.To.Unmap(), o.From.Unmap()
	switch {
	case !o.To.IsValid() || o.To.IsUnspecified() || o.To.IsMulticast():
		return o, fault.New(fault.Usage, "%v is no address of a host that could be traced", o.To)
	case o.From.IsValid() && o.From.Is4() != o.To.Is4():
		return o, fault.New(fault.Usage, "%v cannot be traced from %v: IPv4 and IPv6 are two networks", o.To, o.From)
	case o.Method != "" && o.Method != ICMP && o.Method != UDP && o.Method != TCP:
		return o, fault.New(fault.Usage, "no trace goes by %q: it is icmp, udp or tcp", o.Method)
	case o.Port < 0 || o.Port > 65535:
		return o, fault.New(fault.Usage, "no port is %d", o.Port)
	case o.MaxHops < 1 || o.MaxHops > maxMaxHops:
		return o, fault.New(fault.Usage, "a trace of %d hops: it must be between 1 and %d", o.MaxHops, maxMaxHops)
	case o.Probes != Endless && (o.Probes < 1 || o.Probes > maxProbes):
		return o, fault.New(fault.Usage, "%d probes for each hop: it must be between 1 and %d", o.Probes, maxProbes)
	case o.Interval < MinInterval:
		return o, fault.New(fault.Usage, "a probe each %v: the least interval is %v", o.Interval, MinInterval)
	case o.Timeout < 0 || o.Timeout > maxTimeout:
		return o, fault.New(fault.Usage, "an answer may take %v: the most is %v", o.Timeout, maxTimeout)
	}
	return o, nil
}

const (
	maxTimeout = 10 * time.Second
	// tcpTimeout is less than what a system waits for before it sends a SYN again
	// (RFC 6298 section 2).
	tcpTimeout = 950 * time.Millisecond
)

// port is where the probes of a hop go to, 0 if they have no port.
func (o Options) port(ttl int) int {
	switch {
	case o.Method == TCP, o.Method == UDP && o.Port != 0:
		return o.Port
	case o.Method == UDP:
		return udpPort + ttl - 1
	}
	return 0
}
