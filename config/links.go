package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"linehaul/bandwidth"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/suite"
)

// A Link is the way to a network: a tunnel of our own, or, with a Route, a VPN
// that the system has.
type Link struct {
	Name string
	// Bandwidth is that of all runs through it together, nil for no limit, and Runs
	// how many there may be at a time; 0 leaves that to the limits of all links.
	Bandwidth *bandwidth.Timetable
	Runs      int

	Route   *Route           // nil: a tunnel, which all but Name and Networks belong to
	Gateway string           // name or address, perhaps with a port
	Local   ikemsg.Identity  // the zero value: that of Pair's certificate, or EAP's user
	Remote  *ikemsg.Identity // nil: whoever has the key, or GatewayName
	// PSK, Pair and EAP are how we prove who we are: one of them, or the first or
	// second one and then EAP.
	PSK  Secret
	Pair *KeyPair
	EAP  *EAP
	// RemotePSK and CAs are how the gateway does; without both by PSK.
	RemotePSK   Secret
	CAs, CRLs   []string
	GatewayName *ikemsg.Identity // whom its certificate must be for, without Remote
	// InitialContact has the gateway forget other logins of ours.
	InitialContact bool
	// Childless makes the first ESP SAs after the login.
	Childless bool
	// Networks lie behind the gateway, and Address is ours inside; the zero
	// value is asked from the gateway.
	Networks []netip.Prefix
	Address  netip.Addr
	IKE, ESP []suite.Proposal // nil: the default
	KeepUp   bool             // serve keeps it up, whether or not a job runs
	// DNS and Domains are in place of the gateway's name servers, and MTU is that
	// inside of the tunnel.
	DNS     []netip.Addr
	Domains []string
	MTU     int
	// DPD is after what silence the gateway is asked whether it is there,
	// DeadAfter how long it has for an answer, and the others are how long keys
	// are used.
	DPD, DeadAfter, IKELifetime, ESPLifetime time.Duration
}

type linkEntry struct {
	IPsec ipsecEntry `yaml:"ipsec" also:"ike vpn" doc:"A tunnel of linehaul's own: IKEv2 to a gateway, ESP in UDP, and no driver, route or rights on this machine."`

	Bandwidth timetable `yaml:"bandwidth" also:"bwlimit ratelimit limit speed" doc:"How fast all runs through this link together may be; as in a host." example:"2MB/s"`
	Runs      number    `yaml:"runs" also:"max_runs" range:"0 10000" default:"0" doc:"How many runs through this link there are at a time, on all nodes together; 0 leaves it to limits.per_link." example:"4"`

	Route routeEntry `yaml:"route" doc:"A VPN that is there already, outside of linehaul: before each connection the system is asked how it would send, and anything but what stands here is refused."`
}

// A Route says how the system must send to the networks of a link. At least one
// is set.
type Route struct {
	Interface   string
	Source, Via netip.Addr
}

type routeEntry struct {
	Networks  texts `yaml:"networks" also:"subnets" doc:"What lies behind the VPN. Nothing else can be reached through the link." example:"10.30.0.0/16"`
	Interface text  `yaml:"interface" also:"dev device iface" doc:"The interface that the system must send by." example:"wg0"`
	Source    text  `yaml:"source" also:"src source_address" doc:"Our address that it must send from. Connections are bound to it." example:"10.1.0.7"`
	Via       text  `yaml:"via" also:"next_hop nexthop" doc:"The next hop that it must send to." example:"10.1.0.1"`
}

func (s *routeEntry) given() bool {
	return s.Networks.given || s.Interface.given || s.Source.given || s.Via.given
}

func (s *ipsecEntry) given() bool {
	return s.Gateway.given || s.Networks.given || s.Local.ID.given || s.Local.PSK.given || s.Local.Cert.given || s.Local.EAP.User.given ||
		s.Remote.ID.given || s.IKE.given || s.ESP.given
}

type ipsecEntry struct {
	Gateway  text       `yaml:"gateway" also:"server peer right remote_addrs" doc:"Name or IP address of the gateway, with :PORT if it is not 500. Any other port is spoken to as 4500 is, with ESP beside IKE from the beginning." example:"vpn.example.net"`
	Version  number     `yaml:"version" range:"2 2" default:"2" doc:"The version of IKE. Version 1 is planned."`
	Local    localParty `yaml:"local" doc:"Who we are to the gateway."`
	Remote   partyEntry `yaml:"remote" doc:"Who the gateway must be."`
	Networks texts      `yaml:"networks" also:"subnets remote_ts rightsubnet" doc:"What lies behind the gateway. Nothing else can be reached through the link." example:"10.20.0.0/16"`
	Address  text       `yaml:"address" also:"vip vips" default:"auto" doc:"Our address inside: auto asks the gateway for one." example:"192.168.7.9"`
	IKE      texts      `yaml:"ike" also:"proposals ike_proposals" doc:"What is offered for the key exchange, spelled as strongSwan spells it; modern algorithms that most gateways have, if left out. Old ones work, with a warning." example:"aes256gcm16-prfsha384-ecp384"`
	Keep     flag       `yaml:"keep" default:"false" doc:"Whether serve keeps the tunnel up all the time. Otherwise it comes up when something goes through it."`
	ESP      texts      `yaml:"esp" also:"esp_proposals" doc:"What is offered for the data, in the same spelling." example:"aes256gcm16-ecp384"`

	Childless flag   `yaml:"childless" also:"childless_ikev2" default:"false" doc:"Whether the first keys of ESP are agreed on after the login, by an exchange of their own, and not in it (RFC 6023). For gateways that insist on it, such as strongSwan with childless = force; and the first keys come of a key exchange of their own then, if esp has one."`
	DNS       texts  `yaml:"dns" also:"dns_servers nameservers" doc:"Addresses of name servers behind the gateway that names of hosts are asked of, in place of those that it gives." example:"10.20.0.53"`
	Domains   texts  `yaml:"domains" also:"dns_domains search" doc:"Domains whose names are asked behind the gateway; others are asked of this machine's own name servers then. Without it all are asked behind the gateway." example:"corp.example.net"`
	MTU       number `yaml:"mtu" range:"1280 9000" default:"1400" doc:"The longest packet inside of the tunnel, in bytes. What goes around it must fit the way to the gateway." example:"1340"`

	DPD         duration `yaml:"dpd" also:"dpd_delay dpddelay probe" default:"20s" doc:"After how long a silence the gateway is asked whether it is there." example:"10s"`
	DeadAfter   duration `yaml:"dead_after" also:"dpd_timeout dpdtimeout" default:"30s" doc:"How long the gateway may leave a question without an answer before the tunnel is taken for dead, and what goes through it ends." example:"15s"`
	IKELifetime duration `yaml:"ike_lifetime" also:"ikelifetime reauth_time" default:"8h" doc:"How long the keys of IKE are used: they are replaced a little earlier, or when the gateway wants it." example:"4h"`
	ESPLifetime duration `yaml:"esp_lifetime" also:"lifetime rekey_time salifetime child_lifetime" default:"1h" doc:"How long the keys of ESP are used, likewise." example:"30m"`

	InitialContact flag `yaml:"initial_contact" default:"false" doc:"Whether the gateway is told that nobody else is logged in with this identity, so that it forgets what a crash has left there. Not for an identity that several use, or several programs at a time: each would end the others' tunnels."`
}

// links makes the links, and gives the hosts theirs.
func (r *rules) links(doc *document, f *File) {
	names := make(map[string]string)
	var known []string
	for _, l := range doc.Links.items {
		r.name(l.name, l.at, names)
		link := r.link(l.name, l.at, &l.value)
		link.Bandwidth, link.Runs = r.bandwidth(&l.value.Bandwidth, time.Local), l.value.Runs.value
		f.Links[l.name] = link
		known = append(known, l.name)
	}
	for _, h := range doc.Hosts.items {
		link := &h.value.Link
		if !link.given || link.value == "direct" {
			continue
		}
		if !slices.Contains(known, link.value) {
			a := r.problem(link.at, "no link %s in this file", quote(link.value))
			if near := Nearest(link.value, known); near != "" {
				a.suggest("did you mean `%s`?", near)
			} else {
				a.suggest("declare it under `links`, or write direct")
			}
			continue
		}
		if f.Hosts[h.name] != nil {
			f.Hosts[h.name].Link = link.value
		}
	}
	for _, h := range doc.Hosts.items {
		host, at := f.Hosts[h.name], f.Hosts[h.name]
		for range doc.Hosts.items { // a circle is reported already
			if at == nil || at.Jump == "" {
				break
			}
			if at = f.Hosts[at.Jump]; at == nil {
				break
			}
			if at.Link != "" && at.Link != host.Link {
				r.problem(h.value.Jump.at, "%s goes by the link %s, and this host by %s: one way has one link", quote(at.Name), quote(at.Link), quote(orDirect(host.Link))).
					suggest("give both the same `link`")
				break
			}
		}
	}
}

func orDirect(link string) string {
	if link == "" {
		return "direct"
	}
	return link
}

func (r *rules) link(name string, at spot, e *linkEntry) *Link {
	switch {
	case e.Route.given() && e.IPsec.given():
		r.problem(at, "`%s` has both `ipsec` and `route`", at.name).suggest("keep one: a tunnel of linehaul's own, or a VPN that is there already")
	case e.Route.given():
		return r.route(name, at, &e.Route)
	case !e.IPsec.given():
		r.problem(at, "`%s` has neither `ipsec` nor `route`", at.name).suggest("add `ipsec` for a tunnel of linehaul's own, or `route` for a VPN that is there already")
		return &Link{Name: name}
	}
	return r.ipsec(name, at, &e.IPsec)
}

// route makes the link of a VPN that is there.
func (r *rules) route(name string, at spot, s *routeEntry) *Link {
	l := &Link{Name: name, Networks: r.networks(&s.Networks), Route: &Route{Interface: s.Interface.value, Source: r.routeAddress(&s.Source), Via: r.routeAddress(&s.Via)}}
	if !s.Networks.given {
		r.problem(at, "`%s` has no `route: networks`", at.name).suggest("add `route: networks: [10.30.0.0/16]`")
	}
	if !s.Interface.given && !s.Source.given && !s.Via.given {
		r.problem(at, "`%s` has no `route: interface`, `source` or `via`", at.name).suggest("add `interface: wg0`: what shows that it is the VPN that the system sends by")
	}
	return l
}

func (r *rules) routeAddress(t *text) netip.Addr {
	if !t.given {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(t.value)
	if err != nil {
		r.problem(t.at, "%s is no address", quote(t.value)).suggest("write one such as 10.1.0.1")
	}
	return a.Unmap()
}

func (r *rules) ipsec(name string, at spot, s *ipsecEntry) *Link {
	l := &Link{Name: name, Gateway: s.Gateway.value, InitialContact: s.InitialContact.value, Childless: s.Childless.value, KeepUp: s.Keep.value}
	for _, k := range []struct {
		absent        bool
		name, example string
	}{
		{s.Gateway.absent(), "ipsec: gateway", "vpn.example.net"},
		{!s.Networks.given && s.Networks.at.line > 0, "ipsec: networks", "[10.20.0.0/16]"},
	} {
		if k.absent {
			r.problem(at, "`%s` has no `%s`", at.name, k.name).suggest("add `%s: %s`", k.name, k.example)
		}
	}
	if s.Local.ID.given {
		if id := r.identity(&s.Local.ID); id != nil {
			l.Local = *id
		}
	}
	if s.Remote.ID.given {
		l.Remote = r.identity(&s.Remote.ID)
	}
	l.MTU = s.MTU.value
	for _, t := range s.DNS.items {
		a, err := netip.ParseAddr(t.value)
		if err != nil {
			r.problem(t.at, "%s is no address", quote(t.value)).suggest("write that of a name server, such as 10.20.0.53")
			continue
		}
		l.DNS = append(l.DNS, a)
	}
	for _, t := range s.Domains.items {
		l.Domains = append(l.Domains, t.value)
	}
	for _, d := range []struct {
		to    *time.Duration
		of    *duration
		least time.Duration
	}{
		{&l.DPD, &s.DPD, time.Second}, {&l.DeadAfter, &s.DeadAfter, time.Second},
		{&l.IKELifetime, &s.IKELifetime, minLifetime}, {&l.ESPLifetime, &s.ESPLifetime, minLifetime},
	} {
		if *d.to = d.of.value; d.of.given && d.of.value < d.least {
			r.problem(d.of.at, "`%s` is under %s", d.of.at.name, d.least).suggest("leave it out for the default")
		}
	}
	r.proofs(l, at, s)
	l.Networks = r.networks(&s.Networks)
	if s.Address.given && s.Address.value != "auto" {
		a, err := netip.ParseAddr(s.Address.value)
		if err != nil {
			r.problem(s.Address.at, "%s is no address", quote(s.Address.value)).suggest("write one such as 192.168.7.9, or auto")
		}
		l.Address = a
	}
	l.IKE, l.ESP = r.proposals(suite.IKE, &s.IKE), r.proposals(suite.ESP, &s.ESP)
	return l
}

func (r *rules) networks(list *texts) (all []netip.Prefix) {
	for _, t := range list.items {
		p, err := netip.ParsePrefix(t.value)
		if err != nil {
			addr, addrErr := netip.ParseAddr(t.value)
			if addrErr != nil {
				r.problem(t.at, "%s is no network", quote(t.value)).suggest("write it as in 10.20.0.0/16")
				continue
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		if p != p.Masked() {
			r.problem(t.at, "%s has bits behind its prefix", quote(t.value)).suggest("write %s", p.Masked())
			continue
		}
		all = append(all, p)
	}
	return all
}

// minLifetime leaves time for the exchange that replaces keys.
const minLifetime = 5 * time.Second

func (r *rules) identity(t *text) *ikemsg.Identity {
	id, err := ikev2.ParseIdentity(t.value)
	if err != nil {
		r.problem(t.at, "`%s`: %v", t.at.name, err)
		return nil
	}
	return &id
}

func (r *rules) proposals(p suite.Protocol, t *texts) []suite.Proposal {
	var all []suite.Proposal
	for _, one := range t.items {
		proposal, err := suite.Parse(p, one.value)
		if err != nil {
			r.problem(one.at, "`%s`: %v", t.at.name, err)
			continue
		}
		for _, w := range proposal.Warnings() {
			r.warn(one.at, "%s", strings.TrimSpace(w))
		}
		all = append(all, proposal)
	}
	return all
}
