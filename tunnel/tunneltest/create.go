package tunneltest

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// created answers CREATE_CHILD_SA (RFC 7296 section 1.3).
func (g *Gateway) created(now time.Time, s *sa, m *ikemsg.Message) (answer []ikemsg.Payload, after func()) {
	if g.o.Faults.Refuse != 0 {
		return notify(g.o.Faults.Refuse), nil
	}
	offered, haveSA := ikemsg.Get[*ikemsg.SA](m.Payloads)
	nonce, haveNonce := ikemsg.Get[*ikemsg.Nonce](m.Payloads)
	switch {
	case !haveSA || !haveNonce || len(offered.Proposals) == 0:
		return notify(ikemsg.InvalidSyntax), nil
	case s.leaving || s.theirs != nil || s != g.current():
		return g.notNow()
	case offered.Proposals[0].Protocol == ikemsg.ProtocolIKE:
		return g.createdIKE(now, s, m, offered, nonce.Data)
	case s.rekey != nil: // section 2.25.2
		return g.notNow()
	}
	ni, nr := bytes.Clone(nonce.Data), g.bytes(nonceSize)
	n, rekey := ikemsg.FindNotify(m.Payloads, ikemsg.RekeySA)
	if !rekey {
		return g.createdChild(now, s, m, offered, ni, nr, nil)
	}
	spi, _ := n.ChildSPI()
	old := g.byOut(spi)
	switch {
	case old == nil:
		return []ikemsg.Payload{&ikemsg.Notify{Protocol: ikemsg.ProtocolESP, SPI: n.SPI, Kind: ikemsg.ChildSANotFound}}, nil
	case old.gone: // section 2.25.1
		return g.notNow()
	}
	return g.createdChild(now, s, m, offered, ni, nr, old)
}

func (g *Gateway) notNow() ([]ikemsg.Payload, func()) {
	g.stats.PutOff++
	return notify(ikemsg.TemporaryFailure), nil
}

// createdChild makes another child for the client, in place of an old one or of
// none.
func (g *Gateway) createdChild(now time.Time, s *sa, m *ikemsg.Message, offered *ikemsg.SA, ni, nr []byte, old *child) ([]ikemsg.Payload, func()) {
	theirs := g.inside()
	answer, agreed, refusal := g.accept(s, m, offered, ni, nr, theirs, false)
	if refusal != nil {
		return refusal, nil
	}
	return g.later(now, s, agreed.left, answer, func(now time.Time, further []byte) (func(), bool) {
		if old != nil && (!slices.Contains(g.children, old) || old.gone || old.replaced != nil) {
			return nil, false
		}
		c, ok := agreed.make(now, further)
		return func() {
			g.enter(c)
			switch {
			case old != nil:
				old.replaced = &nonces{ni, nr}
				g.stats.ChildRekeys++
				if old.rekey != nil {
					g.stats.Collisions++
				}
			case g.o.Faults.DeleteAtOnce:
				g.deleteChild(now, s, c)
			}
		}, ok
	})
}

// inside is where the client may be.
func (g *Gateway) inside() []netip.Prefix {
	if len(g.o.Addresses) == 0 {
		return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	var all []netip.Prefix
	for _, a := range g.o.Addresses {
		all = append(all, netip.PrefixFrom(a, a.BitLen()))
	}
	return all
}

// createdIKE makes another IKE SA in place of one (section 1.3.2).
func (g *Gateway) createdIKE(now time.Time, s *sa, m *ikemsg.Message, offered *ikemsg.SA, nonce []byte) ([]ikemsg.Payload, func()) {
	if slices.ContainsFunc(g.children, func(c *child) bool { return c.rekey != nil || c.gone }) { // section 2.25.2
		return g.notNow()
	}
	ke, haveKE := ikemsg.Get[*ikemsg.KE](m.Payloads)
	if !haveKE {
		return notify(ikemsg.InvalidSyntax), nil
	}
	picked, ok := choose(g.o.IKE, offered, 8, ke.Group)
	if !ok {
		return notify(ikemsg.NoProposalChosen), nil
	}
	public, shared, refusal := g.exchange(picked, ke)
	if refusal != nil {
		return refusal, nil
	}
	ni, nr, own, peer := bytes.Clone(nonce), g.bytes(nonceSize), g.ikeSPI(), ikemsg.SPI(picked.spi)
	answer := []ikemsg.Payload{picked.payload(own[:]), &ikemsg.Nonce{Data: nr}, &ikemsg.KE{Group: ke.Group, Data: public}}
	return g.later(now, s, picked.suite.Additional, answer, func(now time.Time, further []byte) (func(), bool) {
		if s.leaving || s != g.current() {
			return nil, false
		}
		fresh, ok := g.newSA(now, s, picked.suite, false, own, peer, shared, ni, nr, further)
		return func() {
			s.theirs = &nonces{ni, nr}
			g.stats.IKERekeys++
			if s.rekey != nil { // who wins shows when ours is answered
				g.stats.Collisions++
				s.heir = fresh
				g.sas = append(g.sas, fresh)
				return
			}
			g.use(fresh)
			g.outlive(now, s)
		}, ok
	})
}

// outlive gives an IKE SA its end that was replaced, and which the client is to
// delete.
func (g *Gateway) outlive(now time.Time, s *sa) { s.until = now.Add(g.o.Patience) }

// newSA makes an IKE SA of another's keys (section 2.18).
func (g *Gateway) newSA(now time.Time, old *sa, su suite.Suite, initiator bool, own, peer ikemsg.SPI, shared, ni, nr, further []byte) (*sa, bool) {
	fresh := &sa{initiator: initiator, own: own, peer: peer, suite: su, proved: true, fragments: old.fragments, rekeyAt: after0(now, g.o.IKELifetime)}
	var err error
	if fresh.prf, err = suite.NewPRF(su.PRF); err == nil {
		_, _, err = fresh.derive(old.prf.Sum(old.d, shared, ni, nr, further), ni, nr)
	}
	g.fail(err)
	return fresh, err == nil
}
