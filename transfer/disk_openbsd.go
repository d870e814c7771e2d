package transfer

import "golang.org/x/sys/unix"

// roomOf returns the room on a volume; some of it is kept for the superuser.
func roomOf(fd int, superuser bool) (volumeRoom, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return volumeRoom{}, err
	}
	blocks := st.F_bavail
	if superuser {
		blocks = int64(st.F_bfree)
	}
	return volumeRoom{
		free: uint64(max(blocks, 0)) * uint64(st.F_bsize), ok: st.F_blocks > 0,
		files: st.F_ffree, counted: st.F_files > 0,
	}, nil
}
