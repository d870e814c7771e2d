package netstack

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"linehaul/fault"
)

// LookupHost returns the addresses of a host, those first that a name server
// said first, IPv4 before IPv6 where both are asked for. A text that is an
// address is returned as it is. Only families are asked for of which we have an
// address.
func (s *Stack) LookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	return s.lookup(ctx, host, 0)
}

// lookup is LookupHost, for one version of IP if it is not 0.
func (s *Stack) lookup(ctx context.Context, host string, version int) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a = a.Unmap(); a.Zone() != "" || !fits(a, version) {
			return nil, fault.New(fault.Config, "the address %q cannot be reached through a tunnel in that way", host)
		}
		return []netip.Addr{a}, nil
	}
	all, err := s.resolve(ctx, host, version)
	if err != nil {
		return nil, err
	}
	var usable []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); fits(a, version) && s.has(a) {
			usable = append(usable, a)
		}
	}
	if len(usable) == 0 {
		return nil, fault.New(fault.Name, "%q has no address that can be reached through the tunnel", host)
	}
	return usable, nil
}

func fits(a netip.Addr, version int) bool {
	return version == 0 || (version == 4) == a.Is4()
}

// resolve asks whoever knows the name.
func (s *Stack) resolve(ctx context.Context, host string, version int) ([]netip.Addr, error) {
	if s.o.Outside != nil && !inside(host, s.o.Domains) {
		return s.o.Outside(ctx, host)
	}
	if len(s.o.DNS) == 0 {
		return nil, fault.New(fault.Name, "resolve %q: the tunnel has no name server", host).
			WithHint("the gateway gave none: write the host's IP address, or name servers with the link")
	}
	return s.ask(ctx, host, version)
}

// NameServers are those that are asked for a host through the tunnel; none if it
// is asked for outside. Those for no host are all.
func (s *Stack) NameServers(host string) []netip.AddrPort {
	if host != "" && s.o.Outside != nil && !inside(host, s.o.Domains) {
		return nil
	}
	return slices.Clone(s.o.DNS)
}

// inside reports whether a name is of one of the domains, or there are none.
func inside(host string, domains []string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, d := range domains {
		d = strings.ToLower(strings.Trim(d, "."))
		if host == d || strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return len(domains) == 0
}
