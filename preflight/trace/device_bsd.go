//go:build freebsd || openbsd

package trace

import "errors"

// bindDevice has no way: these systems bind a socket to an address only.
func bindDevice(int, string, bool) error { return errors.ErrUnsupported }
