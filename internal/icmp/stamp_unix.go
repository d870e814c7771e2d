//go:build linux || darwin || freebsd || openbsd

package icmp

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// late is how much older than the moment of reading a time of the kernel may be.
// If it is more, the clock was set in between.
const late = 10 * time.Second

// Received is when the kernel took in a message, by what came beside it, or now,
// the moment of reading, if that is not said (SO_TIMESTAMPNS on Linux,
// SO_TIMESTAMP elsewhere). It is on the clock that never jumps.
func Received(oob []byte, now time.Time) time.Time {
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return now
	}
	return stampOf(controls, now)
}

func stampOf(controls []unix.SocketControlMessage, now time.Time) time.Time {
	for _, c := range controls {
		var t stamp
		if c.Header.Level != unix.SOL_SOCKET || c.Header.Type != stampType || len(c.Data) < int(unsafe.Sizeof(t)) {
			continue
		}
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&t)), unsafe.Sizeof(t)), c.Data)
		if age := now.Round(0).Sub(time.Unix(t.Unix())); age > 0 && age < late {
			return now.Add(-age)
		}
	}
	return now
}
