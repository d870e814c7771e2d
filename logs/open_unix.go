//go:build unix

package logs

import "os"

// openShared opens a file that others may rename and remove meanwhile.
func openShared(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag, 0o640)
}
