package flock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockOffsetHigh puts the one locked byte at 2^62: no content reaches it, and
// the sum of offset and length stays a positive 64-bit number.
const lockOffsetHigh = 1 << 30

func tryLock(f *os.File) (bool, error) {
	err := control(f, "lock", func(h windows.Handle, at *windows.Overlapped) error {
		return windows.LockFileEx(h, windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error {
	return control(f, "unlock", func(h windows.Handle, at *windows.Overlapped) error {
		return windows.UnlockFileEx(h, 0, 1, 0, at)
	})
}

// control runs one call on f's handle, which stays open meanwhile.
func control(f *os.File, op string, call func(windows.Handle, *windows.Overlapped) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var called error
	err = conn.Control(func(fd uintptr) {
		called = call(windows.Handle(fd), &windows.Overlapped{OffsetHigh: lockOffsetHigh})
	})
	switch {
	case err != nil:
		return err
	case called != nil:
		return &os.PathError{Op: op, Path: f.Name(), Err: called}
	}
	return nil
}
