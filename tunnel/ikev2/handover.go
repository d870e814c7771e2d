package ikev2

import (
	"slices"
	"time"
)

const (
	// handOver is after what time we send by the keys of a rekey that the gateway
	// began, if it has not deleted the old ones by then. Its kernel may need a
	// moment before it takes the new ones, our answer may be lost, of which it
	// asks for the next one after four seconds if it is strongSwan, and it keeps
	// the old keys until it has told us (RFC 7296 section 2.8).
	handOver = 15 * time.Second
	// fadeTime is how long packets are taken that were under way when their keys
	// were deleted, and maxFading for how many children at a time.
	fadeTime  = 5 * time.Second
	maxFading = 8
)

// fading is a child that is gone, and still takes what was under way.
type fading struct {
	spi uint32
	at  time.Time
}

// use sends by a child from now on.
func (m *Machine) use(c *Child) {
	c.useAt = time.Time{}
	if m.outbound != c {
		m.outbound = c
		m.do(Use{c})
	}
}

// drop takes a child out of use.
func (m *Machine) drop(now time.Time, c *Child) {
	if m.children[c.InSPI] != c {
		return
	}
	delete(m.children, c.InSPI)
	m.fading = append(m.fading, fading{c.InSPI, earlier(now.Add(fadeTime), c.endAt)})
	if len(m.fading) > maxFading {
		m.do(Remove{m.fading[0].spi})
		m.fading = m.fading[1:]
	}
	if m.outbound != c {
		return
	}
	m.outbound = nil
	if next := m.newest(); next != nil {
		m.use(next)
	}
}

// stays reports whether nothing is on its way in the child's place.
func (c *Child) stays() bool { return !c.gone && !c.lost && c.rekey == nil && c.theirs == nil }

// newest is the child that was made last, of those that stay.
func (m *Machine) newest() *Child {
	var last *Child
	for _, c := range m.children {
		if !c.gone && (last == nil || c.number > last.number) {
			last = c
		}
	}
	return last
}

// handOvers uses the children whose time has come, and removes those that have
// faded.
func (m *Machine) handOvers(now time.Time) {
	for _, c := range m.ordered() {
		if !c.useAt.IsZero() && !now.Before(c.useAt) {
			m.use(c)
		}
	}
	m.fading = slices.DeleteFunc(m.fading, func(f fading) bool {
		if now.Before(f.at) {
			return false
		}
		m.do(Remove{f.spi})
		return true
	})
}
