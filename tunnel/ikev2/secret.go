package ikev2

import (
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// A SecretIKE holds the keys of an IKE SA that is new, and a SecretESP those of
// a pair of ESP SAs. They are actions of a machine with Config.ExposeSecrets
// only, for who looks into a recording of the line.
type (
	SecretIKE struct {
		InitiatorSPI, ResponderSPI [8]byte
		Suite                      suite.Suite
		Initiator, Responder       SecretKeys
	}
	SecretESP struct {
		InSPI, OutSPI uint32
		Suite         suite.Suite
		In, Out       SecretKeys
	}
)

// SecretKeys protect what goes in one direction. Encryption has the salt in it;
// Integrity is empty where the encryption does both.
type SecretKeys struct{ Encryption, Integrity []byte }

func (SecretIKE) action() {}
func (SecretESP) action() {}

// expose gives new keys away if that was asked for, and forgets that they can
// be in either case. Those that hold for IKE_INTERMEDIATE only (RFC 9370 section
// 2.2.2) are passed over: tables have one line for each IKE SA.
func (m *Machine) expose() {
	for _, sa := range m.sas {
		if sa.request != nil && sa.request.exchange == ikemsg.IKEIntermediate {
			continue
		}
		if s := sa.secret; s != nil && m.config.ExposeSecrets {
			s.InitiatorSPI, s.ResponderSPI, s.Suite = sa.own, sa.peer, sa.suite
			if !sa.initiator {
				s.InitiatorSPI, s.ResponderSPI = sa.peer, sa.own
			}
			m.do(*s)
		}
		sa.secret = nil
	}
	for _, c := range m.ordered() {
		if s := c.secret; s != nil && m.config.ExposeSecrets {
			s.InSPI, s.OutSPI, s.Suite = c.InSPI, c.OutSPI, c.Suite
			m.do(*s)
		}
		c.secret = nil
	}
}
