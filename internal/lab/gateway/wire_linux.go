package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// A Packet is one IP packet of the line before the gateway.
type Packet struct {
	From, To netip.AddrPort // without ports for other than UDP, and for later fragments
	Protocol byte           // as in the header: 17 for UDP, 50 for ESP
	Payload  []byte         // what follows the IP header, for UDP its content
}

// Protocols that packets have (the registry of protocol numbers; RFC 4303 2).
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ESP    = 50
	ICMPv6 = 58
)

// Wire ends the recording and returns its file, in pcap's format: all that was
// on the line before the gateway. It wants Options.Capture.
func (g *Gateway) Wire() string {
	g.t.Helper()
	if g.capture == nil {
		g.t.Fatal("nothing was recorded: Options.Capture is not set")
	}
	g.capture.SignalChildren(syscall.SIGTERM)
	if !g.capture.Wait(10 * time.Second) {
		g.t.Fatal("tcpdump does not end")
	}
	return g.wire()
}

// Packets ends the recording and returns what is in it.
func (g *Gateway) Packets() []Packet {
	g.t.Helper()
	b, err := os.ReadFile(g.Wire())
	if err != nil {
		g.t.Fatal(err)
	}
	packets, err := readPcap(b)
	if err != nil {
		g.t.Fatal(err)
	}
	return packets
}

// readPcap reads a capture of Ethernet frames that this machine has made:
// 24 bytes of header, then records of 16 bytes (seconds, fraction, bytes kept,
// bytes there were) and a frame. What is not IP is left out.
func readPcap(b []byte) ([]Packet, error) {
	const ethernet = 1
	order := binary.NativeEndian
	if len(b) < 24 || order.Uint32(b) != 0xa1b2c3d4 || order.Uint32(b[20:]) != ethernet {
		return nil, fmt.Errorf("not a capture of Ethernet frames, with %d bytes", len(b))
	}
	var packets []Packet
	for b = b[24:]; len(b) > 0; {
		if len(b) < 16 || uint64(order.Uint32(b[8:])) > uint64(len(b)-16) {
			return nil, fmt.Errorf("the capture ends within a record")
		}
		frame := b[16 : 16+order.Uint32(b[8:])]
		b = b[16+len(frame):]
		if len(frame) < 14 {
			continue
		}
		if p, ok := readIP(frame[14:]); ok {
			packets = append(packets, p)
		}
	}
	return packets, nil
}

// readIP takes an IPv4 or IPv6 packet apart. IPv6 extension headers are not
// looked behind: the lab has none.
func readIP(b []byte) (p Packet, ok bool) {
	first := true
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		from, to := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		p = Packet{From: netip.AddrPortFrom(from, 0), To: netip.AddrPortFrom(to, 0), Protocol: b[9]}
		first = binary.BigEndian.Uint16(b[6:])&0x1fff == 0
		size, head := int(binary.BigEndian.Uint16(b[2:])), int(b[0]&15)*4
		if size > len(b) || head > size {
			return p, false
		}
		p.Payload = b[head:size]
	case len(b) >= 40 && b[0]>>4 == 6:
		from, to := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		p = Packet{From: netip.AddrPortFrom(from, 0), To: netip.AddrPortFrom(to, 0), Protocol: b[6]}
		size := 40 + int(binary.BigEndian.Uint16(b[4:]))
		if size > len(b) {
			return p, false
		}
		p.Payload = b[40:size]
	default:
		return p, false
	}
	if p.Protocol == UDP && first && len(p.Payload) >= 8 {
		p.From = netip.AddrPortFrom(p.From.Addr(), binary.BigEndian.Uint16(p.Payload))
		p.To = netip.AddrPortFrom(p.To.Addr(), binary.BigEndian.Uint16(p.Payload[2:]))
		p.Payload = p.Payload[8:]
	}
	return p, true
}

// IKE returns the IKE message that a packet carries: on port 500, or on 4500
// behind the marker of four zero bytes (RFC 3948 2.2).
func (p Packet) IKE() ([]byte, bool) {
	if p.Protocol != UDP {
		return nil, false
	}
	b := p.Payload
	switch {
	case p.To.Port() == 500 || p.From.Port() == 500:
	case p.natPort() && len(b) > 4 && [4]byte(b) == [4]byte{}:
		b = b[4:]
	default:
		return nil, false
	}
	return b, len(b) >= 28 // RFC 7296 3.1: the header
}

// Encapsulated returns the ESP packet that a packet carries in UDP (RFC 3948
// 2.1). A keepalive is none.
func (p Packet) Encapsulated() ([]byte, bool) {
	ok := p.Protocol == UDP && p.natPort() && len(p.Payload) > 8 && [4]byte(p.Payload) != [4]byte{}
	return p.Payload, ok
}

func (p Packet) natPort() bool { return p.To.Port() == 4500 || p.From.Port() == 4500 }
