package ikev2

import (
	"net/netip"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// An Action is something that the machine wants to be done.
type Action interface{ action() }

// Send asks for a datagram to be sent to the gateway. The four zero bytes of
// port 4500 (RFC 3948 section 2.2) are not in it. The machine does not use the
// bytes again.
type Send struct{ Datagram []byte }

// Float says that from now on everything goes to port 4500, with the four zero
// bytes before it (RFC 7296 section 2.23).
type Float struct{}

// Established says that the gateway has let us in. It comes before the first
// Install.
type Established struct {
	Gateway   ikemsg.Identity // who the gateway proved to be
	Suite     suite.Suite     // of the IKE SA
	Addresses []netip.Addr    // the inner addresses that the gateway gave
	DNS       []netip.Addr    // name servers behind it
	Subnets   []netip.Prefix  // what it says lies behind it, which may be nothing
	NAT       NATCheck        // what it says of the addresses that it sees
}

// Install asks for the inbound one of a pair of ESP SAs to be taken into use.
type Install struct{ Child *Child }

// Use asks for the outbound one of a pair that was installed to be used from
// now on, in place of the one before it.
type Use struct{ Child *Child }

// Remove asks for the inbound ESP SA of an SPI to be taken out of use. Another
// outbound one is in use by then, if the machine has not ended.
type Remove struct{ SPI uint32 }

// Ended says that the machine is done, and why. It is the last action. A nil
// Err is the end that Close asked for.
type Ended struct{ Err error }

// Note is an event for the log. It holds no secret.
type Note struct {
	Level Level
	Text  string
	Args  []any // keys and values, as for log/slog
}

// Level is how much a Note matters.
type Level int

// The levels.
const (
	Debug Level = iota
	Info
	Warn
)

func (Send) action()        {}
func (Float) action()       {}
func (Established) action() {}
func (Install) action()     {}
func (Use) action()         {}
func (Remove) action()      {}
func (Ended) action()       {}
func (Note) action()        {}

// A Child is a pair of ESP SAs (RFC 4301 section 4.1), one for each direction.
type Child struct {
	InSPI, OutSPI uint32
	Suite         suite.Suite
	In, Out       *suite.Protection
	Local, Remote []ikemsg.Selector // what may pass, as the gateway narrowed it
	Made          time.Time

	number  int // how many were made before it
	rekeyAt time.Time
	endAt   time.Time
	useAt   time.Time  // when it is used, if not before; zero: it is, or never
	gone    bool       // the gateway was told that it is deleted
	lost    bool       // ours was made at the same time and stays; the gateway deletes it
	secret  *SecretESP // until it is exposed, or is not
	// rekey is our own attempt to replace it, and theirs what the gateway has
	// put in its place.
	rekey, theirs *replacement
}
