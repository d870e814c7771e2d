package ikev2

import (
	"slices"
	"time"

	"linehaul/tunnel/ikemsg"
)

// Moved says that we send from another address or through another network from
// now on. The gateway is told (RFC 4555 section 3.5), or, where it has no
// MOBIKE, asked whether it is there, from which it learns the new address as
// from a NAT that has changed (RFC 7296 section 2.23).
func (m *Machine) Moved(now time.Time) []Action {
	switch {
	case m.state == idle || m.state == ended:
	case m.state != up || !m.leaveBy.IsZero():
		m.sendAgain(now)
	default:
		m.sendAgain(now)
		m.check(m.update(now, m.sas[0]))
	}
	return m.take()
}

// Probe asks whether the gateway is there, now and not after a silence.
func (m *Machine) Probe(now time.Time) []Action {
	if m.state == up && m.leaveBy.IsZero() && m.sas[0].request == nil {
		m.check(m.ask(now, m.sas[0], probe()))
	}
	return m.take()
}

// probe is an empty INFORMATIONAL (RFC 7296 section 1.4).
func probe() *request {
	return &request{exchange: ikemsg.Informational, done: func(time.Time, *ikemsg.Message) error { return nil }}
}

// sendAgain sends what has no answer yet by the new way, and gives it all the
// time that there is.
func (m *Machine) sendAgain(now time.Time) {
	requests := []*request{m.first.request}
	for _, sa := range m.sas {
		requests = append(requests, sa.request)
	}
	for _, r := range requests {
		if r != nil {
			r.began, r.wait = now, firstWait
			m.send(now, r)
		}
	}
}

// update is the first thing that the gateway is told next.
func (m *Machine) update(now time.Time, sa *association) error {
	r := probe()
	if m.mobike {
		hashes, err := m.noAddresses()
		if err != nil {
			return err
		}
		r.payloads = append([]ikemsg.Payload{&ikemsg.Notify{Kind: ikemsg.UpdateSAAddresses}}, hashes...)
		r.done = func(_ time.Time, answer *ikemsg.Message) error { return m.refused(answer.Payloads) }
		r.update = true
	}
	if sa.request == nil {
		return m.ask(now, sa, r)
	}
	sa.waiting = slices.DeleteFunc(sa.waiting, func(w *request) bool { return w.update })
	sa.waiting = append([]*request{r}, sa.waiting...)
	return nil
}

// noAddresses are hashes of no address, which is what a NAT makes of ours: the
// gateway then takes ESP in UDP, from any port (RFC 7296 section 2.23).
func (m *Machine) noAddresses() ([]ikemsg.Payload, error) {
	here, err := m.bytes(natHash)
	if err != nil {
		return nil, err
	}
	there, err := m.bytes(natHash)
	return []ikemsg.Payload{
		&ikemsg.Notify{Kind: ikemsg.NATDetectionSourceIP, Data: here},
		&ikemsg.Notify{Kind: ikemsg.NATDetectionDestinationIP, Data: there},
	}, err
}
