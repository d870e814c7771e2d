//go:build darwin || freebsd || openbsd

package echo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/device"
	"linehaul/internal/icmp"
)

// A system is a socket of the BSDs.
type system struct {
	way    string
	file   *os.File // the socket, in the runtime's poller
	conn   syscall.RawConn
	to     unix.Sockaddr
	from   netip.Addr // the address of ours that headers of our own name
	header bool       // we make the IPv4 header
}

const (
	// defaultTTL is that of a header of our own (RFC 1700).
	defaultTTL = 64
	ipv4Header = 20
	df         = 1 << 14 // RFC 791 section 3.1
)

func (s *Socket) open() error {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if s.o.To.Is6() {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := -1, error(unix.EPERM)
	var tried []string
	if runtime.GOOS == "darwin" {
		tried, s.sys.way = append(tried, Unprivileged), Unprivileged
		fd, err = unix.Socket(family, unix.SOCK_DGRAM, protocol)
	}
	if err != nil {
		tried, s.sys.way = append(tried, Raw), Raw
		fd, err = unix.Socket(family, unix.SOCK_RAW, protocol)
	}
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return &NotAllowedError{tried, "the right to open raw sockets, which root has", err}
	case err != nil:
		return fmt.Errorf("open a socket for ICMP: %w", os.NewSyscallError("socket", err))
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd) //nolint:errcheck // there is an error already
		return fmt.Errorf("open a socket for ICMP: %w", os.NewSyscallError("fcntl", err))
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
	// Without it, times are those of reading.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1)
	switch is6 := s.o.To.Is6(); {
	case is6 && s.o.Whole:
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1)
	case s.o.Whole:
		// All of them take DF in a header of our own. Not all have an option for it.
		s.sys.header = true
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_HDRINCL, 1); err == nil {
			if s.sys.from, err = s.source(); err != nil {
				return err
			}
		}
	}
	if err != nil {
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

// source is the address that the system would send from.
func (s *Socket) source() (netip.Addr, error) {
	if s.o.From.IsValid() {
		return s.o.From, nil
	}
	const discard = 9 // a UDP socket that is connected sends nothing
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.o.To, discard)))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the way to %v: %w", s.o.To, err)
	}
	defer c.Close() //nolint:errcheck // it was only asked
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

func (s *Socket) send(seq uint16, size, ttl int) error {
	var b []byte
	if s.sys.header {
		b = s.ipv4(size, ttl)
	}
	b = icmp.Echo{ID: s.id, Seq: seq, Data: s.data(size)}.AppendRequest(b, s.o.To.Is6())
	var failed error
	err := s.sys.conn.Write(func(fd uintptr) bool {
		if failed = setTTL(int(fd), s.o.To.Is6(), ttl); failed != nil {
			return true
		}
		s.note(seq, size, time.Now())
		failed = unix.Sendto(int(fd), b, 0, s.sys.to)
		return !errors.Is(failed, unix.EAGAIN)
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		return nil
	}
	return &SendError{Size: size, TooBig: errors.Is(err, unix.EMSGSIZE), Err: err}
}

// ipv4 is the header of a packet that must not be cut. The system fills in
// identifier and checksum. macOS wants length and flags in the order of the
// machine.
func (s *Socket) ipv4(size, ttl int) []byte {
	b := make([]byte, ipv4Header)
	if ttl == 0 {
		ttl = defaultTTL
	}
	put := binary.BigEndian.PutUint16
	if runtime.GOOS == "darwin" {
		put = binary.NativeEndian.PutUint16
	}
	b[0], b[8], b[9] = 4<<4|ipv4Header/4, byte(ttl), icmp.Protocol(false)
	put(b[2:], uint16(ipv4Header+icmp.HeaderLen+size))
	put(b[6:], df)
	from, to := s.sys.from.As4(), s.o.To.As4()
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	return b
}

// read hears answers and errors until the socket is closed.
func (s *Socket) read() {
	data, control := make([]byte, 1<<16), make([]byte, 512)
	s.sys.conn.Read(func(fd uintptr) bool { //nolint:errcheck // it ends when the socket is closed
		for {
			n, oob, _, from, err := unix.Recvmsg(int(fd), data, control, unix.MSG_DONTWAIT)
			now := time.Now()
			select {
			case <-s.done:
				return true
			default:
			}
			if errors.Is(err, unix.EAGAIN) {
				return false
			}
			if err != nil {
				continue // an error that came for an earlier packet
			}
			s.heard(data[:n], address(from), icmp.Received(control[:oob], now), false)
		}
	})
}

func (y *system) close() { y.file.Close() }
