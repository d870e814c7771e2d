//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package route

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/route"
	"golang.org/x/sys/unix"
)

const (
	// answerTime is how long the kernel has for its answer. Others' messages come
	// by the same socket, of which maxOthers are read over.
	answerTime = 5 * time.Second
	maxOthers  = 100
	maxAnswer  = 64 << 10
)

// find asks by RTM_GET (route(4)). These systems know no source in it.
func find(to, _ netip.Addr) (Route, error) {
	fd, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW, unix.AF_UNSPEC)
	if err != nil {
		return Route{}, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is lost
	unix.CloseOnExec(fd)
	wait := unix.NsecToTimeval(int64(answerTime))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return Route{}, os.NewSyscallError("setsockopt", err)
	}
	const seq = 1
	addrs := make([]route.Addr, unix.RTAX_IFP+1)
	addrs[unix.RTAX_DST] = sockaddr(to)
	addrs[unix.RTAX_IFP] = &route.LinkAddr{}
	ask := &route.RouteMessage{
		Version: unix.RTM_VERSION, Type: unix.RTM_GET, Flags: unix.RTF_UP | unix.RTF_HOST,
		ID: uintptr(os.Getpid()), Seq: seq, Addrs: addrs,
	}
	b, err := ask.Marshal()
	if err != nil {
		return Route{}, err
	}
	if _, err := unix.Write(fd, b); err != nil {
		if errors.Is(err, unix.ESRCH) {
			err = unix.ENETUNREACH
		}
		return Route{}, os.NewSyscallError("write", err)
	}
	buf := make([]byte, maxAnswer)
	for range maxOthers {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return Route{}, os.NewSyscallError("read", err)
		}
		messages, err := route.ParseRIB(route.RIBTypeRoute, buf[:n])
		if err != nil {
			continue // one of a kind that is not known here
		}
		for _, m := range messages {
			if r, ok := m.(*route.RouteMessage); ok && r.Seq == seq && r.ID == uintptr(os.Getpid()) && r.Type == unix.RTM_GET {
				return read(r)
			}
		}
	}
	return Route{}, errors.New("the kernel does not answer on the routing socket")
}

func sockaddr(a netip.Addr) route.Addr {
	if a.Is4() {
		return &route.Inet4Addr{IP: a.As4()}
	}
	return &route.Inet6Addr{IP: a.As16()}
}

// read reads the kernel's answer.
func read(m *route.RouteMessage) (Route, error) {
	if m.Err != nil {
		return Route{}, m.Err
	}
	if m.Flags&(unix.RTF_REJECT|unix.RTF_BLACKHOLE) != 0 {
		return Route{}, unix.ENETUNREACH
	}
	r := Route{Index: m.Index}
	if len(m.Addrs) > unix.RTAX_GATEWAY && m.Flags&unix.RTF_GATEWAY != 0 {
		r.Via = address(m.Addrs[unix.RTAX_GATEWAY])
	}
	if len(m.Addrs) > unix.RTAX_IFA {
		r.Source = address(m.Addrs[unix.RTAX_IFA])
	}
	if len(m.Addrs) > unix.RTAX_IFP {
		if l, ok := m.Addrs[unix.RTAX_IFP].(*route.LinkAddr); ok && l.Index > 0 {
			r.Index = l.Index
		}
	}
	return r, nil
}

func address(a route.Addr) netip.Addr {
	switch a := a.(type) {
	case *route.Inet4Addr:
		return netip.AddrFrom4(a.IP)
	case *route.Inet6Addr:
		return netip.AddrFrom16(a.IP)
	}
	return netip.Addr{}
}
