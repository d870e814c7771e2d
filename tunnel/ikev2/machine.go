package ikev2

import (
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
)

// A state is how far the first exchanges are.
type state int

const (
	idle    state = iota
	asking        // IKE_SA_INIT is under way
	proving       // IKE_AUTH is
	up            // there is an IKE SA that both sides believe in
	ended
)

// A Machine is one login to one gateway, see the package.
type Machine struct {
	config Config
	random io.Reader
	state  state

	first    initial        // what the first exchange needs
	sas      []*association // the newest first; two while one replaces the other
	past     []*association // that are gone, and may be asked about that again
	children map[uint32]*Child

	heard     time.Time // something authentic came, or ESP did
	leaveBy   time.Time // when Close is over; zero: nobody has called it
	addresses []netip.Addr
	mobike    bool // the gateway has it
	renewals  int  // how often there was no child left, of late
	renewed   time.Time
	made      int // children, of all
	outbound  *Child
	welcome   *Established // until there is a child; nil: there was one
	remakeAt  time.Time    // when a child is asked for that the gateway has put off
	fading    []fading
	out       []Action
}

// New makes a machine. Random gives nonces, SPIs and keys; nil is crypto/rand.
func New(c Config, random io.Reader) (*Machine, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if random == nil {
		random = rand.Reader
	}
	return &Machine{config: c, random: random, children: map[uint32]*Child{}}, nil
}

// Start begins the login.
func (m *Machine) Start(now time.Time) []Action {
	if m.state == idle {
		m.check(m.begin(now))
	}
	return m.take()
}

// Handle takes a datagram that came from the gateway, without the four zero
// bytes of port 4500. What is not for this machine, is no IKEv2 or does not
// authenticate has no effect.
func (m *Machine) Handle(now time.Time, datagram []byte) []Action {
	if m.state == idle || m.state == ended {
		return nil
	}
	msg, err := ikemsg.Parse(datagram)
	if err != nil {
		m.note(Debug, "dropped a datagram", "reason", err)
		m.first.heardOther(datagram, err)
		return m.take()
	}
	if m.state == asking {
		m.check(m.handleInit(now, msg, datagram))
		return m.take()
	}
	for _, sa := range m.sas {
		if sa.isFor(msg.Header) {
			m.check(m.receive(now, sa, msg, datagram))
			return m.take()
		}
	}
	for _, sa := range m.past {
		if sa.isFor(msg.Header) && !msg.Response() && msg.MessageID+1 == sa.expected {
			m.check(m.repeat(msg, sa))
		}
	}
	return m.take()
}

// Expire does what is due. It may be called at any time.
func (m *Machine) Expire(now time.Time) []Action {
	if m.state != idle && m.state != ended {
		m.check(m.due(now))
	}
	return m.take()
}

// Heard says that the gateway is there: an authentic ESP packet came.
func (m *Machine) Heard(now time.Time) {
	if now.After(m.heard) {
		m.heard = now
	}
}

// Close tells the gateway that we leave. The machine has ended when it answers,
// or has not for a short while.
func (m *Machine) Close(now time.Time) []Action {
	switch m.state {
	case idle, asking, proving:
		m.end(nil)
	case up:
		m.leave(now)
	case ended:
	}
	return m.take()
}

// Deadline is when Expire wants to be called; the zero time is never.
func (m *Machine) Deadline() time.Time {
	if m.state == idle || m.state == ended {
		return time.Time{}
	}
	var first time.Time
	for _, at := range m.deadlines() {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func (m *Machine) note(l Level, text string, args ...any) { m.do(Note{l, text, args}) }

func (m *Machine) take() []Action {
	m.expose()
	out := m.out
	m.out = nil
	return out
}

// check ends the machine if there is an error.
func (m *Machine) check(err error) {
	if err != nil && m.state != ended {
		m.end(err)
	}
}

// end takes all children out of use.
func (m *Machine) end(err error) {
	if m.state == ended {
		return
	}
	m.state = ended
	m.first.login.stop()
	for _, c := range m.ordered() {
		m.do(Remove{c.InSPI})
	}
	for _, f := range m.fading {
		m.do(Remove{f.spi})
	}
	clear(m.children)
	m.sas, m.past, m.fading, m.outbound = nil, nil, nil, nil
	m.do(Ended{err})
}

// bytes reads n random bytes.
func (m *Machine) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(m.random, b); err != nil {
		return nil, fault.New(fault.Internal, "read %d random bytes: %w", n, err)
	}
	return b, nil
}

// ikeSPI makes an SPI for an IKE SA.
func (m *Machine) ikeSPI() (ikemsg.SPI, error) {
	for {
		b, err := m.bytes(8)
		if err != nil {
			return ikemsg.SPI{}, err
		}
		if spi := ikemsg.SPI(b); !spi.IsZero() {
			return spi, nil
		}
	}
}

// espSPI makes an SPI for what comes in by ESP. The first 256 are reserved
// (RFC 4303 section 2.1).
func (m *Machine) espSPI() (uint32, error) {
	for range 100 {
		b, err := m.bytes(4)
		if err != nil {
			return 0, err
		}
		spi := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		_, taken := m.children[spi]
		taken = taken || slices.ContainsFunc(m.fading, func(f fading) bool { return f.spi == spi })
		if spi > 255 && !taken {
			return spi, nil
		}
	}
	return 0, errors.New("the source of random numbers repeats itself")
}

// nonceSize is at least half of the key of any PRF here (RFC 7296 section 2.10).
const nonceSize = 32
