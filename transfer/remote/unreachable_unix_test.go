//go:build !windows

package remote_test

import "syscall"

// unreachable is what the system says of a network without a route.
func unreachable() error { return syscall.ENETUNREACH }
