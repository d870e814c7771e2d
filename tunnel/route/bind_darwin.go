package route

import (
	"os"

	"golang.org/x/sys/unix"
)

// bind keeps a socket at the interface.
func bind(fd uintptr, way Route, six bool) error {
	level, option := unix.IPPROTO_IP, unix.IP_BOUND_IF
	if six {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_BOUND_IF
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), level, option, way.Index))
}
