//go:build unix

package keys_test

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"
)

// specialFiles are paths that open to no file: a pipe that nobody writes to, a
// socket, and a device that never ends.
func specialFiles(t *testing.T, dir string) []string {
	t.Helper()
	fifo, socket := filepath.Join(dir, "fifo"), filepath.Join(dir, "s")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return []string{fifo, socket, "/dev/zero"}
}
