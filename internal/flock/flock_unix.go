//go:build unix

package flock

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func tryLock(f *os.File) (bool, error) {
	err := flock(f, "lock", unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error { return flock(f, "unlock", unix.LOCK_UN) }

// flock goes through SyscallConn, not Fd: Fd would switch the file to blocking
// mode, and does not keep it open during the call.
func flock(f *os.File, op string, how int) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var called error
	err = conn.Control(func(fd uintptr) {
		// A signal, such as the runtime's own for preemption, may interrupt.
		for {
			if called = unix.Flock(int(fd), how); !errors.Is(called, unix.EINTR) {
				return
			}
		}
	})
	switch {
	case err != nil:
		return err
	case called != nil:
		return &os.PathError{Op: op, Path: f.Name(), Err: called}
	}
	return nil
}
