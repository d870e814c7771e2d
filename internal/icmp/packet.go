package icmp

import (
	"encoding/binary"
	"net/netip"
)

// A Quoted is the packet that an error is about, as far as the error quotes it.
type Quoted struct {
	Protocol byte // IPPROTO_UDP and so on
	From, To netip.AddrPort
}

// The parts of headers that are read (RFC 791 section 3.1, RFC 8200 section 3).
const (
	ipv4Header = 20
	ipv6Header = 40
	fragment6  = 44 // IPv6's extension header for fragments, 8 bytes
	moreOffset = 0x1fff
)

// HeaderLen is the length of ICMP's header. Of a quoted packet there is as much
// behind its own header of IP.
const HeaderLen = 8

// Protocol is the number of ICMP in a header of IP.
func Protocol(v6 bool) byte {
	if v6 {
		return 58
	}
	return 1
}

// Parse reads an ICMP error as a socket for ICMP hears it: of IPv4 with its
// header before it, or without. It returns false for everything else.
func Parse(b []byte, v6 bool) (Error, Quoted, bool) {
	b, ok := message(b, v6)
	if !ok {
		return Error{}, Quoted{}, false
	}
	e := Error{V6: v6, Type: b[0], Code: b[1]}
	if e.IsError() {
		e.Info = binary.BigEndian.Uint32(b[4:])
		if q, rest, ok := quoted(b[HeaderLen:], v6); ok {
			e.To, e.Quote = q.To, rest
			return e, q, true
		}
	}
	return Error{}, Quoted{}, false
}

// ParsePacket reads a whole packet of IP that is an ICMP error, for who has
// packets instead of a socket. It returns false for every other packet.
func ParsePacket(b []byte) (Error, Quoted, bool) {
	var from netip.Addr
	v6 := len(b) > 0 && b[0]>>4 == 6
	switch {
	case v6 && len(b) >= ipv6Header && b[6] == Protocol(true):
		from, b = netip.AddrFrom16([16]byte(b[8:])), b[ipv6Header:]
	case len(b) >= ipv4Header && b[0]>>4 == 4:
		from = netip.AddrFrom4([4]byte(b[12:]))
	default:
		return Error{}, Quoted{}, false
	}
	e, q, ok := Parse(b, v6)
	if ok {
		e.From = from
	}
	return e, q, ok
}

// message takes off the header of IPv4 where the system leaves that there. What
// is left has all of ICMP's header.
func message(b []byte, v6 bool) ([]byte, bool) {
	if !v6 && len(b) >= ipv4Header && b[0]>>4 == 4 { // no type begins so that is of any use here
		size := int(b[0]&15) * 4
		if size < ipv4Header || len(b) < size || b[9] != Protocol(false) {
			return nil, false
		}
		b = b[size:]
	}
	return b, len(b) >= HeaderLen
}

// quoted reads the packet that an error quotes, and returns what follows the IP
// header: at least 8 bytes.
func quoted(b []byte, v6 bool) (q Quoted, rest []byte, ok bool) {
	var from, to netip.Addr
	switch {
	case v6 && len(b) >= ipv6Header && b[0]>>4 == 6:
		q.Protocol = b[6]
		from, to = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		b = b[ipv6Header:]
		if q.Protocol == fragment6 && len(b) >= 8 && binary.BigEndian.Uint16(b[2:])&^7 == 0 {
			q.Protocol, b = b[0], b[8:]
		}
	case !v6 && len(b) >= ipv4Header && b[0]>>4 == 4:
		size := int(b[0]&15) * 4
		if size < ipv4Header || len(b) < size || binary.BigEndian.Uint16(b[6:])&moreOffset != 0 {
			return q, nil, false // of a later fragment there are no ports
		}
		q.Protocol = b[9]
		from, to = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		b = b[size:]
	default:
		return q, nil, false
	}
	if len(b) < HeaderLen {
		return q, nil, false
	}
	const tcp, udp = 6, 17
	var fromPort, toPort uint16
	if q.Protocol == tcp || q.Protocol == udp {
		fromPort, toPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	}
	q.From, q.To = netip.AddrPortFrom(from, fromPort), netip.AddrPortFrom(to, toPort)
	return q, b, true
}
