//go:build darwin || freebsd || openbsd

package trace

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/icmp"
)

// An ear hears ICMP errors, here by a socket for ICMP, as these systems do not
// tell a probe's own socket who sent one. What it is about is known by the port
// of ours that it quotes.
type ear struct {
	way        string
	errnoIsAll bool
	p          *socketProber
	file       *os.File
	conn       syscall.RawConn
	wg         sync.WaitGroup

	mu    sync.Mutex
	ports map[uint16]expected
}

type expected struct {
	id int
	at time.Time
}

func openEar(p *socketProber) (*ear, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if p.o.To.Is6() {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	e := &ear{p: p, ports: map[uint16]expected{}}
	fd, err := -1, error(unix.EPERM)
	if runtime.GOOS == "darwin" {
		e.way = "sockets, and one for ICMP"
		fd, err = unix.Socket(family, unix.SOCK_DGRAM, protocol)
	}
	if err != nil {
		e.way = "sockets, and a raw one for ICMP"
		fd, err = unix.Socket(family, unix.SOCK_RAW, protocol)
	}
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		return nil, &missingError{what: "who answers probes of " + string(p.o.Method) + " is heard by a raw socket only", right: "the right to open one, which root has", err: err}
	case err != nil:
		return nil, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd) //nolint:errcheck // there is an error already
		return nil, os.NewSyscallError("fcntl", err)
	}
	e.file = os.NewFile(uintptr(fd), "icmp")
	if e.conn, err = e.file.SyscallConn(); err != nil {
		e.file.Close()
		return nil, err
	}
	e.wg.Go(e.listen)
	return e, nil
}

func (e *ear) close() {
	e.file.Close()
	e.wg.Wait()
}

func (*ear) prepare(int) {}

// expect notes from which port a probe is about to be sent. A TCP socket gets
// one now, as there is none before it connects.
func (e *ear) expect(fd, id int, bind bool) error {
	port, err := localPort(fd)
	if err == nil && port == 0 && bind {
		any := netip.IPv4Unspecified()
		if e.p.o.To.Is6() {
			any = netip.IPv6Unspecified()
		}
		var sa unix.Sockaddr
		if sa, err = sockaddr(any, 0); err == nil {
			if err = unix.Bind(fd, sa); err == nil {
				port, err = localPort(fd)
			}
		}
	}
	if err != nil {
		return os.NewSyscallError("bind", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ports[port] = expected{id, time.Now()}
	return nil
}

func localPort(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port), err
	case *unix.SockaddrInet6:
		return uint16(sa.Port), err
	}
	return 0, err
}

func (e *ear) forget(id int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for port, x := range e.ports {
		if x.id == id {
			delete(e.ports, port)
		}
	}
}

// hear has nothing of its own: listen tells.
func (*ear) hear(int, int, time.Time) (answer, bool) { return answer{}, false }

// listen reads ICMP until the socket is closed.
func (e *ear) listen() {
	protocol := byte(unix.IPPROTO_UDP)
	if e.p.o.Method == TCP {
		protocol = unix.IPPROTO_TCP
	}
	buf := make([]byte, 1<<16)
	e.conn.Read(func(fd uintptr) bool { //nolint:errcheck // it ends when the socket is closed
		for {
			n, from, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			now := time.Now()
			select {
			case <-e.p.done:
				return true
			default:
			}
			if errors.Is(err, unix.EAGAIN) {
				return false
			}
			if err != nil {
				continue // an error that came for an earlier packet
			}
			said, q, ok := icmp.Parse(buf[:n], e.p.o.To.Is6())
			if !ok || q.Protocol != protocol || q.To.Addr().WithZone("") != e.p.o.To.WithZone("") {
				continue
			}
			said.From = address(from)
			e.mu.Lock()
			x, ours := e.ports[q.From.Port()]
			e.mu.Unlock()
			if a, ok := meant(said, x.id, now.Sub(x.at)); ok && ours {
				e.p.tell(a)
			}
		}
	})
}

func address(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr).Unmap()
	}
	return netip.Addr{}
}

// handshake is the round trip of a connection.
func handshake(_ int, took time.Duration) time.Duration { return took }
