package tunneltest

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"linehaul/tunnel/esp"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// A child is a pair of ESP SAs.
type child struct {
	inSPI, outSPI uint32
	in            *esp.Inbound
	out           *esp.Outbound
	theirs, ours  []ikemsg.Selector // the client's side, and what lies behind us

	order    int
	under    *sa     // the IKE SA on which our request about it is under way
	rekey    *nonces // ours is under way
	replaced *nonces // the client has replaced it
	gone     bool    // we have said that it is deleted
	rekeyAt  time.Time
	until    time.Time // of one that is retired
}

// newChild makes the keys of a pair (RFC 7296 section 2.17). We are the
// initiator of the exchange, or the client is.
func (g *Gateway) newChild(now time.Time, s *sa, su suite.Suite, initiator bool, in uint32, out, shared, ni, nr, further []byte) (*child, bool) {
	e, a, _ := su.KeySizes()
	all := s.prf.Plus(s.d, slices.Concat(shared, ni, nr, further), 2*(e+a)) // RFC 9370 section 2.2.4
	fromInitiator, err := su.Protection(all[:e], all[e:e+a])
	if err != nil {
		g.fail(err)
		return nil, false
	}
	all = all[e+a:]
	fromResponder, err := su.Protection(all[:e], all[e:])
	if err != nil {
		g.fail(err)
		return nil, false
	}
	pin, pout := fromInitiator, fromResponder
	if initiator {
		pin, pout = pout, pin
	}
	c := &child{inSPI: in, outSPI: binary.BigEndian.Uint32(out), rekeyAt: after0(now, g.o.ChildLifetime), order: g.made}
	g.made++
	o := esp.Options{ESN: su.ESN, Created: now}
	c.in, c.out = esp.NewInbound(in, pin, o), esp.NewOutbound(c.outSPI, pout, o)
	return c, true
}

// enter takes a child into use to receive on, and to send on if there was none.
func (g *Gateway) enter(c *child) {
	g.children = append(g.children, c)
	if g.sending == nil {
		g.sending = c
	}
}

// drop takes a child out of use, but for what is still on its way.
func (g *Gateway) drop(now time.Time, c *child) {
	at := slices.Index(g.children, c)
	if at < 0 {
		return
	}
	g.stats.Deleted++
	g.children = slices.Delete(g.children, at, at+1)
	c.until = now.Add(late)
	g.retired = append(g.retired, c)
	if g.sending != c {
		return
	}
	g.sending = nil
	for _, o := range g.children {
		if !o.gone {
			g.sending = o // the newest
		}
	}
}

// byOut finds a child by what the client calls it.
func (g *Gateway) byOut(spi uint32) *child {
	for _, c := range g.children {
		if c.outSPI == spi {
			return c
		}
	}
	return nil
}

// Seal makes the ESP packet to the client of an IP packet, or returns nil while
// there is no child.
func (g *Gateway) Seal(packet []byte) []byte {
	if g.sending == nil {
		return nil
	}
	b, err := g.sending.out.Seal(nil, packet)
	if err != nil {
		return nil
	}
	return b
}

// Open takes an ESP packet from the client, and returns the IP packet inside.
// The error is an esp.Drop. The packet's bytes are used up.
func (g *Gateway) Open(now time.Time, packet []byte) ([]byte, error) {
	spi, ok := esp.SPI(packet)
	if !ok {
		return nil, esp.ErrMalformed
	}
	g.prune(now)
	for _, all := range [][]*child{g.children, g.retired} {
		for _, c := range all {
			if c.inSPI != spi {
				continue
			}
			inner, err := c.in.Open(packet)
			if err != nil {
				return nil, err
			}
			g.heard = now
			// The client has the keys of what it asked for (RFC 7296 section 2.8).
			if !c.gone && c.until.IsZero() && g.sending != nil && c.order > g.sending.order {
				g.sending = c
			}
			return inner, nil
		}
	}
	return nil, esp.ErrSPI
}

func (g *Gateway) prune(now time.Time) {
	g.retired = slices.DeleteFunc(g.retired, func(c *child) bool { return !now.Before(c.until) })
}

// HasSPI reports whether an ESP packet with the SPI is for this login.
func (g *Gateway) HasSPI(spi uint32) bool {
	is := func(c *child) bool { return c.inSPI == spi }
	return slices.ContainsFunc(g.children, is) || slices.ContainsFunc(g.retired, is)
}

// Children are the SPIs of the child SAs, ours and the client's, the oldest
// first.
func (g *Gateway) Children() [][2]uint32 {
	var all [][2]uint32
	for _, c := range g.children {
		all = append(all, [2]uint32{c.inSPI, c.outSPI})
	}
	return all
}

// Reaches reports whether packets to an address go to the client.
func (g *Gateway) Reaches(a netip.Addr) bool {
	return g.sending != nil && slices.ContainsFunc(g.sending.theirs, func(s ikemsg.Selector) bool { return s.Contains(a) })
}

// accepted is a child that both sides want, but for its keys.
type accepted struct {
	left []suite.Transform // the key exchanges that are to come
	make func(now time.Time, further []byte) (*child, bool)
}

// accept agrees on the child that the client asks for, and makes its part of the
// answer. A non-nil refusal is the answer instead. First says that it is part of
// IKE_AUTH.
func (g *Gateway) accept(s *sa, m *ikemsg.Message, offered *ikemsg.SA, ni, nr []byte, theirs []netip.Prefix, first bool) (answer []ikemsg.Payload, a accepted, refusal []ikemsg.Payload) {
	own := g.o.ESP
	if first {
		own = withoutExchange(own)
	}
	ke, haveKE := ikemsg.Get[*ikemsg.KE](m.Payloads)
	var group uint16
	if haveKE {
		group = ke.Group
	}
	picked, ok := choose(own, offered, 4, group)
	if !ok {
		return nil, a, notify(ikemsg.NoProposalChosen)
	}
	tsi, haveI := ikemsg.Get[*ikemsg.TSi](m.Payloads)
	tsr, haveR := ikemsg.Get[*ikemsg.TSr](m.Payloads)
	if !haveI || !haveR {
		return nil, a, notify(ikemsg.InvalidSyntax)
	}
	remote, local := narrow(tsi.Selectors, theirs), narrow(tsr.Selectors, g.o.Networks)
	if len(remote) == 0 || len(local) == 0 {
		return nil, a, notify(ikemsg.TSUnacceptable)
	}
	public, shared, refusal := g.exchange(picked, ke)
	if refusal != nil {
		return nil, a, refusal
	}
	spi, peer := g.espSPI(), slices.Clone(picked.spi)
	a.left = picked.suite.Additional
	inner, outer := local, remote // Narrow lies to the client only
	a.make = func(now time.Time, further []byte) (*child, bool) {
		c, ok := g.newChild(now, s, picked.suite, false, spi, peer, shared, ni, nr, further)
		if ok {
			c.ours, c.theirs = inner, outer
		}
		return c, ok
	}
	answer = []ikemsg.Payload{picked.payload(binary.BigEndian.AppendUint32(nil, spi))}
	if !first {
		answer = append(answer, &ikemsg.Nonce{Data: nr})
	}
	if public != nil {
		answer = append(answer, &ikemsg.KE{Group: group, Data: public})
	}
	if f := g.o.Faults.Narrow; f != nil {
		local, remote = f(local, remote)
	}
	return append(answer, &ikemsg.TSi{Selectors: remote}, &ikemsg.TSr{Selectors: local}), a, nil
}

// exchange answers the client's key exchange, if one was chosen.
func (g *Gateway) exchange(picked choice, ke *ikemsg.KE) (public, shared []byte, refusal []ikemsg.Payload) {
	want := picked.suite.KeyExchange
	if want == (suite.Transform{}) {
		return nil, nil, nil
	}
	if ke == nil || ke.Group != want.ID {
		return nil, nil, notify(ikemsg.InvalidKEPayload, binary.BigEndian.AppendUint16(nil, want.ID)...)
	}
	public, shared, err := suite.Respond(want, g.random, ke.Data)
	if err != nil {
		return nil, nil, notify(ikemsg.InvalidSyntax)
	}
	return public, shared, nil
}

func withoutExchange(all []suite.Proposal) []suite.Proposal {
	var out []suite.Proposal
	for _, p := range all {
		out = append(out, p.WithoutKeyExchange())
	}
	return out
}

// narrow is what of selectors lies in networks (RFC 7296 section 2.9).
func narrow(asked []ikemsg.Selector, networks []netip.Prefix) []ikemsg.Selector {
	var all []ikemsg.Selector
	for _, n := range networks {
		own := ikemsg.SelectorOf(n)
		for _, s := range asked {
			switch {
			case s.Covers(own):
				all = append(all, own)
			case own.Covers(s):
				all = append(all, s)
			}
		}
	}
	return all
}
