package lab

import "syscall"

// Room is how many bytes fit into the file system of dir; 0 if that is not
// known.
func Room(dir string) int64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0
	}
	return int64(s.Bavail) * s.Bsize
}
