package icmp

import "encoding/binary"

// An Echo is a request for an echo, or its answer.
type Echo struct {
	ID, Seq uint16
	Data    []byte // none of a request that is quoted
}

// AppendRequest adds a request without a checksum for IPv6, whose kernels all
// make it themselves (RFC 3542 section 3.1), and with one for IPv4.
func (e Echo) AppendRequest(b []byte, v6 bool) []byte {
	start := len(b)
	b = append(b, requestType(v6), 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, e.ID)
	b = binary.BigEndian.AppendUint16(b, e.Seq)
	b = append(b, e.Data...)
	if !v6 {
		binary.BigEndian.PutUint16(b[start+2:], checksum(b[start:]))
	}
	return b
}

func requestType(v6 bool) byte {
	if v6 {
		return request6
	}
	return request4
}

// checksum is the Internet checksum of RFC 1071 over a message whose own field
// is 0.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// ParseReply reads an answer as a socket for ICMP hears it: of IPv4 with its
// header before it, or without. It returns false for everything else.
func ParseReply(b []byte, v6 bool) (Echo, bool) {
	kind := byte(reply4)
	if v6 {
		kind = reply6
	}
	b, ok := message(b, v6)
	if !ok || b[0] != kind || b[1] != 0 {
		return Echo{}, false
	}
	e := numbers(b)
	e.Data = b[HeaderLen:]
	return e, true
}

// Request returns the echo request that the error is about, if its quote begins
// with one. Of an error that Parse returns, the protocol must be ICMP as well.
func (e Error) Request() (Echo, bool) {
	if !e.IsError() || len(e.Quote) < HeaderLen || e.Quote[0] != requestType(e.V6) {
		return Echo{}, false
	}
	return numbers(e.Quote), true
}

func numbers(b []byte) Echo {
	return Echo{ID: binary.BigEndian.Uint16(b[4:]), Seq: binary.BigEndian.Uint16(b[6:])}
}
