//go:build unix

package transfer

import (
	"errors"

	"golang.org/x/sys/unix"
)

func isOtherVolume(err error) bool { return errors.Is(err, unix.EXDEV) }
