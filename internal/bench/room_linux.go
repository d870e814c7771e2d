package bench

import "syscall"

// room is how many bytes fit into the file system of dir; 0 if there is none.
func room(dir string) int64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0
	}
	return int64(s.Bavail) * s.Bsize
}
