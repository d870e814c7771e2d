package tunnel

import (
	"encoding/binary"
	"errors"
	"iter"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// mostTrains is how many datagrams, or trains of them, one call gives.
	mostTrains = 16
	// controlSize has room for the one control message that is asked for.
	controlSize = 32
)

// An inbox is where recvmmsg(2) puts what came.
type inbox struct {
	messages []message
	pieces   []unix.Iovec
	bufs     [][]byte
	controls [][]byte
	read     func(fd uintptr) bool
	n        int
	errno    unix.Errno

	out [][]byte // what bufs hold, cut
}

func newInbox() *inbox {
	in := &inbox{messages: make([]message, mostTrains), pieces: make([]unix.Iovec, mostTrains)}
	in.read = in.readFrom
	for k := range mostTrains {
		buf, control := make([]byte, maxDatagram), make([]byte, controlSize)
		in.bufs, in.controls = append(in.bufs, buf), append(in.controls, control)
		in.pieces[k].Base = &buf[0]
		in.pieces[k].SetLen(len(buf))
		h := &in.messages[k].header
		h.Iov, h.Control = &in.pieces[k], &control[0]
		h.SetIovlen(1)
	}
	return in
}

// batches are the datagrams that come, each batch until the next one. A batch
// is all that is there, as far as one call gives it.
func (o *offload) batches() iter.Seq[[][]byte] {
	if o.raw == nil || !o.join && !o.many.Load() {
		return readEach(o.plain)
	}
	return func(yield func([][]byte) bool) {
		in := newInbox()
		for {
			err := o.receive(in)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// What an ICMP says of the path is a hint, and no verdict.
			if err == nil && len(in.out) > 0 && !yield(in.out) {
				return
			}
		}
	}
}

// receive fills an inbox once.
func (o *offload) receive(in *inbox) error {
	in.out = in.out[:0]
	if !o.many.Load() {
		n, controls, flags, _, err := o.plain.ReadMsgUDPAddrPort(in.bufs[0], in.controls[0])
		if err == nil && flags&unix.MSG_TRUNC == 0 {
			in.cut(in.bufs[0][:n], in.controls[0][:controls])
		}
		return err
	}
	for k := range in.messages {
		in.messages[k].header.SetControllen(controlSize)
	}
	if err := o.raw.Read(in.read); err != nil {
		return err
	}
	if in.errno != 0 {
		if in.errno == unix.ENOSYS {
			o.many.Store(false)
		}
		return in.errno
	}
	for k := range in.n {
		m := &in.messages[k]
		if m.header.Flags&unix.MSG_TRUNC == 0 {
			in.cut(in.bufs[k][:m.n], in.controls[k][:min(int(m.header.Controllen), controlSize)])
		}
	}
	return nil
}

// readFrom is what RawConn.Read calls.
func (in *inbox) readFrom(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.messages[0])), uintptr(len(in.messages)), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno == unix.EAGAIN {
			return false
		}
		in.n, in.errno = int(n), errno
		return true
	}
}

// cut takes a train apart into the datagrams that it was made of. They are of
// the length that the control message says, but for the last, which may be
// shorter; without one it is a datagram.
func (in *inbox) cut(train, control []byte) {
	size := trainSize(control)
	if size <= 0 {
		size = len(train)
	}
	for len(train) > 0 {
		n := min(size, len(train))
		in.out = append(in.out, train[:n:n])
		train = train[n:]
	}
}

// trainSize is the length of the datagrams in a train, 0 if it is none.
func trainSize(control []byte) int {
	for len(control) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return 0
		}
		if h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4 {
			return int(binary.NativeEndian.Uint32(data))
		}
		control = rest
	}
	return 0
}
