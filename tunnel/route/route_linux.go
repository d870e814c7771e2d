package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// answerTime is how long the kernel has for its answer, which it gives at
	// once.
	answerTime = 5 * time.Second
	maxAnswer  = 64 << 10 // of netlink(7)
)

// find asks by RTM_GETROUTE (rtnetlink(7)).
func find(to, from netip.Addr) (Route, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return Route{}, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is lost
	wait := unix.NsecToTimeval(int64(answerTime))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return Route{}, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Sendto(fd, question(to, from), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return Route{}, os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, maxAnswer)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return Route{}, os.NewSyscallError("recvfrom", err)
	}
	return answer(buf[:n])
}

// question is the message: nlmsghdr, rtmsg, and the two addresses.
func question(to, from netip.Addr) []byte {
	family, bits := byte(unix.AF_INET), byte(32)
	if to.Is6() {
		family, bits = unix.AF_INET6, 128
	}
	source := byte(0)
	if from.IsValid() {
		source = bits
	}
	b := make([]byte, unix.SizeofNlMsghdr, 128)
	b = append(b, family, bits, source, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = attribute(b, unix.RTA_DST, to.AsSlice())
	if from.IsValid() {
		b = attribute(b, unix.RTA_SRC, from.AsSlice())
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], 1)
	return b
}

// attribute appends an rtattr.
func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...) // both kinds of address fill whole words
}

// answer reads the kernel's.
func answer(b []byte) (Route, error) {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil || len(messages) == 0 {
		return Route{}, fmt.Errorf("the kernel's answer cannot be read: %w", errors.Join(err, os.ErrInvalid))
	}
	m := messages[0]
	if m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4 {
		if code := -int32(binary.NativeEndian.Uint32(m.Data)); code != 0 {
			return Route{}, syscall.Errno(code)
		}
	}
	if m.Header.Type != unix.RTM_NEWROUTE || len(m.Data) < unix.SizeofRtMsg {
		return Route{}, fmt.Errorf("the kernel answers with a message of type %d", m.Header.Type)
	}
	switch kind := m.Data[7]; kind { // rtm_type
	case unix.RTN_UNREACHABLE, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT:
		return Route{}, unix.ENETUNREACH
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		return Route{}, fmt.Errorf("the kernel's answer cannot be read: %w", err)
	}
	var r Route
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.RTA_OIF:
			if len(a.Value) == 4 {
				r.Index = int(binary.NativeEndian.Uint32(a.Value))
			}
		case unix.RTA_PREFSRC:
			r.Source, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_GATEWAY:
			r.Via, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_VIA: // a next hop of the other family (RFC 5549)
			if len(a.Value) > 2 {
				r.Via, _ = netip.AddrFromSlice(a.Value[2:])
			}
		}
	}
	return r, nil
}
