package transfer

import "golang.org/x/sys/unix"

// roomOf returns the bytes free on a volume; some are kept for the superuser.
func roomOf(fd int, superuser bool) (free uint64, ok bool, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return 0, false, err
	}
	blocks := st.F_bavail
	if superuser {
		blocks = int64(st.F_bfree)
	}
	return uint64(max(blocks, 0)) * uint64(st.F_bsize), st.F_blocks > 0, nil
}
