package ikemsg

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
)

// MSCHAPv2 is the data of EAPMSCHAPv2 in both directions:
//
//	op code, identifier, length of all in 2 bytes, and what follows
//
// The client's answers to Success and Failure are the op code alone
// (draft-kamath-pppext-eap-mschapv2 section 2).
type MSCHAPv2 struct {
	Op         MSCHAPv2Op
	Identifier uint8
	Body       []byte // see the methods Challenge, Response, Message
}

// MSCHAPv2Op says which of its messages it is.
type MSCHAPv2Op uint8

// The op codes.
const (
	MSCHAPv2Challenge      MSCHAPv2Op = 1
	MSCHAPv2Response       MSCHAPv2Op = 2
	MSCHAPv2Success        MSCHAPv2Op = 3
	MSCHAPv2Failure        MSCHAPv2Op = 4
	MSCHAPv2ChangePassword MSCHAPv2Op = 7
)

// String names it.
func (op MSCHAPv2Op) String() string {
	switch op {
	case MSCHAPv2Challenge:
		return "challenge"
	case MSCHAPv2Response:
		return "response"
	case MSCHAPv2Success:
		return "success"
	case MSCHAPv2Failure:
		return "failure"
	case MSCHAPv2ChangePassword:
		return "change password"
	}
	return number("op", op)
}

// A NTResponse answers a challenge (RFC 2759 section 4).
type NTResponse struct {
	PeerChallenge [16]byte
	Response      [24]byte
	Flags         uint8 // zero
	Name          []byte
}

// Sizes of RFC 2759 sections 3 and 4: the byte before the value counts it.
const (
	challengeValue = 16
	responseValue  = 49
)

// ParseMSCHAPv2 reads it. The length inside may be missing in the two answers
// of one byte only.
func ParseMSCHAPv2(data []byte) (*MSCHAPv2, error) {
	d := decoder{b: data}
	m := &MSCHAPv2{Op: MSCHAPv2Op(d.uint8())}
	if len(data) == 1 && (m.Op == MSCHAPv2Success || m.Op == MSCHAPv2Failure) {
		return m, nil
	}
	m.Identifier = d.uint8()
	n := int(d.uint16())
	m.Body = d.rest()
	if d.short || n != len(data) {
		return nil, in(PayloadEAP, malformed("an EAP-MSCHAPv2 %v of %d bytes has a length of %d", m.Op, len(data), n))
	}
	return m, nil
}

// Marshal writes it; a Success or Failure without body is the client's answer.
func (m *MSCHAPv2) Marshal() []byte {
	e := &encoder{}
	e.uint8(uint8(m.Op))
	if len(m.Body) == 0 && (m.Op == MSCHAPv2Success || m.Op == MSCHAPv2Failure) {
		return e.b
	}
	e.uint8(m.Identifier)
	end := e.length(0)
	e.bytes(m.Body)
	end()
	return e.b
}

// Challenge takes a challenge apart: 16 random bytes, and the server's name.
func (m *MSCHAPv2) Challenge() (challenge [16]byte, name []byte, err error) {
	d := decoder{b: m.Body}
	size := d.uint8()
	copy(challenge[:], d.take(challengeValue))
	name = d.rest()
	if d.short || size != challengeValue || m.Op != MSCHAPv2Challenge {
		return challenge, nil, in(PayloadEAP, malformed("no EAP-MSCHAPv2 challenge"))
	}
	return challenge, name, nil
}

// NewChallenge is what Challenge reads.
func NewChallenge(identifier uint8, challenge [16]byte, name []byte) *MSCHAPv2 {
	body := append([]byte{challengeValue}, challenge[:]...)
	return &MSCHAPv2{Op: MSCHAPv2Challenge, Identifier: identifier, Body: append(body, name...)}
}

// Response takes the answer to a challenge apart.
func (m *MSCHAPv2) Response() (*NTResponse, error) {
	d := decoder{b: m.Body}
	size := d.uint8()
	r := &NTResponse{}
	copy(r.PeerChallenge[:], d.take(16))
	d.take(8) // reserved
	copy(r.Response[:], d.take(24))
	r.Flags = d.uint8()
	r.Name = d.rest()
	if d.short || size != responseValue || m.Op != MSCHAPv2Response {
		return nil, in(PayloadEAP, malformed("no EAP-MSCHAPv2 response"))
	}
	return r, nil
}

// NewResponse is what Response reads. Its identifier is that of the challenge.
func NewResponse(identifier uint8, r *NTResponse) *MSCHAPv2 {
	e := &encoder{}
	e.uint8(responseValue)
	e.bytes(r.PeerChallenge[:])
	e.reserved(8)
	e.bytes(r.Response[:])
	e.uint8(r.Flags)
	e.bytes(r.Name)
	return &MSCHAPv2{Op: MSCHAPv2Response, Identifier: identifier, Body: e.b}
}

// A MSCHAPv2Verdict is the text of a server's Success or Failure (RFC 2759
// sections 5 and 6).
type MSCHAPv2Verdict struct {
	Authenticator    [20]byte // S=, of a Success
	HasAuthenticator bool
	Code             int    // E=, of a Failure; 691 is a wrong name or password
	Retry            bool   // R=1
	Challenge        []byte // C=, for the retry; nil if there is none
	Version          int    // V=
	Message          string // M=, for the person, on one line
}

// Verdict reads the text of a Success or a Failure. Fields that are missing
// stay zero.
func (m *MSCHAPv2) Verdict() (*MSCHAPv2Verdict, error) {
	if m.Op != MSCHAPv2Success && m.Op != MSCHAPv2Failure {
		return nil, in(PayloadEAP, malformed("an EAP-MSCHAPv2 %v is no verdict", m.Op))
	}
	v := &MSCHAPv2Verdict{}
	rest := m.Body
	for len(rest) > 0 {
		// The message is the last field, and may have blanks.
		if text, ok := bytes.CutPrefix(rest, []byte("M=")); ok {
			v.Message = printable(bytes.TrimRight(text, "\x00\r\n "))
			break
		}
		var field []byte
		field, rest, _ = bytes.Cut(rest, []byte(" "))
		key, value, _ := strings.Cut(string(field), "=")
		var err error
		switch key {
		case "S":
			var b []byte
			if b, err = hex.DecodeString(value); err == nil && len(b) == len(v.Authenticator) {
				v.Authenticator, v.HasAuthenticator = [20]byte(b), true
			} else {
				err = hex.ErrLength
			}
		case "E":
			v.Code, err = strconv.Atoi(value)
		case "R":
			v.Retry = value == "1"
		case "C":
			if v.Challenge, err = hex.DecodeString(value); err == nil && len(v.Challenge) != challengeValue {
				err = hex.ErrLength
			}
		case "V":
			v.Version, err = strconv.Atoi(value)
		}
		if err != nil {
			return nil, in(PayloadEAP, malformed("an EAP-MSCHAPv2 %v with a field %s= that is none", m.Op, printable([]byte(key))))
		}
	}
	return v, nil
}
