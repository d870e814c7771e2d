package job

import (
	"slices"
	"strings"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/tunnel"
	"linehaul/tunnel/keylog"
	"linehaul/tunnel/pcapng"
)

// A Look is what a person wants to see of the tunnels of links. The zero value
// is nothing.
type Look struct {
	// Connecting is told that a tunnel is about to come up, and Event what happens
	// to one. They must not wait.
	Connecting func(link *config.Link)
	Event      func(link *config.Link, e tunnel.Event, s tunnel.Status)
	// Capture takes all packets down, and Keys all keys.
	Capture *pcapng.Writer
	Keys    *keylog.Log
}

// Look says what is wanted of tunnels that come up from now on.
func (l *Links) Look(o Look) { l.look.Store(&o) }

// observed makes a tunnel show what is wanted.
func (l *Links) observed(link *config.Link, c tunnel.Config) tunnel.Config {
	o := l.look.Load()
	if o == nil {
		return c
	}
	c.Capture, c.Keys = o.Capture, o.Keys
	if o.Event != nil {
		c.Event = func(e tunnel.Event, s tunnel.Status) {
			s.Link = link.Name
			o.Event(link, e, s)
		}
	}
	if o.Connecting != nil {
		o.Connecting(link)
	}
	return c
}

// Tunnel is the tunnel of a link, for who uses nothing else.
func (l *Links) Tunnel(name string) (*tunnel.Shared, *config.Link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	link := l.known[name]
	if link == nil {
		return nil, nil, fault.New(fault.Usage, "no link %q in the config", name).WithHint("links are declared under `links` in the config")
	}
	if link.Route != nil {
		return nil, nil, fault.New(fault.Usage, "link %q is a VPN of the system's, and no tunnel of linehaul's", name).
			WithHint("there is nothing to bring up: jobs check its route before they connect")
	}
	return l.tunnel(link), link, nil
}

// Status is what the tunnels are doing, by their names: those that are up, and
// those that could not be.
func (l *Links) Status() []tunnel.Status {
	l.mu.Lock()
	tunnels := slices.Clone(l.retired)
	for _, s := range l.shared {
		tunnels = append(tunnels, s)
	}
	l.mu.Unlock()
	all := []tunnel.Status{}
	for _, t := range tunnels {
		if s := t.Status(); s.State != "down" || s.Error != "" {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b tunnel.Status) int { return strings.Compare(a.Link, b.Link) })
	return all
}
