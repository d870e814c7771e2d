package ikev2

import (
	"slices"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// A Status is what a machine is doing. It holds no secret, shares nothing with
// the machine, and is for everybody to read.
type Status struct {
	State    string // idle, asking, proving, up, leaving or ended
	Local    ikemsg.Identity
	IKE      []IKEStatus   // the newest first; several while one replaces the other
	Children []ChildStatus // the newest first

	// Heard is when something authentic came last. Unanswered is since when a
	// request waits for its answer, zero if none does, and Tries how often it was
	// sent: what is known of a peer that may be dead (RFC 7296 section 2.4).
	Heard, Unanswered time.Time
	Tries             int
	// Probe is after how long a silence the gateway is asked whether it is there,
	// and Patience how long its answer is waited for.
	Probe, Patience time.Duration
}

// IKEStatus is one IKE SA.
type IKEStatus struct {
	Initiator, Responder ikemsg.SPI
	Ours                 bool // we are its original initiator
	Suite                suite.Suite
	Made, Rekey, End     time.Time // zero where it is not up yet
	Leaving              bool      // it was replaced, or is deleted
}

// ChildStatus is a pair of ESP SAs.
type ChildStatus struct {
	InSPI, OutSPI    uint32
	Suite            suite.Suite
	Local, Remote    []ikemsg.Selector
	Made, Rekey, End time.Time
	InUse            bool // it is what we send by
	Leaving          bool // it was replaced, or is deleted
}

// String names the state.
func (s state) String() string {
	switch s {
	case idle:
		return "idle"
	case asking:
		return "asking"
	case proving:
		return "proving"
	case up:
		return "up"
	case ended:
		return "ended"
	}
	return "unknown"
}

// Status returns what the machine is doing.
func (m *Machine) Status() Status {
	s := Status{State: m.state.String(), Local: m.config.Local, Heard: m.heard, Probe: m.config.Probe, Patience: m.config.Patience}
	if m.state == up && !m.leaveBy.IsZero() {
		s.State = "leaving"
	}
	waits := func(r *request) {
		if r != nil && (s.Unanswered.IsZero() || r.began.Before(s.Unanswered)) {
			s.Unanswered, s.Tries = r.began, r.tries
		}
	}
	waits(m.first.request)
	for _, sa := range m.sas {
		waits(sa.request)
		one := IKEStatus{Initiator: sa.own, Responder: sa.peer, Ours: sa.initiator, Suite: sa.suite, Made: sa.made, Rekey: sa.rekeyAt, End: sa.endAt, Leaving: sa.leaving}
		if !sa.initiator {
			one.Initiator, one.Responder = sa.peer, sa.own
		}
		s.IKE = append(s.IKE, one)
	}
	for _, c := range m.ordered() {
		s.Children = append(s.Children, ChildStatus{
			InSPI: c.InSPI, OutSPI: c.OutSPI, Suite: c.Suite, Local: slices.Clone(c.Local), Remote: slices.Clone(c.Remote),
			Made: c.Made, Rekey: c.rekeyAt, End: c.endAt, InUse: c == m.outbound, Leaving: c.gone || c.lost || c.theirs != nil,
		})
	}
	slices.SortStableFunc(s.Children, func(a, b ChildStatus) int { return b.Made.Compare(a.Made) })
	return s
}
