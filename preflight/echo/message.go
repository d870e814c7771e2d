package echo

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	headerLen = 8 // type, code, checksum, identifier, sequence: RFC 792, RFC 4443 section 4.1

	ipv4Header = 20
	ipv6Header = 40
	protocol4  = 1  // ICMP in IPv4's header
	protocol6  = 58 // ICMPv6 in IPv6's
)

// Types of RFC 792.
const (
	echoReply4    = 0
	unreachable4  = 3
	echoRequest4  = 8
	timeExceeded4 = 11
	badParameter4 = 12
)

// Types of RFC 4443.
const (
	unreachable6  = 1
	packetTooBig6 = 2
	timeExceeded6 = 3
	badParameter6 = 4
	echoRequest6  = 128
	echoReply6    = 129
)

// fragmentationNeeded is a code of unreachable4, with the MTU of RFC 1191
// section 4.
const fragmentationNeeded = 4

// A message is what an ICMP packet says of a request.
type message struct {
	kind Kind
	id   uint16
	seq  uint16
	data []byte // of an answer
	mtu  int
	said string
	// exceeded is of an error: the time to live ended on the way.
	exceeded bool
}

// appendRequest adds an echo request without a checksum for IPv6, whose kernels
// all make it themselves (RFC 3542 section 3.1), and with one for IPv4.
func appendRequest(b []byte, is6 bool, id, seq uint16, data []byte) []byte {
	start := len(b)
	kind := byte(echoRequest4)
	if is6 {
		kind = echoRequest6
	}
	b = append(b, kind, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, seq)
	b = append(b, data...)
	if !is6 {
		binary.BigEndian.PutUint16(b[start+2:], checksum(b[start:]))
	}
	return b
}

// checksum is the Internet checksum of RFC 1071 over a message whose own field
// is 0.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// parse reads an ICMP message, behind its IPv4 header where the system leaves
// that there. It returns false for what is neither an answer nor an error about
// a request. to is the host that the request went to: an error about a packet
// to another host is none of ours.
func parse(b []byte, is6 bool, to []byte) (message, bool) {
	if !is6 && len(b) >= ipv4Header && b[0]>>4 == 4 {
		// No ICMP type begins with these bits that is of any use here.
		header := int(b[0]&15) * 4
		if header < ipv4Header || len(b) < header || b[9] != protocol4 {
			return message{}, false
		}
		b = b[header:]
	}
	if len(b) < headerLen {
		return message{}, false
	}
	reply := byte(echoReply4)
	if is6 {
		reply = echoReply6
	}
	if b[0] == reply {
		return message{
			kind: Echoed, id: binary.BigEndian.Uint16(b[4:]), seq: binary.BigEndian.Uint16(b[6:]), data: b[headerLen:],
		}, b[1] == 0
	}
	m, ok := meaning(is6, b[0], b[1], binary.BigEndian.Uint32(b[4:]))
	if !ok {
		return message{}, false
	}
	quoted, ok := inside(b[headerLen:], is6, to)
	if !ok {
		return message{}, false
	}
	m.id, m.seq = binary.BigEndian.Uint16(quoted[4:]), binary.BigEndian.Uint16(quoted[6:])
	return m, true
}

// inside returns the echo request to a host that an error quotes: at least its
// header.
func inside(b []byte, is6 bool, to []byte) ([]byte, bool) {
	request := byte(echoRequest4)
	if is6 {
		request = echoRequest6
		if len(b) < ipv6Header || b[0]>>4 != 6 || b[6] != protocol6 || string(b[24:40]) != string(to) {
			return nil, false
		}
		b = b[ipv6Header:]
	} else {
		if len(b) < ipv4Header || b[0]>>4 != 4 || b[9] != protocol4 || string(b[16:20]) != string(to) {
			return nil, false
		}
		header := int(b[0]&15) * 4
		if header < ipv4Header || len(b) < header || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return nil, false // the end of a fragment has no ICMP header
		}
		b = b[header:]
	}
	if len(b) < headerLen || b[0] != request {
		return nil, false
	}
	return b, true
}

// meaning says what an error message says: its type, its code, and the four
// bytes behind the checksum.
func meaning(is6 bool, kind, code byte, rest uint32) (message, bool) {
	switch {
	case !is6 && kind == unreachable4 && code == fragmentationNeeded:
		return message{kind: TooBig, mtu: int(rest & 0xffff), said: "fragmentation needed"}, true
	case !is6 && kind == unreachable4:
		return message{kind: Refused, said: unreachable4Words(code)}, true
	case is6 && kind == packetTooBig6:
		return message{kind: TooBig, mtu: int(min(rest, 1<<16)), said: "packet too big"}, true
	case is6 && kind == unreachable6:
		return message{kind: Refused, said: unreachable6Words(code)}, true
	case !is6 && kind == timeExceeded4, is6 && kind == timeExceeded6:
		if code == 1 {
			return message{kind: Refused, said: "not all fragments came in time"}, true
		}
		return message{kind: Refused, said: "time to live exceeded", exceeded: true}, true
	case !is6 && kind == badParameter4, is6 && kind == badParameter6:
		return message{kind: Refused, said: "parameter problem"}, true
	}
	return message{}, false
}

// unreachable4Words are the codes of RFC 792, RFC 1122 section 3.2.2.1 and
// RFC 1812 section 5.2.7.1.
func unreachable4Words(code byte) string {
	switch code {
	case 0, 6, 11:
		return "network unreachable"
	case 1, 7, 8, 12:
		return "host unreachable"
	case 2:
		return "protocol unreachable"
	case 3:
		return "port unreachable"
	case 5:
		return "source route failed"
	case 9, 10, 13:
		return "prohibited by a firewall"
	}
	return fmt.Sprintf("unreachable, code %d", code)
}

// unreachable6Words are the codes of RFC 4443 section 3.1.
func unreachable6Words(code byte) string {
	switch code {
	case 0:
		return "no route to destination"
	case 1, 5:
		return "prohibited by a firewall"
	case 2:
		return "beyond the scope of the source address"
	case 3:
		return "address unreachable"
	case 4:
		return "port unreachable"
	case 6:
		return "route rejected"
	}
	return fmt.Sprintf("unreachable, code %d", code)
}

// Overheard reads a whole IP packet that says of somebody's echo request what
// became of it. It returns the identifier of the request and where it went, and
// the event without its round trip; false if it is another packet. It is for
// who has packets instead of a socket.
func Overheard(packet []byte) (e Event, id uint16, to netip.Addr, ok bool) {
	if len(packet) < ipv4Header {
		return e, 0, to, false
	}
	is6 := packet[0]>>4 == 6
	body := packet
	switch {
	case is6 && len(packet) >= ipv6Header && packet[6] == protocol6:
		e.From, body = netip.AddrFrom16([16]byte(packet[8:])), packet[ipv6Header:]
		if len(body) >= headerLen+ipv6Header {
			to = netip.AddrFrom16([16]byte(body[headerLen+24:]))
		}
	case !is6 && packet[0]>>4 == 4 && packet[9] == protocol4:
		e.From = netip.AddrFrom4([4]byte(packet[12:]))
		header := int(packet[0]&15) * 4
		if len(body) >= header+headerLen+ipv4Header {
			to = netip.AddrFrom4([4]byte(body[header+headerLen+16:]))
		}
	}
	if !to.IsValid() {
		return e, 0, to, false
	}
	m, ok := parse(body, is6, to.AsSlice())
	e.Seq, e.Kind, e.MTU, e.Said = m.seq, m.kind, m.mtu, m.said
	return e, m.id, to, ok && m.kind != Echoed
}
