package transfer

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// keepsModes: the only permission bit here is read-only, and a read-only file
// could not be replaced by the next run.
const keepsModes = false

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

func isTooLong(err error) bool {
	return errors.Is(err, windows.ERROR_FILENAME_EXCED_RANGE) || errors.Is(err, windows.ERROR_INVALID_NAME)
}

// isBusy reports what a target gives that another program has open. That a
// target is read-only looks the same.
func isBusy(err error) bool {
	return isHeld(err) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}

// isHeld reports what a file gives that another program has open and shares with
// nobody: not even its size can be asked for.
func isHeld(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }

// syncFolder does nothing: NTFS keeps its names in a journal, and an open
// folder cannot be flushed.
func syncFolder(*os.File) error { return nil }

// setMTime goes by the open file. Done through another handle, closing this
// one would set the time of its last write again.
func setMTime(_ *os.Root, _ string, f *os.File, t time.Time) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = conn.Control(func(fd uintptr) {
		mtime := windows.NsecToFiletime(t.UnixNano())
		set = windows.SetFileTime(windows.Handle(fd), nil, nil, &mtime)
	})
	return errors.Join(err, set)
}

// roomIn says how much room this user has on the volume of an open folder, and
// which one that is.
func roomIn(f *os.File) volumeRoom {
	conn, err := f.SyscallConn()
	if err != nil {
		return volumeRoom{}
	}
	var info windows.ByHandleFileInformation
	var asked error
	err = conn.Control(func(fd uintptr) {
		asked = windows.GetFileInformationByHandle(windows.Handle(fd), &info)
	})
	if err != nil || asked != nil {
		return volumeRoom{}
	}
	path, err := windows.UTF16PtrFromString(f.Name())
	if err != nil {
		return volumeRoom{}
	}
	var free, total, all uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, &total, &all); err != nil {
		return volumeRoom{}
	}
	return volumeRoom{volume: uint64(info.VolumeSerialNumber), free: free, ok: true}
}
