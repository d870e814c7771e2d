package echo

import (
	"encoding/binary"
	"fmt"
	"net/netip"
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

// statusMeaning says what came of a request, if a router or the host said it:
// the rest are words of this machine's own.
func statusMeaning(status uint32, is6 bool) (m message, local bool) {
	refused := func(four, six string) message {
		if is6 {
			return message{kind: Refused, said: six}
		}
		return message{kind: Refused, said: four}
	}
	switch status {
	case ipTooBig:
		return message{kind: TooBig, said: "packet too big"}, false
	case 11002:
		return refused("network unreachable", "no route to destination"), false
	case 11003:
		return refused("host unreachable", "address unreachable"), false
	case 11004:
		return refused("protocol unreachable", "prohibited by a firewall"), false
	case 11005:
		return refused("port unreachable", "port unreachable"), false
	case 11013, 11041:
		return message{kind: Refused, said: "time to live exceeded", exceeded: true}, false
	case 11014:
		return refused("not all fragments came in time", "not all fragments came in time"), false
	case 11015:
		return refused("parameter problem", "parameter problem"), false
	case 11040:
		return refused("unreachable", "unreachable"), false
	case 11045:
		return refused("out of scope", "beyond the scope of the source address"), false
	case 11050:
		return refused("general failure", "general failure"), true
	case 11018:
		return refused("bad destination", "bad destination"), true
	}
	words := fmt.Sprintf("IP_STATUS %d", status)
	return refused(words, words), true
}
