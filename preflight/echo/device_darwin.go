package echo

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// bindDevice keeps a socket at an interface.
func bindDevice(fd int, name string, six bool) error {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	level, option := unix.IPPROTO_IP, unix.IP_BOUND_IF
	if six {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_BOUND_IF
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, i.Index))
}
