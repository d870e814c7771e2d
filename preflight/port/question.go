package port

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// A Question is what is sent to a UDP port.
type Question struct {
	Name  string // as in "DNS"; "" is none of a protocol
	Bytes []byte
	// Read says what an answer is, as in "NTP, stratum 2", and whether it is one
	// to this question.
	Read func(answer []byte) (text string, right bool)
}

// The ports with a protocol of their own.
const (
	dnsPort, ntpPort, ikePort, ikeNATPort = 53, 123, 500, 4500
)

// questionFor chooses a question by the port. Where none is known, an empty
// datagram is sent, which does no harm.
func questionFor(port uint16) *Question {
	switch port {
	case dnsPort:
		return DNS()
	case ntpPort:
		return NTP()
	case ikePort:
		return IKE(false)
	case ikeNATPort:
		return IKE(true)
	}
	return Raw(nil)
}

// Raw is a question of the caller's, to which any answer is right.
func Raw(b []byte) *Question {
	return &Question{Bytes: bytes.Clone(b), Read: func(answer []byte) (string, bool) {
		return fmt.Sprintf("%d bytes", len(answer)), true
	}}
}

// not is the text for an answer that is none of the protocol.
func not(name string, answer []byte) (string, bool) {
	return fmt.Sprintf("%d bytes that are no answer of %s", len(answer), name), false
}

// number returns n bytes that nobody can guess.
func number(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // it ends the process if it fails
	return b
}

// DNS asks for the servers of the root, without recursion: any server has a
// word to say to that, be it that it refuses (RFC 1035).
func DNS() *Question {
	id := binary.BigEndian.Uint16(number(2))
	asked := dnsmessage.Question{Name: dnsmessage.MustNewName("."), Type: dnsmessage.TypeNS, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id}, Questions: []dnsmessage.Question{asked}}
	b, err := m.Pack()
	if err != nil {
		panic("port: a constant question does not pack: " + err.Error())
	}
	return &Question{Name: "DNS", Bytes: b, Read: func(answer []byte) (string, bool) {
		var p dnsmessage.Parser
		h, err := p.Start(answer)
		if err != nil || h.ID != id || !h.Response {
			return not("DNS", answer)
		}
		// Some servers leave the question out when they refuse.
		if q, err := p.Question(); err == nil && q != asked || err != nil && err != dnsmessage.ErrSectionDone {
			return not("DNS", answer)
		}
		return "DNS, " + strings.ToLower(strings.TrimPrefix(h.RCode.String(), "RCode")), true
	}}
}

// The parts of an NTP packet (RFC 5905 section 7.3):
//
//	0 leap(2 bits) version(3) mode(3)  1 stratum  2 poll  3 precision
//	4 root delay(4)  8 root dispersion(4)  12 reference(4)  16 reference time(8)
//	24 origin time(8)  32 receive time(8)  40 transmit time(8)
const (
	ntpSize                                    = 48
	ntpClient                                  = 4<<3 | 3 // version 4, mode 3
	ntpServer, ntpMode                         = 4, 7     // mode 4, and its bits
	ntpStratum, ntpReference                   = 1, 12
	ntpOrigin, ntpTransmit                     = 24, 40
	ntpLeapUnknown                             = 3
	ntpStratumUnsynchronised, ntpKissOfStratum = 16, 0
)

// NTP asks for the time. Our own is not told: the transmit time is a number by
// which the answer is known.
func NTP() *Question {
	b := make([]byte, ntpSize)
	b[0] = ntpClient
	mark := number(8)
	copy(b[ntpTransmit:], mark)
	return &Question{Name: "NTP", Bytes: b, Read: func(answer []byte) (string, bool) {
		if len(answer) < ntpSize || answer[0]&ntpMode != ntpServer || !bytes.Equal(answer[ntpOrigin:ntpOrigin+8], mark) {
			return not("NTP", answer)
		}
		switch stratum := answer[ntpStratum]; {
		case stratum == ntpKissOfStratum:
			return fmt.Sprintf("NTP, refused: %q", bytes.TrimRight(answer[ntpReference:ntpReference+4], "\x00")), true
		case stratum >= ntpStratumUnsynchronised, answer[0]>>6 == ntpLeapUnknown:
			return "NTP, not synchronised", true
		default:
			return fmt.Sprintf("NTP, stratum %d", stratum), true
		}
	}}
}
