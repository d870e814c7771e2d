package tcpinfo

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// sioTCPInfo is SIO_TCP_INFO of mstcpip.h: _WSAIORW(IOC_VENDOR, 39).
const sioTCPInfo = windows.IOC_INOUT | windows.IOC_VENDOR | 39

// read asks for the older version: the newer one adds only what limits the
// sender.
func read(fd uintptr) (Sample, error) {
	version := uint32(0)
	b := make([]byte, windowsLen)
	n := uint32(0)
	err := windows.WSAIoctl(windows.Handle(fd), sioTCPInfo, (*byte)(unsafe.Pointer(&version)), uint32(unsafe.Sizeof(version)),
		&b[0], uint32(len(b)), &n, nil, 0)
	switch {
	case errors.Is(err, windows.WSAEOPNOTSUPP), errors.Is(err, windows.WSAEINVAL):
		return Sample{}, fmt.Errorf("this Windows has no SIO_TCP_INFO (%w): %w", err, errors.ErrUnsupported)
	case err != nil:
		return Sample{}, os.NewSyscallError("wsaioctl", err)
	}
	return fromWindows(b[:min(int(n), len(b))])
}
