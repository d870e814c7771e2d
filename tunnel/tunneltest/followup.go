package tunneltest

import (
	"bytes"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// pending is a rekey of the client's that waits for further key exchanges (RFC
// 9370 section 2.2.4).
type pending struct {
	link    []byte
	left    []suite.Transform
	secrets []byte
	done    func(now time.Time, secrets []byte) (after func(), ok bool)
}

// later makes what was agreed on now, or after the further key exchanges.
func (g *Gateway) later(now time.Time, s *sa, left []suite.Transform, answer []ikemsg.Payload, done func(time.Time, []byte) (func(), bool)) ([]ikemsg.Payload, func()) {
	if len(left) == 0 {
		after, ok := done(now, nil)
		if !ok {
			return g.notNow()
		}
		return answer, after
	}
	s.pending = &pending{link: g.bytes(8), left: left, done: done}
	return append(answer, notify(ikemsg.AdditionalKeyExchange, s.pending.link...)...), nil
}

// followedUp answers IKE_FOLLOWUP_KE.
func (g *Gateway) followedUp(now time.Time, s *sa, m *ikemsg.Message) ([]ikemsg.Payload, func()) {
	p := s.pending
	s.pending = nil
	link, haveLink := ikemsg.FindNotify(m.Payloads, ikemsg.AdditionalKeyExchange)
	ke, haveKE := ikemsg.Get[*ikemsg.KE](m.Payloads)
	switch {
	case p == nil || !haveLink || !bytes.Equal(link.Data, p.link):
		return notify(ikemsg.StateNotFound), nil
	case !haveKE || ke.Group != p.left[0].ID:
		return notify(ikemsg.InvalidSyntax), nil
	}
	public, shared, err := suite.Respond(p.left[0], g.random, ke.Data)
	if err != nil {
		return notify(ikemsg.InvalidSyntax), nil
	}
	answer := []ikemsg.Payload{&ikemsg.KE{Group: ke.Group, Data: public}}
	p.left, p.secrets = p.left[1:], append(p.secrets, shared...)
	if len(p.left) > 0 {
		s.pending = p
		return append(answer, notify(ikemsg.AdditionalKeyExchange, p.link...)...), nil
	}
	after, ok := p.done(now, p.secrets)
	if !ok {
		return g.notNow()
	}
	return answer, after
}

// followUp does the further key exchanges of a rekey of ours. done gets their
// secrets, and the answer that refuses one if one was refused.
func (g *Gateway) followUp(now time.Time, s *sa, left []suite.Transform, secrets []byte, answer *ikemsg.Message, done func(now time.Time, secrets []byte, refusal *ikemsg.Message)) {
	if len(left) == 0 {
		done(now, secrets, nil)
		return
	}
	link, ok := ikemsg.FindNotify(answer.Payloads, ikemsg.AdditionalKeyExchange)
	if !ok {
		done(now, nil, answer)
		return
	}
	ke, err := suite.NewKeyExchange(left[0], g.random)
	if err != nil {
		g.fail(err)
		return
	}
	payloads := []ikemsg.Payload{&ikemsg.KE{Group: left[0].ID, Data: ke.Public()}, &ikemsg.Notify{Kind: ikemsg.AdditionalKeyExchange, Data: bytes.Clone(link.Data)}}
	g.ask(now, s, ikemsg.IKEFollowupKE, payloads, func(now time.Time, answer *ikemsg.Message) {
		theirs, ok := ikemsg.Get[*ikemsg.KE](answer.Payloads)
		if !ok || theirs.Group != left[0].ID {
			done(now, nil, answer)
			return
		}
		shared, err := ke.Shared(theirs.Data)
		if err != nil {
			done(now, nil, answer)
			return
		}
		g.followUp(now, s, left[1:], append(secrets, shared...), answer, done)
	})
}
