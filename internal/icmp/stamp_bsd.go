//go:build darwin || freebsd || openbsd

package icmp

import "golang.org/x/sys/unix"

// A stamp is what these systems write of the kind stampType.
type stamp = unix.Timeval

const stampType = unix.SCM_TIMESTAMP
