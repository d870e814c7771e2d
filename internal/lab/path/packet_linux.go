package path

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Protocol numbers (IANA), and where they stand in a header (RFC 791 3.1,
// RFC 8200 3).
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	header4, header6 = 20, 40 // bytes, without options
)

// split is a packet's protocol and what follows the IP header. IPv6 extension
// headers are not looked behind, and of IPv4 fragments the first one only.
func split(b []byte) (proto byte, rest []byte) {
	switch {
	case len(b) >= header4 && b[0]>>4 == 4:
		head := int(b[0]&15) * 4
		if head > len(b) || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return b[9], nil
		}
		return b[9], b[head:]
	case len(b) >= header6 && b[0]>>4 == 6:
		return b[6], b[header6:]
	}
	return 0, nil
}

// ICMP tells packets of ICMP and ICMPv6, for Faults.Drop.
func ICMP(packet []byte) bool {
	proto, _ := split(packet)
	return proto == protoICMP || proto == protoICMPv6
}

// Echo tells requests and answers of ping, for Faults.Drop.
func Echo(packet []byte) bool {
	proto, rest := split(packet)
	if len(rest) == 0 {
		return false
	}
	switch kind := int(rest[0]); proto {
	case protoICMP:
		return kind == int(ipv4.ICMPTypeEcho) || kind == int(ipv4.ICMPTypeEchoReply)
	case protoICMPv6:
		return kind == int(ipv6.ICMPTypeEchoRequest) || kind == int(ipv6.ICMPTypeEchoReply)
	}
	return false
}

// Port tells packets of TCP and UDP to or from a port, for Faults.Drop.
func Port(port uint16) func(packet []byte) bool {
	return func(packet []byte) bool {
		proto, rest := split(packet)
		if proto != protoTCP && proto != protoUDP || len(rest) < 4 {
			return false
		}
		return binary.BigEndian.Uint16(rest) == port || binary.BigEndian.Uint16(rest[2:]) == port
	}
}

// own tells packets for all of a link's hosts (RFC 4291 2.7, RFC 5771 4).
func own(b []byte) bool {
	return len(b) >= header6 && b[0]>>4 == 6 && b[24] == 0xff && b[25]&15 == 2 ||
		len(b) >= header4 && b[0]>>4 == 4 && [3]byte(b[16:]) == [3]byte{224, 0, 0}
}

// whole tells packets that no router may cut: IPv6, and IPv4 with DF.
func whole(b []byte) bool {
	return len(b) >= header4 && (b[0]>>4 == 6 || b[6]&0x40 != 0)
}

// tooBig is what a router says of a packet that does not go on in one piece
// (RFC 792 with RFC 1191 4; RFC 4443 3.2). It says nothing of ICMP errors.
func tooBig(packet []byte, mtu int, from [2]netip.Addr) []byte {
	if isError(packet) {
		return nil
	}
	if packet[0]>>4 == 4 {
		to := netip.AddrFrom4([4]byte(packet[12:]))
		message := icmp.Message{Type: ipv4.ICMPTypeDestinationUnreachable, Code: 4, Body: &icmp.RawBody{
			Data: append(binary.BigEndian.AppendUint32(nil, uint32(mtu)), packet[:min(len(packet), 548)]...),
		}}
		return wrap4(message, from[0], to)
	}
	to := netip.AddrFrom16([16]byte(packet[8:]))
	message := icmp.Message{Type: ipv6.ICMPTypePacketTooBig, Body: &icmp.PacketTooBig{MTU: mtu, Data: packet[:min(len(packet), 1232)]}}
	return wrap6(message, from[1], to)
}

// isError tells ICMP messages that are no queries.
func isError(packet []byte) bool {
	proto, rest := split(packet)
	switch {
	case len(rest) == 0:
		return true // a later fragment
	case proto == protoICMP:
		return !Echo(packet)
	case proto == protoICMPv6:
		return rest[0] < 128 // RFC 4443 2.1
	}
	return false
}

func wrap4(message icmp.Message, from, to netip.Addr) []byte {
	body, err := message.Marshal(nil)
	if err != nil {
		return nil
	}
	h := make([]byte, header4, header4+len(body))
	h[0], h[8], h[9] = 0x45, 64, protoICMP
	binary.BigEndian.PutUint16(h[2:], uint16(header4+len(body)))
	copy(h[12:], from.AsSlice())
	copy(h[16:], to.AsSlice())
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, body...)
}

func wrap6(message icmp.Message, from, to netip.Addr) []byte {
	body, err := message.Marshal(icmp.IPv6PseudoHeader(from.AsSlice(), to.AsSlice()))
	if err != nil {
		return nil
	}
	h := make([]byte, header6, header6+len(body))
	h[0], h[6], h[7] = 0x60, protoICMPv6, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
	copy(h[8:], from.AsSlice())
	copy(h[24:], to.AsSlice())
	return append(h, body...)
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
