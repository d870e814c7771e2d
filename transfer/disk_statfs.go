//go:build linux || darwin || freebsd

package transfer

import "golang.org/x/sys/unix"

// roomOf returns the bytes free on a volume; some are kept for the superuser.
func roomOf(fd int, superuser bool) (free uint64, ok bool, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return 0, false, err
	}
	blocks := int64(st.Bavail)
	if superuser {
		blocks = int64(st.Bfree)
	}
	// FreeBSD counts below 0 where the reserve is in use.
	return uint64(max(blocks, 0)) * uint64(st.Bsize), st.Blocks > 0, nil
}
