package port

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// The numbers of IKEv2 that the question takes (RFC 7296 sections 3.1 to 3.4,
// and IANA's registry), and what an answer is read by.
const (
	ikeHeader    = 28
	ikeVersion2  = 0x20
	ikeInit      = 34
	ikeInitiator = 0x08
	ikeResponse  = 0x20

	payloadNone, payloadSA, payloadKE, payloadNonce, payloadNotify = 0, 33, 34, 40, 41

	transformEncryption, transformPRF, transformIntegrity, transformGroup = 1, 2, 3, 4

	x25519Group, x25519Size = 31, 32
	nonceSize               = 32
)

// IKE asks an IPsec gateway for the first message of a login (IKE_SA_INIT), and
// goes no further. A gateway that accepts nothing of what is offered says so,
// which is an answer as well. With nat it is sent as to port 4500, behind four
// zero bytes (RFC 3948 section 2.2).
func IKE(nat bool) *Question {
	spi := number(8)
	message := ikeRequest(spi)
	var marker []byte
	if nat {
		marker = make([]byte, 4)
	}
	return &Question{Name: "IKE", Bytes: slices.Concat(marker, message), Read: func(answer []byte) (string, bool) {
		rest, ok := bytes.CutPrefix(answer, marker)
		if !ok || len(rest) < ikeHeader || !bytes.Equal(rest[:8], spi) {
			return not("IKE", answer)
		}
		text, ok := ikeAnswer(rest)
		if !ok {
			return not("IKE", answer)
		}
		return text, true
	}}
}

// ikeRequest is a request that gateways understand which were set up in the
// last twenty years: AES, SHA, and the key exchanges 14, 19 and 31.
func ikeRequest(spi []byte) []byte {
	const keyLength256, keyLength128 = 256, 128
	type transform struct {
		kind byte
		id   uint16
		bits uint16
	}
	transforms := []transform{
		{transformEncryption, 12, keyLength256}, {transformEncryption, 12, keyLength128},
		{transformPRF, 5, 0}, {transformPRF, 2, 0},
		{transformIntegrity, 12, 0}, {transformIntegrity, 2, 0},
		{transformGroup, x25519Group, 0}, {transformGroup, 19, 0}, {transformGroup, 14, 0},
	}
	var list []byte
	for i, t := range transforms {
		more, size := byte(3), uint16(8)
		if i == len(transforms)-1 {
			more = 0
		}
		if t.bits > 0 {
			size += 4
		}
		list = binary.BigEndian.AppendUint16(append(list, more, 0), size)
		list = binary.BigEndian.AppendUint16(append(list, t.kind, 0), t.id)
		if t.bits > 0 {
			list = binary.BigEndian.AppendUint16(append(list, 0x80, 14), t.bits) // key length
		}
	}
	proposal := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(8+len(list)))
	proposal = append(append(proposal, 1, 1, 0, byte(len(transforms))), list...) // number 1, of IKE, without SPI

	key := binary.BigEndian.AppendUint16(nil, x25519Group)
	key = append(append(key, 0, 0), number(x25519Size)...)
	body := slices.Concat(
		ikePayload(payloadKE, proposal),
		ikePayload(payloadNonce, key),
		ikePayload(payloadNone, number(nonceSize)))

	head := slices.Concat(spi, make([]byte, 8), []byte{payloadSA, ikeVersion2, ikeInit, ikeInitiator}, make([]byte, 4))
	head = binary.BigEndian.AppendUint32(head, uint32(ikeHeader+len(body)))
	return append(head, body...)
}

// ikePayload puts a payload's header before it.
func ikePayload(next byte, b []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{next, 0}, uint16(4+len(b))), b...)
}

// ikeAnswer says what a gateway answered. The header is there.
func ikeAnswer(b []byte) (string, bool) {
	first, version, exchange, flags := b[16], b[17], b[18], b[19]
	if int(binary.BigEndian.Uint32(b[24:])) != len(b) {
		return "", false
	}
	if version>>4 == 1 {
		return "IKEv1 only", true // it answers version 2 by an error of version 1
	}
	if version>>4 != 2 || exchange != ikeInit || flags&ikeResponse == 0 {
		return "", false
	}
	const notifyHead = 8
	for kind, rest := first, b[ikeHeader:]; kind != payloadNone; {
		if len(rest) < 4 {
			return "", false
		}
		size := int(binary.BigEndian.Uint16(rest[2:]))
		if size < 4 || size > len(rest) {
			return "", false
		}
		switch {
		case kind == payloadSA:
			return "IKEv2, accepts what was offered", true
		case kind == payloadNotify && size >= notifyHead:
			if text := ikeNotify(binary.BigEndian.Uint16(rest[6:])); text != "" {
				return "IKEv2, " + text, true
			}
		}
		kind, rest = rest[0], rest[size:]
	}
	return "IKEv2", true
}

// ikeNotify is what a notification says of the request, "" if it is one that
// comes beside other payloads (RFC 7296 section 3.10.1).
func ikeNotify(kind uint16) string {
	const (
		invalidMajor, invalidSyntax, noProposal, invalidKE = 5, 7, 14, 17
		firstStatus, cookie                                = 16384, 16390
	)
	switch {
	case kind == noProposal:
		return "accepts none of what was offered"
	case kind == invalidKE:
		return "wants another key exchange"
	case kind == cookie:
		return "asks for a cookie"
	case kind == invalidMajor:
		return "another version only"
	case kind == invalidSyntax:
		return "did not understand"
	case kind < firstStatus:
		return fmt.Sprintf("error %d", kind)
	}
	return ""
}
