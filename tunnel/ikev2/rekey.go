package ikev2

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

const (
	// retryRekey is after which time a rekey is tried again that the gateway has
	// put off (RFC 7296 section 2.25).
	retryRekey = 3 * time.Second
	// maxRenewals is how often a gateway may delete all that there is before we
	// give up, and forgetRenewals after which time it may do so anew.
	maxRenewals    = 5
	forgetRenewals = time.Minute
)

// A replacement puts something new in the place of something old, by the
// exchange with these nonces.
type replacement struct {
	ni, nr []byte
	child  *Child       // that the gateway made, if it is one
	sa     *association // likewise
}

// loses reports whether ours is the one of two at the same time that goes: the
// one whose exchange has the lowest nonce of the four (RFC 7296 section 2.8.1).
func (ours *replacement) loses(theirs *replacement) bool {
	return bytes.Compare(lower(ours.ni, ours.nr), lower(theirs.ni, theirs.nr)) < 0
}

func lower(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return a
	}
	return b
}

// exchange is a key exchange of ours inside of CREATE_CHILD_SA.
type exchange struct {
	group suite.Transform
	ke    suite.KeyExchange
}

// newExchange begins one if the proposals have any: with the group, or with the
// first one.
func (m *Machine) newExchange(of []suite.Proposal, group uint16) (*exchange, error) {
	for _, p := range of {
		for _, t := range p.Of(suite.TypeKeyExchange) {
			if t.ID == suite.KENone || group != 0 && t.ID != group {
				continue
			}
			ke, err := suite.NewKeyExchange(t, m.random)
			return &exchange{t, ke}, err
		}
	}
	return nil, nil
}

// payload is the KE payload, if there is an exchange.
func (x *exchange) payload() []ikemsg.Payload {
	if x == nil {
		return nil
	}
	return []ikemsg.Payload{&ikemsg.KE{Group: x.group.ID, Data: x.ke.Public()}}
}

// shared is the secret, where the suite that was chosen has an exchange.
func (x *exchange) shared(s suite.Suite, answer []ikemsg.Payload) ([]byte, error) {
	if s.KeyExchange == (suite.Transform{}) {
		return nil, nil
	}
	ke, ok := ikemsg.Get[*ikemsg.KE](answer)
	if x == nil || !ok || ke.Group != s.KeyExchange.ID || x.group.ID != ke.Group {
		return nil, fault.New(fault.IKE, "the gateway chose %s without a key that fits", s.KeyExchange)
	}
	return x.ke.Shared(ke.Data)
}

// rekeyChild replaces a child, or makes one where there is none (old is nil).
func (m *Machine) rekeyChild(now time.Time, sa *association, old *Child, group uint16) error {
	switch {
	case old == nil && m.newest() != nil, old != nil && (m.children[old.InSPI] != old || !old.stays()):
		return nil // there is one in the meantime
	case sa.request != nil:
		sa.waiting = append(sa.waiting, &request{turn: func(now time.Time, sa *association) error { return m.rekeyChild(now, sa, old, group) }})
		return nil
	}
	spi, err := m.espSPI()
	if err != nil {
		return err
	}
	nonce, err := m.bytes(nonceSize)
	if err != nil {
		return err
	}
	x, err := m.newExchange(m.config.ESP, group)
	if err != nil {
		return err
	}
	var payloads []ikemsg.Payload
	local, remote := m.local(m.addresses), selectors(m.config.Networks)
	if old != nil {
		payloads = append(payloads, &ikemsg.Notify{Protocol: ikemsg.ProtocolESP, SPI: binary.BigEndian.AppendUint32(nil, old.InSPI), Kind: ikemsg.RekeySA})
		old.rekey = &replacement{ni: nonce}
		local, remote = old.Local, old.Remote
	}
	payloads = append(payloads, m.offerChild(spi, true), &ikemsg.Nonce{Data: nonce})
	payloads = append(payloads, x.payload()...)
	payloads = append(payloads, &ikemsg.TSi{Selectors: local}, &ikemsg.TSr{Selectors: remote})
	orphaned := func(now time.Time) error {
		if old != nil {
			old.rekey = nil
		}
		return m.renew(now, m.sas[0])
	}
	return m.ask(now, sa, &request{exchange: ikemsg.CreateChildSA, payloads: payloads, orphaned: orphaned, done: func(now time.Time, answer *ikemsg.Message) error {
		err := m.rekeyedChild(now, sa, old, x, childTerms{spi: spi, initiator: true, ni: nonce}, orphaned, answer)
		if err != nil && old == nil { // the IKE SA is of no use, and the gateway must not keep it
			m.tell(sa, &ikemsg.Delete{Protocol: ikemsg.ProtocolIKE})
		}
		return err
	}})
}

// rekeyedChild takes the answer to CREATE_CHILD_SA.
func (m *Machine) rekeyedChild(now time.Time, sa *association, old *Child, x *exchange, t childTerms, orphaned func(time.Time) error, answer *ikemsg.Message) error {
	if old != nil {
		old.rekey = nil
	}
	if n, ok := ikemsg.FindNotify(answer.Payloads, ikemsg.InvalidKEPayload); ok {
		if id, ok := n.Group(); ok && (x == nil || id != x.group.ID) && m.has(id) {
			return m.rekeyChild(now, sa, old, id)
		}
	}
	if err := m.refused(answer.Payloads); err != nil {
		return m.notReplaced(now, sa, old, answer, err)
	}
	nonce, ok := ikemsg.Get[*ikemsg.Nonce](answer.Payloads)
	if !ok {
		return fault.New(fault.IKE, "the gateway's answer to CREATE_CHILD_SA has no nonce")
	}
	s, _, err := chosen(answer.Payloads, m.config.ESP, 4)
	if err != nil {
		return err
	}
	if t.shared, err = x.shared(s, answer.Payloads); err != nil {
		return err
	}
	t.answer, t.offered, t.nr = answer.Payloads, m.config.ESP, slices.Clone(nonce.Data)
	if old != nil && len(s.Additional) > 0 {
		old.rekey = &replacement{ni: t.ni}
	}
	return m.followUp(now, sa, followUp{left: s.Additional, orphaned: orphaned, done: func(now time.Time, further []byte, answer *ikemsg.Message, refusal error) error {
		if old != nil {
			old.rekey = nil
		}
		if refusal != nil {
			return m.notReplaced(now, sa, old, answer, refusal)
		}
		t.further = further
		return m.replaceChild(now, sa, old, t)
	}}, answer)
}

// replaceChild makes the child that was agreed on, and deletes the old one.
func (m *Machine) replaceChild(now time.Time, sa *association, old *Child, t childTerms) error {
	child, err := m.newChild(now, sa, t)
	if err != nil {
		return err
	}
	ours := &replacement{ni: t.ni, nr: t.nr}
	if old != nil && old.theirs != nil && ours.loses(old.theirs) {
		m.note(Debug, "the gateway was first to replace ESP", "spi", child.InSPI)
		return m.deleteChild(now, sa, child)
	}
	m.begins(child)
	if old == nil || old.gone {
		return nil
	}
	if old.theirs != nil {
		old.theirs.child.lost, old.theirs.child.useAt = true, time.Time{}
	}
	return m.deleteChild(now, sa, old)
}

// has reports whether a key exchange is among our ESP proposals.
func (m *Machine) has(id uint16) bool {
	return slices.ContainsFunc(m.config.ESP, func(p suite.Proposal) bool {
		return slices.ContainsFunc(p.Of(suite.TypeKeyExchange), func(t suite.Transform) bool { return t.ID == id })
	})
}

// notReplaced goes on with what there is when the gateway has refused.
func (m *Machine) notReplaced(now time.Time, sa *association, old *Child, answer *ikemsg.Message, err error) error {
	if old == nil {
		if _, later := ikemsg.FindNotify(answer.Payloads, ikemsg.TemporaryFailure); !later {
			return err
		}
		m.remakeAt = now.Add(retryRekey)
		return nil
	}
	if _, gone := ikemsg.FindNotify(answer.Payloads, ikemsg.ChildSANotFound); gone {
		m.drop(now, old)
		return m.renew(now, sa)
	}
	m.note(Warn, "the gateway does not replace ESP now", "reason", err)
	old.rekeyAt = now.Add(retryRekey)
	return nil
}

// deleteChild tells the gateway that a child is gone, and takes it out of use
// when it has answered.
func (m *Machine) deleteChild(now time.Time, sa *association, child *Child) error {
	child.gone = true
	payloads := []ikemsg.Payload{&ikemsg.Delete{Protocol: ikemsg.ProtocolESP, SPIs: []uint32{child.InSPI}}}
	gone := func(now time.Time) error {
		m.drop(now, child)
		return nil
	}
	return m.ask(now, sa, &request{
		exchange: ikemsg.Informational, payloads: payloads,
		done: func(now time.Time, _ *ikemsg.Message) error { return gone(now) }, orphaned: gone,
	})
}

// renew makes a child where the last one is gone.
func (m *Machine) renew(now time.Time, sa *association) error {
	if m.newest() != nil {
		return nil
	}
	if now.Sub(m.renewed) > forgetRenewals {
		m.renewals = 0
	}
	m.renewed, m.remakeAt = now, time.Time{}
	if m.renewals++; m.renewals > maxRenewals {
		return fault.New(fault.ESP, "the gateway has deleted ESP %d times, or put it off", m.renewals)
	}
	return m.rekeyChild(now, sa, nil, 0)
}

// rekeyIKE replaces the IKE SA (RFC 7296 section 1.3.2).
func (m *Machine) rekeyIKE(now time.Time, sa *association, group uint16) error {
	spi, err := m.ikeSPI()
	if err != nil {
		return err
	}
	nonce, err := m.bytes(nonceSize)
	if err != nil {
		return err
	}
	if group == 0 {
		group = sa.suite.KeyExchange.ID
	}
	x, err := m.newExchange(m.config.IKE, group)
	if err != nil {
		return err
	}
	if x == nil {
		return fault.New(fault.IKE, "the gateway wants key exchange %d, which was not offered", group)
	}
	sa.rekey = &replacement{ni: nonce}
	payloads := append([]ikemsg.Payload{offer(m.config.IKE, spi[:]), &ikemsg.Nonce{Data: nonce}}, x.payload()...)
	return m.ask(now, sa, &request{exchange: ikemsg.CreateChildSA, payloads: payloads, done: func(now time.Time, answer *ikemsg.Message) error {
		return m.rekeyedIKE(now, sa, x, spi, nonce, answer)
	}})
}

func (m *Machine) rekeyedIKE(now time.Time, old *association, x *exchange, spi ikemsg.SPI, ni []byte, answer *ikemsg.Message) error {
	ours := old.rekey
	old.rekey = nil
	if n, ok := ikemsg.FindNotify(answer.Payloads, ikemsg.InvalidKEPayload); ok {
		if id, ok := n.Group(); ok && id != x.group.ID {
			return m.rekeyIKE(now, old, id)
		}
	}
	if err := m.refused(answer.Payloads); err != nil {
		m.note(Warn, "the gateway does not replace the IKE SA now", "reason", err)
		old.rekeyAt = now.Add(retryRekey)
		return nil
	}
	s, peer, err := chosen(answer.Payloads, m.config.IKE, 8)
	if err != nil {
		return err
	}
	nonce, ok := ikemsg.Get[*ikemsg.Nonce](answer.Payloads)
	if !ok {
		return fault.New(fault.IKE, "the gateway's answer to CREATE_CHILD_SA has no nonce")
	}
	shared, err := x.shared(s, answer.Payloads)
	if err != nil {
		return err
	}
	fresh := &association{initiator: true, own: spi, peer: ikemsg.SPI(peer), suite: s, fragments: old.fragments}
	nr := slices.Clone(nonce.Data)
	if len(s.Additional) > 0 {
		old.rekey = ours
	}
	return m.followUp(now, old, followUp{left: s.Additional, done: func(now time.Time, further []byte, _ *ikemsg.Message, refusal error) error {
		old.rekey = nil
		if refusal != nil {
			m.note(Warn, "the gateway does not replace the IKE SA now", "reason", refusal)
			old.rekeyAt = now.Add(retryRekey)
			return nil
		}
		seed := old.prf.Sum(old.d, shared, ni, nr, further)
		if fresh.keys, err = derive(s, true, seed, ni, nr, spi, fresh.peer); err != nil {
			return err
		}
		return m.replaceIKE(now, old, fresh, &replacement{ni: ni, nr: nr})
	}}, answer)
}

// replaceIKE goes on with the IKE SA that was agreed on, and deletes the old one.
func (m *Machine) replaceIKE(now time.Time, old, fresh *association, ours *replacement) error {
	m.schedule(now, fresh)
	if old.theirs != nil && ours.loses(old.theirs) {
		m.sas = append(m.sas, fresh) // until it is deleted
		m.outlive(now, old)
		if err := m.inherit(now, old, m.sas[0]); err != nil {
			return err
		}
		return m.deleteIKE(now, fresh)
	}
	if old.theirs != nil {
		m.outlive(now, old.theirs.sa)
	}
	m.note(Info, "the IKE SA is replaced", "suite", fresh.suite.String())
	m.sas = append([]*association{fresh}, m.sas...)
	if err := m.inherit(now, old, fresh); err != nil {
		return err
	}
	return m.deleteIKE(now, old)
}

// inherit gives what waits for a turn to the new IKE SA.
func (m *Machine) inherit(now time.Time, old, fresh *association) error {
	if old == fresh {
		return nil
	}
	fresh.waiting = append(fresh.waiting, old.waiting...)
	old.waiting = nil
	return m.askNext(now, fresh)
}

// outlive gives an IKE SA its end that was replaced, should the gateway not
// delete it: it may not even know that there is one, if it deleted the one before
// it in the meantime.
func (m *Machine) outlive(now time.Time, sa *association) { sa.until = now.Add(m.config.Patience) }

// deleteIKE tells the gateway that an IKE SA is gone, which was replaced.
func (m *Machine) deleteIKE(now time.Time, sa *association) error {
	sa.leaving = true
	gone := func() error {
		m.sas = slices.DeleteFunc(m.sas, func(a *association) bool { return a == sa })
		if len(m.sas) == 0 {
			return fault.New(fault.IKE, "the gateway has ended the tunnel")
		}
		return m.askNext(now, m.sas[0])
	}
	return m.ask(now, sa, &request{
		exchange: ikemsg.Informational, payloads: []ikemsg.Payload{&ikemsg.Delete{Protocol: ikemsg.ProtocolIKE}},
		done: func(time.Time, *ikemsg.Message) error { return gone() }, lost: gone,
	})
}
