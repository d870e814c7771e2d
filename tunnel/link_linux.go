package tunnel

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An offload is what the kernel does for a socket. A call for each datagram is
// what UDP costs most; with UDP_SEGMENT and UDP_GRO (udp(7)) a train of them
// goes through most of the kernel as one.
type offload struct {
	plain *net.UDPConn
	raw   syscall.RawConn // nil without any
	join  bool

	// below is the length from which on datagrams are not left to the kernel to
	// cut: 0 is all of them.
	below atomic.Int64
	many  atomic.Bool
}

// newOffload asks the kernel what it can.
func newOffload(conn *net.UDPConn, may powers) *offload {
	o := &offload{plain: conn}
	raw, err := conn.SyscallConn()
	if err != nil {
		return o
	}
	err = raw.Control(func(fd uintptr) {
		s := int(fd)
		// Those who may, may have more than net.core.rmem_max.
		_ = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer)
		_ = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketBuffer)
		if may.cut {
			if _, err := unix.GetsockoptInt(s, unix.SOL_UDP, unix.UDP_SEGMENT); err == nil {
				o.below.Store(math.MaxInt64)
			}
		}
		o.join = may.join && unix.SetsockoptInt(s, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	})
	if err == nil {
		o.raw = raw
		o.many.Store(may.many)
	}
	return o
}

// mostCalls is how many datagrams one call takes or gives.
const mostCalls = 64

// A message is struct mmsghdr of sendmmsg(2).
type message struct {
	header unix.Msghdr
	n      uint32
}

// calls are what the system's calls need for a burst.
type calls struct {
	control []byte // that of UDP_SEGMENT

	messages []message
	pieces   []unix.Iovec
	write    func(fd uintptr) bool
	sent     int
	errno    unix.Errno
}

// send sends a burst, with as few calls as the kernel allows.
func (o *offload) send(b *burst) {
	for i := 0; i < len(b.ends); {
		j := b.run(i)
		if o.cuts(b, i) {
			err := o.sendTrain(b, i, j)
			if refused(err) && o.sendMany(b, i, j) > 0 {
				o.note(err, len(b.bytes(i, i+1))) // so it was not that nothing may be sent
			}
			i = j
			continue
		}
		// What is not cut goes together with what is like it.
		for j < len(b.ends) && !o.cuts(b, j) {
			j = b.run(j)
		}
		o.sendMany(b, i, j)
		i = j
	}
}

// cuts reports whether the datagrams from i on are for the kernel to cut.
func (o *offload) cuts(b *burst, i int) bool {
	return int64(len(b.bytes(i, i+1))) < o.below.Load() && b.run(i) > i+1
}

// sendTrain sends a run as one.
func (o *offload) sendTrain(b *burst, i, j int) error {
	if b.control == nil {
		b.control = make([]byte, unix.CmsgSpace(2))
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b.control[0]))
		h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
	}
	size := len(b.bytes(i, i+1))
	binary.NativeEndian.PutUint16(b.control[unix.CmsgLen(0):], uint16(size)) //nolint:gosec // a datagram's
	_, _, err := o.plain.WriteMsgUDP(b.bytes(i, j), b.control, nil)
	if err != nil && !refused(err) {
		// Often what an ICMP said of an earlier one, and this one has not gone.
		_, _, err = o.plain.WriteMsgUDP(b.bytes(i, j), b.control, nil)
	}
	return err
}

// refused reports whether an error may say that the kernel does not cut: EIO
// comes of a network card that makes no checksums, the others of datagrams that
// do not pass the path in one piece, or of a kernel that cannot after all.
func refused(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EOPNOTSUPP)
}

// note keeps what was refused from being tried again.
func (o *offload) note(err error, size int) {
	if errors.Is(err, unix.EIO) {
		size = 0
	}
	o.below.Store(min(o.below.Load(), int64(size)))
}

// sendMany sends the datagrams from i to before j, and returns how many the
// kernel took.
func (o *offload) sendMany(b *burst, i, j int) (sent int) {
	for again := true; i < j-1 && o.many.Load(); {
		n, err := o.sendmmsg(b, i, min(j, i+mostCalls))
		switch {
		case err == nil:
			i, sent, again = i+n, sent+n, true
		case errors.Is(err, net.ErrClosed):
			return sent
		case errors.Is(err, unix.ENOSYS):
			o.many.Store(false)
		case again: // as in sendTrain
			again = false
		default:
			i, again = i+1, true // lost, as a packet may be
		}
	}
	return sent + sendEach(o.plain, b, i, j)
}

// sendmmsg sends datagrams by one call, and returns how many went before there
// was an error with one.
func (o *offload) sendmmsg(b *burst, i, j int) (int, error) {
	if b.messages == nil {
		b.messages, b.pieces, b.write = make([]message, mostCalls), make([]unix.Iovec, mostCalls), b.writeTo
		for k := range b.messages {
			b.messages[k].header.Iov = &b.pieces[k]
			b.messages[k].header.SetIovlen(1)
		}
	}
	for k := range j - i {
		d := b.bytes(i+k, i+k+1)
		b.pieces[k].Base = &d[0]
		b.pieces[k].SetLen(len(d))
	}
	b.sent = j - i
	if err := o.raw.Write(b.write); err != nil {
		return 0, err
	}
	if b.errno != 0 {
		return 0, b.errno
	}
	return b.sent, nil
}

// writeTo is what RawConn.Write calls.
func (b *burst) writeTo(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.messages[0])), uintptr(b.sent), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno == unix.EAGAIN {
			return false
		}
		b.errno = errno
		if errno == 0 {
			b.sent = int(n)
		}
		return true
	}
}
