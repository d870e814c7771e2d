package echo

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A trouble is an entry of a socket's error queue (ip(7), IP_RECVERR): struct
// sock_extended_err, and the address of who sent the error.
//
//	errno 4 | origin 1 | type 1 | code 1 | pad 1 | info 4 | data 4 | sockaddr
type trouble struct {
	origin     byte
	kind, code byte
	info       uint32
	from       netip.Addr
}

const extendedErrLen = 16

// readControl returns when the kernel took a packet in, or now if it does not
// say, and the error if there is one.
func readControl(b []byte, now time.Time, is6 bool) (at time.Time, e trouble) {
	at = now
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return at, e
	}
	for _, m := range messages {
		switch level, kind := m.Header.Level, m.Header.Type; {
		case level == unix.SOL_SOCKET && kind == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})):
			at = stamped(m.Data, now)
		case level == unix.SOL_IP && kind == unix.IP_RECVERR && !is6, level == unix.SOL_IPV6 && kind == unix.IPV6_RECVERR && is6:
			e = readTrouble(m.Data)
		}
	}
	return at, e
}

// stamped is now less what has passed since a time of the kernel's, so that the
// result is on the clock that never jumps.
func stamped(b []byte, now time.Time) time.Time {
	var sec, nsec int64
	if unsafe.Sizeof(unix.Timespec{}) == 16 {
		sec, nsec = int64(binary.NativeEndian.Uint64(b)), int64(binary.NativeEndian.Uint64(b[8:]))
	} else {
		sec, nsec = int64(int32(binary.NativeEndian.Uint32(b))), int64(int32(binary.NativeEndian.Uint32(b[4:])))
	}
	if age := now.Round(0).Sub(time.Unix(sec, nsec)); age > 0 && age < late {
		return now.Add(-age)
	}
	return now
}

// readTrouble reads an entry. One that is too short says nothing.
func readTrouble(b []byte) (e trouble) {
	if len(b) < extendedErrLen {
		return e
	}
	e = trouble{origin: b[4], kind: b[5], code: b[6], info: binary.NativeEndian.Uint32(b[8:])}
	offender := b[extendedErrLen:]
	if len(offender) < 2 {
		return e
	}
	// sockaddr_in is family, port, address; sockaddr_in6 is family, port, flow,
	// address.
	switch family := binary.NativeEndian.Uint16(offender); {
	case family == unix.AF_INET && len(offender) >= 8:
		e.from = netip.AddrFrom4([4]byte(offender[4:]))
	case family == unix.AF_INET6 && len(offender) >= 24:
		e.from = netip.AddrFrom16([16]byte(offender[8:])).Unmap()
	}
	return e
}

// about says what an entry means for the request whose ICMP header begins what
// the entry quotes. What this machine refuses itself is told by Send.
func (e trouble) about(quoted []byte, is6 bool) (message, bool) {
	request := byte(echoRequest4)
	if is6 {
		request = echoRequest6
	}
	if e.origin != unix.SO_EE_ORIGIN_ICMP && e.origin != unix.SO_EE_ORIGIN_ICMP6 || len(quoted) < headerLen || quoted[0] != request {
		return message{}, false
	}
	m, ok := meaning(is6, e.kind, e.code, e.info)
	m.id, m.seq = binary.BigEndian.Uint16(quoted[4:]), binary.BigEndian.Uint16(quoted[6:])
	return m, ok
}
