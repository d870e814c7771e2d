//go:build unix

package keys_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"linehaul/fault"
	"linehaul/keys"
)

// TestLoadPipe: a named pipe that nobody writes to must not hold us up.
func TestLoadPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := keys.Load(t.Context(), path, nil)
	wantFault(t, err, fault.Key, "a device, pipe or socket", "the private key file itself")
	_, err = keys.NewHostKeys(keys.HostKeyOptions{Files: []keys.KnownHostsFile{{Path: path}}})
	wantFault(t, err, fault.HostKeyUnknown, "not a file", "name a file")
}
