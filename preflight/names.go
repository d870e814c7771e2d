package preflight

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"linehaul/fault"
)

// The checks' names, in the order in which a packet comes to need them.
const (
	CheckName  = "name"
	CheckLink  = "link"
	CheckPing  = "ping"
	CheckPort  = "port"
	CheckTrace = "trace"
	CheckMTU   = "mtu"
	CheckSSH   = "ssh"
	CheckSpace = "space"
	CheckClock = "clock"
)

// Names are the checks' names in their order.
func Names() []string {
	return []string{CheckName, CheckLink, CheckPing, CheckPort, CheckTrace, CheckMTU, CheckSSH, CheckSpace, CheckClock}
}

// A nameCheck asks what the host's name is.
type nameCheck struct {
	address  string
	networks []netip.Prefix // that the link leads to; none: any
	way      Way
	inside   bool // the name server is one behind a tunnel
	now      func() time.Time
}

func (c nameCheck) Name() string { return CheckName }

func (c nameCheck) Run(ctx context.Context, _ *Found) Finding {
	if a, err := netip.ParseAddr(c.address); err == nil {
		f := verdict(CheckName, "name-address", a)
		f.Name = &Name{Name: c.address, Addresses: []netip.Addr{a.Unmap()}}
		return c.within(f)
	}
	began := c.now()
	n, err := c.way.Resolve(ctx, c.address)
	n.TookMS = milliseconds(c.now().Sub(began))
	f := c.judge(ctx, n, err)
	f.Name = &n
	if f.Verdict == OK {
		f = c.within(f)
	}
	return f
}

func (c nameCheck) judge(ctx context.Context, n Name, err error) Finding {
	var dns *net.DNSError
	mute := func(why any) Finding {
		code := "name-no-answer"
		if c.inside {
			code = "name-mute"
		}
		return own(verdict(CheckName, code, c.address, why), err)
	}
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return verdict(CheckName, "name-unknown", c.address, n.Server)
	case late(ctx) || errors.As(err, &dns) && dns.IsTimeout:
		return mute(n.Server + " is silent")
	case ctx.Err() != nil:
		return verdict(CheckName, codeStopped, context.Cause(ctx))
	case err != nil && errors.As(err, &dns):
		return mute(dns.Err)
	case err != nil && fault.KindOf(err) != fault.Internal && fault.KindOf(err) != fault.Name:
		f := mute(err)
		f.Layer = fault.KindOf(err).String() // the tunnel is not up
		return f
	case err != nil:
		return mute(err)
	case len(n.Addresses) == 0:
		return verdict(CheckName, "name-unknown", c.address, n.Server)
	}
	for _, a := range n.Addresses {
		if a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			return verdict(CheckName, "name-nowhere", c.address, a)
		}
	}
	return verdict(CheckName, "name-found", c.address, list(n.Addresses), n.Server, duration(n.TookMS))
}

// within holds a good answer against the networks of the link.
func (c nameCheck) within(f Finding) Finding {
	if len(c.networks) == 0 {
		return f
	}
	inside := func(a netip.Addr) bool {
		return slices.ContainsFunc(c.networks, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if slices.ContainsFunc(f.Name.Addresses, inside) {
		return f
	}
	out := verdict(CheckName, "name-outside", c.address, list(f.Name.Addresses))
	if c.way.Kind == "ipsec" && f.Name.Server != "" {
		out = verdict(CheckName, "name-beyond", c.address, list(f.Name.Addresses), f.Name.Server)
	}
	out.Name = f.Name
	return out
}

// addressOf is where the checks behind the name look: its first address, or the
// first that is of a network of the link.
func addressOf(found *Found, networks []netip.Prefix) (netip.Addr, bool) {
	f, ok := found.Of(CheckName)
	if !ok || f.Name == nil || len(f.Name.Addresses) == 0 {
		return netip.Addr{}, false
	}
	for _, a := range f.Name.Addresses {
		if len(networks) == 0 || slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return a, true
		}
	}
	return f.Name.Addresses[0], true
}
