package tunneltest

import (
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// Options say what a Gateway is. The zero value of a time is never.
type Options struct {
	PSK []byte
	// ID is who it says to be. Default: the host name gateway.test.
	ID ikemsg.Identity
	// IKE and ESP are what it takes, the best first; nil is suite.Default.
	IKE, ESP []suite.Proposal
	// Networks lie behind it.
	Networks []netip.Prefix
	// Addresses are what a client gets that asks for any, and DNS its name
	// servers.
	Addresses, DNS []netip.Addr
	// MaxDatagram is how long a message may be before it goes in fragments; 0
	// is 1232 bytes.
	MaxDatagram int

	// ChildLifetime and IKELifetime are after which time it replaces a child SA
	// and the IKE SA, and Probe after which silence it asks whether the client is
	// there.
	ChildLifetime, IKELifetime, Probe time.Duration
	// Patience is how long it waits for an answer. Default: one minute.
	Patience time.Duration

	Faults Faults
}

const (
	defaultPatience    = time.Minute
	defaultMaxDatagram = 1232
	firstWait          = 500 * time.Millisecond
	longWait           = 8 * time.Second
	nonceSize          = 32
	// putOff is after which time it tries again what the client has put off (RFC
	// 7296 section 2.25).
	putOff = 2 * time.Second
	// late is how long packets of an old SA are still taken.
	late = 5 * time.Second
)

// A Gateway is the responder to one client, see the package. It is not safe for
// concurrent use.
type Gateway struct {
	o      Options
	random io.Reader

	begun   bool // a client has passed IKE_SA_INIT
	cookie  []byte
	cookies int

	sas      []*sa    // the one in use first
	past     []*sa    // that the client has deleted, should it not have seen the answer
	children []*child // the oldest first
	sending  *child
	retired  []*child // that are gone; packets may still be on their way
	made     int      // children so far
	heard    time.Time
	stats    Stats
	err      error
	out      [][]byte
}

// Stats are what a Gateway has seen and done.
type Stats struct {
	Logins      int // that were let in
	Refused     int // that were not
	Dropped     int // datagrams that meant nothing
	Repeated    int // requests that were answered from memory
	Retransmits int // of our own requests
	ChildRekeys int // child SAs that were replaced, by either side
	IKERekeys   int
	Collisions  int // replaced by both sides at the same time
	Won         int // of them, those where ours stayed
	PutOff      int // refused by either side with TEMPORARY_FAILURE
	Deleted     int // child SAs that were deleted, by either side
}

// New makes a gateway. Random gives nonces, SPIs and keys; nil is crypto/rand.
func New(o Options, random io.Reader) (*Gateway, error) {
	switch {
	case len(o.PSK) == 0:
		return nil, fault.New(fault.Config, "a gateway without a pre-shared key")
	case len(o.Networks) == 0:
		return nil, fault.New(fault.Config, "a gateway without networks behind it")
	}
	if len(o.ID.Data) == 0 {
		o.ID = ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("gateway.test")}
	}
	if o.IKE == nil {
		o.IKE = suite.Default(suite.IKE)
	}
	if o.ESP == nil {
		o.ESP = suite.Default(suite.ESP)
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.MaxDatagram <= 0 {
		o.MaxDatagram = defaultMaxDatagram
	}
	if random == nil {
		random = rand.Reader
	}
	return &Gateway{o: o, random: random}, nil
}

// Handle takes a datagram from the client, without the four zero bytes of port
// 4500, and returns what is sent to it.
func (g *Gateway) Handle(now time.Time, datagram []byte) [][]byte {
	m, err := ikemsg.Parse(datagram)
	if err != nil {
		g.stats.Dropped++
		return nil
	}
	if m.ResponderSPI.IsZero() {
		g.first(now, m, datagram)
		return g.take()
	}
	for _, s := range g.sas {
		if s.isFor(m.Header) {
			g.receive(now, s, m, datagram)
			return g.take()
		}
	}
	for _, s := range g.past {
		if s.isFor(m.Header) && !m.Response() && m.MessageID+1 == s.expected {
			g.stats.Repeated++
			g.send(s.answer)
			return g.take()
		}
	}
	g.stats.Dropped++
	return nil
}

// Expire does what is due, and returns what is sent.
func (g *Gateway) Expire(now time.Time) [][]byte {
	g.due(now)
	return g.take()
}

// Deadline is when Expire wants to be called; the zero time is never.
func (g *Gateway) Deadline() time.Time {
	var first time.Time
	for _, at := range g.deadlines() {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// Knows reports whether a datagram of IKE belongs to this login.
func (g *Gateway) Knows(h ikemsg.Header) bool {
	return slices.ContainsFunc(g.sas, func(s *sa) bool {
		return s.isFor(h) || h.ResponderSPI.IsZero() && !s.initiator && s.peer == h.InitiatorSPI
	})
}

// Up reports whether a client is logged in.
func (g *Gateway) Up() bool {
	s := g.current()
	return s != nil && s.proved
}

// Gone reports whether there was a client, and is none; Over, whether it need
// not be remembered any more either.
func (g *Gateway) Gone() bool { return g.begun && len(g.sas) == 0 }

// Over is above.
func (g *Gateway) Over() bool { return g.Gone() && len(g.past) == 0 }

// Stats are what it has seen and done.
func (g *Gateway) Stats() Stats { return g.stats }

// Err is the first thing that it could not do, as with a fault that cannot be
// written.
func (g *Gateway) Err() error { return g.err }

// SPIs are those of the IKE SAs, ours and the client's, the one in use first.
func (g *Gateway) SPIs() [][2]ikemsg.SPI {
	var all [][2]ikemsg.SPI
	for _, s := range g.sas {
		all = append(all, [2]ikemsg.SPI{s.own, s.peer})
	}
	return all
}

// current is the IKE SA in use.
func (g *Gateway) current() *sa {
	if len(g.sas) == 0 {
		return nil
	}
	return g.sas[0]
}

func (g *Gateway) send(datagrams [][]byte) { g.out = append(g.out, datagrams...) }

func (g *Gateway) take() [][]byte {
	out := g.out
	g.out = nil
	if f := g.o.Faults.Datagrams; f != nil && len(out) > 0 {
		// What is kept for another time must stay as it is.
		for i := range out {
			out[i] = slices.Clone(out[i])
		}
		out = f(out)
	}
	return out
}

func (g *Gateway) fail(err error) {
	if err != nil && g.err == nil {
		g.err = err
	}
}

// bytes reads n random bytes.
func (g *Gateway) bytes(n int) []byte {
	b := make([]byte, n)
	_, err := io.ReadFull(g.random, b)
	g.fail(err)
	return b
}

func (g *Gateway) ikeSPI() ikemsg.SPI {
	spi := ikemsg.SPI(g.bytes(8))
	if spi.IsZero() {
		spi[7] = 1
	}
	return spi
}

// espSPI is one that no child has. The first 256 are reserved (RFC 4303 section
// 2.1).
func (g *Gateway) espSPI() uint32 {
	for range 100 {
		b := g.bytes(4)
		spi := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		taken := func(c *child) bool { return c.inSPI == spi }
		if spi > 255 && !slices.ContainsFunc(g.children, taken) && !slices.ContainsFunc(g.retired, taken) {
			return spi
		}
	}
	g.fail(errors.New("the source of random numbers repeats itself"))
	return 256
}
