package ikemsg

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// A Notify payload tells of an error or of a state (RFC 7296 section 3.10).
type Notify struct {
	Protocol ProtocolID // of the SPI; 0 if there is none
	SPI      []byte     // of the SA that it is about: empty for the IKE SA, 4 bytes for ESP and AH
	Kind     NotifyType
	Data     []byte
}

// Type is PayloadNotify.
func (*Notify) Type() PayloadType { return PayloadNotify }

func parseNotify(body []byte) (*Notify, *Error) {
	d := decoder{b: body}
	n := &Notify{Protocol: ProtocolID(d.uint8())}
	size := int(d.uint8())
	n.Kind = NotifyType(d.uint16())
	n.SPI = d.take(size)
	n.Data = d.rest()
	return n, d.end()
}

func (n *Notify) append(e *encoder) {
	e.uint8(uint8(n.Protocol))
	e.count(len(n.SPI), maxSPI, "bytes of SPI")
	e.uint16(uint16(n.Kind))
	e.bytes(n.SPI)
	e.bytes(n.Data)
}

// Group is the key exchange that an INVALID_KE_PAYLOAD asks for (RFC 7296
// section 1.3).
func (n *Notify) Group() (uint16, bool) {
	if n.Kind != InvalidKEPayload || len(n.Data) != 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(n.Data), true
}

// HashAlgorithms are what a SIGNATURE_HASH_ALGORITHMS lists (RFC 7427 section
// 4).
func (n *Notify) HashAlgorithms() []HashAlgorithm {
	var all []HashAlgorithm
	for d := n.Data; n.Kind == SignatureHashAlgorithms && len(d) >= 2; d = d[2:] {
		all = append(all, HashAlgorithm(binary.BigEndian.Uint16(d)))
	}
	return all
}

// NewHashAlgorithms is the notification that HashAlgorithms reads.
func NewHashAlgorithms(all ...HashAlgorithm) *Notify {
	n := &Notify{Kind: SignatureHashAlgorithms}
	for _, h := range all {
		n.Data = binary.BigEndian.AppendUint16(n.Data, uint16(h))
	}
	return n
}

// Address is the address in an ADDITIONAL_IP4_ADDRESS or ADDITIONAL_IP6_ADDRESS
// (RFC 4555 section 4.2).
func (n *Notify) Address() (netip.Addr, bool) {
	want := map[NotifyType]int{AdditionalIP4Address: 4, AdditionalIP6Address: 16}[n.Kind]
	if want == 0 || len(n.Data) != want {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(n.Data)
}

// RedirectedTo is the gateway that a REDIRECT names: an address, or a host name
// without anything that no host name has (RFC 5685 section 9.2).
//
//	type(1) length(1) identity, nonce
func (n *Notify) RedirectedTo() (string, bool) {
	const ipv4, ipv6, name = 1, 2, 3
	if n.Kind != Redirect || len(n.Data) < 2 || len(n.Data)-2 < int(n.Data[1]) {
		return "", false
	}
	to := n.Data[2 : 2+int(n.Data[1])]
	switch n.Data[0] {
	case ipv4, ipv6:
		a, ok := netip.AddrFromSlice(to)
		return a.String(), ok && a.Is4() == (n.Data[0] == ipv4)
	case name:
		host := func(r rune) bool { return r > ' ' && r < 0x7f }
		return string(to), len(to) > 0 && !strings.ContainsFunc(string(to), func(r rune) bool { return !host(r) })
	}
	return "", false
}

// ChildSPI is the SPI of an ESP or AH SA that it is about, as REKEY_SA and
// CHILD_SA_NOT_FOUND have it.
func (n *Notify) ChildSPI() (uint32, bool) {
	if len(n.SPI) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(n.SPI), true
}

// A Delete payload says which SAs the sender has deleted: with ProtocolIKE the
// IKE SA that carries it, with the others those whose incoming SPI at the
// sender is listed (RFC 7296 section 3.11).
type Delete struct {
	Protocol ProtocolID
	SPIs     []uint32
}

// Type is PayloadDelete.
func (*Delete) Type() PayloadType { return PayloadDelete }

func parseDelete(body []byte) (*Delete, *Error) {
	d := decoder{b: body}
	p := &Delete{Protocol: ProtocolID(d.uint8())}
	size, n := d.uint8(), int(d.uint16())
	switch {
	case d.short:
		return nil, d.end()
	case size == 0 && n == 0 && p.Protocol == ProtocolIKE:
		return p, d.end()
	case size != 4 && n > 0 || size != 4 && size != 0:
		return nil, malformed("%d SPIs of %d bytes for %v", n, size, p.Protocol)
	case len(d.b) != 4*n:
		return nil, malformed("%d bytes for %d SPIs", len(d.b), n)
	}
	if n > 0 {
		p.SPIs = make([]uint32, 0, n)
	}
	for range n {
		p.SPIs = append(p.SPIs, d.uint32())
	}
	return p, d.end()
}

func (p *Delete) append(e *encoder) {
	e.uint8(uint8(p.Protocol))
	if p.Protocol == ProtocolIKE && len(p.SPIs) == 0 {
		e.uint8(0)
	} else {
		e.uint8(4)
	}
	if len(p.SPIs) > maxPayload/4 {
		e.fail(tooLarge("%d SPIs", len(p.SPIs)))
	}
	e.uint16(uint16(len(p.SPIs)))
	for _, s := range p.SPIs {
		e.uint32(s)
	}
}
