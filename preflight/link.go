package preflight

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"linehaul/fault"
)

// A linkCheck looks at the way to the host: the system's route, or the tunnel.
type linkCheck struct {
	address  string
	networks []netip.Prefix
	way      Way
	gateway  string // of a tunnel
}

func (c linkCheck) Name() string { return CheckLink }

func (c linkCheck) Run(ctx context.Context, found *Found) Finding {
	to, ok := addressOf(found, c.networks)
	if !ok { // names are asked inside of the tunnel, which is not up yet
		to, _ = netip.ParseAddr(c.address)
	}
	l, err := c.way.Link(ctx, to)
	if err != nil {
		f := c.failed(ctx, to, err)
		f.Link = &l
		return f
	}
	var f Finding
	switch {
	case c.way.Kind == "ipsec" && l.RTTMS > 0:
		f = verdict(CheckLink, "link-carries", c.gateway, l.Inside, duration(l.RTTMS), strings.Join(l.SAs, ", "))
	case c.way.Kind == "ipsec":
		f = verdict(CheckLink, "link-tunnel", c.gateway, strings.Join(l.SAs, ", "))
	case c.way.Kind == "route":
		f = verdict(CheckLink, "link-route", l)
	default:
		f = verdict(CheckLink, "link-direct", l)
	}
	f.Link = &l
	return f
}

func (c linkCheck) failed(ctx context.Context, to netip.Addr, err error) Finding {
	kind := fault.KindOf(err)
	switch {
	case late(ctx) && c.way.Kind == "ipsec":
		return own(verdict(CheckLink, "link-down", "no answer in time"), err)
	case ctx.Err() != nil && !late(ctx):
		return verdict(CheckLink, codeStopped, context.Cause(ctx))
	case kind == fault.GatewayLogin:
		return own(verdict(CheckLink, "link-login", err), err)
	case kind == fault.ESP:
		return own(verdict(CheckLink, "link-empty", err), err)
	case c.way.Kind == "ipsec":
		f := own(verdict(CheckLink, "link-down", err), err)
		if kind != fault.Internal {
			f.Layer = kind.String() // its gateway's name, say
		}
		return f
	case c.way.Kind == "route":
		return own(verdict(CheckLink, "link-other", err), err)
	}
	return verdict(CheckLink, "link-none", to, err)
}

// String says it in words, as in "by eth0 from 10.0.0.2, next hop 10.0.0.1".
func (l Link) String() string {
	var parts []string
	if l.Interface != "" {
		parts = append(parts, "by "+l.Interface)
	}
	if l.Source.IsValid() {
		parts = append(parts, "from "+l.Source.String())
	}
	text := strings.Join(parts, " ")
	if l.Via.IsValid() {
		text += ", next hop " + l.Via.String()
	}
	return text
}

// own gives a finding the hint of the error that it came of, where that has one
// of its own.
func own(f Finding, err error) Finding {
	var sorted *fault.Error
	if errors.As(err, &sorted) {
		if hint := fault.HintOf(err); hint != sorted.Kind().Hint() {
			f.Hint = hint
		}
	}
	return f
}
