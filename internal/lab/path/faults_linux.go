package path

import (
	"fmt"
	"net/netip"
	"strings"
)

// CutAt takes the interface of a host towards the server down, or that of the
// client: the kernel knows no way on, and says so.
func (p *Path) CutAt(host int) {
	p.t.Helper()
	p.hosts[host].IP("link set next down\n")
}

// DeadHop has a host send on what is for the server's side to a router that
// is not there: after some seconds the kernel says that the host is
// unreachable. On a Line it has no effect, as there nobody is asked for.
func (p *Path) DeadHop(host int) {
	p.t.Helper()
	if p.lines[host] != nil {
		p.t.Fatalf("link %d is a Line: there is nobody to be missed", host)
	}
	if host == p.Hops() {
		p.t.Fatalf("host %d is next to the server", host)
	}
	var b strings.Builder
	nobody, nobody6 := netip.AddrFrom4([4]byte{198, 18, byte(host), 99}), end6(host, 0x99)
	for link := host + 1; link <= p.Hops(); link++ {
		p.route(&b, link, nobody, nobody6)
	}
	p.hosts[host].IP(b.String())
}

// NoRoute has a host know no way to the server's side.
func (p *Path) NoRoute(host int) {
	p.t.Helper()
	var b strings.Builder
	for link := host + 1; link <= p.Hops(); link++ {
		fmt.Fprintf(&b, "route del %s\nroute del %s\n", netip.PrefixFrom(near(link), 24).Masked(), netip.PrefixFrom(near6(link), 64).Masked())
	}
	p.hosts[host].IP(b.String())
}

// Mend puts right what CutAt, DeadHop and NoRoute did at a host.
func (p *Path) Mend(host int) {
	p.t.Helper()
	p.hosts[host].IP(p.config(host))
}
