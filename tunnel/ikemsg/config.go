package ikemsg

import (
	"math/bits"
	"net/netip"
)

// A Config payload asks for addresses, or gives them (RFC 7296 section 3.15).
type Config struct {
	Kind       ConfigType
	Attributes []ConfigAttribute
}

// A ConfigAttribute is one thing that is asked for or given. An empty value
// asks for any.
type ConfigAttribute struct {
	Kind  AttributeType // 15 bits
	Value []byte
}

// Type is PayloadConfig.
func (*Config) Type() PayloadType { return PayloadConfig }

func parseConfig(body []byte) (*Config, *Error) {
	d := decoder{b: body}
	c := &Config{Kind: ConfigType(d.uint8())}
	d.take(3)
	for len(d.b) > 0 && !d.short {
		a := ConfigAttribute{Kind: AttributeType(d.uint16() &^ 0x8000)}
		a.Value = d.take(int(d.uint16()))
		if len(c.Attributes) == maxConfigAttributes {
			return nil, tooLarge("more than %d attributes", maxConfigAttributes)
		}
		c.Attributes = append(c.Attributes, a)
	}
	return c, d.end()
}

func (c *Config) append(e *encoder) {
	e.uint8(uint8(c.Kind))
	e.reserved(3)
	for _, a := range c.Attributes {
		if len(a.Value) > maxPayload {
			e.fail(tooLarge("%d bytes in an attribute", len(a.Value)))
		}
		e.uint16(uint16(a.Kind) &^ 0x8000)
		e.uint16(uint16(len(a.Value)))
		e.bytes(a.Value)
	}
}

// Address is the value of an attribute that is an address: that of this side,
// of a name server and the like. An IPv6 address may be followed by the length
// of its prefix (RFC 7296 section 3.15.1).
func (a ConfigAttribute) Address() (netip.Addr, bool) {
	switch {
	case a.Kind.ipv4() && len(a.Value) == 4:
		return netip.AddrFromSlice(a.Value)
	case a.Kind.ipv6() && (len(a.Value) == 16 || len(a.Value) == 17):
		return netip.AddrFromSlice(a.Value[:16])
	}
	return netip.Addr{}, false
}

// Prefix is the value of INTERNAL_IP6_ADDRESS, whose prefix is 128 bits if it
// does not say, or of INTERNAL_IP4_SUBNET and INTERNAL_IP6_SUBNET: the
// networks that the gateway protects. The bits behind the prefix are kept in
// an address and cleared in a subnet.
func (a ConfigAttribute) Prefix() (netip.Prefix, bool) {
	v := a.Value
	switch {
	case a.Kind == InternalIP4Subnet && len(v) == 8:
		addr, _ := netip.AddrFromSlice(v[:4])
		n, ok := maskBits([4]byte(v[4:]))
		return netip.PrefixFrom(addr, n).Masked(), ok
	case a.Kind == InternalIP4Address && len(v) == 4:
		addr, _ := netip.AddrFromSlice(v)
		return netip.PrefixFrom(addr, 32), true
	case a.Kind == InternalIP6Address && len(v) == 16:
		addr, _ := netip.AddrFromSlice(v)
		return netip.PrefixFrom(addr, 128), true
	case (a.Kind == InternalIP6Address || a.Kind == InternalIP6Subnet) && len(v) == 17 && v[16] <= 128:
		addr, _ := netip.AddrFromSlice(v[:16])
		p := netip.PrefixFrom(addr, int(v[16]))
		if a.Kind == InternalIP6Subnet {
			p = p.Masked()
		}
		return p, true
	}
	return netip.Prefix{}, false
}

// maskBits counts the bits of a netmask, which must be a row of ones and a row
// of zeroes.
func maskBits(m [4]byte) (int, bool) {
	v := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
	n := bits.LeadingZeros32(^v)
	return n, v == ^uint32(0)<<(32-n)
}

func (t AttributeType) ipv4() bool {
	switch t {
	case InternalIP4Address, InternalIP4Netmask, InternalIP4DNS, InternalIP4NBNS, InternalIP4DHCP, PCSCFIP4Address:
		return true
	default:
		return false
	}
}

func (t AttributeType) ipv6() bool {
	switch t {
	case InternalIP6Address, InternalIP6DNS, InternalIP6DHCP, PCSCFIP6Address:
		return true
	default:
		return false
	}
}

// Find returns the first attribute of a type.
func (c *Config) Find(t AttributeType) (ConfigAttribute, bool) {
	for _, a := range c.Attributes {
		if a.Kind == t {
			return a, true
		}
	}
	return ConfigAttribute{}, false
}
