package ikev2

import (
	"crypto/subtle"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// keys are those of an IKE SA (RFC 7296 section 2.14).
type keys struct {
	prf               suite.PRF
	d                 []byte // SK_d
	ownAuth, peerAuth []byte // SK_pi and SK_pr, by whose they are
	intermediate      []byte // of IKE_INTERMEDIATE, which proofs cover
	inbound, outbound *suite.Protection
	secret            *SecretIKE // until it is exposed, or is not
}

// derive makes the keys of an IKE SA from SKEYSEED. The nonces and SPIs are
// those of the initiator and the responder of the exchange that made it.
func derive(s suite.Suite, initiator bool, seed, ni, nr []byte, spii, spir ikemsg.SPI) (keys, error) {
	prf, err := suite.NewPRF(s.PRF)
	if err != nil {
		return keys{}, err
	}
	e, a, p := s.KeySizes()
	stream := prf.Plus(seed, concat(ni, nr, spii[:], spir[:]), 3*p+2*a+2*e)
	cut := func(n int) []byte {
		part := stream[:n:n]
		stream = stream[n:]
		return part
	}
	k := keys{prf: prf, d: cut(p)}
	ai, ar, ei, er := cut(a), cut(a), cut(e), cut(e)
	k.ownAuth, k.peerAuth = cut(p), cut(p)
	k.secret = &SecretIKE{Initiator: SecretKeys{ei, ai}, Responder: SecretKeys{er, ar}}
	if !initiator {
		ai, ar, ei, er = ar, ai, er, ei
		k.ownAuth, k.peerAuth = k.peerAuth, k.ownAuth
	}
	if k.outbound, err = s.Protection(ei, ai); err != nil {
		return keys{}, err
	}
	k.inbound, err = s.Protection(er, ar)
	return k, err
}

// childKeys makes the keys of a pair of ESP SAs (RFC 7296 section 2.17). shared
// is the secret of its own key exchange, if there was one, and further those of
// IKE_FOLLOWUP_KE (RFC 9370 section 2.2.4); initiator says whether we began the
// exchange that made it.
func (k keys) childKeys(c *Child, initiator bool, shared, ni, nr, further []byte) error {
	s := c.Suite
	e, a, _ := s.KeySizes()
	stream := k.prf.Plus(k.d, concat(shared, ni, nr, further), 2*(e+a))
	there, back := stream[:e+a], stream[e+a:]
	if !initiator {
		there, back = back, there
	}
	c.secret = &SecretESP{Out: SecretKeys{there[:e], there[e:]}, In: SecretKeys{back[:e], back[e:]}}
	var err error
	if c.Out, err = s.Protection(there[:e], there[e:]); err != nil {
		return err
	}
	c.In, err = s.Protection(back[:e], back[e:])
	return err
}

// octets are what a side proves that it has its key with, by a signature or by
// proof: its first message, the other's nonce, its identity, and what was in
// between (RFC 7296 section 2.15, RFC 9242 section 3.3). auth is its SK_p.
func (k keys) octets(message, nonce []byte, id ikemsg.Identity, auth []byte) []byte {
	return concat(message, nonce, k.prf.Sum(auth, id.Signed()), k.intermediate)
}

// proof is the proof by a secret that both sides have: a pre-shared key, or what
// EAP has made (RFC 7296 sections 2.15 and 2.16).
func (k keys) proof(secret, octets []byte) []byte {
	return k.prf.Sum(k.prf.Sum(secret, []byte("Key Pad for IKEv2")), octets)
}

// sameProof compares two of them without telling by its time where they differ.
func sameProof(got, want []byte) bool { return subtle.ConstantTimeCompare(got, want) == 1 }

func concat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
