//go:build unix

package transfer

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// keepsModes: permission bits mean here what they mean on a server.
const keepsModes = true

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

func isReadOnly(err error) bool { return errors.Is(err, unix.EROFS) }

func isTooLong(err error) bool { return errors.Is(err, unix.ENAMETOOLONG) }

// isBusy is false: on Unix an open file can be replaced.
func isBusy(error) bool { return false }

// isHeld is false: on Unix an open file can be looked at.
func isHeld(error) bool { return false }

// syncFolder makes the names in an open folder durable. Some file systems, and
// network ones above all, cannot do that and need not be asked to.
func syncFolder(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// setMTime goes by the name, as not every system can by the open file.
func setMTime(dir *os.Root, name string, _ *os.File, t time.Time) error {
	return dir.Chtimes(name, time.Time{}, t)
}

// roomIn says how much room the volume of an open file or folder has, and
// which one that is. It is unknown where a file system says that it has no
// size, as some network ones do.
func roomIn(f *os.File) volumeRoom {
	conn, err := f.SyscallConn()
	if err != nil {
		return volumeRoom{}
	}
	var room volumeRoom
	var asked error
	err = conn.Control(func(fd uintptr) {
		var st unix.Stat_t
		if asked = unix.Fstat(int(fd), &st); asked == nil {
			room, asked = roomOf(int(fd), unix.Geteuid() == 0)
			room.volume = uint64(st.Dev) //nolint:unconvert // its type differs between systems
		}
	})
	room.ok = room.ok && err == nil && asked == nil
	return room
}
