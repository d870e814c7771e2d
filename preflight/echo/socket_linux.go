package echo

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/device"
	"linehaul/internal/icmp"
)

// A system is a socket of Linux.
type system struct {
	way  string
	file *os.File // the socket, in the runtime's poller
	conn syscall.RawConn
	to   unix.Sockaddr
}

// sendTries: with IP_RECVERR, sending fails once for an error that came for an
// earlier packet. An error of this packet's own comes each time.
const sendTries = 8

func (s *Socket) open() error {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if s.o.To.Is6() {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|flags, protocol)
	s.sys.way = Unprivileged
	if err != nil {
		s.sys.way = Raw
		fd, err = unix.Socket(family, unix.SOCK_RAW|flags, protocol)
	}
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return &NotAllowedError{[]string{Unprivileged, Raw}, "a group of this user in net.ipv4.ping_group_range, or CAP_NET_RAW", err}
	case err != nil:
		return fmt.Errorf("open a socket for ICMP: %w", os.NewSyscallError("socket", err))
	}
	s.sys.file = os.NewFile(uintptr(fd), "icmp")
	if err := s.prepare(fd); err != nil {
		s.sys.file.Close()
		return err
	}
	s.wg.Go(s.read)
	return nil
}

// prepare sets the options of the socket and binds it.
func (s *Socket) prepare(fd int) (err error) {
	if s.sys.conn, err = s.sys.file.SyscallConn(); err != nil {
		return fmt.Errorf("open a socket for ICMP: %w", err)
	}
	if s.sys.to, err = sockaddr(s.o.To); err != nil {
		return err
	}
	for _, o := range s.options() {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil && o.must {
			return fmt.Errorf("set an ICMP socket up: %w", os.NewSyscallError("setsockopt", err))
		}
	}
	if s.sys.way == Unprivileged {
		icmp.Listen(fd)
	} else if err := s.filter(fd); err != nil { // a raw socket hears what routers say as packets
		return fmt.Errorf("set an ICMP socket up: %w", os.NewSyscallError("setsockopt", err))
	}
	if s.o.Device != "" {
		if err := device.BindName(uintptr(fd), s.o.Device, s.o.To.Is6()); err != nil {
			return fmt.Errorf("send by %s: %w", s.o.Device, err)
		}
	}
	if s.o.From.IsValid() {
		from, err := sockaddr(s.o.From)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, from); err != nil {
			return fmt.Errorf("send from %v: %w", s.o.From, os.NewSyscallError("bind", err))
		}
	}
	return nil
}

type option struct {
	level, name, value int
	must               bool
}

func (s *Socket) options() []option {
	all := []option{{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, false}, {unix.SOL_SOCKET, unix.SO_RCVBUF, 1 << 20, false}}
	switch is6 := s.o.To.Is6(); {
	case is6 && s.o.Whole:
		all = append(all, option{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE, true},
			option{unix.SOL_IPV6, unix.IPV6_DONTFRAG, 1, true})
	case s.o.Whole:
		all = append(all, option{unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE, true})
	}
	return all
}

// filter has the kernel keep all messages from a raw socket but those that are
// about requests.
func (s *Socket) filter(fd int) error {
	if s.o.To.Is6() {
		block := unix.ICMPv6Filter{}
		for i := range block.Data {
			block.Data[i] = ^uint32(0)
		}
		for _, t := range icmp.AnswerTypes(true) {
			block.Data[t/32] &^= 1 << (t % 32)
		}
		return unix.SetsockoptICMPv6Filter(fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &block)
	}
	const icmpFilter = 1 // ICMP_FILTER of linux/icmp.h
	block := ^uint32(0)
	for _, t := range icmp.AnswerTypes(false) {
		block &^= 1 << t
	}
	return unix.SetsockoptInt(fd, unix.SOL_RAW, icmpFilter, int(int32(block)))
}

func (s *Socket) send(seq uint16, size, ttl int) error {
	b := icmp.Echo{ID: s.id, Seq: seq, Data: s.data(size)}.AppendRequest(nil, s.o.To.Is6())
	var failed error
	err := s.sys.conn.Write(func(fd uintptr) bool {
		if failed = setTTL(int(fd), s.o.To.Is6(), ttl); failed != nil {
			return true
		}
		for range sendTries {
			s.note(seq, size, time.Now())
			failed = unix.Sendto(int(fd), b, 0, s.sys.to)
			if failed == nil {
				return true
			}
			if errors.Is(failed, unix.EAGAIN) {
				return false
			}
		}
		return true
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		return nil
	}
	return &SendError{Size: size, TooBig: errors.Is(err, unix.EMSGSIZE), Err: words(err)}
}

// words says what an error of sending means here.
func words(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("the firewall here forbids it (%w)", err)
	}
	return err
}

// read hears answers and errors until the socket is closed.
func (s *Socket) read() {
	data, control := make([]byte, 1<<16), make([]byte, 512)
	// The poller wakes for the error queue too. Both are emptied each time,
	// because it tells of changes only.
	s.sys.conn.Read(func(fd uintptr) bool { //nolint:errcheck // it ends when the socket is closed
		for {
			gotError := s.sys.way == Unprivileged && s.hearQueue(int(fd))
			gotData := s.receive(int(fd), data, control)
			select {
			case <-s.done:
				return true
			default:
			}
			if !gotError && !gotData {
				return false
			}
		}
	})
}

// hearQueue takes what is in the socket's queue of errors, and reports whether
// there may be more. What this machine refuses itself is told by Send.
func (s *Socket) hearQueue(fd int) bool {
	errs := icmp.Queue(fd)
	for _, e := range errs {
		if request, ok := e.Request(); ok && e.V6 == s.o.To.Is6() {
			s.refused(e, request.Seq, e.At)
		}
	}
	return len(errs) > 0
}

// receive takes one message from the socket, and reports whether there may be
// more.
func (s *Socket) receive(fd int, data, control []byte) bool {
	n, oob, _, from, err := unix.Recvmsg(fd, data, control, unix.MSG_DONTWAIT)
	now := time.Now()
	if err != nil {
		// Other errors are those of earlier requests, which the error queue has too.
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EBADF)
	}
	s.heard(data[:n], address(from), icmp.Received(control[:oob], now), s.sys.way == Unprivileged)
	return true
}

func (y *system) close() { y.file.Close() }
