//go:build !windows

package receipt

import (
	"os"
	"syscall"
)

// openFile opens a file to read it. It does not wait for a writer if somebody has
// just put a pipe in its place.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
