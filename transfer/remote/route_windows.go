package remote

import (
	"errors"

	"golang.org/x/sys/windows"
)

// noRoute reports whether this machine knows no way to the address.
func noRoute(err error) bool {
	return errors.Is(err, windows.WSAENETUNREACH) || errors.Is(err, windows.WSAEHOSTUNREACH) || errors.Is(err, windows.WSAENETDOWN)
}
