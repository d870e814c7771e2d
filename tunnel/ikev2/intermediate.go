package ikev2

import (
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// further makes the keys of the IKE SA anew by each of the key exchanges that
// were agreed on besides the first, one IKE_INTERMEDIATE after the other, and
// goes on with IKE_AUTH (RFC 9370 section 2.2.2).
func (m *Machine) further(now time.Time, sa *association, left []suite.Transform) error {
	if len(left) == 0 {
		return m.prove(now, sa)
	}
	ke, err := suite.NewKeyExchange(left[0], m.random)
	if err != nil {
		return err
	}
	payloads := []ikemsg.Payload{&ikemsg.KE{Group: left[0].ID, Data: ke.Public()}}
	return m.ask(now, sa, &request{exchange: ikemsg.IKEIntermediate, payloads: payloads, done: func(now time.Time, answer *ikemsg.Message) error {
		if err := m.refused(answer.Payloads); err != nil {
			return err
		}
		shared, err := furtherShared(left[0], ke, answer.Payloads)
		if err != nil {
			return err
		}
		if err := m.first.sign(sa, payloads, answer); err != nil {
			return err
		}
		f := &m.first
		seed := sa.prf.Sum(sa.d, shared, f.nonce, f.peerNonce)
		if sa.keys, err = derive(sa.suite, true, seed, f.nonce, f.peerNonce, sa.own, sa.peer); err != nil {
			return err
		}
		sa.intermediate = f.intermediate(answer.MessageID + 1)
		return m.further(now, sa, left[1:])
	}})
}

// furtherShared is the secret of a further key exchange.
func furtherShared(t suite.Transform, ke suite.KeyExchange, answer []ikemsg.Payload) ([]byte, error) {
	theirs, ok := ikemsg.Get[*ikemsg.KE](answer)
	if !ok || theirs.Group != t.ID {
		return nil, fault.New(fault.IKE, "the gateway does not answer the key exchange %s", t)
	}
	return ke.Shared(theirs.Data)
}

// sign adds an IKE_INTERMEDIATE exchange to what both sides prove later that
// nobody has changed (RFC 9242 section 3.3.2). The keys are those that it was
// sent under.
func (f *initial) sign(sa *association, payloads []ikemsg.Payload, answer *ikemsg.Message) error {
	sent, err := ikemsg.IntermediateAuth(sa.header(ikemsg.IKEIntermediate, answer.MessageID, false), payloads)
	if err != nil {
		return fault.New(fault.Internal, "IKE_INTERMEDIATE: %w", err)
	}
	f.signed = sa.prf.Sum(sa.ownAuth, f.signed, sent)
	f.peerSigned = sa.prf.Sum(sa.peerAuth, f.peerSigned, answer.IntermediateAuth())
	return nil
}

// intermediate is what the proofs of both sides cover of all these exchanges.
// first is the message id of the first IKE_AUTH.
func (f *initial) intermediate(first uint32) []byte {
	return concat(f.signed, f.peerSigned, []byte{byte(first >> 24), byte(first >> 16), byte(first >> 8), byte(first)})
}
