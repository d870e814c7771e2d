//go:build freebsd || openbsd

package echo

// bindDevice does nothing: these systems bind a socket to an address only.
func bindDevice(int, string, bool) error { return nil }
