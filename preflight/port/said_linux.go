package port

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"linehaul/internal/icmp"
)

// A hearing keeps a second hold of a socket that is about to connect, so that
// its queue of errors can be read when the first hold is gone.
type hearing struct {
	fd   int
	held bool
}

// control is for the Control of a dialer. That a socket cannot be held is no
// reason not to connect: there is only less to hear then.
func (h *hearing) control(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		h.close()
		icmp.Listen(int(fd))
		if second, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			h.fd, h.held = second, true
		}
	})
}

// take returns what was said of the socket.
func (h *hearing) take() []icmp.Error {
	if !h.held {
		return nil
	}
	return icmp.Queue(h.fd)
}

func (h *hearing) close() {
	if h.held {
		unix.Close(h.fd) //nolint:errcheck // the connection's own hold is what counts
	}
	h.held = false
}

// listenUDP asks for the errors about a UDP socket, and saidTo returns them. A
// tunnel's connection has none of its own.
func listenUDP(c net.Conn) { withFD(c, icmp.Listen) }

func saidTo(c net.Conn) (errs []icmp.Error) {
	withFD(c, func(fd int) { errs = icmp.Queue(fd) })
	return errs
}

func withFD(c net.Conn, f func(fd int)) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // it fails if the socket is closed
}
