package tunnel

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"

	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/keylog"
	"linehaul/tunnel/pcapng"
)

// The interfaces of a capture.
const (
	innerSide = iota
	outerSide
)

// NewCapture begins a capture of packets for Config.Capture: those inside, as
// they are, and those outside, with headers of IP and UDP that are made up of
// what the socket knows.
func NewCapture(w io.Writer, program string) (*pcapng.Writer, error) {
	return pcapng.NewWriter(w, program,
		pcapng.Interface{Name: "inner", Description: "IP packets inside of the tunnel"},
		pcapng.Interface{Name: "outer", Description: "IKE and ESP in UDP, to and from the gateway"})
}

// A tap takes packets down. Nil is none.
type tap struct {
	w   *pcapng.Writer
	now func() time.Time
}

func (t *tap) inner(out bool, packets ...[]byte) {
	if t == nil {
		return
	}
	for _, p := range packets {
		t.w.Write(t.now(), innerSide, out, p)
	}
}

func (t *tap) outer(s *socket, out bool, datagram []byte) {
	if t == nil {
		return
	}
	from, to := s.ends()
	if !out {
		from, to = to, from
	}
	t.w.Write(t.now(), outerSide, out, frame(from, to, datagram))
}

const (
	headIPv4, headIPv6, headUDP = 20, 40, 8
	protocolUDP                 = 17
	hops                        = 64
)

// frame puts the headers before a datagram that the system has put there, or
// will: IPv4 (RFC 791 section 3.1) or IPv6 (RFC 8200 section 3), and UDP (RFC
// 768).
func frame(from, to netip.AddrPort, datagram []byte) []byte {
	size := headUDP + len(datagram)
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(size))
	udp = append(append(udp, 0, 0), datagram...)
	source, target := from.Addr(), to.Addr()
	if source.Is4() && target.Is4() {
		b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, hops, protocolUDP, 0, 0}
		binary.BigEndian.PutUint16(b[2:], uint16(headIPv4+size))
		b = append(append(b, source.AsSlice()...), target.AsSlice()...)
		binary.BigEndian.PutUint16(b[10:], ^sum(0, b))
		return append(b, udp...) // without a checksum of UDP, which IPv4 allows
	}
	a, z := source.As16(), target.As16()
	b := []byte{0x60, 0, 0, 0, 0, 0, protocolUDP, hops}
	binary.BigEndian.PutUint16(b[4:], uint16(size))
	b = append(append(b, a[:]...), z[:]...)
	check := ^sum(uint32(sum(protocolUDP+uint32(size), b[headIPv6-32:])), udp) // RFC 8200 section 8.1
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return append(b, udp...)
}

// sum adds words as RFC 1071 does, to what there is.
func sum(total uint32, b []byte) uint16 {
	for i, v := range b {
		total += uint32(v) << (8 * (1 - i%2))
		if total > 0xffffff {
			total = total>>16 + total&0xffff
		}
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// secret writes keys down that the machine gives away.
func (t *Tunnel) secret(a ikev2.Action) {
	if t.keys == nil {
		return
	}
	switch a := a.(type) {
	case ikev2.SecretIKE:
		t.keys.AddIKE(keylog.IKE{
			InitiatorSPI: a.InitiatorSPI, ResponderSPI: a.ResponderSPI, Suite: a.Suite,
			Initiator: keylog.Keys(a.Initiator), Responder: keylog.Keys(a.Responder),
		})
	case ikev2.SecretESP:
		v6 := t.link.host.Is6()
		t.keys.AddESP(keylog.ESP{SPI: a.InSPI, IPv6: v6, Suite: a.Suite, Keys: keylog.Keys(a.In)})
		t.keys.AddESP(keylog.ESP{SPI: a.OutSPI, IPv6: v6, Suite: a.Suite, Keys: keylog.Keys(a.Out)})
	}
}
