//go:build unix

package guard

import (
	"fmt"
	"os"
	"syscall"
)

// check judges as OpenSSH does: a file that the caller owns must be closed to
// everybody else; one that somebody else owns is their business.
func check(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return &OpenError{
		Err: fmt.Errorf("others may use it (mode %#o)", info.Mode().Perm()),
		fix: []string{"`chmod 600 ", "` leaves it to you alone" + newKey},
	}
}

func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}
