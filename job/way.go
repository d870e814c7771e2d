package job

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/pmtu"
	"linehaul/preflight/port"
	"linehaul/transfer/remote"
	"linehaul/tunnel"
)

// Subject is what checks of a host are about: the one that is dialled first, by
// the way that it has. d is what the host's port is dialled by. done is to be
// called when the checks have ended: it lets a tunnel go.
func (l *Links) Subject(h remote.Host, d port.Dialer) (s preflight.Subject, done func(), err error) {
	first := h.First()
	s = preflight.Subject{Name: h.Name, Address: first.Address, Port: first.Port, Link: h.Link}
	if h.Jump != nil {
		s.Jump = first.Name
	}
	done = func() {}
	hand, _ := d.(*handover)
	if hand != nil {
		d = hand.Dialer // what is kept is for the host's own port
	}
	own, direct := d.(*net.Dialer)
	bound := direct && h.Link == "" && first.BindAddress != ""
	if bound {
		d = boundDialer{own, first.BindAddress}
	}
	s.Way = preflight.Direct(d, nil)
	if from, err := netip.ParseAddr(first.BindAddress); bound && err == nil {
		s.Way.StartAt(from)
	}
	if h.Link != "" {
		link, shared, err := l.named(h.Link)
		if err != nil {
			return s, done, err
		}
		s.Networks = link.Networks
		if link.Route != nil {
			s.Way = preflight.Direct(d, rule(link))
		} else {
			inside := &inside{shared: shared}
			done = inside.close
			s.Way, s.Gateway = inside.way(d), gatewayName(link)
			outside := preflight.Direct(&net.Dialer{}, nil)
			s.Outside = &outside
		}
	}
	target := net.JoinHostPort(first.Address, strconv.Itoa(s.Port))
	if hand != nil {
		ask, asker := s.Way.Port, port.Dialer(probing{hand: hand, network: cmp.Or(first.Network, "tcp"), target: target})
		if bound { // the run's connection is another one, see package remote
			asker = d
		}
		// It is one of the run's own, and has the time that those have.
		s.PortTime = first.ConnectTimeout + time.Second
		s.Way.Port = func(ctx context.Context, network string, to netip.AddrPort) port.Result {
			if network != "tcp" || int(to.Port()) != s.Port {
				return ask(ctx, network, to)
			}
			return port.TCP(ctx, to, port.Options{Dialer: asker, Timeout: first.ConnectTimeout})
		}
	}
	if family := strings.TrimPrefix(first.Network, "tcp"); family != "" {
		s.Way.Resolve = only(s.Way.Resolve, family == "6")
	}
	return s, done, nil
}

// A boundDialer connects from an address of this machine, as ssh's BindAddress
// has the connections of a host do.
type boundDialer struct {
	*net.Dialer
	address string
}

func (b boundDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return b.DialControl(ctx, network, address, nil)
}

// DialControl is DialContext, with the socket shown before it connects.
func (b boundDialer) DialControl(ctx context.Context, network, address string, control func(network, address string, c syscall.RawConn) error) (net.Conn, error) {
	bound, err := remote.Bind(ctx, b.Dialer, b.address, network)
	if err != nil {
		return nil, err
	}
	if control != nil {
		bound.Control = control
	}
	return bound.DialContext(ctx, network, address)
}

var _ port.ControlDialer = boundDialer{}

// LinkSubject is what checks of a link itself are about: a tunnel with the way to
// its gateway, or the routes to a route's networks. done is as Subject's.
func (l *Links) LinkSubject(name string) (s preflight.Subject, done func(), err error) {
	done = func() {}
	link, shared, err := l.named(name)
	if err != nil {
		return s, done, err
	}
	s = preflight.Subject{Name: name, Link: name}
	if shared == nil {
		if len(link.Networks) == 0 {
			return s, done, fault.New(fault.Config, "link %q names no networks that could be looked at", name)
		}
		s.Address, s.Networks, s.Nobody = hostIn(link.Networks[0]).String(), link.Networks, true
		s.Way = preflight.Direct(rule(link), rule(link))
		one := s.Way.Link
		s.Way.Link = func(ctx context.Context, _ netip.Addr) (first preflight.Link, err error) {
			for i, n := range link.Networks {
				l, err := one(ctx, hostIn(n))
				if i == 0 || err != nil {
					first = l
				}
				if err != nil {
					return first, err
				}
			}
			return first, nil
		}
		return s, done, nil
	}
	inside := &inside{shared: shared}
	s.OfLink, s.Address, s.Gateway = true, gatewayName(link), gatewayName(link)
	s.Way = preflight.Direct(&net.Dialer{}, nil)
	s.Way.Kind = "ipsec"
	s.Ports = ikePorts(link)
	s.Way.Port = askIKE
	s.Way.Link = func(ctx context.Context, _ netip.Addr) (preflight.Link, error) { return inside.link(ctx, netip.Addr{}) }
	return s, inside.close, nil
}

// only leaves the addresses of one family.
func only(resolve func(context.Context, string) (preflight.Name, error), six bool) func(context.Context, string) (preflight.Name, error) {
	return func(ctx context.Context, name string) (preflight.Name, error) {
		n, err := resolve(ctx, name)
		var left []netip.Addr
		for _, a := range n.Addresses {
			if a.Is6() == six {
				left = append(left, a)
			}
		}
		if err == nil && len(left) == 0 && len(n.Addresses) > 0 {
			has, wanted := "IPv6", "inet"
			if six {
				has, wanted = "IPv4", "inet6"
			}
			err = fault.New(fault.Name, "it has addresses of %s alone, and AddressFamily is %s", has, wanted).
				WithHint("take `AddressFamily %s` out of the OpenSSH configuration of the host, or give it an address of that family", wanted)
		}
		n.Addresses = left
		return n, err
	}
}

// named is the link of a name, and its tunnel if it is one.
func (l *Links) named(name string) (*config.Link, *tunnel.Shared, error) {
	if l == nil {
		return nil, nil, fault.New(fault.Config, "there is no link %q", name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	link, err := l.link(name)
	if err != nil || link.Route != nil {
		return link, nil, err
	}
	return link, l.tunnel(link), nil
}

// hostIn is the first address in a network that may be a host's.
func hostIn(n netip.Prefix) netip.Addr {
	first := n.Masked().Addr()
	if n.Bits() >= first.BitLen()-1 { // RFC 3021: of two, both are
		return first
	}
	return first.Next()
}

// Where gateways listen (RFC 7296 section 2).
const (
	ikePort    = 500
	ikeNATPort = 4500
)

// ikePorts are those of a gateway that the tunnel speaks to.
func ikePorts(link *config.Link) []preflight.Port {
	if _, text, err := net.SplitHostPort(link.Gateway); err == nil {
		if n, err := strconv.Atoi(text); err == nil && n != ikePort {
			return []preflight.Port{{Network: "udp", Number: n}}
		}
	}
	return []preflight.Port{{Network: "udp", Number: ikePort}, {Network: "udp", Number: ikeNATPort}}
}

// askIKE asks a UDP port of a gateway as the tunnel does: on any port but 500 as
// on 4500.
func askIKE(ctx context.Context, network string, to netip.AddrPort) port.Result {
	if network != "udp" {
		return preflight.AskPort(ctx, &net.Dialer{}, network, to)
	}
	return port.UDP(ctx, to, port.Options{Question: port.IKE(to.Port() != ikePort)})
}

// gatewayName is a gateway's name or address, without a port.
func gatewayName(link *config.Link) string {
	if host, _, err := net.SplitHostPort(link.Gateway); err == nil {
		return host
	}
	return strings.Trim(link.Gateway, "[]")
}

// An inside is the way through a tunnel, which it keeps up from the first check
// on that needs it.
type inside struct {
	shared *tunnel.Shared

	mu   sync.Mutex
	up   *tunnel.Tunnel
	done func()
}

func (i *inside) way(d port.Dialer) preflight.Way {
	return preflight.Way{
		Kind: "ipsec", Resolve: i.resolve, Link: i.link, MTU: i.mtu, Shrink: i.shrink,
		Port: func(ctx context.Context, network string, to netip.AddrPort) port.Result {
			return preflight.AskPort(ctx, d, network, to)
		},
		Ping: func(ctx context.Context, o ping.Options) (*ping.Series, error) {
			t, err := i.use(ctx)
			if err != nil {
				return nil, err
			}
			return ping.MeasureThrough(ctx, t, o)
		},
	}
}

// use is the tunnel, up.
func (i *inside) use(ctx context.Context) (*tunnel.Tunnel, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.up != nil {
		return i.up, nil
	}
	t, done, err := i.shared.Use(ctx)
	if err != nil {
		return nil, err
	}
	i.up, i.done = t, done
	return t, nil
}

func (i *inside) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done != nil {
		i.done()
		i.up, i.done = nil, nil
	}
}

func (i *inside) resolve(ctx context.Context, name string) (preflight.Name, error) {
	n := preflight.Name{Name: name, Server: "the system"} // which a link with domains may ask
	t, err := i.use(ctx)
	if err != nil {
		return n, err
	}
	if servers := t.NameServers(name); len(servers) > 0 {
		n.Server = servers[0].String()
	}
	n.Addresses, err = t.LookupHost(ctx, name)
	return n, err
}

// insideTime is how long an answer to an echo inside is waited for.
const insideTime = time.Second

// link brings the tunnel up, and asks for an echo inside: of the host if it is
// known, else or if that is silent of the name server there.
func (i *inside) link(ctx context.Context, to netip.Addr) (preflight.Link, error) {
	l := preflight.Link{Kind: "ipsec"}
	t, err := i.use(ctx)
	if err != nil {
		return l, err
	}
	s := t.Status()
	l.Gateway, l.Remote = s.Gateway, s.Remote
	for _, c := range s.Children {
		if !c.Leaving {
			l.SAs = append(l.SAs, fmt.Sprintf("%s/%s %s", c.InSPI, c.OutSPI, c.Suite))
		}
	}
	servers := t.NameServers("")
	for _, a := range append([]netip.Addr{to}, servers[:min(len(servers), 1)]...) {
		if !a.IsValid() {
			continue
		}
		if rtt, err := pingOnce(ctx, t, a); err == nil {
			l.RTTMS, l.Inside = float64(rtt.Microseconds())/1000, a
			break
		}
	}
	return l, nil
}

func pingOnce(ctx context.Context, t *tunnel.Tunnel, to netip.Addr) (time.Duration, error) {
	asking, cancel := context.WithTimeout(ctx, insideTime)
	defer cancel()
	return t.Ping(asking, to, ping.DefaultSize)
}

func (i *inside) mtu(ctx context.Context, to netip.Addr) (*pmtu.Result, error) {
	t, err := i.use(ctx)
	if err != nil {
		return nil, err
	}
	return pmtu.FindThrough(ctx, t, pmtu.Options{To: to, Most: t.MTU()})
}

func (i *inside) shrink(mtu int) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.up == nil {
		return fault.New(fault.ESP, "the tunnel is not up")
	}
	return i.up.SetMTU(mtu)
}
