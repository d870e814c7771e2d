package trace

import (
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/icmp"
)

// An ear hears ICMP errors: on Linux in the queue of the probe's own socket,
// which everybody may read.
type ear struct {
	way        string
	errnoIsAll bool // an error without a message in the queue is this machine's own
}

func openEar(*socketProber) (*ear, error) {
	return &ear{way: "sockets and their queue of errors", errnoIsAll: true}, nil
}

func (*ear) close()                      {}
func (*ear) expect(int, int, bool) error { return nil }
func (*ear) forget(int)                  {}

func (*ear) prepare(fd int) {
	icmp.Listen(fd)
	// Without it, times are those of reading.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// hear takes what the queue of a socket has of its probe.
func (*ear) hear(fd, id int, at time.Time) (answer, bool) {
	for _, e := range icmp.Queue(fd) {
		if a, ok := meant(e, id, max(e.At.Sub(at), 1)); ok {
			return a, true
		}
	}
	return answer{}, false
}

// handshake is the round trip of a connection, as the kernel measured it.
func handshake(fd int, took time.Duration) time.Duration {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return took
	}
	if rtt := time.Duration(info.Rtt) * time.Microsecond; rtt > 0 && rtt < took {
		return rtt
	}
	return took
}
