package transfer

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// renameNew renames unless the new name is taken, which is what MoveFile does
// where nothing else is asked of it.
func renameNew(from, to string) error {
	a, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	b, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(a, b, windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func isOtherVolume(err error) bool { return errors.Is(err, windows.ERROR_NOT_SAME_DEVICE) }
