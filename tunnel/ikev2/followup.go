package ikev2

import (
	"bytes"
	"slices"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// followUp does the further key exchanges of a rekey of ours, one
// IKE_FOLLOWUP_KE after the other (RFC 9370 section 2.2.4). done gets their
// secrets, or what the gateway refused one with.
type followUp struct {
	left     []suite.Transform
	secrets  []byte
	orphaned func(now time.Time) error
	done     func(now time.Time, secrets []byte, answer *ikemsg.Message, refusal error) error
}

func (m *Machine) followUp(now time.Time, sa *association, f followUp, answer *ikemsg.Message) error {
	if len(f.left) == 0 {
		return f.done(now, f.secrets, answer, nil)
	}
	// It links the exchanges of one rekey.
	link, ok := ikemsg.FindNotify(answer.Payloads, ikemsg.AdditionalKeyExchange)
	if !ok {
		return f.done(now, nil, answer, fault.New(fault.IKE, "the gateway agreed on %s, and does not go on with it", f.left[0]))
	}
	ke, err := suite.NewKeyExchange(f.left[0], m.random)
	if err != nil {
		return err
	}
	payloads := []ikemsg.Payload{
		&ikemsg.KE{Group: f.left[0].ID, Data: ke.Public()},
		&ikemsg.Notify{Kind: ikemsg.AdditionalKeyExchange, Data: slices.Clone(link.Data)},
	}
	return m.ask(now, sa, &request{exchange: ikemsg.IKEFollowupKE, payloads: payloads, orphaned: f.orphaned, done: func(now time.Time, answer *ikemsg.Message) error {
		if err := m.refused(answer.Payloads); err != nil {
			return f.done(now, nil, answer, err)
		}
		shared, err := furtherShared(f.left[0], ke, answer.Payloads)
		if err != nil {
			return err
		}
		f.left, f.secrets = f.left[1:], append(f.secrets, shared...)
		return m.followUp(now, sa, f, answer)
	}})
}

// pending is a rekey of the gateway's that waits for its further key exchanges.
type pending struct {
	link    []byte
	left    []suite.Transform
	secrets []byte
	// done makes what was agreed. It reports false if there is no place for it any
	// more. after is what comes behind the last answer.
	done func(now time.Time, secrets []byte) (after func() error, ok bool)
}

// later answers a rekey at once if there is nothing more to exchange, and else
// keeps it until the gateway has done that.
func (m *Machine) later(now time.Time, sa *association, left []suite.Transform, answer []ikemsg.Payload, done func(now time.Time, secrets []byte) (func() error, bool)) ([]ikemsg.Payload, func() error) {
	if len(left) == 0 {
		after, ok := done(now, nil)
		if !ok {
			return notify(ikemsg.NoProposalChosen), nil
		}
		return answer, after
	}
	link, err := m.bytes(linkSize)
	if err != nil {
		return notify(ikemsg.TemporaryFailure), nil
	}
	sa.pending = &pending{link: link, left: left, done: done}
	return append(answer, notify(ikemsg.AdditionalKeyExchange, link...)...), nil
}

// linkSize is the length of what links the exchanges of one rekey, which its
// maker chooses.
const linkSize = 8

// followedUp answers IKE_FOLLOWUP_KE.
func (m *Machine) followedUp(now time.Time, sa *association, msg *ikemsg.Message) (answer []ikemsg.Payload, after func() error) {
	p := sa.pending
	sa.pending = nil // it comes back if it goes on
	link, ok := ikemsg.FindNotify(msg.Payloads, ikemsg.AdditionalKeyExchange)
	ke, haveKE := ikemsg.Get[*ikemsg.KE](msg.Payloads)
	switch {
	case p == nil || !ok || !bytes.Equal(link.Data, p.link):
		return notify(ikemsg.StateNotFound), nil
	case !haveKE || ke.Group != p.left[0].ID:
		return notify(ikemsg.InvalidSyntax), nil
	}
	public, shared, err := suite.Respond(p.left[0], m.random, ke.Data)
	if err != nil {
		return notify(ikemsg.InvalidSyntax), nil
	}
	answer = []ikemsg.Payload{&ikemsg.KE{Group: p.left[0].ID, Data: public}}
	p.left, p.secrets = p.left[1:], append(p.secrets, shared...)
	if len(p.left) > 0 {
		sa.pending = p
		return append(answer, notify(ikemsg.AdditionalKeyExchange, p.link...)...), nil
	}
	if after, ok = p.done(now, p.secrets); !ok {
		return notify(ikemsg.TemporaryFailure), nil
	}
	return answer, after
}
