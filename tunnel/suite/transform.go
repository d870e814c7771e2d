package suite

import (
	"fmt"
	"strings"
)

// Type is what a transform is for: IANA's "Transform Type Values" (RFC 7296
// section 3.3.2, RFC 9370 section 4.1).
type Type uint8

// The transform types.
const (
	TypeEncryption    Type = 1
	TypePRF           Type = 2
	TypeIntegrity     Type = 3
	TypeKeyExchange   Type = 4
	TypeESN           Type = 5
	TypeAdditionalKE1 Type = 6 // RFC 9370 section 4.1, up to the seventh
	TypeAdditionalKE2 Type = 7
	TypeAdditionalKE3 Type = 8
	TypeAdditionalKE4 Type = 9
	TypeAdditionalKE5 Type = 10
	TypeAdditionalKE6 Type = 11
	TypeAdditionalKE7 Type = 12
)

// String returns the short name that stands before the number of a transform
// that has no name.
func (t Type) String() string {
	switch t {
	case TypeEncryption:
		return "ENCR"
	case TypePRF:
		return "PRF"
	case TypeIntegrity:
		return "INTEG"
	case TypeKeyExchange:
		return "KE"
	case TypeESN:
		return "ESN"
	default:
		if t.additional() {
			return fmt.Sprintf("ADDKE%d", t-TypeAdditionalKE1+1)
		}
		return fmt.Sprintf("TYPE%d", uint8(t))
	}
}

// additional reports whether t is one of RFC 9370's seven.
func (t Type) additional() bool { return t >= TypeAdditionalKE1 && t <= TypeAdditionalKE7 }

// exchange reports whether transforms of this type are key exchange methods.
func (t Type) exchange() bool { return t == TypeKeyExchange || t.additional() }

// Protocol is what a proposal is for: IANA's "Security Protocol Identifiers"
// (RFC 7296 section 3.3.1).
type Protocol uint8

// The protocols. AH has a number and nothing else here.
const (
	IKE Protocol = 1
	AH  Protocol = 2
	ESP Protocol = 3
)

// String returns the protocol's name.
func (p Protocol) String() string {
	switch p {
	case IKE:
		return "IKE"
	case AH:
		return "AH"
	case ESP:
		return "ESP"
	}
	return fmt.Sprintf("PROTO%d", uint8(p))
}

// Encryption algorithms: IANA's "Transform Type 1", the RFC that says how each
// is used here.
const (
	EncrDES              uint16 = 2  // RFC 2405
	Encr3DES             uint16 = 3  // RFC 2451
	EncrCAST             uint16 = 6  // RFC 2451
	EncrBlowfish         uint16 = 7  // RFC 2451
	EncrNull             uint16 = 11 // RFC 2410
	EncrAESCBC           uint16 = 12 // RFC 3602
	EncrAESCTR           uint16 = 13 // RFC 3686, for IKE RFC 5930
	EncrAESCCM8          uint16 = 14 // RFC 4309, for IKE RFC 5282
	EncrAESCCM12         uint16 = 15
	EncrAESCCM16         uint16 = 16
	EncrAESGCM8          uint16 = 18 // RFC 4106, for IKE RFC 5282
	EncrAESGCM12         uint16 = 19
	EncrAESGCM16         uint16 = 20
	EncrChaCha20Poly1305 uint16 = 28 // RFC 7634
)

// Pseudo-random functions: IANA's "Transform Type 2".
const (
	PRFHMACMD5    uint16 = 1 // RFC 2104
	PRFHMACSHA1   uint16 = 2 // RFC 2104
	PRFAESXCBC    uint16 = 4 // RFC 4434
	PRFHMACSHA256 uint16 = 5 // RFC 4868
	PRFHMACSHA384 uint16 = 6
	PRFHMACSHA512 uint16 = 7
	PRFAESCMAC    uint16 = 8 // RFC 4615
)

// Integrity algorithms: IANA's "Transform Type 3".
const (
	IntegNone       uint16 = 0
	IntegHMACMD5    uint16 = 1  // 96 bits, RFC 2403
	IntegHMACSHA1   uint16 = 2  // 96 bits, RFC 2404
	IntegAESXCBC    uint16 = 5  // 96 bits, RFC 3566
	IntegAESCMAC    uint16 = 8  // 96 bits, RFC 4494
	IntegHMACSHA256 uint16 = 12 // 128 bits, RFC 4868
	IntegHMACSHA384 uint16 = 13 // 192 bits
	IntegHMACSHA512 uint16 = 14 // 256 bits
)

// Key exchange methods: IANA's "Transform Type 4", for the additional ones
// too (RFC 9370 section 2.1).
const (
	KENone     uint16 = 0
	MODP768    uint16 = 1 // RFC 2409 section 6.1
	MODP1024   uint16 = 2 // RFC 2409 section 6.2
	MODP1536   uint16 = 5 // RFC 3526
	MODP2048   uint16 = 14
	MODP3072   uint16 = 15
	MODP4096   uint16 = 16
	MODP6144   uint16 = 17
	MODP8192   uint16 = 18
	ECP256     uint16 = 19 // RFC 5903
	ECP384     uint16 = 20
	ECP521     uint16 = 21
	Curve25519 uint16 = 31 // RFC 8031
	Curve448   uint16 = 32
	MLKEM512   uint16 = 35 // draft-ietf-ipsecme-ikev2-mlkem
	MLKEM768   uint16 = 36
	MLKEM1024  uint16 = 37
)

// Sequence numbers: IANA's "Transform Type 5".
const (
	ESNNo  uint16 = 0
	ESNYes uint16 = 1
)

// A Transform is one algorithm, as RFC 7296 section 3.3.2 carries it. Values
// compare with ==.
type Transform struct {
	Type    Type
	ID      uint16
	KeyBits int // the Key Length attribute (RFC 7296 section 3.3.5), 0 where there is none
}

// String returns the name that Parse reads. What has no name is written as its
// type and number, ENCR(1234), with the key length after a comma if it has one.
func (t Transform) String() string {
	if name := nameOf(t); name != "" {
		return name
	}
	if t.KeyBits != 0 {
		return fmt.Sprintf("%s(%d,%d)", t.Type, t.ID, t.KeyBits)
	}
	return fmt.Sprintf("%s(%d)", t.Type, t.ID)
}

// AEAD reports whether t encrypts and authenticates in one, so that no
// integrity algorithm goes with it (RFC 5282 section 8).
func (t Transform) AEAD() bool {
	a, ok := find(t)
	return ok && a.aead()
}

// A Proposal is what one side would agree to, of each type the best first.
type Proposal struct {
	Protocol   Protocol
	Transforms []Transform
}

// String returns the proposal as Parse reads it.
func (p Proposal) String() string {
	names := make([]string, len(p.Transforms))
	for i, t := range p.Transforms {
		names[i] = t.String()
	}
	return strings.Join(names, "-")
}

// Of returns the transforms of one type, in order.
func (p Proposal) Of(t Type) []Transform {
	var of []Transform
	for _, transform := range p.Transforms {
		if transform.Type == t {
			of = append(of, transform)
		}
	}
	return of
}

// WithoutKeyExchange returns the proposal without any key exchange: what is
// offered for the child SA of IKE_AUTH (RFC 7296 section 1.2).
func (p Proposal) WithoutKeyExchange() Proposal {
	kept := make([]Transform, 0, len(p.Transforms))
	for _, t := range p.Transforms {
		if !t.Type.exchange() {
			kept = append(kept, t)
		}
	}
	return Proposal{p.Protocol, kept}
}
