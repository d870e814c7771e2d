package icmp

import "golang.org/x/sys/unix"

// A stamp is what Linux writes of the kind stampType.
type stamp = unix.Timespec

const stampType = unix.SCM_TIMESTAMPNS
