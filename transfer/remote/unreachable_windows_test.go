package remote_test

import "golang.org/x/sys/windows"

// unreachable is what the system says of a network without a route.
func unreachable() error { return windows.WSAENETUNREACH }
