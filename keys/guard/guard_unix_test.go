//go:build unix

package guard

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestCheckMode(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "id"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for mode, closed := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o700: true, 0o604: false, 0o640: false, 0o660: false, 0o610: false, 0o601: false, 0o602: false,
	} {
		if err := f.Chmod(mode); err != nil {
			t.Fatal(err)
		}
		err := Check(f)
		open, isOpen := errors.AsType[*OpenError](err)
		if isOpen == closed || (err != nil) == closed {
			t.Errorf("mode %o: %v", mode, err)
		}
		if want := "`chmod 600 K` leaves it to you alone" + newKey; isOpen && open.Fix("K") != want {
			t.Errorf("next step %q, want %q", open.Fix("K"), want)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	if err := f.Chown(21001, 21001); err != nil {
		t.Fatal(err)
	}
	if err := Check(f); err != nil {
		t.Errorf("another's file: %v", err)
	}
}

// TestCreateUmask: an open umask opens nothing.
func TestCreateUmask(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	f, err := Create(filepath.Join(t.TempDir(), "id"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
