//go:build unix

package keys

import (
	"io/fs"
	"os"
	"syscall"
)

// tooOpen judges an open key file as OpenSSH does (authfile.c,
// sshkey_perm_ok): one that the caller owns must be closed to everybody else;
// one that somebody else owns is their business.
func tooOpen(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0
}
