package tunneltest

import (
	"encoding/binary"
	"slices"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

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
		if wanted := otherGroup(answer, ke); wanted != 0 {
			old.rekey, old.under = nil, nil
			g.rekeyChild(now, s, old, wanted)
			return
		}
		if _, gone := ikemsg.FindNotify(answer.Payloads, ikemsg.ChildSANotFound); gone {
			old.rekey, old.under = nil, nil
			g.drop(now, old)
			return
		}
		nonce, haveNonce := ikemsg.Get[*ikemsg.Nonce](answer.Payloads)
		su, peer, ok := taken(answer.Payloads, g.o.ESP, 4)
		shared, haveShared := ke.shared(su, answer)
		if !ok || !haveNonce || !haveShared {
			old.rekey, old.under = nil, nil
			g.put(now, answer, &old.rekeyAt)
			return
		}
		ours.nr = nonce.Data
		g.followUp(now, s, su.Additional, nil, answer, func(now time.Time, further []byte, refusal *ikemsg.Message) {
			old.rekey, old.under = nil, nil
			if refusal != nil {
				g.put(now, refusal, &old.rekeyAt)
				return
			}
			if fresh, ok := g.newChild(now, s, su, true, spi, peer, shared, ni, ours.nr, further); ok {
				g.replaceChild(now, s, old, fresh, ours)
			}
		})
	})
}

// replaceChild takes the child of a rekey of ours into use, and deletes the one
// that goes.
func (g *Gateway) replaceChild(now time.Time, s *sa, old, fresh *child, ours *nonces) {
	fresh.ours, fresh.theirs = old.ours, old.theirs
	g.enter(fresh)
	g.stats.ChildRekeys++
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
		if wanted := otherGroup(answer, ke); wanted != 0 && s.theirs == nil {
			s.rekey = nil
			g.rekeyIKE(now, s, wanted)
			return
		}
		nonce, haveNonce := ikemsg.Get[*ikemsg.Nonce](answer.Payloads)
		su, peer, ok := taken(answer.Payloads, g.o.IKE, 8)
		shared, haveShared := ke.shared(su, answer)
		if !ok || !haveNonce || !haveShared {
			g.notReplaced(now, s, answer)
			return
		}
		ours.nr = nonce.Data
		g.followUp(now, s, su.Additional, nil, answer, func(now time.Time, further []byte, refusal *ikemsg.Message) {
			if refusal != nil {
				g.notReplaced(now, s, refusal)
				return
			}
			s.rekey = nil
			if fresh, ok := g.newSA(now, s, su, true, own, ikemsg.SPI(peer), shared, ni, ours.nr, further); ok {
				g.replaceIKE(now, s, fresh, ours)
			}
		})
	})
}

// notReplaced goes on with what the client has made in place of an IKE SA, if it
// has, and else tries again later.
func (g *Gateway) notReplaced(now time.Time, s *sa, answer *ikemsg.Message) {
	s.rekey = nil
	g.put(now, answer, &s.rekeyAt)
	if s.heir != nil {
		g.use(s.heir)
		g.outlive(now, s)
	}
}

// replaceIKE takes the IKE SA of a rekey of ours into use, and deletes the one
// that goes.
func (g *Gateway) replaceIKE(now time.Time, s, fresh *sa, ours *nonces) {
	g.stats.IKERekeys++
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
