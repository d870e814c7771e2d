package job

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/transfer/remote"
	"linehaul/tunnel"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/route"
)

// Links are the ways to networks: one tunnel for each link that is one, for all
// runs that go through it at a time, and the rules of those that are routes of
// the system's. Its methods may be called concurrently.
type Links struct {
	now    func() time.Time
	random io.Reader
	log    atomic.Pointer[slog.Logger]
	look   atomic.Pointer[Look]

	mu      sync.Mutex
	known   map[string]*config.Link
	shared  map[*config.Link]*tunnel.Shared
	retired []*tunnel.Shared  // of links that are no more, while somebody uses them
	recent  map[string]*lines // of the tunnels' logs

	serving context.Context //nolint:containedctx // that of Serve, which ends the keepers
	keepers map[*config.Link]*keeper
}

// NewLinks makes links; random is where keys come from.
func NewLinks(now func() time.Time, random io.Reader, log *slog.Logger) *Links {
	l := &Links{now: now, random: random, shared: map[*config.Link]*tunnel.Shared{}, keepers: map[*config.Link]*keeper{}}
	l.log.Store(log)
	return l
}

// Dialer is what reaches a host: direct, or the host's link and nothing else.
func (l *Links) Dialer(h remote.Host, direct remote.Dialer) (remote.Dialer, error) {
	if h.Link == "" {
		return direct, nil
	}
	if l == nil {
		return nil, fault.New(fault.Config, "host %q wants the link %q, and there are none", h.Name, h.Link)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	link, err := l.link(h.Link)
	if err != nil {
		return nil, err
	}
	if link.Route != nil {
		return rule(link), nil
	}
	return l.tunnel(link), nil
}

// link is the one of that name. The caller holds mu.
func (l *Links) link(name string) (*config.Link, error) {
	link := l.known[name]
	if link == nil {
		return nil, fault.New(fault.Config, "no link %q in the config", name)
	}
	return link, nil
}

// rule is the one of a link that is the system's.
func rule(link *config.Link) *route.Rule {
	return &route.Rule{Name: link.Name, Networks: link.Networks, Interface: link.Route.Interface, Source: link.Route.Source, Via: link.Route.Via}
}

// tunnel is the one of a link. The caller holds mu.
func (l *Links) tunnel(link *config.Link) *tunnel.Shared {
	s := l.shared[link]
	if s == nil {
		s = tunnel.NewShared(link.Name, func(ctx context.Context) (tunnel.Config, error) { return l.config(ctx, link) })
		l.shared[link] = s
	}
	return s
}

func (l *Links) config(ctx context.Context, c *config.Link) (tunnel.Config, error) {
	ike := ikev2.Config{
		Local: c.Local, Remote: c.Remote, Networks: c.Networks, Address: c.Address, IKE: c.IKE, ESP: c.ESP, InitialContact: c.InitialContact,
		Probe: c.DPD, Patience: c.DeadAfter, IKELifetime: c.IKELifetime, ChildLifetime: c.ESPLifetime, Childless: c.Childless,
	}
	if err := proofs(ctx, c, &ike); err != nil {
		return tunnel.Config{}, err
	}
	return l.observed(c, tunnel.Config{
		Gateway: c.Gateway, IKE: ike, DNS: c.DNS, Domains: c.Domains, MTU: c.MTU,
		Log: l.remembering(c.Name), Now: l.now, Random: l.random,
	}), nil
}
