package ikev2

import (
	"encoding/binary"
	"slices"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// answerTo answers a request of the gateway's.
func (m *Machine) answerTo(now time.Time, sa *association, msg *ikemsg.Message) error {
	switch {
	case m.state != up:
		return m.reply(sa, msg.Header, nil)
	case msg.Exchange == ikemsg.Informational:
		return m.informed(now, sa, msg)
	case msg.Exchange == ikemsg.CreateChildSA || msg.Exchange == ikemsg.IKEFollowupKE:
		answer := m.created
		if msg.Exchange == ikemsg.IKEFollowupKE {
			answer = m.followedUp
		}
		payloads, after := answer(now, sa, msg)
		if err := m.reply(sa, msg.Header, payloads); err != nil || after == nil {
			return err
		}
		return after()
	}
	return m.reply(sa, msg.Header, notify(ikemsg.InvalidSyntax))
}

// informed answers INFORMATIONAL: a question whether we are there, or a
// deletion (RFC 7296 section 1.4).
func (m *Machine) informed(now time.Time, sa *association, msg *ikemsg.Message) error {
	var payloads []ikemsg.Payload
	var gone []*Child
	endIKE := false
	for _, d := range ikemsg.All[*ikemsg.Delete](msg.Payloads) {
		if d.Protocol == ikemsg.ProtocolIKE {
			endIKE = true
		}
		for _, spi := range d.SPIs {
			if c := m.byOut(spi); c != nil && d.Protocol == ikemsg.ProtocolESP && !slices.Contains(gone, c) {
				gone = append(gone, c)
			}
		}
	}
	if n, ok := ikemsg.FindNotify(msg.Payloads, ikemsg.Cookie2); ok {
		payloads = append(payloads, &ikemsg.Notify{Kind: ikemsg.Cookie2, Data: slices.Clone(n.Data)}) // RFC 4555 section 3.7
	}
	if !endIKE && len(gone) > 0 {
		answer := &ikemsg.Delete{Protocol: ikemsg.ProtocolESP}
		for _, c := range gone {
			if !c.gone { // else both sides delete it, and each has said so (section 1.4.1)
				answer.SPIs = append(answer.SPIs, c.InSPI)
			}
		}
		if len(answer.SPIs) > 0 {
			payloads = append(payloads, answer)
		}
	}
	if err := m.reply(sa, msg.Header, payloads); err != nil {
		return err
	}
	if endIKE {
		return m.deletedIKE(now, sa)
	}
	for _, c := range gone {
		m.drop(now, c)
	}
	if len(gone) > 0 {
		return m.renew(now, m.sas[0])
	}
	return nil
}

// deletedIKE takes an IKE SA out of use that the gateway has deleted.
func (m *Machine) deletedIKE(now time.Time, sa *association) error {
	m.sas = slices.DeleteFunc(m.sas, func(a *association) bool { return a == sa })
	if len(m.sas) == 0 {
		return fault.New(fault.IKE, "the gateway has ended the tunnel").
			WithHint("its log says why; the next attempt begins a new one")
	}
	// Our answer may be lost, and is asked for again then.
	sa.until = now.Add(m.config.Patience)
	if m.past = append(m.past, sa); len(m.past) > maxPast {
		m.past = m.past[1:]
	}
	r := sa.request
	sa.request, sa.rekey = nil, nil
	if r != nil && r.update {
		sa.waiting = append([]*request{r}, sa.waiting...)
	}
	if err := m.inherit(now, sa, m.sas[0]); err != nil || r == nil || r.orphaned == nil {
		return err
	}
	return r.orphaned(now)
}

const (
	// maxPast is how many IKE SAs are remembered that were deleted.
	maxPast = 2
	// maxSAs is how many IKE SAs a gateway may have us hold, and maxChildren how
	// many children. Of each there is one, and two or three while they are
	// replaced.
	maxSAs, maxChildren = 4, 8
)

// notify is an answer of one notification.
func notify(kind ikemsg.NotifyType, data ...byte) []ikemsg.Payload {
	return []ikemsg.Payload{&ikemsg.Notify{Kind: kind, Data: data}}
}

// created answers CREATE_CHILD_SA. After is what comes behind the answer.
func (m *Machine) created(now time.Time, sa *association, msg *ikemsg.Message) (answer []ikemsg.Payload, after func() error) {
	offered, ok := ikemsg.Get[*ikemsg.SA](msg.Payloads)
	nonce, haveNonce := ikemsg.Get[*ikemsg.Nonce](msg.Payloads)
	switch {
	case !ok || !haveNonce || len(offered.Proposals) == 0:
		return notify(ikemsg.InvalidSyntax), nil
	case sa.leaving || sa != m.sas[0]:
		return notify(ikemsg.TemporaryFailure), nil
	case offered.Proposals[0].Protocol == ikemsg.ProtocolIKE:
		return m.createdIKE(now, sa, msg, offered, nonce.Data)
	}
	n, rekey := ikemsg.FindNotify(msg.Payloads, ikemsg.RekeySA)
	if !rekey {
		return notify(ikemsg.NoAdditionalSAs), nil // what is carried is ours to ask for
	}
	spi, ok := n.ChildSPI()
	old := m.byOut(spi)
	switch {
	case !ok || old == nil:
		return []ikemsg.Payload{&ikemsg.Notify{Protocol: ikemsg.ProtocolESP, SPI: n.SPI, Kind: ikemsg.ChildSANotFound}}, nil
	case old.gone || sa.rekey != nil || old.theirs != nil:
		return notify(ikemsg.TemporaryFailure), nil // RFC 7296 section 2.25
	case len(m.children) >= maxChildren:
		return notify(ikemsg.NoAdditionalSAs), nil
	}
	return m.createdChild(now, sa, msg, offered, nonce.Data, old)
}

// agreeOn chooses of what the gateway offers by our proposals, and answers its
// key exchange. A non-nil refusal is the answer instead.
func (m *Machine) agreeOn(of []suite.Proposal, offered *ikemsg.SA, msg *ikemsg.Message, spiSize int) (r agreed, refusal []ikemsg.Payload) {
	for _, own := range of {
		for _, p := range offered.Proposals {
			all, ok := transforms(p)
			if !ok || len(p.SPI) != spiSize {
				continue
			}
			choice, ok := own.Agree(suite.Proposal{Protocol: suite.Protocol(p.Protocol), Transforms: all})
			if !ok {
				continue
			}
			s, err := own.Choose(choice)
			if err != nil {
				continue
			}
			r = agreed{suite: s, spi: p.SPI, proposal: p.Number, transforms: choice}
			return r, r.exchange(m, msg)
		}
	}
	return r, notify(ikemsg.NoProposalChosen)
}

// agreed is what both sides have.
type agreed struct {
	suite      suite.Suite
	spi        []byte // theirs
	proposal   uint8
	transforms []suite.Transform
	public     []byte // of our key exchange, if there is one
	shared     []byte
}

// exchange answers the gateway's key exchange.
func (r *agreed) exchange(m *Machine, msg *ikemsg.Message) (refusal []ikemsg.Payload) {
	group := r.suite.KeyExchange
	if group == (suite.Transform{}) {
		return nil
	}
	ke, ok := ikemsg.Get[*ikemsg.KE](msg.Payloads)
	if !ok || ke.Group != group.ID {
		return notify(ikemsg.InvalidKEPayload, binary.BigEndian.AppendUint16(nil, group.ID)...)
	}
	var err error
	if r.public, r.shared, err = suite.Respond(group, m.random, ke.Data); err != nil {
		return notify(ikemsg.InvalidSyntax)
	}
	return nil
}

// payloads are the answer's, with our SPI and nonce.
func (r *agreed) payloads(spi, nonce []byte) []ikemsg.Payload {
	sa := offer([]suite.Proposal{{Protocol: r.suite.Protocol, Transforms: r.transforms}}, spi)
	sa.Proposals[0].Number = r.proposal
	all := []ikemsg.Payload{sa, &ikemsg.Nonce{Data: nonce}}
	if r.public != nil {
		all = append(all, &ikemsg.KE{Group: r.suite.KeyExchange.ID, Data: r.public})
	}
	return all
}

// createdChild answers the rekey of a child.
func (m *Machine) createdChild(now time.Time, sa *association, msg *ikemsg.Message, offered *ikemsg.SA, ni []byte, old *Child) ([]ikemsg.Payload, func() error) {
	r, refusal := m.agreeOn(m.config.ESP, offered, msg, 4)
	if refusal != nil {
		return refusal, nil
	}
	tsi, haveI := ikemsg.Get[*ikemsg.TSi](msg.Payloads)
	tsr, haveR := ikemsg.Get[*ikemsg.TSr](msg.Payloads)
	if !haveI || !haveR || !covers(tsi.Selectors, old.Remote) || !covers(tsr.Selectors, old.Local) {
		return notify(ikemsg.TSUnacceptable), nil
	}
	spi, err := m.espSPI()
	if err != nil {
		return notify(ikemsg.TemporaryFailure), nil
	}
	nr, err := m.bytes(nonceSize)
	if err != nil {
		return notify(ikemsg.TemporaryFailure), nil
	}
	ni = slices.Clone(ni)
	child := &Child{InSPI: spi, OutSPI: binary.BigEndian.Uint32(r.spi), Suite: r.suite, Local: old.Local, Remote: old.Remote}
	answer := append(r.payloads(binary.BigEndian.AppendUint32(nil, spi), nr), &ikemsg.TSi{Selectors: old.Remote}, &ikemsg.TSr{Selectors: old.Local})
	return m.later(now, sa, r.suite.Additional, answer, func(now time.Time, further []byte) (func() error, bool) {
		if m.children[old.InSPI] != old || old.gone || old.theirs != nil {
			return nil, false
		}
		if err := m.enter(now, sa, child, childTerms{shared: r.shared, ni: ni, nr: nr, further: further}); err != nil {
			return nil, false
		}
		old.theirs = &replacement{ni: ni, nr: nr, child: child}
		// Before the answer: the gateway may send by it as soon as that has come
		// (RFC 7296 section 2.8).
		m.do(Install{child})
		return func() error {
			child.useAt = now.Add(handOver)
			return nil
		}, true
	})
}

// covers reports whether each of the selectors is in one of the wider ones.
func covers(wide, all []ikemsg.Selector) bool {
	return !slices.ContainsFunc(all, func(s ikemsg.Selector) bool {
		return !slices.ContainsFunc(wide, func(w ikemsg.Selector) bool { return w.Covers(s) })
	})
}

// createdIKE answers the rekey of the IKE SA.
func (m *Machine) createdIKE(now time.Time, old *association, msg *ikemsg.Message, offered *ikemsg.SA, ni []byte) ([]ikemsg.Payload, func() error) {
	if old.request != nil && old.request.orphaned != nil || len(m.sas) >= maxSAs {
		return notify(ikemsg.TemporaryFailure), nil // something of ours about a child is under way: RFC 7296 section 2.25.2
	}
	r, refusal := m.agreeOn(m.config.IKE, offered, msg, 8)
	if refusal != nil {
		return refusal, nil
	}
	spi, err := m.ikeSPI()
	if err != nil {
		return notify(ikemsg.TemporaryFailure), nil
	}
	nr, err := m.bytes(nonceSize)
	if err != nil {
		return notify(ikemsg.TemporaryFailure), nil
	}
	ni = slices.Clone(ni)
	fresh := &association{own: spi, peer: ikemsg.SPI(r.spi), suite: r.suite, fragments: old.fragments}
	return m.later(now, old, r.suite.Additional, r.payloads(spi[:], nr), func(now time.Time, further []byte) (func() error, bool) {
		if old.leaving || old != m.sas[0] || old.request != nil && old.request.orphaned != nil {
			return nil, false
		}
		seed := old.prf.Sum(old.d, r.shared, ni, nr, further)
		var err error
		if fresh.keys, err = derive(r.suite, false, seed, ni, nr, fresh.peer, spi); err != nil {
			return nil, false
		}
		m.schedule(now, fresh)
		old.theirs = &replacement{ni: ni, nr: nr, sa: fresh}
		return func() error {
			m.note(Info, "the gateway has replaced the IKE SA", "suite", r.suite.String())
			m.sas = append([]*association{fresh}, m.sas...)
			if old.rekey != nil {
				return nil // which of the two stays shows when ours is answered
			}
			m.outlive(now, old)
			return m.inherit(now, old, fresh)
		}, true
	})
}
