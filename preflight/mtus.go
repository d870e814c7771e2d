package preflight

import (
	"context"
	"errors"
	"net/netip"

	"linehaul/preflight/ping"
	"linehaul/preflight/pmtu"
)

// An mtuCheck finds the largest packet that passes to the host and, in a tunnel,
// to its gateway outside of it.
type mtuCheck struct {
	networks []netip.Prefix
	way      Way
	outside  *Way   // of a tunnel: how its own packets go
	gateway  string // where to
}

func (c mtuCheck) Name() string { return CheckMTU }

func (c mtuCheck) Run(ctx context.Context, found *Found) Finding {
	to, ok := addressOf(found, c.networks)
	if !ok {
		return verdict(CheckMTU, codeSkipped, CheckName)
	}
	if c.way.MTU == nil {
		return verdict(CheckMTU, "mtu-failed", "there is no way to ask")
	}
	r, err := c.way.MTU(ctx, to)
	f := c.judge(ctx, r, err)
	if r != nil {
		f.MTU = append(f.MTU, r)
	}
	gateway, ok := c.at(ctx, found)
	if !ok {
		return f
	}
	out, err := c.outside.MTU(ctx, gateway)
	if err != nil {
		return f
	}
	f.MTU = append([]*pmtu.Result{out}, f.MTU...)
	// What was seen inside is what counts: the tunnel's packets are smaller than
	// the largest that this machine may send.
	if out.BlackHole && f.Verdict == Unknown {
		g := verdict(CheckMTU, "mtu-hole", out.MTU, out.MTU)
		g.MTU = f.MTU
		return g
	}
	return f
}

// at is where the tunnel's gateway is.
func (c mtuCheck) at(ctx context.Context, found *Found) (netip.Addr, bool) {
	if c.outside == nil || c.outside.MTU == nil {
		return netip.Addr{}, false
	}
	if f, ok := found.Of(CheckLink); ok && f.Link != nil && f.Link.Remote.IsValid() {
		return f.Link.Remote.Addr(), true
	}
	if a, err := netip.ParseAddr(c.gateway); err == nil {
		return a, true
	}
	n, err := c.outside.Resolve(ctx, c.gateway)
	if err != nil || len(n.Addresses) == 0 {
		return netip.Addr{}, false
	}
	return n.Addresses[0], true
}

func (c mtuCheck) judge(ctx context.Context, r *pmtu.Result, err error) Finding {
	var rights *ping.NotAllowedError
	inside := c.way.Kind == "ipsec"
	switch {
	case errors.As(err, &rights):
		return verdict(CheckMTU, "mtu-rights", rights, rights.Right)
	case ctx.Err() != nil && !late(ctx):
		return verdict(CheckMTU, codeStopped, context.Cause(ctx))
	case err != nil:
		return verdict(CheckMTU, "mtu-failed", err)
	case r.MTU == 0 && r.Refused != "":
		return verdict(CheckMTU, "mtu-refused", r.Refused)
	case r.MTU == 0:
		return verdict(CheckMTU, "mtu-silent")
	case r.Unsure && !r.BlackHole:
		return verdict(CheckMTU, "mtu-unsure", r.MTU)
	case r.BlackHole && inside:
		if c.way.Shrink != nil {
			if err := c.way.Shrink(r.MTU); err != nil {
				return verdict(CheckMTU, "mtu-hole-stays", r.MTU, err)
			}
		}
		return verdict(CheckMTU, "mtu-hole-link", r.MTU, r.MTU)
	case r.BlackHole:
		return verdict(CheckMTU, "mtu-hole", r.MTU, r.MTU)
	case inside:
		return verdict(CheckMTU, "mtu-inside", r.MTU)
	case r.Said != 0 && r.By.IsValid():
		return verdict(CheckMTU, "mtu-less", r.MTU, r.By)
	}
	return verdict(CheckMTU, "mtu-whole", r.MTU)
}
