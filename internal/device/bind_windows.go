package device

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/windows"
)

// unicastInterface is IP_UNICAST_IF and IPV6_UNICAST_IF, the same number in both.
const unicastInterface = 31

// Bind keeps a socket at an interface; six: it is one of IPv6. IPv4 takes its
// number in the order of the network.
func Bind(fd uintptr, i Interface, six bool) error {
	if six {
		return os.NewSyscallError("setsockopt", windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, unicastInterface, i.Index))
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(i.Index))
	return os.NewSyscallError("setsockopt", windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, unicastInterface, int(int32(binary.NativeEndian.Uint32(b[:])))))
}
