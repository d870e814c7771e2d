package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A verdict is what the link thinks of a packet.
type verdict int

const (
	sound     verdict = iota // all checksums are right
	unclear                  // a part of a packet, or one whose checksum is not at hand
	malformed                // not an IP packet, or not all of it
	damaged                  // a checksum is wrong
)

// inspect checks a packet's checksums, and cuts off what follows it.
func inspect(p []byte) (packet []byte, protocol tcpip.NetworkProtocolNumber, v verdict) {
	if len(p) == 0 {
		return nil, 0, malformed
	}
	switch p[0] >> 4 {
	case 4:
		packet, v = inspect4(p)
		return packet, header.IPv4ProtocolNumber, v
	case 6:
		packet, v = inspect6(p)
		return packet, header.IPv6ProtocolNumber, v
	}
	return nil, 0, malformed
}

func inspect4(p []byte) ([]byte, verdict) {
	if len(p) < header.IPv4MinimumSize {
		return nil, malformed
	}
	h := header.IPv4(p)
	size, head := int(h.TotalLength()), int(h.HeaderLength())
	if head < header.IPv4MinimumSize || size < head || size > len(p) {
		return nil, malformed
	}
	p = p[:size]
	if checksum.Checksum(p[:head], 0) != 0xffff {
		return nil, damaged
	}
	if h.More() || h.FragmentOffset() != 0 {
		return p, unclear
	}
	source, target := h.SourceAddress(), h.DestinationAddress()
	return p, transport(p[head:], h.TransportProtocol(), source, target, header.ICMPv4ProtocolNumber)
}

func inspect6(p []byte) ([]byte, verdict) {
	if len(p) < header.IPv6MinimumSize {
		return nil, malformed
	}
	h := header.IPv6(p)
	size := header.IPv6MinimumSize + int(h.PayloadLength())
	if size > len(p) {
		return nil, malformed
	}
	p = p[:size]
	source, target := h.SourceAddress(), h.DestinationAddress()
	return p, transport(p[header.IPv6MinimumSize:], tcpip.TransportProtocolNumber(h.NextHeader()), source, target, header.ICMPv6ProtocolNumber)
}

// transport checks the checksum of a whole message of TCP, UDP or the ICMP of
// the packet's version.
func transport(m []byte, protocol tcpip.TransportProtocolNumber, source, target tcpip.Address, icmp tcpip.TransportProtocolNumber) verdict {
	switch protocol {
	case header.TCPProtocolNumber:
		if len(m) < header.TCPMinimumSize {
			return malformed
		}
	case header.UDPProtocolNumber:
		const lengthAt, checksumAt = 4, 6 // RFC 768
		if len(m) < header.UDPMinimumSize {
			return malformed
		}
		size := int(binary.BigEndian.Uint16(m[lengthAt:]))
		if size < header.UDPMinimumSize || size > len(m) {
			return malformed
		}
		m = m[:size]
		if binary.BigEndian.Uint16(m[checksumAt:]) == 0 {
			if icmp == header.ICMPv4ProtocolNumber {
				return sound // there is none, RFC 768
			}
			return damaged // RFC 8200 section 8.1
		}
	case icmp:
		if len(m) < header.ICMPv4MinimumSize {
			return malformed
		}
		if icmp == header.ICMPv4ProtocolNumber { // no pseudo header, RFC 792
			return right(checksum.Checksum(m, 0))
		}
	default:
		return unclear
	}
	return right(checksum.Checksum(m, header.PseudoHeaderChecksum(protocol, source, target, uint16(len(m)))))
}

// right judges the sum over everything with its checksum: all ones, RFC 1071.
func right(sum uint16) verdict {
	if sum != 0xffff {
		return damaged
	}
	return sound
}
