//go:build !linux && !darwin && !freebsd && !windows

package tcpinfo

import (
	"errors"
	"fmt"
	"runtime"
)

func read(uintptr) (Sample, error) {
	return Sample{}, fmt.Errorf("%s does not tell them to ordinary users: %w", runtime.GOOS, errors.ErrUnsupported)
}
