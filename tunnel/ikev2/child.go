package ikev2

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// childProposals are what is offered for ESP: in IKE_AUTH without a key
// exchange, as there is one already (RFC 7296 section 1.2).
func (m *Machine) childProposals(exchange bool) []suite.Proposal {
	if exchange {
		return m.config.ESP
	}
	var all []suite.Proposal
	for _, p := range m.config.ESP {
		all = append(all, p.WithoutKeyExchange())
	}
	return all
}

func (m *Machine) offerChild(spi uint32, exchange bool) *ikemsg.SA {
	return offer(m.childProposals(exchange), binary.BigEndian.AppendUint32(nil, spi))
}

// childTerms are what a pair of ESP SAs is made of.
type childTerms struct {
	spi       uint32 // ours
	answer    []ikemsg.Payload
	offered   []suite.Proposal
	initiator bool // we asked for it
	shared    []byte
	ni, nr    []byte
	further   []byte // secrets of further key exchanges
}

// newChild makes the pair that the gateway has agreed to.
func (m *Machine) newChild(now time.Time, sa *association, t childTerms) (*Child, error) {
	s, spi, err := chosen(t.answer, t.offered, 4)
	if err != nil {
		return nil, err
	}
	tsi, haveI := ikemsg.Get[*ikemsg.TSi](t.answer)
	tsr, haveR := ikemsg.Get[*ikemsg.TSr](t.answer)
	if !haveI || !haveR || len(tsi.Selectors) == 0 || len(tsr.Selectors) == 0 {
		return nil, fault.New(fault.IKE, "the gateway has narrowed the networks to nothing").AsPermanent().
			WithHint("the link's `networks` must be what the gateway has for us")
	}
	child := &Child{InSPI: t.spi, OutSPI: binary.BigEndian.Uint32(spi), Suite: s, Local: tsi.Selectors, Remote: tsr.Selectors}
	if err := m.narrowed(child); err != nil {
		return nil, err
	}
	return child, m.enter(now, sa, child, t)
}

// narrowed checks that the gateway has widened nothing (RFC 7296 section 2.9).
func (m *Machine) narrowed(child *Child) error {
	wanted := selectors(m.config.Networks)
	for _, s := range child.Remote {
		if !slices.ContainsFunc(wanted, func(w ikemsg.Selector) bool { return w.Covers(s) }) {
			return fault.New(fault.IKE, "the gateway wants to carry %s, which was not asked for", s.String()).AsPermanent()
		}
	}
	return nil
}

// enter gives a child its keys and its place.
func (m *Machine) enter(now time.Time, sa *association, child *Child, t childTerms) error {
	if err := sa.childKeys(child, t.initiator, t.shared, t.ni, t.nr, t.further); err != nil {
		return err
	}
	child.Made = now
	m.made++
	child.number = m.made
	child.rekeyAt, child.endAt = m.lifetime(now, m.config.ChildLifetime)
	m.children[child.InSPI] = child
	m.note(Info, "ESP is agreed", "suite", child.Suite.String(), "networks", texts(child.Remote))
	return nil
}

func texts(all []ikemsg.Selector) string {
	var text []byte
	for i, s := range all {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = append(text, s.String()...)
	}
	return string(text)
}

// graceTime is how long over its life something is used while the gateway takes
// its time to replace it.
const graceTime = 10 * time.Second

// lifetime says when something that is made now is replaced, at 85 to 95 % of
// its life so that two sides seldom begin at once, and when it ends.
func (m *Machine) lifetime(now time.Time, d time.Duration) (rekey, end time.Time) {
	var b [1]byte
	if more, err := m.bytes(1); err == nil {
		b[0] = more[0]
	}
	share := 0.85 + 0.1*float64(b[0])/255
	return now.Add(time.Duration(share * float64(d))), now.Add(d + graceTime)
}

func (m *Machine) schedule(now time.Time, sa *association) {
	sa.made = now
	sa.rekeyAt, sa.endAt = m.lifetime(now, m.config.IKELifetime)
	m.heard = now
}

// ordered are the children by their SPIs, so that the same happens each time.
func (m *Machine) ordered() []*Child {
	return slices.SortedFunc(maps.Values(m.children), func(a, b *Child) int { return cmp.Compare(a.InSPI, b.InSPI) })
}

// byOut finds the child that goes out under an SPI, which is how the gateway
// calls it.
func (m *Machine) byOut(spi uint32) *Child {
	for _, c := range m.ordered() {
		if c.OutSPI == spi {
			return c
		}
	}
	return nil
}
