package preflight

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"linehaul/preflight/port"
)

// A Port is one to ask.
type Port struct {
	Network string // "tcp" or "udp"
	Number  int
}

// String says it in words; without more, a port is one of TCP.
func (p Port) String() string {
	if p.Network == "udp" {
		return fmt.Sprintf("UDP port %d", p.Number)
	}
	return fmt.Sprintf("port %d", p.Number)
}

// A portCheck asks whether ports of the host are open.
type portCheck struct {
	networks []netip.Prefix
	way      Way
	ports    []Port
	ofLink   bool // they are the gateway's, outside of the tunnel
}

func (c portCheck) Name() string { return CheckPort }

func (c portCheck) Run(ctx context.Context, found *Found) Finding {
	to, ok := addressOf(found, c.networks)
	if !ok {
		return verdict(CheckPort, codeSkipped, CheckName)
	}
	all := make([]port.Result, len(c.ports))
	var asking sync.WaitGroup
	for i, p := range c.ports {
		asking.Go(func() { all[i] = c.way.Port(ctx, p.Network, netip.AddrPortFrom(to, uint16(p.Number))) })
	}
	asking.Wait()
	if ctx.Err() != nil && !late(ctx) {
		return verdict(CheckPort, codeStopped, context.Cause(ctx))
	}
	// The worst of them speaks for all.
	var worst Finding
	for i, r := range all {
		if f := c.judge(r); i == 0 || f.Verdict.worse(worst.Verdict) {
			worst = f
		}
	}
	switch n := len(all); {
	case n == 2 && worst.Verdict == OK:
		worst.Text += ", and so is 1 more"
	case n > 2 && worst.Verdict == OK:
		worst.Text += fmt.Sprintf(", and so are %d more", n-1)
	}
	worst.Ports = all
	return worst
}

func (c portCheck) judge(r port.Result) Finding {
	name := Port{r.Network, r.Port}.String()
	says, inside := "this machine", c.way.Kind == "ipsec" && !c.ofLink
	if inside {
		says = "the gateway, or a router behind it" // which, the tunnel's stack does not tell
	}
	if r.From.IsValid() {
		says = r.From.String()
	}
	switch r.State {
	case port.Open:
		if r.Network == "udp" {
			return verdict(CheckPort, "port-answers", name, r.Answer)
		}
		return verdict(CheckPort, "port-open", name, duration(r.ConnectMS))
	case port.Refused:
		return verdict(CheckPort, "port-refused", name, r.Addr)
	case port.Closed:
		if !r.From.IsValid() {
			says = r.Addr.String()
		}
		return verdict(CheckPort, "port-closed", name, says)
	case port.Filtered:
		if inside {
			return verdict(CheckPort, "port-silent", name)
		}
		return verdict(CheckPort, "port-filtered", name)
	case port.Prohibited:
		return verdict(CheckPort, "port-prohibited", name, says)
	case port.NoRoute:
		return verdict(CheckPort, "port-no-route", r.Addr, says)
	case port.OpenOrFiltered:
		return verdict(CheckPort, "port-untold", name)
	case port.Unknown:
	}
	return verdict(CheckPort, "port-failed", r.Error)
}

// worse reports whether a verdict weighs more than another.
func (v Verdict) worse(than Verdict) bool { return v.weight() > than.weight() }

func (v Verdict) weight() int {
	switch v {
	case Fail:
		return 4
	case Warn:
		return 3
	case Unknown:
		return 2
	case Skipped:
		return 1
	case OK:
	}
	return 0
}

// ParsePort reads NUMBER, NUMBER/tcp or NUMBER/udp.
func ParsePort(text string) (Port, error) {
	number, network, _ := strings.Cut(text, "/")
	if network == "" {
		network = "tcp"
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || network != "tcp" && network != "udp" || strings.HasSuffix(text, "/") {
		return Port{}, fmt.Errorf("%q is no port", text)
	}
	return Port{network, int(n)}, nil
}
