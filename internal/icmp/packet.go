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
	header     = 8 // of ICMP, and as much of the quoted packet behind its own header
	ipv4Header = 20
	ipv6Header = 40
	fragment6  = 44 // IPv6's extension header for fragments, 8 bytes
	protocol4  = 1  // ICMP
	moreOffset = 0x1fff
)

// Parse reads an ICMP error as a socket for ICMP hears it: of IPv4 with its
// header before it, or without. It returns false for everything else.
func Parse(b []byte, v6 bool) (Error, Quoted, bool) {
	if !v6 && len(b) >= ipv4Header && b[0]>>4 == 4 { // no type of an error begins so
		size := int(b[0]&15) * 4
		if size < ipv4Header || len(b) < size || b[9] != protocol4 {
			return Error{}, Quoted{}, false
		}
		b = b[size:]
	}
	if len(b) < header {
		return Error{}, Quoted{}, false
	}
	e := Error{V6: v6, Type: b[0], Code: b[1]}
	if e.isError() {
		e.Info = binary.BigEndian.Uint32(b[4:])
		if q, rest, ok := quoted(b[header:], v6); ok {
			e.To, e.Quote = q.To, rest
			return e, q, true
		}
	}
	return Error{}, Quoted{}, false
}

// isError tells errors from what else ICMP is for.
func (e Error) isError() bool {
	if e.V6 {
		return e.Type >= unreachable6 && e.Type <= parameter6
	}
	return e.Type == unreachable4 || e.Type == exceeded4 || e.Type == parameter4
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
	if len(b) < header {
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
