package device

import (
	"os"

	"golang.org/x/sys/unix"
)

// Bind keeps a socket at an interface. Kernels before 5.7 let only root do that.
func Bind(fd uintptr, i Interface, _ bool) error {
	return os.NewSyscallError("setsockopt", unix.BindToDevice(int(fd), i.Name))
}
