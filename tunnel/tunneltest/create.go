package tunneltest

import (
	"bytes"
	"encoding/binary"
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
	answer, c, refusal := g.accept(now, s, m, offered, ni, nr, theirs, false)
	if refusal != nil {
		return refusal, nil
	}
	return answer, func() {
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
	}
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
	ni, nr := bytes.Clone(nonce), g.bytes(nonceSize)
	fresh, ok := g.newSA(now, s, picked.suite, false, g.ikeSPI(), ikemsg.SPI(picked.spi), shared, ni, nr)
	if !ok {
		return notify(ikemsg.NoProposalChosen), nil
	}
	answer := []ikemsg.Payload{picked.payload(fresh.own[:]), &ikemsg.Nonce{Data: nr}, &ikemsg.KE{Group: ke.Group, Data: public}}
	return answer, func() {
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
	}
}

// outlive gives an IKE SA its end that was replaced, and which the client is to
// delete.
func (g *Gateway) outlive(now time.Time, s *sa) { s.until = now.Add(g.o.Patience) }

// newSA makes an IKE SA of another's keys (section 2.18).
func (g *Gateway) newSA(now time.Time, old *sa, su suite.Suite, initiator bool, own, peer ikemsg.SPI, shared, ni, nr []byte) (*sa, bool) {
	fresh := &sa{initiator: initiator, own: own, peer: peer, suite: su, proved: true, fragments: old.fragments, rekeyAt: after0(now, g.o.IKELifetime)}
	var err error
	if fresh.prf, err = suite.NewPRF(su.PRF); err == nil {
		_, _, err = fresh.derive(old.prf.Sum(old.d, shared, ni, nr), ni, nr)
	}
	g.fail(err)
	return fresh, err == nil
}

// RekeyChild replaces the child SA in use, and returns what is sent: nothing if
// it is not the time for it.
func (g *Gateway) RekeyChild(now time.Time) [][]byte {
	if s := g.idle(); s != nil && g.sending != nil {
		g.rekeyChild(now, s, g.sending, 0)
	}
	return g.take()
}

// idle is the IKE SA in use, if something can be begun on it.
func (g *Gateway) idle() *sa {
	s := g.current()
	if s == nil || !s.proved || s.asked != nil || s.leaving || s.rekey != nil || s.theirs != nil {
		return nil
	}
	return s
}

func (g *Gateway) rekeyChild(now time.Time, s *sa, old *child, group uint16) {
	if old.gone || old.rekey != nil || old.replaced != nil {
		return
	}
	spi, ni := g.espSPI(), g.bytes(nonceSize)
	ke := g.begin(g.o.ESP, group)
	payloads := []ikemsg.Payload{
		&ikemsg.Notify{Protocol: ikemsg.ProtocolESP, SPI: binary.BigEndian.AppendUint32(nil, old.inSPI), Kind: ikemsg.RekeySA},
		payload(g.o.ESP, binary.BigEndian.AppendUint32(nil, spi)), &ikemsg.Nonce{Data: ni},
	}
	payloads = append(payloads, ke.payload()...)
	payloads = append(payloads, &ikemsg.TSi{Selectors: old.ours}, &ikemsg.TSr{Selectors: old.theirs})
	old.rekey, old.under = &nonces{ni: ni}, s
	g.ask(now, s, ikemsg.CreateChildSA, payloads, func(now time.Time, answer *ikemsg.Message) {
		ours := old.rekey
		old.rekey, old.under = nil, nil
		if wanted := otherGroup(answer, ke); wanted != 0 {
			g.rekeyChild(now, s, old, wanted)
			return
		}
		if _, gone := ikemsg.FindNotify(answer.Payloads, ikemsg.ChildSANotFound); gone {
			g.drop(now, old)
			return
		}
		nonce, haveNonce := ikemsg.Get[*ikemsg.Nonce](answer.Payloads)
		su, peer, ok := taken(answer.Payloads, g.o.ESP, 4)
		shared, haveShared := ke.shared(su, answer)
		if !ok || !haveNonce || !haveShared {
			g.put(now, answer, &old.rekeyAt)
			return
		}
		fresh, ok := g.newChild(now, s, su, true, spi, peer, shared, ni, nonce.Data)
		if !ok {
			return
		}
		fresh.ours, fresh.theirs = old.ours, old.theirs
		g.enter(fresh)
		g.stats.ChildRekeys++
		ours.nr = nonce.Data
		if old.replaced != nil && ours.loses(old.replaced) {
			g.deleteChild(now, s, fresh)
			return
		}
		if old.replaced != nil {
			g.stats.Won++
		}
		g.sending = fresh
		if slices.Contains(g.children, old) && !g.o.Faults.KeepOld {
			g.deleteChild(now, s, old)
		}
	})
}

// put tries again later, if the client has put us off.
func (g *Gateway) put(now time.Time, answer *ikemsg.Message, at *time.Time) {
	if _, later := ikemsg.FindNotify(answer.Payloads, ikemsg.TemporaryFailure); later {
		g.stats.PutOff++
	}
	if !at.IsZero() {
		*at = now.Add(putOff)
	}
}

// DeleteChild deletes the child SA in use.
func (g *Gateway) DeleteChild(now time.Time) [][]byte {
	if s := g.idle(); s != nil && g.sending != nil {
		g.deleteChild(now, s, g.sending)
	}
	return g.take()
}

func (g *Gateway) deleteChild(now time.Time, s *sa, c *child) {
	payloads := []ikemsg.Payload{&ikemsg.Delete{Protocol: ikemsg.ProtocolESP, SPIs: []uint32{c.inSPI}}}
	if g.ask(now, s, ikemsg.Informational, payloads, func(now time.Time, _ *ikemsg.Message) { g.drop(now, c) }) {
		c.gone = true
	}
}

// RekeyIKE replaces the IKE SA.
func (g *Gateway) RekeyIKE(now time.Time) [][]byte {
	if s := g.idle(); s != nil {
		g.rekeyIKE(now, s, s.suite.KeyExchange.ID)
	}
	return g.take()
}

func (g *Gateway) rekeyIKE(now time.Time, s *sa, group uint16) {
	if slices.ContainsFunc(g.children, func(c *child) bool { return c.rekey != nil || c.gone }) {
		return
	}
	own, ni := g.ikeSPI(), g.bytes(nonceSize)
	ke := g.begin(g.o.IKE, group)
	payloads := append([]ikemsg.Payload{payload(g.o.IKE, own[:]), &ikemsg.Nonce{Data: ni}}, ke.payload()...)
	s.rekey = &nonces{ni: ni}
	g.ask(now, s, ikemsg.CreateChildSA, payloads, func(now time.Time, answer *ikemsg.Message) {
		ours := s.rekey
		s.rekey = nil
		if wanted := otherGroup(answer, ke); wanted != 0 && s.theirs == nil {
			g.rekeyIKE(now, s, wanted)
			return
		}
		nonce, haveNonce := ikemsg.Get[*ikemsg.Nonce](answer.Payloads)
		su, peer, ok := taken(answer.Payloads, g.o.IKE, 8)
		shared, haveShared := ke.shared(su, answer)
		if !ok || !haveNonce || !haveShared {
			g.put(now, answer, &s.rekeyAt)
			if s.heir != nil {
				g.use(s.heir)
				g.outlive(now, s)
			}
			return
		}
		fresh, ok := g.newSA(now, s, su, true, own, ikemsg.SPI(peer), shared, ni, nonce.Data)
		if !ok {
			return
		}
		g.stats.IKERekeys++
		ours.nr = nonce.Data
		if s.theirs != nil && ours.loses(s.theirs) {
			g.sas = append(g.sas, fresh)
			g.use(s.heir)
			g.outlive(now, s)
			g.deleteIKE(now, fresh)
			return
		}
		if s.heir != nil { // the client deletes it
			g.stats.Won++
			g.outlive(now, s.heir)
			s.heir = nil
		}
		g.use(fresh)
		if g.o.Faults.KeepOld {
			g.outlive(now, s)
			return
		}
		g.deleteIKE(now, s)
	})
}

// DeleteIKE ends the login.
func (g *Gateway) DeleteIKE(now time.Time) [][]byte {
	if s := g.idle(); s != nil {
		g.deleteIKE(now, s)
	}
	return g.take()
}

func (g *Gateway) deleteIKE(now time.Time, s *sa) {
	if g.ask(now, s, ikemsg.Informational, []ikemsg.Payload{&ikemsg.Delete{Protocol: ikemsg.ProtocolIKE}}, func(time.Time, *ikemsg.Message) { g.remove(s) }) {
		s.leaving = true
	}
}

// Probe asks whether the client is there.
func (g *Gateway) Probe(now time.Time) [][]byte {
	if s := g.idle(); s != nil {
		g.probe(now, s)
	}
	return g.take()
}

func (g *Gateway) probe(now time.Time, s *sa) {
	g.ask(now, s, ikemsg.Informational, nil, func(time.Time, *ikemsg.Message) {})
}

// keyExchange is one of ours; nil where there is none.
type keyExchange struct {
	group suite.Transform
	ke    suite.KeyExchange
}

// begin begins the key exchange of proposals: the one asked for, or the first.
func (g *Gateway) begin(of []suite.Proposal, group uint16) *keyExchange {
	for _, p := range of {
		for _, t := range p.Of(suite.TypeKeyExchange) {
			if t.ID != suite.KENone && (group == 0 || t.ID == group) {
				ke, err := suite.NewKeyExchange(t, g.random)
				g.fail(err)
				return &keyExchange{t, ke}
			}
		}
	}
	return nil
}

func (x *keyExchange) payload() []ikemsg.Payload {
	if x == nil {
		return nil
	}
	return []ikemsg.Payload{&ikemsg.KE{Group: x.group.ID, Data: x.ke.Public()}}
}

// shared is the secret of the exchange that was chosen, if one was.
func (x *keyExchange) shared(su suite.Suite, answer *ikemsg.Message) ([]byte, bool) {
	if su.KeyExchange == (suite.Transform{}) {
		return nil, true
	}
	ke, ok := ikemsg.Get[*ikemsg.KE](answer.Payloads)
	if x == nil || !ok || ke.Group != x.group.ID || su.KeyExchange != x.group {
		return nil, false
	}
	shared, err := x.ke.Shared(ke.Data)
	return shared, err == nil
}

// otherGroup is the one that an answer wants in place of ours, 0 if it does not
// say.
func otherGroup(answer *ikemsg.Message, x *keyExchange) uint16 {
	n, ok := ikemsg.FindNotify(answer.Payloads, ikemsg.InvalidKEPayload)
	if !ok {
		return 0
	}
	id, _ := n.Group()
	if x != nil && x.group.ID == id {
		return 0
	}
	return id
}
