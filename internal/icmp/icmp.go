// Package icmp is what ICMP looks like on the line (RFC 792, RFC 1812, RFC
// 4443): echo requests and their answers, and the errors that routers, firewalls
// and hosts send about packets of ours, what they mean, what they quote of the
// packet, and how Linux hands them to the socket that sent it (IP_RECVERR).
//
//	echo    type 1 | code 1 | checksum 2 | identifier 2 | sequence 2 | data
//	errors  type 1 | code 1 | checksum 2 | info 4 | the packet, as much as it likes
//
// It opens no sockets: packages of the row above do. Left out: time stamps,
// redirects, and what neighbours say to each other.
package icmp

import (
	"fmt"
	"net/netip"
	"time"
)

// An Error is one such message.
type Error struct {
	V6         bool // ICMPv6
	Type, Code uint8
	From       netip.Addr // who sent it; it may be this machine
	Info       uint32     // of "too big": the size that passes, where it says so
	// To is where the packet went to. Of TCP and UDP it has the port.
	To netip.AddrPort
	// At is when it came, by the clock that never jumps.
	At time.Time
	// Quote is what follows, in the quoted packet, the header of IP, or of UDP or
	// TCP where a socket of that kind was told. It may be cut short anywhere.
	Quote []byte
}

// A Meaning is what an error says of the way to the host.
type Meaning int

// The meanings.
const (
	Other           Meaning = iota // nothing of it, or not known
	NoRoute                        // somebody knows no way to the host
	Prohibited                     // a firewall forbids it
	PortUnreachable                // nobody listens there, or a firewall says so
	Exceeded                       // the packet's time to live ended on the way
	TooBig                         // the packet is too large for the next line
)

// The types.
const (
	reply4, request4                 = 0, 8
	reply6, request6                 = 129, 128
	unreachable4, exceeded4          = 3, 11
	unreachable6, tooBig6, exceeded6 = 1, 2, 3
	parameter4, parameter6           = 12, 4
)

// exceededAtAHost is a code of both exceeded4 and exceeded6.
const exceededAtAHost = 1

// AnswerTypes are the types of what may come of an echo request: its answer, and
// errors.
func AnswerTypes(v6 bool) []uint8 {
	if v6 {
		return []uint8{reply6, unreachable6, tooBig6, exceeded6, parameter6}
	}
	return []uint8{reply4, unreachable4, exceeded4, parameter4}
}

// IsError tells the errors from what else ICMP is for.
func (e Error) IsError() bool {
	if e.V6 {
		return e.Type >= unreachable6 && e.Type <= parameter6
	}
	return e.Type == unreachable4 || e.Type == exceeded4 || e.Type == parameter4
}

// Meaning sorts the error.
func (e Error) Meaning() Meaning {
	m, _ := e.read()
	return m
}

// MTU is what a router says would pass, of "too big"; 0 if it does not say.
func (e Error) MTU() int {
	switch m := e.Meaning(); {
	case m != TooBig:
		return 0
	case e.V6:
		return int(min(e.Info, 1<<16))
	}
	return int(e.Info & 0xffff) // RFC 1191 section 4
}

// String is the error in words, as in "host unreachable".
func (e Error) String() string {
	_, text := e.read()
	return text
}

func (e Error) read() (Meaning, string) {
	switch {
	case !e.V6 && e.Type == unreachable4:
		return unreachableBy4(e.Code)
	case e.V6 && e.Type == unreachable6:
		return unreachableBy6(e.Code)
	case e.V6 && e.Type == tooBig6:
		return TooBig, "packet too big"
	case e.Type == exceeded4 && !e.V6 || e.Type == exceeded6 && e.V6:
		if e.Code == exceededAtAHost {
			return Other, "not all fragments came in time"
		}
		return Exceeded, "time to live exceeded"
	case e.Type == parameter4 && !e.V6 || e.Type == parameter6 && e.V6:
		return Other, "parameter problem"
	}
	return Other, fmt.Sprintf("ICMP type %d, code %d", e.Type, e.Code)
}

// unreachableBy4 is of RFC 1812 section 5.2.7.1.
func unreachableBy4(code uint8) (Meaning, string) {
	switch code {
	case 0:
		return NoRoute, "network unreachable"
	case 1:
		return NoRoute, "host unreachable"
	case 2:
		return Prohibited, "protocol unreachable"
	case 3:
		return PortUnreachable, "port unreachable"
	case 4:
		return TooBig, "fragmentation needed"
	case 5:
		return NoRoute, "source route failed"
	case 6:
		return NoRoute, "network unknown"
	case 7:
		return NoRoute, "host unknown"
	case 8:
		return NoRoute, "source host isolated"
	case 9:
		return Prohibited, "network prohibited by a firewall"
	case 10:
		return Prohibited, "host prohibited by a firewall"
	case 11:
		return NoRoute, "network unreachable for this type of service"
	case 12:
		return NoRoute, "host unreachable for this type of service"
	case 13:
		return Prohibited, "prohibited by a firewall"
	case 14, 15:
		return Prohibited, "precedence not allowed"
	}
	return NoRoute, fmt.Sprintf("destination unreachable, code %d", code)
}

// unreachableBy6 is of RFC 4443 section 3.1.
func unreachableBy6(code uint8) (Meaning, string) {
	switch code {
	case 0:
		return NoRoute, "no route to destination"
	case 1:
		return Prohibited, "prohibited by a firewall"
	case 2:
		return NoRoute, "beyond the scope of the source address"
	case 3:
		return NoRoute, "address unreachable"
	case 4:
		return PortUnreachable, "port unreachable"
	case 5:
		return Prohibited, "source address prohibited by a firewall"
	case 6:
		return Prohibited, "route rejected"
	}
	return NoRoute, fmt.Sprintf("destination unreachable, code %d", code)
}
