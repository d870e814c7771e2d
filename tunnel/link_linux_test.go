package tunnel

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestKernelRefuses has a kernel that cannot cut after all: it refuses that for a
// socket without checksums, as it does for a card without. All arrives, and the
// next burst of such datagrams does not try again.
func TestKernelRefuses(t *testing.T) {
	for name, may := range map[string]powers{"many": {cut: true, join: true, many: true}, "each": {cut: true, join: true}} {
		t.Run(name, func(t *testing.T) {
			from, to := sockets(t, "udp4", may, may)
			raw, err := from.conn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if err := raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
			}); err != nil {
				t.Fatal(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []int64{1000, 1000, 600} {
				sizes := append(repeat(1000, 10), 300)
				if want == 600 {
					sizes = append(repeat(600, 5), repeat(1000, 5)...)
				}
				b, all := burstOf(sizes...)
				from.send(b)
				got, _ := collect(t, to, len(all))
				compare(t, got, all)
				if below := from.below.Load(); below != want {
					t.Errorf("datagrams below %d are left to the kernel, not below %d", below, want)
				}
			}
		})
	}
}

// TestVerdicts: which errors say that the kernel does not cut, and for which
// lengths.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		err     error
		refused bool
		below   int64
	}{
		{unix.EIO, true, 0},
		{unix.EINVAL, true, 1400},
		{unix.EMSGSIZE, true, 1400},
		{unix.EOPNOTSUPP, true, 1400},
		{unix.ECONNREFUSED, false, 0},
		{unix.EHOSTUNREACH, false, 0},
		{unix.ENOBUFS, false, 0},
		{unix.EPERM, false, 0},
	} {
		err := fmt.Errorf("write: %w", os.NewSyscallError("sendmsg", c.err))
		if refused(err) != c.refused {
			t.Errorf("%v: refused %v", c.err, !c.refused)
		}
		if !c.refused {
			continue
		}
		var o offload
		o.below.Store(math.MaxInt64)
		o.note(err, 1400)
		o.note(err, 1401)
		if got := o.below.Load(); got != c.below {
			t.Errorf("%v: datagrams below %d are cut, not below %d", c.err, got, c.below)
		}
	}
}

// TestTrainSize reads the control messages of a kernel, and nonsense.
func TestTrainSize(t *testing.T) {
	message := func(level, typ int32, data ...byte) []byte {
		b := make([]byte, unix.CmsgSpace(len(data)))
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		h.Level, h.Type = level, typ
		h.SetLen(unix.CmsgLen(len(data)))
		copy(b[unix.CmsgLen(0):], data)
		return b
	}
	size := message(unix.SOL_UDP, unix.UDP_GRO, binary.NativeEndian.AppendUint32(nil, 1436)...)
	other := message(unix.SOL_SOCKET, unix.SCM_TIMESTAMP, 1, 2, 3, 4, 5, 6, 7, 8)
	for name, c := range map[string]struct {
		control []byte
		want    int
	}{
		"a train":            {size, 1436},
		"behind another":     {append(append([]byte(nil), other...), size...), 1436},
		"another":            {other, 0},
		"nothing":            {nil, 0},
		"cut short":          {size[:unix.CmsgLen(0)-1], 0},
		"a length too great": {message(unix.SOL_UDP, unix.UDP_GRO, 1)[:unix.CmsgLen(0)], 0},
		"too little in it":   {message(unix.SOL_UDP, unix.UDP_GRO, 1), 0},
	} {
		if got := trainSize(c.control); got != c.want {
			t.Errorf("%s: %d, not %d", name, got, c.want)
		}
	}
}

// TestBuffers: where it may, a socket gets the room that it asks for.
func TestBuffers(t *testing.T) {
	if os.Getuid() != 0 {
		return // then it is what the system allows
	}
	from, _ := sockets(t, "udp4", powers{}, powers{})
	raw, err := from.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, option := range map[string]int{"receive": syscall.SO_RCVBUF, "send": syscall.SO_SNDBUF} {
		var n int
		if err := raw.Control(func(fd uintptr) { n, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, option) }); err != nil {
			t.Fatal(err)
		}
		if err != nil || n < socketBuffer {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
}
