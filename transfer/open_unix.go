//go:build unix

package transfer

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openPlain is os.Open for a file of which nobody waits until it can be read: that leaves
// out five system calls, of which a small file that is put has eight others.
func openPlain(name string) (*os.File, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil //nolint:gosec // it is not negative
		case !errors.Is(err, unix.EINTR):
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}
