package ikemsg

import (
	"fmt"
	"net/netip"
)

// A Selector is a range of addresses and ports (RFC 7296 section 3.13.1).
type Selector struct {
	Kind      SelectorType
	Protocol  uint8 // of IP; 0 is any
	StartPort uint16
	EndPort   uint16 // of ICMP: type and code, as in the RFC
	Start     netip.Addr
	End       netip.Addr
	Body      []byte // what follows the length, of kinds other than address ranges; nil else
}

// TSi are the addresses behind the initiator of the exchange.
type TSi struct{ Selectors []Selector }

// TSr are those behind its responder.
type TSr struct{ Selectors []Selector }

// Type is PayloadTSi.
func (*TSi) Type() PayloadType { return PayloadTSi }

// Type is PayloadTSr.
func (*TSr) Type() PayloadType { return PayloadTSr }

func (t *TSi) append(e *encoder) { appendSelectors(e, t.Selectors) }
func (t *TSr) append(e *encoder) { appendSelectors(e, t.Selectors) }

// SelectorOf is everything of a network: all protocols and ports.
func SelectorOf(p netip.Prefix) Selector {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	s := Selector{Kind: SelectorIPv4, EndPort: 0xffff, Start: p.Addr(), End: end}
	if p.Addr().Is6() {
		s.Kind = SelectorIPv6
	}
	return s
}

func parseSelectors(body []byte) ([]Selector, *Error) {
	d := decoder{b: body}
	n := int(d.uint8())
	d.take(3)
	var all []Selector
	for range n {
		s, err := parseSelector(&d)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return all, nil
}

func parseSelector(d *decoder) (Selector, *Error) {
	s := Selector{Kind: SelectorType(d.uint8())}
	protocol, n := d.uint8(), int(d.uint16())
	switch {
	case d.short:
		return s, malformed("a selector is cut short")
	case n < 4 || n-4 > len(d.b):
		return s, malformed("a selector has a length of %d, and %d bytes are left", n, len(d.b)+4)
	case n > maxSelectorSize:
		return s, tooLarge("a selector of %d bytes", n)
	}
	s.Protocol = protocol
	b := decoder{b: d.take(n - 4)}
	size := s.Kind.addressSize()
	if size == 0 {
		s.Body = b.rest()
		return s, nil
	}
	s.StartPort, s.EndPort = b.uint16(), b.uint16()
	s.Start, _ = netip.AddrFromSlice(b.take(size))
	s.End, _ = netip.AddrFromSlice(b.take(size))
	if b.end() != nil {
		return s, malformed("%d bytes are no selector of kind %v", n, s.Kind)
	}
	if s.End.Less(s.Start) {
		return s, malformed("a selector from %v to %v", s.Start, s.End)
	}
	// The one range that runs backwards is OPAQUE (RFC 7296 section 3.13.1).
	if s.StartPort > s.EndPort && !s.Opaque() {
		return s, malformed("a selector from port %d to %d", s.StartPort, s.EndPort)
	}
	return s, nil
}

// addressSize is that of an address in a range, 0 for other kinds.
func (t SelectorType) addressSize() int {
	switch t {
	case SelectorIPv4:
		return 4
	case SelectorIPv6:
		return 16
	default:
		return 0
	}
}

func appendSelectors(e *encoder, all []Selector) {
	e.count(len(all), maxSelectors, "selectors")
	e.reserved(3)
	for _, s := range all {
		start := len(e.b)
		e.uint8(uint8(s.Kind))
		e.uint8(s.Protocol)
		end := e.length(start)
		if size := s.Kind.addressSize(); size == 0 {
			e.bytes(s.Body)
		} else {
			if s.Start.BitLen() != size*8 || s.End.BitLen() != size*8 {
				e.fail(malformed("a selector of kind %v from %v to %v", s.Kind, s.Start, s.End))
			}
			e.uint16(s.StartPort)
			e.uint16(s.EndPort)
			e.bytes(s.Start.AsSlice())
			e.bytes(s.End.AsSlice())
		}
		end()
	}
}

// Opaque reports whether the selector is for packets whose ports cannot be
// seen.
func (s Selector) Opaque() bool { return s.StartPort == 0xffff && s.EndPort == 0 }

// Covers reports whether everything that o is for, s is for too.
func (s Selector) Covers(o Selector) bool {
	if s.Kind != o.Kind || s.Kind.addressSize() == 0 {
		return false
	}
	if s.Protocol != 0 && s.Protocol != o.Protocol {
		return false
	}
	anyPort := s.StartPort == 0 && s.EndPort == 0xffff
	ports := s.Opaque() == o.Opaque() && s.StartPort <= o.StartPort && o.EndPort <= s.EndPort
	return (anyPort || ports) && !o.Start.Less(s.Start) && !s.End.Less(o.End)
}

// Contains reports whether the selector is for an address, whatever the ports.
func (s Selector) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.BitLen() == s.Start.BitLen() && !a.Less(s.Start) && !s.End.Less(a)
}

// Prefix is the network that the range is, if it is one.
func (s Selector) Prefix() (netip.Prefix, bool) {
	if s.Kind.addressSize() == 0 || !s.Start.IsValid() {
		return netip.Prefix{}, false
	}
	for bits := s.Start.BitLen(); bits >= 0; bits-- {
		p := SelectorOf(netip.PrefixFrom(s.Start, bits))
		if p.Start != s.Start {
			return netip.Prefix{}, false
		}
		if p.End == s.End {
			return netip.PrefixFrom(s.Start, bits), true
		}
	}
	return netip.Prefix{}, false
}

// String is the selector as swanctl writes it: 10.77.0.0/24, or
// 10.0.0.1-10.0.0.9, with [protocol/ports] if it is not for all.
func (s Selector) String() string {
	if s.Kind.addressSize() == 0 {
		return fmt.Sprintf("%v:%x", s.Kind, s.Body)
	}
	text := s.Start.String() + "-" + s.End.String()
	if p, ok := s.Prefix(); ok {
		text = p.String()
	}
	if s.Protocol == 0 && s.StartPort == 0 && s.EndPort == 0xffff {
		return text
	}
	protocol := map[uint8]string{0: "any", 1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp"}[s.Protocol]
	if protocol == "" {
		protocol = fmt.Sprint(s.Protocol)
	}
	switch {
	case s.Opaque():
		return text + "[" + protocol + "/opaque]"
	case s.StartPort == 0 && s.EndPort == 0xffff:
		return text + "[" + protocol + "]"
	case s.StartPort == s.EndPort:
		return fmt.Sprintf("%s[%s/%d]", text, protocol, s.StartPort)
	}
	return fmt.Sprintf("%s[%s/%d-%d]", text, protocol, s.StartPort, s.EndPort)
}
