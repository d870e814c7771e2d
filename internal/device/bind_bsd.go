//go:build dragonfly || freebsd || netbsd || openbsd

package device

// Bind does nothing: these systems bind a socket to an address only.
func Bind(uintptr, Interface, bool) error { return nil }
