package tcpinfo

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func read(fd uintptr) (Sample, error) {
	b := make([]byte, 512)
	n := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return Sample{}, os.NewSyscallError("getsockopt", errno)
	}
	return fromFreeBSD(b[:min(int(n), len(b))])
}
