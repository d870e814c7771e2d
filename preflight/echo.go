package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/preflight/ping"
)

// Limits are what a line must keep to; 0 is no limit.
type Limits struct {
	MaxLoss   float64 // of the echoes, from 0 to 1; negative: no limit
	MaxRTT    time.Duration
	MaxJitter time.Duration
}

// A pingCheck measures the line by a series of echoes.
type pingCheck struct {
	networks []netip.Prefix
	way      Way
	options  ping.Options
	limits   Limits
	nobody   bool // need be at the address
}

func (c pingCheck) Name() string { return CheckPing }

func (c pingCheck) Run(ctx context.Context, found *Found) Finding {
	to, ok := addressOf(found, c.networks)
	if !ok {
		return verdict(CheckPing, codeSkipped, CheckName)
	}
	o := c.options
	o.To = to
	s, err := c.way.Ping(ctx, o)
	f := c.judge(ctx, s, err)
	f.Ping = s
	return f
}

func (c pingCheck) judge(ctx context.Context, s *ping.Series, err error) Finding {
	var rights *ping.NotAllowedError
	switch {
	case errors.As(err, &rights):
		return verdict(CheckPing, "ping-rights", rights, rights.Right)
	case s == nil && ctx.Err() != nil && !late(ctx):
		return verdict(CheckPing, codeStopped, context.Cause(ctx))
	case err != nil && s == nil:
		return verdict(CheckPing, "ping-failed", err)
	case fault.Is(err, fault.Route):
		return verdict(CheckPing, "ping-astray", s.Sent, err)
	case s.Sent == 0:
		return verdict(CheckPing, codeLate, CheckPing)
	case s.Received == 0 && c.nobody:
		return verdict(CheckPing, "ping-nobody", s.To)
	case s.Received == 0 && len(s.Said) > 0:
		return verdict(CheckPing, "ping-refused", s.Sent, strings.Join(s.Said, ", "))
	case s.Received == 0:
		return verdict(CheckPing, "ping-silent", s.Sent) // see Judge, which knows of the port
	case c.limits.MaxLoss >= 0 && s.Loss > c.limits.MaxLoss:
		return verdict(CheckPing, "ping-loss", percent(s.Loss), s.Sent, percent(c.limits.MaxLoss))
	case over(s.MedianMS, c.limits.MaxRTT):
		return verdict(CheckPing, "ping-slow", duration(s.MedianMS), c.limits.MaxRTT)
	case over(s.JitterMS, c.limits.MaxJitter):
		return verdict(CheckPing, "ping-uneven", duration(s.JitterMS), c.limits.MaxJitter)
	case s.Received < s.Sent:
		return verdict(CheckPing, "ping-lost", s.Received, s.Sent, percent(s.Loss), duration(s.MedianMS))
	}
	return verdict(CheckPing, "ping-well", s.Received, s.Sent, duration(s.MedianMS), duration(s.JitterMS))
}

func over(ms float64, limit time.Duration) bool { return limit > 0 && ms > milliseconds(limit) }

// percent is a share in words: as many digits as mean something.
func percent(share float64) string {
	p := share * 100
	if p == 0 || p >= 10 {
		return fmt.Sprintf("%.0f%%", p)
	}
	return fmt.Sprintf("%.1f%%", p)
}
