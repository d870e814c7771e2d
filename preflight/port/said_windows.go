package port

import (
	"errors"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"linehaul/internal/icmp"
)

// The requests by which a UDP socket hears of ICMP (mswsockdef.h): net turns
// both off.
const (
	sioUDPConnReset = 0x9800000c
	sioUDPNetReset  = 0x9800000f
)

// listenUDP has the system tell the socket that a port is unreachable, by the
// error of the next read. It does not say who sent it.
func listenUDP(c net.Conn) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	on, got := uint32(1), uint32(0)
	_ = raw.Control(func(fd uintptr) { // where it fails, there is less to hear
		for _, request := range []uint32{sioUDPConnReset, sioUDPNetReset} {
			_ = windows.WSAIoctl(windows.Handle(fd), request, (*byte)(unsafe.Pointer(&on)), uint32(unsafe.Sizeof(on)), nil, 0, &got, nil, 0)
		}
	})
}

func saidTo(net.Conn) []icmp.Error { return nil }

// systemState knows Winsock's errors, which are not those of package syscall.
func systemState(err error, refused State) State {
	for _, e := range []struct {
		err   error
		state State
	}{
		{windows.WSAECONNREFUSED, refused},
		{windows.WSAECONNRESET, refused},
		{windows.WSAEHOSTUNREACH, NoRoute},
		{windows.WSAENETUNREACH, NoRoute},
		{windows.WSAEHOSTDOWN, NoRoute},
		{windows.WSAENETDOWN, NoRoute},
		{windows.WSAENETRESET, NoRoute}, // UDP: time exceeded on the way
		{windows.ERROR_HOST_UNREACHABLE, NoRoute},
		{windows.ERROR_NETWORK_UNREACHABLE, NoRoute},
		{windows.ERROR_PORT_UNREACHABLE, refused},
		{windows.ERROR_CONNECTION_REFUSED, refused},
		{windows.WSAEACCES, Prohibited}, // this machine's firewall
	} {
		if errors.Is(err, e.err) {
			return e.state
		}
	}
	if errors.Is(err, windows.WSAETIMEDOUT) && refused == Refused {
		return Filtered
	}
	return ""
}
