// Package tcpinfo reads what the system knows of a TCP connection: its round
// trip times, and what it had to send again. It changes nothing and sends
// nothing.
//
//	Linux    TCP_INFO (tcp(7)); kernels before 4.6 know fewer figures
//	Windows  SIO_TCP_INFO, from Windows 10 1703 and Server 2016 on
//	macOS    TCP_CONNECTION_INFO
//	FreeBSD  TCP_INFO
//
// OpenBSD's kernel has a TCP_INFO as well, but tells root alone.
package tcpinfo

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// A Sample is the state of one connection. What a system does not tell is 0.
type Sample struct {
	AtMS       float64 `json:"at_ms"` // since the connection was made; Read leaves it to its caller
	RTTMS      float64 `json:"rtt_ms"`
	RTTVarMS   float64 `json:"rttvar_ms"`
	MinRTTMS   float64 `json:"min_rtt_ms,omitempty"`
	Sent       uint64  `json:"sent"`           // segments with data, from the beginning on
	Resent     uint64  `json:"resent"`         // of these, those that were sent again
	SentBytes  uint64  `json:"sent_bytes"`     // with what was sent again
	ResentB    uint64  `json:"resent_bytes"`   // what was sent again
	Received   uint64  `json:"received_bytes"` // in order
	OutOfOrder uint64  `json:"out_of_order"`   // segments that came out of order: what the far end sends again, or what overtakes
	Window     uint32  `json:"window"`         // bytes that may be under way to the peer
	MSS        uint32  `json:"mss"`
}

// Share is how much of what was sent had to be sent again, from 0 to 1, and
// whether that is known: not before anything was sent, and not where the system
// does not count it.
func (s Sample) Share() (share float64, known bool) {
	switch {
	case s.Sent > 0:
		return min(1, float64(s.Resent)/float64(s.Sent)), true
	case s.SentBytes > 0:
		return min(1, float64(s.ResentB)/float64(s.SentBytes)), true
	}
	return 0, false
}

// Since is what has come to pass since an earlier sample of the same
// connection: counters are differences, all else is as it is now.
func (s Sample) Since(earlier Sample) Sample {
	less := func(a *uint64, b uint64) { *a -= min(*a, b) }
	less(&s.Sent, earlier.Sent)
	less(&s.Resent, earlier.Resent)
	less(&s.SentBytes, earlier.SentBytes)
	less(&s.ResentB, earlier.ResentB)
	less(&s.Received, earlier.Received)
	less(&s.OutOfOrder, earlier.OutOfOrder)
	return s
}

// A Teller is a connection that knows its figures itself: one inside of a
// tunnel, or one that wraps another.
type Teller interface {
	TCPInfo() (Sample, error)
}

// Read returns the state of a connection: what it tells itself if it is a
// Teller, or what the system tells of its socket. Where there is neither, the
// error is errors.ErrUnsupported. It may be called while the connection is in
// use.
func Read(c net.Conn) (Sample, error) {
	if t, ok := c.(Teller); ok {
		return t.TCPInfo()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return Sample{}, fmt.Errorf("read the figures of a connection that is no socket: %w", errors.ErrUnsupported)
	}
	if a := c.LocalAddr(); a == nil || a.Network() != "tcp" {
		return Sample{}, fmt.Errorf("read the figures of a connection that is none of TCP: %w", errors.ErrUnsupported)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return Sample{}, fmt.Errorf("read the figures of a connection: %w", err)
	}
	sample, failed := Sample{}, error(nil)
	if err := raw.Control(func(fd uintptr) { sample, failed = read(fd) }); err != nil {
		failed = err
	}
	if failed != nil {
		return Sample{}, fmt.Errorf("read the figures of the connection to %v: %w", c.RemoteAddr(), failed)
	}
	return sample, nil
}

// us is microseconds in milliseconds.
func us(n uint32) float64 { return float64(n) / 1000 }

// segments is how many of a size bytes take.
func segments(bytes uint64, size uint32) uint64 {
	if size == 0 {
		return 0
	}
	return (bytes + uint64(size) - 1) / uint64(size)
}
