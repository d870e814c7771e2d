package logs

import (
	"os"
	"path/filepath"
)

// openShared opens a file that others may rename and remove meanwhile. On
// Windows that has to be allowed by everyone who has it open: an os.Root does,
// os.OpenFile does not.
func openShared(path string, flag int) (*os.File, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenFile(filepath.Base(path), flag, 0o640)
}
