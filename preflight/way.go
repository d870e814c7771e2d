package preflight

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"

	"linehaul/preflight/ping"
	"linehaul/preflight/pmtu"
	"linehaul/preflight/port"
	"linehaul/preflight/trace"
	"linehaul/tunnel/route"
)

// A Way is how packets get to a host, as functions; a nil one cannot be asked.
type Way struct {
	Kind string // direct, route or ipsec
	// Resolve says what a name is. Its error is a *net.DNSError where a
	// server answered or was asked.
	Resolve func(ctx context.Context, name string) (Name, error)
	// Link looks at the way to an address. Its error has the layer that is to
	// blame as its fault.Kind, where it is one.
	Link func(ctx context.Context, to netip.Addr) (Link, error)
	// Port asks whether a port is open; network is "tcp" or "udp".
	Port func(ctx context.Context, network string, to netip.AddrPort) port.Result
	Ping func(ctx context.Context, o ping.Options) (*ping.Series, error)
	// Trace is nil where there are no hops, as in a tunnel.
	Trace func(ctx context.Context, o trace.Options) (*trace.Trace, error)
	MTU   func(ctx context.Context, to netip.Addr) (*pmtu.Result, error)
	// Shrink tells the way that packets of more than so many bytes vanish;
	// nil: there is nothing to tell.
	Shrink func(mtu int) error
}

// Direct is the way that the system has, whose ports are dialled by d. A link of
// the system's own brings its rule.
func Direct(d port.Dialer, rule *route.Rule) Way {
	w := Way{
		Kind: "direct", Resolve: resolve, Ping: ping.Measure, Trace: trace.Run,
		Port: func(ctx context.Context, network string, to netip.AddrPort) port.Result {
			return AskPort(ctx, d, network, to)
		},
		Link: func(_ context.Context, to netip.Addr) (Link, error) {
			r, err := route.Find(to, netip.Addr{})
			return Link{Kind: "direct", Interface: r.Interface, Source: r.Source, Via: r.Via}, err
		},
		MTU: func(ctx context.Context, to netip.Addr) (*pmtu.Result, error) {
			return pmtu.Find(ctx, pmtu.Options{To: to})
		},
	}
	if rule != nil {
		w.Kind = "route"
		w.Link = func(_ context.Context, to netip.Addr) (Link, error) {
			r, err := rule.Check(to)
			return Link{Kind: "route", Interface: r.Interface, Source: r.Source, Via: r.Via}, err
		}
		w.keepTo(rule)
	}
	return w
}

// StartAt has all that is sent to addresses of the same family come from one of
// this machine's.
func (w *Way) StartAt(from netip.Addr) {
	own := func(to netip.Addr) netip.Addr {
		if from.Is4() != to.Unmap().Is4() {
			return netip.Addr{}
		}
		return from
	}
	w.Ping = func(ctx context.Context, o ping.Options) (*ping.Series, error) {
		o.From = own(o.To)
		return ping.Measure(ctx, o)
	}
	w.Trace = func(ctx context.Context, o trace.Options) (*trace.Trace, error) {
		o.From = own(o.To)
		return trace.Run(ctx, o)
	}
	w.MTU = func(ctx context.Context, to netip.Addr) (*pmtu.Result, error) {
		return pmtu.Find(ctx, pmtu.Options{To: to, From: own(to)})
	}
	w.Link = func(_ context.Context, to netip.Addr) (Link, error) {
		r, err := route.Find(to, own(to))
		return Link{Kind: w.Kind, Interface: r.Interface, Source: r.Source, Via: r.Via}, err
	}
}

// keepTo has nothing be sent to an address that the rule forbids, whether or not
// anybody has asked for the link before: what the dialer does for ports. What
// goes on for long is asked again with each answer, and ends when the way is
// another one.
func (w *Way) keepTo(rule *route.Rule) {
	w.Ping = func(ctx context.Context, o ping.Options) (*ping.Series, error) {
		way, err := rule.Check(o.To)
		if err != nil {
			return nil, err
		}
		still, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		each := o.Each
		o.From, o.Device, o.Each = rule.Source, way.Interface, func(s ping.Sample) {
			if _, err := rule.Check(o.To); err != nil {
				cancel(err)
			}
			if each != nil {
				each(s)
			}
		}
		s, err := ping.Measure(still, o)
		if ctx.Err() == nil && still.Err() != nil {
			return s, context.Cause(still)
		}
		return s, err
	}
	w.Trace = func(ctx context.Context, o trace.Options) (*trace.Trace, error) {
		way, err := rule.Check(o.To)
		if err != nil {
			return nil, err
		}
		o.From, o.Device = rule.Source, way.Interface
		return trace.Run(ctx, o)
	}
	w.MTU = func(ctx context.Context, to netip.Addr) (*pmtu.Result, error) {
		way, err := rule.Check(to)
		if err != nil {
			return nil, err
		}
		return pmtu.Find(ctx, pmtu.Options{To: to, From: rule.Source, Device: way.Interface})
	}
}

// resolve asks as the system's programs do, and notes who answered.
func resolve(ctx context.Context, name string) (Name, error) {
	var mu sync.Mutex
	asked := ""
	r := net.DefaultResolver
	if runtime.GOOS != "windows" && runtime.GOOS != "darwin" {
		// What Go asks by itself, which is what linehaul's own connections use.
		var d net.Dialer
		r = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			asked = address
			mu.Unlock()
			return d.DialContext(ctx, network, address)
		}}
	}
	found, err := r.LookupNetIP(ctx, "ip", name)
	for i, a := range found {
		found[i] = a.Unmap()
	}
	mu.Lock()
	defer mu.Unlock()
	n := Name{Name: name, Addresses: found, Server: "the system"}
	switch {
	case asked != "":
		n.Server = asked
	case r != net.DefaultResolver && err == nil:
		n.Server = "the hosts file"
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.Server != "" {
		n.Server = dns.Server
	}
	return n, err
}

// AskPort asks one port by a dialer.
func AskPort(ctx context.Context, d port.Dialer, network string, to netip.AddrPort) port.Result {
	o := port.Options{Dialer: d}
	if network == "udp" {
		return port.UDP(ctx, to, o)
	}
	return port.TCP(ctx, to, o)
}
