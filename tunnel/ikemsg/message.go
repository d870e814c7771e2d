package ikemsg

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// A Message is a header and its payloads, in the order of the wire.
type Message struct {
	Header
	Payloads []Payload

	// Inner is the content of the Encrypted payload once it was opened: the
	// chain of payloads as it came, without padding.
	Inner []byte

	size int    // of the datagram that it was parsed from
	head []byte // of it what stands before the content, once opened
}

// A Payload is one of the pointer types of this package.
type Payload interface {
	Type() PayloadType
	// append writes the body.
	append(e *encoder)
}

// Get returns the first payload of a type:
//
//	sa, ok := ikemsg.Get[*ikemsg.SA](m.Payloads)
func Get[T Payload](payloads []Payload) (T, bool) {
	for _, p := range payloads {
		if t, ok := p.(T); ok {
			return t, true
		}
	}
	var none T
	return none, false
}

// All returns the payloads of a type, in their order.
func All[T Payload](payloads []Payload) []T {
	var all []T
	for _, p := range payloads {
		if t, ok := p.(T); ok {
			all = append(all, t)
		}
	}
	return all
}

// FindNotify returns the first Notify of a type.
func FindNotify(payloads []Payload, t NotifyType) (*Notify, bool) {
	for _, n := range All[*Notify](payloads) {
		if n.Kind == t {
			return n, true
		}
	}
	return nil, false
}

// Critical returns the type of the first payload that is not known here and
// that its sender marks as critical. The message must then be refused with
// UNSUPPORTED_CRITICAL_PAYLOAD, whose data is this one byte (RFC 7296 section
// 2.5). The mark on types that are known means nothing, and unknown ones
// without it are to be skipped.
func (m *Message) Critical() (PayloadType, bool) {
	for _, u := range All[*Unknown](m.Payloads) {
		if u.Critical {
			return u.Kind, true
		}
	}
	return 0, false
}

// Parse reads a datagram of IKEv2. A payload SK or SKF is the last one, and
// stays closed: an *Encrypted or *Fragment, for Open. Datagram remains the
// caller's, who may use it again for something else once it was opened.
//
// The error is an *Error of kind Malformed, OtherVersion or TooLarge.
func Parse(datagram []byte) (*Message, error) {
	h, err := parseHeader(datagram)
	if err != nil {
		return nil, err
	}
	if h.Version>>4 != Version>>4 {
		return nil, &Error{Kind: OtherVersion, Msg: "it is of version " + version(h.Version) + ", not 2"}
	}
	m := &Message{Header: h, size: len(datagram)}
	b := bytes.Clone(datagram)
	if m.Payloads, err = parsePayloads(h.Next, b, HeaderSize); err != nil {
		return nil, err
	}
	return m, nil
}

func version(v uint8) string {
	return string([]byte{'0' + v>>4, '.'}) + number("", v&0x0f)
}

// parsePayloads reads the chain that begins at b[at:] and ends with b.
func parsePayloads(next PayloadType, b []byte, at int) ([]Payload, *Error) {
	var payloads []Payload
	link := 16 // where the type of the next payload stands; in a datagram, first in its header
	for next != 0 {
		t := next
		if len(payloads) == maxPayloads {
			return nil, tooLarge("more than %d payloads", maxPayloads)
		}
		if len(b)-at < payloadHeader {
			return nil, in(t, malformed("%d bytes are left, which are no payload", len(b)-at))
		}
		next = PayloadType(b[at])
		critical := b[at+1]&0x80 != 0
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		if n < payloadHeader || n > len(b)-at {
			return nil, in(t, malformed("a length of %d, and %d bytes are left", n, len(b)-at))
		}
		d := decoder{b: b[at+payloadHeader : at+n]}
		p, err := parsePayload(t, critical, d.rest())
		if err != nil {
			return nil, in(t, err)
		}
		payloads = append(payloads, p)
		at += n
		// SK and SKF are the last ones. Their next payload is the first one
		// inside of them (RFC 7296 section 3.14, RFC 7383 section 2.5).
		switch p := p.(type) {
		case *Encrypted:
			p.First, p.at, next = next, at-n, 0
		case *Fragment:
			p.First, p.at, p.link, next = next, at-n, link, 0
		}
		link = at - n
	}
	if at != len(b) {
		return nil, malformed("%d bytes behind the last payload", len(b)-at)
	}
	return payloads, nil
}

// in adds the place to an error.
func in(t PayloadType, err *Error) *Error {
	if err.Payload == 0 {
		err.Payload = t
	}
	return err
}

func parsePayload(t PayloadType, critical bool, body []byte) (Payload, *Error) {
	switch t {
	case PayloadSA:
		return parseSA(body)
	case PayloadKE:
		return parseKE(body)
	case PayloadIDi:
		id, err := parseIdentity(body)
		return &IDi{id}, err
	case PayloadIDr:
		id, err := parseIdentity(body)
		return &IDr{id}, err
	case PayloadCert:
		return parseCert(body)
	case PayloadCertReq:
		return parseCertReq(body)
	case PayloadAuth:
		return parseAuth(body)
	case PayloadNonce:
		return parseNonce(body)
	case PayloadNotify:
		return parseNotify(body)
	case PayloadDelete:
		return parseDelete(body)
	case PayloadVendorID:
		return &VendorID{body}, nil
	case PayloadTSi:
		s, err := parseSelectors(body)
		return &TSi{s}, err
	case PayloadTSr:
		s, err := parseSelectors(body)
		return &TSr{s}, err
	case PayloadEncrypted:
		return &Encrypted{Body: body}, nil
	case PayloadConfig:
		return parseConfig(body)
	case PayloadEAP:
		return parseEAPPayload(body)
	case PayloadFragment:
		return parseFragment(body)
	default:
		return &Unknown{Kind: t, Critical: critical, Body: body}, nil
	}
}

// Marshal writes a message whose payloads are in the clear, as those of
// IKE_SA_INIT are. It panics if a payload does not fit into the format, which
// can only be one that we made ourselves; Seal returns that as an error.
func (m *Message) Marshal() []byte {
	e := &encoder{b: make([]byte, 0, 512)}
	m.append(e, firstType(m.Payloads))
	appendPayloads(e, m.Payloads)
	if e.err == nil && len(e.b) > MaxDatagram {
		e.fail(tooLarge("%d bytes in a datagram", len(e.b)))
	}
	if e.err != nil {
		panic("ikemsg: Marshal: " + e.err.Error())
	}
	binary.BigEndian.PutUint32(e.b[24:], uint32(len(e.b)))
	return e.b
}

func firstType(payloads []Payload) PayloadType {
	if len(payloads) == 0 {
		return 0
	}
	return payloads[0].Type()
}

// appendPayloads writes a chain.
func appendPayloads(e *encoder, payloads []Payload) {
	for i, p := range payloads {
		next := firstType(payloads[i+1:])
		switch p := p.(type) {
		case *Encrypted:
			next = p.First
		case *Fragment:
			next = p.First
		}
		var critical uint8
		if u, ok := p.(*Unknown); ok && u.Critical {
			critical = 0x80
		}
		start := len(e.b)
		e.uint8(uint8(next))
		e.uint8(critical)
		end := e.length(start)
		p.append(e)
		end()
		if e.err != nil {
			e.err = in(p.Type(), e.err)
			return
		}
	}
}

// String says what a line in a log needs: the header, and the names of the
// payloads; no content but the types of notifications.
func (m *Message) String() string {
	names := make([]string, len(m.Payloads))
	for i, p := range m.Payloads {
		names[i] = payloadName(p)
	}
	return m.Header.String() + " [" + strings.Join(names, " ") + "]"
}

func payloadName(p Payload) string {
	switch p := p.(type) {
	case *Notify:
		return "N(" + p.Kind.String() + ")"
	case *Config:
		return "CP(" + p.Kind.String() + ")"
	case *EAP:
		return "EAP(" + p.String() + ")"
	case *Fragment:
		return p.String()
	}
	return p.Type().String()
}
