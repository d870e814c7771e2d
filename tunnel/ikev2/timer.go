package ikev2

import (
	"slices"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// leaveTime is how long the gateway has to answer that we leave.
const leaveTime = 2 * time.Second

// leave tells the gateway that the IKE SA is deleted, and all with it.
func (m *Machine) leave(now time.Time) {
	if !m.leaveBy.IsZero() {
		return
	}
	m.leaveBy = now.Add(leaveTime)
	sa := m.sas[0]
	sa.waiting = nil
	m.check(m.ask(now, sa, &request{
		exchange: ikemsg.Informational, payloads: []ikemsg.Payload{&ikemsg.Delete{Protocol: ikemsg.ProtocolIKE}},
		done: func(time.Time, *ikemsg.Message) error {
			m.end(nil)
			return nil
		},
	}))
}

// deadlines are all times at which something is due.
func (m *Machine) deadlines() []time.Time {
	var all []time.Time
	if m.first.request != nil {
		all = append(all, m.first.request.next)
	}
	for _, sa := range m.sas {
		if sa.request != nil {
			all = append(all, sa.request.next)
		}
	}
	if m.state != up {
		return all
	}
	if !m.leaveBy.IsZero() {
		return append(all, m.leaveBy)
	}
	sa := m.sas[0]
	if sa.request == nil && !sa.leaving {
		all = append(all, m.heard.Add(m.config.Probe), m.remakeAt)
		if sa.rekey == nil {
			all = append(all, sa.rekeyAt)
		}
		for _, c := range m.ordered() {
			if c.stays() {
				all = append(all, c.rekeyAt)
			}
		}
	}
	for _, c := range m.ordered() {
		all = append(all, c.endAt, c.useAt)
	}
	for _, f := range m.fading {
		all = append(all, f.at)
	}
	for _, a := range slices.Concat(m.sas, m.past) {
		all = append(all, a.until)
	}
	return append(all, sa.endAt)
}

// due does what is due.
func (m *Machine) due(now time.Time) error {
	if r := m.first.request; r != nil && !now.Before(r.next) {
		return m.again(now, nil, r)
	}
	for _, sa := range append([]*association(nil), m.sas...) {
		if r := sa.request; r != nil && !now.Before(r.next) {
			if err := m.again(now, sa, r); err != nil {
				return err
			}
		}
	}
	if m.state != up {
		return nil
	}
	if !m.leaveBy.IsZero() {
		if !now.Before(m.leaveBy) {
			m.end(nil)
		}
		return nil
	}
	return m.refresh(now, m.sas[0])
}

// Worn says that a child has carried what its keys may carry: it is replaced
// now. If it is spent, it ends.
func (m *Machine) Worn(now time.Time, spi uint32, spent bool) []Action {
	if c := m.children[spi]; c != nil && m.state == up && m.leaveBy.IsZero() {
		c.rekeyAt = earlier(c.rekeyAt, now)
		if spent {
			c.endAt = earlier(c.endAt, now)
		}
		m.check(m.refresh(now, m.sas[0]))
	}
	return m.take()
}

// refresh replaces what is old, and asks whether the gateway is there.
func (m *Machine) refresh(now time.Time, sa *association) error {
	for _, c := range m.ordered() {
		if !now.Before(c.endAt) {
			if !c.gone && c.theirs == nil && !c.lost {
				return fault.New(fault.IKE, "the keys of ESP have come to their end, and the gateway has made no new ones")
			}
			m.drop(now, c)
		}
	}
	m.handOvers(now)
	over := func(a *association) bool { return a != sa && !a.until.IsZero() && !now.Before(a.until) }
	m.sas, m.past = slices.DeleteFunc(m.sas, over), slices.DeleteFunc(m.past, over)
	if !now.Before(sa.endAt) {
		return fault.New(fault.IKE, "the keys of the IKE SA have come to their end, and the gateway has made no new ones")
	}
	if sa.request != nil || sa.leaving {
		return nil
	}
	for _, c := range m.ordered() {
		if c.stays() && !now.Before(c.rekeyAt) {
			return m.rekeyChild(now, sa, c, 0)
		}
	}
	if !m.remakeAt.IsZero() && !now.Before(m.remakeAt) {
		return m.renew(now, sa)
	}
	if sa.rekey == nil && !now.Before(sa.rekeyAt) {
		return m.rekeyIKE(now, sa, 0)
	}
	if !now.Before(m.heard.Add(m.config.Probe)) {
		return m.ask(now, sa, probe())
	}
	return nil
}
