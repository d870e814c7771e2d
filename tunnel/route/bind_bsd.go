//go:build dragonfly || freebsd || netbsd || openbsd

package route

// bind does nothing: these systems bind a socket to an address only, which
// Rule.Source does. The route that was checked is all that there is besides.
func bind(uintptr, Route, bool) error { return nil }
