package echo

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"linehaul/internal/icmp"
)

// What the ICMP API of Windows writes into the caller's memory, in 64-bit
// programs (ipexport.h). The data of an answer is pointed to in the one, and
// follows the other.
//
//	ICMP_ECHO_REPLY     address 4 | status 4 | ms 4 | length 2 | - 2 | data 8 | options 16
//	ICMPV6_ECHO_REPLY   port 2 | flow 4 | address 16 | scope 4 | - 2 | status 4 | ms 4
const (
	replyLen4 = 40
	replyLen6 = 36
)

// IP_STATUS of ipexport.h.
const (
	ipSuccess    = 0
	ipStatusBase = 11000
	ipTooBig     = 11009
	ipTimedOut   = 11010
)

// A reply is the first one that the API wrote.
type reply struct {
	from   netip.Addr
	status uint32
	data   []byte
}

// readReply4 reads what the API wrote into b, which is at base in memory.
func readReply4(b []byte, base uint64) (reply, bool) {
	if len(b) < replyLen4 {
		return reply{}, false
	}
	r := reply{from: netip.AddrFrom4([4]byte(b)), status: binary.LittleEndian.Uint32(b[4:])}
	if r.status != ipSuccess {
		return r, true
	}
	length, at := uint64(binary.LittleEndian.Uint16(b[12:])), binary.LittleEndian.Uint64(b[16:])
	if length == 0 {
		return r, true
	}
	if at < base || at-base > uint64(len(b)) || uint64(len(b))-(at-base) < length {
		return reply{}, false
	}
	r.data = b[at-base:][:length]
	return r, true
}

// readReply6 reads what the API wrote into b for a request with size bytes of
// data: how many came back is not said.
func readReply6(b []byte, size int) (reply, bool) {
	if len(b) < replyLen6 || size < 0 || len(b)-replyLen6 < size {
		return reply{}, false
	}
	r := reply{from: netip.AddrFrom16([16]byte(b[6:])).Unmap(), status: binary.LittleEndian.Uint32(b[28:])}
	if r.status == ipSuccess {
		r.data = b[replyLen6:][:size]
	}
	return r, true
}

// event is what came of a request that was not answered. What the API says in
// words of its own, as it does not know of ICMP, is said by this machine, and by
// a router or the host otherwise.
func (r reply) event(is6 bool) Event {
	from := r.from
	if from.IsUnspecified() {
		from = netip.Addr{}
	}
	if e, ok := statusError(r.status, is6); ok {
		e.From = from
		return eventOf(e)
	}
	switch r.status {
	case 11040: // IP_DEST_UNREACHABLE, for what reason ever
		return Event{Kind: Refused, From: from, Said: "unreachable"}
	case 11045: // IP_DEST_SCOPE_MISMATCH, of IPv4
		return Event{Kind: Refused, From: from, Said: "out of scope"}
	case 11050:
		return Event{Kind: Refused, Said: "general failure"}
	case 11018:
		return Event{Kind: Refused, Said: "bad destination"}
	}
	return Event{Kind: Refused, Said: fmt.Sprintf("IP_STATUS %d", r.status)}
}

// statusError is the ICMP error that a status was made of.
func statusError(status uint32, is6 bool) (icmp.Error, bool) {
	for _, s := range []struct {
		status    uint32
		four, six [2]uint8 // type and code
		only6     bool
	}{
		{11002, [2]uint8{3, 0}, [2]uint8{1, 0}, false},
		{11003, [2]uint8{3, 1}, [2]uint8{1, 3}, false},
		{11004, [2]uint8{3, 2}, [2]uint8{1, 1}, false},
		{11005, [2]uint8{3, 3}, [2]uint8{1, 4}, false},
		{ipTooBig, [2]uint8{3, 4}, [2]uint8{2, 0}, false},
		{11013, [2]uint8{11, 0}, [2]uint8{3, 0}, false},
		{11041, [2]uint8{11, 0}, [2]uint8{3, 0}, false},
		{11014, [2]uint8{11, 1}, [2]uint8{3, 1}, false},
		{11015, [2]uint8{12, 0}, [2]uint8{4, 0}, false},
		{11045, [2]uint8{}, [2]uint8{1, 2}, true},
	} {
		if s.status != status || s.only6 && !is6 {
			continue
		}
		if is6 {
			return icmp.Error{V6: true, Type: s.six[0], Code: s.six[1]}, true
		}
		return icmp.Error{Type: s.four[0], Code: s.four[1]}, true
	}
	return icmp.Error{}, false
}
