package device

import (
	"os"

	"golang.org/x/sys/unix"
)

// Bind keeps a socket at an interface; six: it is one of IPv6.
func Bind(fd uintptr, i Interface, six bool) error {
	level, option := unix.IPPROTO_IP, unix.IP_BOUND_IF
	if six {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_BOUND_IF
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), level, option, i.Index))
}
