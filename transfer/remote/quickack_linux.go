package remote

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck has the system acknowledge at once what has come (tcp(7), TCP_QUICKACK). It
// is none of the errors of the connection if it cannot.
func quickAck(c net.Conn) {
	tcp, ok := c.(syscall.Conn)
	if !ok {
		return // what runs through a tunnel or a jump host
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) { //nolint:errcheck // it has ended then
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) //nolint:errcheck // it is no TCP then
	})
}
