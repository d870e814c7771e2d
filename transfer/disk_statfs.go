//go:build linux || darwin || freebsd

package transfer

import "golang.org/x/sys/unix"

// roomOf returns the room on a volume; some of it is kept for the superuser.
func roomOf(fd int, superuser bool) (volumeRoom, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return volumeRoom{}, err
	}
	blocks := int64(st.Bavail)
	if superuser {
		blocks = int64(st.Bfree)
	}
	// FreeBSD counts below 0 where the reserve is in use.
	return volumeRoom{
		free: uint64(max(blocks, 0)) * uint64(st.Bsize), ok: st.Blocks > 0,
		files: uint64(max(int64(st.Ffree), 0)), counted: st.Files > 0,
	}, nil
}
