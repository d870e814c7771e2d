// Package route is the rule of a link that something outside of linehaul
// provides: a VPN that the system has a route through. Before each connection it
// asks the system how it would send to the host now, refuses if that is not by
// the interface, source or next hop that the link names, and binds the socket to
// what it found, so that the connection does not leave by another way later.
package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"linehaul/fault"
	"linehaul/internal/device"
)

// A Route is how the system would send to an address now.
type Route struct {
	Interface string     // its name
	Index     int        // its number
	Source    netip.Addr // our address; the zero value is one that the system does not tell
	Via       netip.Addr // the next hop; the zero value is the address itself
}

// String returns the route in the words of ip-route(8).
func (r Route) String() string {
	var parts []string
	if r.Via.IsValid() {
		parts = append(parts, "via "+r.Via.String())
	}
	parts = append(parts, "by "+r.Interface)
	if r.Source.IsValid() {
		parts = append(parts, "from "+r.Source.String())
	}
	return strings.Join(parts, " ")
}

// Find asks the system how it would send to an address, from one of its own
// addresses if from is valid. The error is the system's.
func Find(to, from netip.Addr) (Route, error) {
	to, from = to.Unmap(), from.Unmap()
	r, err := find(to, from)
	if err != nil {
		return Route{}, err
	}
	if i, err := net.InterfaceByIndex(r.Index); err == nil {
		r.Interface = i.Name
	}
	if !r.Source.IsValid() {
		r.Source = from // the kernel does not repeat it
	}
	if !r.Source.IsValid() {
		r.Source = source(to)
	}
	return r, nil
}

// source is our address for another one: that of a UDP socket, by which nothing
// is sent.
func source(to netip.Addr) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close() //nolint:errcheck // nothing was sent
	a, _ := c.LocalAddr().(*net.UDPAddr)
	return a.AddrPort().Addr().Unmap().WithZone("")
}

// A Rule is what a link wants of the way to a host. It is a dialer that has no
// other way out. Its methods may be called concurrently.
type Rule struct {
	Name     string         // of the link
	Networks []netip.Prefix // that are reached through it
	// What the way must be; at least one of them is set.
	Interface   string
	Source, Via netip.Addr

	// Find and Lookup are the system's if they are nil.
	Find   func(to, from netip.Addr) (Route, error)
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Link is the name of the link.
func (r *Rule) Link() string { return r.Name }

// Check returns the way to an address, or why the rule forbids it.
func (r *Rule) Check(to netip.Addr) (Route, error) {
	to = to.Unmap()
	if !slices.ContainsFunc(r.Networks, func(n netip.Prefix) bool { return n.Contains(to) }) {
		return Route{}, fault.New(fault.Route, "%s is in none of the networks of link %q", to, r.Name).AsPermanent().
			WithHint("add its network to the link, if it is behind it")
	}
	find := r.Find
	if find == nil {
		find = Find
	}
	way, err := find(to, r.Source)
	if err != nil {
		return Route{}, fault.New(fault.Route, "find the way to %s by link %q: %w", to, r.Name, err).AsTransient().
			WithHint("there is no route to it now: see whether the VPN of the link is up")
	}
	for _, one := range []struct {
		want, got, what string
	}{
		{r.Interface, way.Interface, "by"},
		{text(r.Source), text(way.Source), "from"},
		{text(r.Via), text(way.Via), "via"},
	} {
		if one.want != "" && one.want != one.got {
			return Route{}, fault.New(fault.Route, "%s would be reached %s, and not %s %s as link %q wants", to, way, one.what, one.want, r.Name).AsTransient().
				WithHint("nothing was sent. See whether the VPN of the link is up, and its route there")
		}
	}
	return way, nil
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// DialContext connects to an address by TCP or UDP, by the link and in no other
// way. A name is asked of the system's name servers.
func (r *Rule) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return r.DialControl(ctx, network, address, nil)
}

// DialControl is DialContext for a caller that wants to see each socket before
// it connects, after it was bound to the link, as the Control of a net.Dialer
// does.
func (r *Rule) DialControl(ctx context.Context, network, address string, control func(network, address string, c syscall.RawConn) error) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fault.New(fault.Internal, "dial %q: %w", address, err)
	}
	addrs, err := r.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, a := range addrs {
		c, err := r.dial(ctx, network, a, port, control)
		if err == nil {
			return c, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, worst(failed)
}

// worst is the failure to show: one of a way that was allowed, if there is one.
func worst(failed []error) error {
	for _, err := range failed {
		if !fault.Is(err, fault.Route) {
			return err
		}
	}
	return failed[0]
}

func (r *Rule) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	lookup := r.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addrs, err := lookup(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, fault.New(fault.Name, "look up %s: %w", host, err)
	}
	return addrs, nil
}

func (r *Rule) dial(ctx context.Context, network string, to netip.Addr, port string, control func(network, address string, c syscall.RawConn) error) (net.Conn, error) {
	way, err := r.Check(to)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: func(network, address string, c syscall.RawConn) error {
		var bound error
		if err := c.Control(func(fd uintptr) { bound = bind(fd, way, strings.HasSuffix(network, "6")) }); err != nil {
			return err
		}
		if bound != nil {
			return fmt.Errorf("bind to %s: %w", way.Interface, bound)
		}
		if control != nil {
			return control(network, address, c)
		}
		return nil
	}}
	if r.Source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: r.Source.AsSlice()}
		if strings.HasPrefix(network, "udp") {
			d.LocalAddr = &net.UDPAddr{IP: r.Source.AsSlice()}
		}
	}
	return d.DialContext(ctx, network, net.JoinHostPort(to.String(), port))
}

// bind keeps a socket at the interface of a route. Linux before 5.7 lets only root
// do that, and BSD nobody: the route that was checked is all that there is then.
func bind(fd uintptr, way Route, six bool) error {
	err := device.Bind(fd, device.Interface{Name: way.Interface, Index: way.Index}, six)
	if runtime.GOOS == "linux" && errors.Is(err, syscall.EPERM) {
		return nil
	}
	return err
}
