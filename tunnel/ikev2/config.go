package ikev2

import (
	"encoding/asn1"
	"net/netip"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// A Config is what a Machine is told of its gateway. The zero value of each
// time has a default.
type Config struct {
	Local  ikemsg.Identity
	Remote *ikemsg.Identity // who the gateway must be; nil: whoever has the key, or whom Trust names

	// PSK, Certificate and EAP are how we prove who we are: one of them, or the
	// first or second one and then EAP (RFC 4739).
	PSK         []byte // a pre-shared key
	Certificate *Certificate
	EAP         *EAP

	// RemotePSK and Trust are how the gateway proves who it is: by a pre-shared
	// key, or by a certificate. Without both it is PSK.
	RemotePSK []byte
	Trust     *Trust

	// InitialContact says to the gateway that nobody else is logged in as Local,
	// so that it forgets what a crash of ours has left there (RFC 7296 section
	// 2.4). It ends the tunnels of others with the same identity.
	InitialContact bool

	IKE, ESP []suite.Proposal // nil: suite.Default

	// Address is our address inside; the zero value asks the gateway for one.
	Address netip.Addr
	// Networks are what lies behind the gateway.
	Networks []netip.Prefix

	// Childless makes the first child by an exchange of its own after the login,
	// and not in it, as some gateways want (RFC 6023). Its keys then come of a key
	// exchange of its own, if ESP has one.
	Childless bool

	// Port4500 begins on port 4500, where the runner sends from the start.
	Port4500 bool
	// MaxDatagram is how long a datagram may be before it is sent in fragments
	// (RFC 7383). Default: 1232 bytes, what IPv6 carries everywhere.
	MaxDatagram int

	// Patience is how long a request is sent again without an answer. Default:
	// 30 seconds.
	Patience time.Duration
	// FirstPatience is that of the very first request. Default: Patience.
	FirstPatience time.Duration
	// Probe is after how long a silence the gateway is asked whether it is
	// there (RFC 7296 section 2.4). Default: 20 seconds.
	Probe time.Duration
	// ChildLifetime and IKELifetime are how long keys are used, in time, and ten
	// seconds more if the gateway does not replace them at once.
	// Defaults: one hour and eight hours.
	ChildLifetime, IKELifetime time.Duration

	// ExposeSecrets makes the machine give all keys away, in actions of type
	// SecretIKE and SecretESP.
	ExposeSecrets bool
}

// The defaults.
const (
	defaultPatience      = 30 * time.Second
	defaultProbe         = 20 * time.Second
	defaultChildLifetime = time.Hour
	defaultIKELifetime   = 8 * time.Hour
	defaultMaxDatagram   = 1232
)

func (c *Config) complete() error {
	orTime := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	orTime(&c.Patience, defaultPatience)
	orTime(&c.FirstPatience, c.Patience)
	orTime(&c.Probe, defaultProbe)
	orTime(&c.ChildLifetime, defaultChildLifetime)
	orTime(&c.IKELifetime, defaultIKELifetime)
	if c.MaxDatagram <= 0 {
		c.MaxDatagram = defaultMaxDatagram
	}
	if c.IKE == nil {
		c.IKE = suite.Default(suite.IKE)
	}
	if c.ESP == nil {
		c.ESP = suite.Default(suite.ESP)
	}
	switch {
	case len(c.Networks) == 0:
		return fault.New(fault.Config, "a tunnel without networks behind its gateway")
	case len(c.IKE) == 0 || len(c.ESP) == 0:
		return fault.New(fault.Config, "a tunnel without proposals")
	}
	return c.checkProofs()
}

// ParseIdentity reads an identity: `type:value` with ipv4, ipv6, fqdn, email,
// keyid or dn, or the value alone where it is plain what it is: an address, a
// name with an @, a distinguished name with an =, or a host name (RFC 7296
// section 3.5).
func ParseIdentity(text string) (ikemsg.Identity, error) {
	kind, value, typed := strings.Cut(text, ":")
	if addr, err := netip.ParseAddr(text); err == nil {
		return addressIdentity(addr.Unmap()), nil
	}
	if !typed {
		kind, value = "", text
	}
	switch strings.ToLower(kind) {
	case "ipv4", "ipv6":
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Is4() != (strings.EqualFold(kind, "ipv4")) {
			return ikemsg.Identity{}, fault.New(fault.Config, "%q is no %s address", value, kind)
		}
		return addressIdentity(addr), nil
	case "fqdn":
		return ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte(value)}, nil
	case "email":
		return ikemsg.Identity{Kind: ikemsg.IDEmail, Data: []byte(value)}, nil
	case "keyid":
		return ikemsg.Identity{Kind: ikemsg.IDKey, Data: []byte(value)}, nil
	case "dn":
		return nameIdentity(value)
	case "":
		switch {
		case value == "":
			return ikemsg.Identity{}, fault.New(fault.Config, "an identity is empty")
		case strings.Contains(value, "="):
			return nameIdentity(value)
		case strings.Contains(value, "@"):
			return ikemsg.Identity{Kind: ikemsg.IDEmail, Data: []byte(strings.TrimPrefix(value, "@"))}, nil
		}
		return ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte(value)}, nil
	}
	return ikemsg.Identity{}, fault.New(fault.Config, "an identity of type %q", kind).
		WithHint("types are ipv4, ipv6, fqdn, email, keyid and dn")
}

func addressIdentity(a netip.Addr) ikemsg.Identity {
	if a.Is4() {
		return ikemsg.Identity{Kind: ikemsg.IDIPv4, Data: a.AsSlice()}
	}
	return ikemsg.Identity{Kind: ikemsg.IDIPv6, Data: a.AsSlice()}
}

// attributes are the attribute types of RFC 4519 that names are written with.
func attributes() map[string]asn1.ObjectIdentifier {
	return map[string]asn1.ObjectIdentifier{
		"CN": {2, 5, 4, 3}, "SERIALNUMBER": {2, 5, 4, 5}, "C": {2, 5, 4, 6}, "L": {2, 5, 4, 7}, "ST": {2, 5, 4, 8},
		"STREET": {2, 5, 4, 9}, "O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11}, "DC": {0, 9, 2342, 19200300, 100, 1, 25},
		"E": {1, 2, 840, 113549, 1, 9, 1}, "EMAILADDRESS": {1, 2, 840, 113549, 1, 9, 1},
	}
}

// nameIdentity makes the DER of a distinguished name that is written from its
// largest part to its smallest: C=CH, O=Example, CN=branch.
func nameIdentity(text string) (ikemsg.Identity, error) {
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}
	type set []attribute // of one; the name of the type ends on SET in ASN.1
	var name []asn1.RawValue
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		oid := attributes()[strings.ToUpper(strings.TrimSpace(key))]
		if !ok || oid == nil {
			return ikemsg.Identity{}, fault.New(fault.Config, "%q is no part of a distinguished name", strings.TrimSpace(part)).
				WithHint("write it as in C=CH, O=Example, CN=branch")
		}
		one, err := asn1.MarshalWithParams(set{{oid, strings.TrimSpace(value)}}, "set")
		if err != nil {
			return ikemsg.Identity{}, fault.New(fault.Config, "a distinguished name: %w", err)
		}
		name = append(name, asn1.RawValue{FullBytes: one})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		return ikemsg.Identity{}, fault.New(fault.Config, "a distinguished name: %w", err)
	}
	return ikemsg.Identity{Kind: ikemsg.IDName, Data: der}, nil
}
