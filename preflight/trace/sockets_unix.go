//go:build linux || darwin || freebsd || openbsd

package trace

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/device"
	"linehaul/internal/icmp"
)

// A socketProber has a UDP or TCP socket for each probe, by which its answer is
// known: routers need not quote more of it than its ports.
type socketProber struct {
	o    Options
	out  chan answer
	done chan struct{}
	wg   sync.WaitGroup
	ear  *ear // what hears ICMP

	mu     sync.Mutex
	open   map[*os.File]bool
	closed bool
}

func openSockets(o Options, m Method) (prober, error) {
	o.Method = m
	p := &socketProber{o: o, out: make(chan answer), done: make(chan struct{}), open: map[*os.File]bool{}}
	var err error
	if p.ear, err = openEar(p); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *socketProber) answers() <-chan answer { return p.out }

func (p *socketProber) way() string {
	if p.o.Method == TCP {
		return "TCP " + p.ear.way
	}
	return "UDP " + p.ear.way
}

// tell hands on an answer, unless nobody takes any.
func (p *socketProber) tell(a answer) {
	select {
	case p.out <- a:
	case <-p.done:
	}
}

func (p *socketProber) close() {
	close(p.done)
	p.mu.Lock()
	p.closed = true
	for f := range p.open {
		f.Close()
	}
	p.mu.Unlock()
	p.ear.close()
	p.wg.Wait()
}

// send sends a probe and has a goroutine wait for what comes of it.
func (p *socketProber) send(ttl, id int) error {
	kind := unix.SOCK_DGRAM
	if p.o.Method == TCP {
		kind = unix.SOCK_STREAM
	}
	fd, err := socket(p.o.To, kind)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "probe")
	conn, err := f.SyscallConn()
	if err == nil {
		err = p.prepare(fd, ttl)
	}
	var at time.Time
	var early *answer
	if err == nil {
		at, early, err = p.launch(fd, ttl, id)
	}
	if err == nil {
		err = f.SetDeadline(at.Add(p.o.Timeout))
	}
	if err != nil {
		f.Close()
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[f] = true
	p.wg.Go(func() {
		defer p.forget(f, id)
		switch {
		case early != nil:
			p.tell(*early)
		case p.o.Method == TCP:
			p.awaitTCP(conn, id, at)
		default:
			p.awaitUDP(conn, id, at)
		}
	})
	return nil
}

func (p *socketProber) forget(f *os.File, id int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, f)
	f.Close()
	p.ear.forget(id)
}

// prepare sets the options of a probe's socket.
func (p *socketProber) prepare(fd, ttl int) error {
	level, name := unix.IPPROTO_IP, unix.IP_TTL
	if p.o.To.Is6() {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
	}
	if err := unix.SetsockoptInt(fd, level, name, ttl); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	p.ear.prepare(fd)
	if p.o.Method == TCP {
		// What arrives at an open port goes with a reset, and leaves nothing behind.
		if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if p.o.Device != "" {
		if err := device.BindName(uintptr(fd), p.o.Device, p.o.To.Is6()); err != nil {
			return fmt.Errorf("send by %s: %w", p.o.Device, err)
		}
	}
	if p.o.From.IsValid() {
		from, err := sockaddr(p.o.From, 0)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, from); err != nil {
			return fmt.Errorf("send from %v: %w", p.o.From, os.NewSyscallError("bind", err))
		}
	}
	return nil
}

// launch connects, which sends TCP's probe, and sends UDP's. A host that is
// this machine may have answered before that returns.
func (p *socketProber) launch(fd, ttl, id int) (at time.Time, early *answer, err error) {
	to, err := sockaddr(p.o.To, p.o.port(ttl))
	if err != nil {
		return at, nil, err
	}
	if p.o.Method == TCP {
		if err := p.ear.expect(fd, id, true); err != nil {
			return at, nil, err
		}
		at = time.Now()
		err := unix.Connect(fd, to)
		if err == nil || errors.Is(err, unix.EINPROGRESS) {
			return at, nil, nil
		}
		if a, ok := p.failed(fd, id, at, err); ok && a.from.IsValid() {
			return at, &a, nil
		}
		return at, nil, os.NewSyscallError("connect", err)
	}
	if err := unix.Connect(fd, to); err != nil {
		return at, nil, os.NewSyscallError("connect", err)
	}
	if err := p.ear.expect(fd, id, false); err != nil {
		return at, nil, err
	}
	at = time.Now()
	if _, err := unix.Write(fd, make([]byte, size)); err != nil {
		return at, nil, os.NewSyscallError("write", err)
	}
	return at, nil, nil
}

// awaitUDP waits for an answer, or for ICMP.
func (p *socketProber) awaitUDP(conn syscall.RawConn, id int, at time.Time) {
	buf := make([]byte, 1)
	var a answer
	err := conn.Read(func(fd uintptr) bool {
		var ok bool
		if a, ok = p.ear.hear(int(fd), id, at); ok {
			return true
		}
		n, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
		now := time.Now()
		switch {
		case err == nil && n >= 0:
			a = answer{id: id, from: p.o.To, rtt: now.Sub(at), kind: arrived}
			return true
		case errors.Is(err, unix.EAGAIN):
			return false
		}
		a, ok = p.failed(int(fd), id, at, err)
		return ok
	})
	if err == nil && a.rtt > 0 {
		p.tell(a)
	}
}

// awaitTCP waits until a connection is made, or is not.
func (p *socketProber) awaitTCP(conn syscall.RawConn, id int, at time.Time) {
	var a answer
	first := true
	err := conn.Write(func(fd uintptr) bool {
		if first { // it is called once before anything is waited for
			if first = false; !ready(int(fd)) {
				return false
			}
		}
		now := time.Now()
		var ok bool
		if a, ok = p.ear.hear(int(fd), id, at); ok {
			return true
		}
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			return true
		case code != 0:
			a, ok = p.failed(int(fd), id, at, unix.Errno(code))
			return ok
		}
		if _, err := unix.Getpeername(int(fd)); err != nil {
			return false // not yet
		}
		a = answer{id: id, from: p.o.To, rtt: handshake(int(fd), now.Sub(at)), kind: arrived}
		return true
	})
	if err == nil && a.rtt > 0 {
		p.tell(a)
	}
}

// ready asks whether a connection is made, or has failed.
func ready(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// failed is what the error of a socket says of its probe. It is false if there
// may be a message about it elsewhere.
func (p *socketProber) failed(fd, id int, at time.Time, err error) (answer, bool) {
	rtt := time.Since(at)
	if a, ok := p.ear.hear(fd, id, at); ok {
		return a, true // it has come just now
	}
	if errors.Is(err, unix.ECONNREFUSED) && p.o.Method == TCP || errors.Is(err, unix.ECONNRESET) {
		return answer{id: id, from: p.o.To, rtt: rtt, kind: arrived, said: "connection refused"}, true
	}
	return answer{id: id, rtt: rtt, kind: refused, said: err.Error()}, p.ear.errnoIsAll
}

// meant is the answer that an ICMP error is, false if it says nothing of a
// probe.
func meant(e icmp.Error, id int, rtt time.Duration) (answer, bool) {
	a := answer{id: id, from: e.From, rtt: rtt, kind: refused, said: e.String()}
	switch e.Meaning() {
	case icmp.Exceeded:
		a.kind, a.said = exceeded, ""
	case icmp.TooBig, icmp.Other:
		return a, false
	case icmp.NoRoute, icmp.Prohibited, icmp.PortUnreachable:
	}
	return a, true
}

// socket opens a socket of a family that does not wait.
func socket(to netip.Addr, kind int) (int, error) {
	family := unix.AF_INET
	if to.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd) //nolint:errcheck // there is an error already
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

// sockaddr is an address as the system wants it.
func sockaddr(a netip.Addr, port int) (unix.Sockaddr, error) {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}, nil
	}
	sa := &unix.SockaddrInet6{Addr: a.As16(), Port: port}
	if a.Zone() == "" {
		return sa, nil
	}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		sa.ZoneId = uint32(n)
		return sa, nil
	}
	i, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return nil, fmt.Errorf("%v: %w", a, err)
	}
	sa.ZoneId = uint32(i.Index)
	return sa, nil
}
