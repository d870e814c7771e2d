//go:build !linux

package winsvc

// isHelper: only on Linux is the test binary started again.
func isHelper() bool { return false }

func helper() int { return 1 }
