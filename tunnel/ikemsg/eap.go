package ikemsg

import "encoding/binary"

// An EAP packet, and the payload that is nothing else (RFC 7296 section 3.16,
// RFC 3748 section 4).
type EAP struct {
	Code       EAPCode
	Identifier uint8
	Kind       EAPType // of EAPRequest and EAPResponse only
	Data       []byte  // behind the type
}

// Type is PayloadEAP.
func (*EAP) Type() PayloadType { return PayloadEAP }

func parseEAPPayload(body []byte) (*EAP, *Error) {
	d := decoder{b: body}
	p := &EAP{Code: EAPCode(d.uint8()), Identifier: d.uint8()}
	n := int(d.uint16())
	if d.short || n != len(body) {
		return nil, malformed("an EAP packet of %d bytes has a length of %d", len(body), n)
	}
	switch p.Code {
	case EAPRequest, EAPResponse:
		p.Kind = EAPType(d.uint8())
		p.Data = d.rest()
	case EAPSuccess, EAPFailure:
	default:
		return nil, malformed("an EAP packet of code %d", p.Code)
	}
	return p, d.end()
}

// ParseEAP reads a packet that stands alone, as inside of a tunnelled method.
func ParseEAP(packet []byte) (*EAP, error) {
	p, err := parseEAPPayload(packet)
	if err != nil {
		return nil, in(PayloadEAP, err)
	}
	return p, nil
}

// Marshal writes the packet alone.
func (p *EAP) Marshal() []byte {
	e := &encoder{}
	p.append(e)
	return e.b
}

func (p *EAP) append(e *encoder) {
	start := len(e.b)
	e.uint8(uint8(p.Code))
	e.uint8(p.Identifier)
	end := e.length(start)
	if p.Code == EAPRequest || p.Code == EAPResponse {
		e.uint8(uint8(p.Kind))
		e.bytes(p.Data)
	}
	end()
}

// Reply is the response of the same type to a request.
func (p *EAP) Reply(data []byte) *EAP {
	return &EAP{Code: EAPResponse, Identifier: p.Identifier, Kind: p.Kind, Data: data}
}

// Nak refuses the method of a request and says which ones would do (RFC 3748
// section 5.3.1).
func (p *EAP) Nak(wanted ...EAPType) *EAP {
	nak := &EAP{Code: EAPResponse, Identifier: p.Identifier, Kind: EAPNak}
	for _, t := range wanted {
		nak.Data = append(nak.Data, uint8(t))
	}
	if len(wanted) == 0 {
		nak.Data = []byte{0} // none
	}
	return nak
}

// String is code and type, without content: REQ/MSCHAPV2.
func (p *EAP) String() string {
	if p.Code == EAPRequest || p.Code == EAPResponse {
		return p.Code.String() + "/" + p.Kind.String()
	}
	return p.Code.String()
}

// An MD5Challenge is the data of EAPMD5 in both directions: value and name, as
// in CHAP (RFC 3748 section 5.4, RFC 1994 section 4.1).
type MD5Challenge struct {
	Value []byte
	Name  []byte
}

// ParseMD5Challenge reads it.
func ParseMD5Challenge(data []byte) (*MD5Challenge, error) {
	d := decoder{b: data}
	c := &MD5Challenge{Value: d.take(int(d.uint8()))}
	c.Name = d.rest()
	if d.short || len(c.Value) == 0 {
		return nil, in(PayloadEAP, malformed("an EAP-MD5 challenge is cut short"))
	}
	return c, nil
}

// Marshal writes it; a value has at most 255 bytes.
func (c *MD5Challenge) Marshal() []byte {
	b := append([]byte{uint8(len(c.Value))}, c.Value...)
	return append(b, c.Name...)
}

// A TLSFragment is the data of EAPTLS: a part of what TLS sends in one go (RFC
// 5216 section 3). The zero value acknowledges a fragment.
type TLSFragment struct {
	Start bool   // the request that begins
	More  bool   // more fragments follow
	Total uint32 // the length of the whole, in its first fragment
	Sized bool   // Total is there
	Data  []byte
}

const (
	tlsLength = 0x80
	tlsMore   = 0x40
	tlsStart  = 0x20
)

// ParseTLSFragment reads it. Total is what the peer says, and not bounded here.
func ParseTLSFragment(data []byte) (*TLSFragment, error) {
	d := decoder{b: data}
	flags := d.uint8()
	f := &TLSFragment{Start: flags&tlsStart != 0, More: flags&tlsMore != 0, Sized: flags&tlsLength != 0}
	if f.Sized {
		f.Total = d.uint32()
	}
	f.Data = d.rest()
	if d.short {
		return nil, in(PayloadEAP, malformed("an EAP-TLS fragment is cut short"))
	}
	return f, nil
}

// Marshal writes it.
func (f *TLSFragment) Marshal() []byte {
	var flags uint8
	for flag, set := range map[uint8]bool{tlsStart: f.Start, tlsMore: f.More, tlsLength: f.Sized} {
		if set {
			flags |= flag
		}
	}
	b := []byte{flags}
	if f.Sized {
		b = binary.BigEndian.AppendUint32(b, f.Total)
	}
	return append(b, f.Data...)
}

// EAPCode is what an EAP packet is (RFC 3748 section 4).
type EAPCode uint8

// What EAPCode may be.
const (
	EAPRequest  EAPCode = 1 // from the gateway
	EAPResponse EAPCode = 2 // to it
	EAPSuccess  EAPCode = 3 // the end
	EAPFailure  EAPCode = 4 // the end
)

// String is the name in the registry of IANA, or the number.
func (t EAPCode) String() string {
	switch t {
	case EAPRequest:
		return "REQ"
	case EAPResponse:
		return "RES"
	case EAPSuccess:
		return "SUCC"
	case EAPFailure:
		return "FAIL"
	}
	return number("code", t)
}

// EAPType is a method, or one of the three that are none (RFC 3748 section 5).
type EAPType uint8

// What EAPType may be.
const (
	EAPIdentity     EAPType = 1   // RFC 3748
	EAPNotification EAPType = 2   // RFC 3748
	EAPNak          EAPType = 3   // RFC 3748, responses only
	EAPMD5          EAPType = 4   // RFC 3748
	EAPOTP          EAPType = 5   // RFC 3748
	EAPGTC          EAPType = 6   // RFC 3748
	EAPTLS          EAPType = 13  // RFC 5216, RFC 9190
	EAPTTLS         EAPType = 21  // RFC 5281
	EAPPEAP         EAPType = 25  // draft-josefsson-pppext-eap-tls-eap
	EAPMSCHAPv2     EAPType = 26  // draft-kamath-pppext-eap-mschapv2
	EAPExpanded     EAPType = 254 // RFC 3748 section 5.7
)

// String is the name in the registry of IANA, or the number.
func (t EAPType) String() string {
	switch t {
	case EAPIdentity:
		return "ID"
	case EAPNotification:
		return "NOTIFICATION"
	case EAPNak:
		return "NAK"
	case EAPMD5:
		return "MD5"
	case EAPOTP:
		return "OTP"
	case EAPGTC:
		return "GTC"
	case EAPTLS:
		return "TLS"
	case EAPTTLS:
		return "TTLS"
	case EAPPEAP:
		return "PEAP"
	case EAPMSCHAPv2:
		return "MSCHAPV2"
	case EAPExpanded:
		return "EXPANDED"
	case 18:
		return "SIM"
	case 23:
		return "AKA"
	case 43:
		return "FAST"
	case 50:
		return "AKA_PRIME"
	case 52:
		return "PWD"
	}
	return number("method", t)
}
