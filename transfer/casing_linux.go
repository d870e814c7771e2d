package transfer

import (
	"os"

	"golang.org/x/sys/unix"
)

// volumeNames is what kind of names the volume of an open file allows, and whether it is
// to be presumed that it takes those that differ in case only for the same.
func volumeNames(f *os.File) (names System, folds bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return Unix, false
	}
	var st unix.Statfs_t
	asked := conn.Control(func(fd uintptr) { err = unix.Fstatfs(int(fd), &st) })
	if asked != nil || err != nil {
		return Unix, false
	}
	return namesOf(uint32(st.Type)) //nolint:gosec // the kernel's numbers have 32 bits
}

// namesOf is volumeNames by the number of a file system's type.
func namesOf(magic uint32) (names System, folds bool) {
	switch magic {
	case unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC:
		return Windows, true
	case unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.SMB_SUPER_MAGIC:
		return Unix, true // the server decides, and maps what it does not allow
	}
	return Unix, false
}
