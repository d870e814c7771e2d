package icmp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Listen has the kernel keep the errors about packets of a socket in a queue of
// the socket (ip(7), ipv6(7)). The option of the other family fails, which means
// nothing.
func Listen(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
}

// maxQueue is how many errors are read at once, maxQuote how much of what each
// one quotes.
const (
	maxQueue = 64
	maxQuote = 256
)

// Queue reads what is in the queue of a socket.
func Queue(fd int) []Error {
	var errs []Error
	data, oob := make([]byte, maxQuote), make([]byte, 512)
	for range maxQueue {
		size, n, _, name, err := unix.Recvmsg(fd, data, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			break
		}
		if e, ok := control(oob[:n], time.Now()); ok {
			e.Quote = bytes.Clone(data[:size])
			e.To = addrPort(name)
			errs = append(errs, e)
		}
	}
	return errs
}

func addrPort(name unix.Sockaddr) netip.AddrPort {
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// control finds the extended error in what came beside a message, and when the
// kernel took it in, or now if that is not said.
func control(oob []byte, now time.Time) (e Error, ok bool) {
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return Error{}, false
	}
	for _, c := range controls {
		switch level, kind := c.Header.Level, c.Header.Type; {
		case level == unix.IPPROTO_IP && kind == unix.IP_RECVERR, level == unix.IPPROTO_IPV6 && kind == unix.IPV6_RECVERR:
			e, ok = extended(c.Data)
		}
	}
	if ok {
		e.At = stampOf(controls, now)
	}
	return e, ok
}

// The fields of an extended error (linux/errqueue.h), and of the address after
// it:
//
//	0 errno(4) 4 origin(1) 5 type(1) 6 code(1) 7 0(1) 8 info(4) 12 data(4)
//	16 AF_INET(2) port(2) address(4)
//	16 AF_INET6(2) port(2) flow(4) address(16) scope(4)
const (
	originICMP, originICMP6             = 2, 3
	atOrigin, atType, atCode, atInfo    = 4, 5, 6, 8
	atName                              = 16
	name4Addr, name4End                 = 4, 8
	name6Addr, name6Scope, sizeOfScope6 = 8, 24, 4
)

func extended(b []byte) (Error, bool) {
	if len(b) < atName || b[atOrigin] != originICMP && b[atOrigin] != originICMP6 {
		return Error{}, false
	}
	e := Error{V6: b[atOrigin] == originICMP6, Type: b[atType], Code: b[atCode], Info: binary.NativeEndian.Uint32(b[atInfo:])}
	name := b[atName:]
	if len(name) < name4End {
		return e, true
	}
	switch binary.NativeEndian.Uint16(name) {
	case unix.AF_INET:
		e.From = netip.AddrFrom4([4]byte(name[name4Addr:name4End]))
	case unix.AF_INET6:
		if len(name) < name6Scope+sizeOfScope6 {
			break
		}
		e.From = netip.AddrFrom16([16]byte(name[name6Addr:name6Scope])).Unmap()
		if i := binary.NativeEndian.Uint32(name[name6Scope:]); i != 0 && e.From.IsLinkLocalUnicast() {
			if scope, err := net.InterfaceByIndex(int(i)); err == nil {
				e.From = e.From.WithZone(scope.Name)
			}
		}
	}
	return e, true
}
