//go:build !windows

package remote

import (
	"errors"
	"syscall"
)

// noRoute reports whether this machine knows no way to the address.
func noRoute(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETDOWN)
}
