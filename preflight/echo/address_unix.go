//go:build linux || darwin || freebsd || openbsd

package echo

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// sockaddr is an address as the system wants it.
func sockaddr(a netip.Addr) (unix.Sockaddr, error) {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}, nil
	}
	zone, err := zoneID(a)
	return &unix.SockaddrInet6{Addr: a.As16(), ZoneId: zone}, err
}

// zoneID is the number of the interface that an address names.
func zoneID(a netip.Addr) (uint32, error) {
	if a.Zone() == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return 0, fmt.Errorf("%v: %w", a, err)
	}
	return uint32(i.Index), nil
}

// address is the system's, as we have it.
func address(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr).Unmap()
	}
	return netip.Addr{}
}

// setTTL sets how many routers the next packet may pass; 0 leaves it.
func setTTL(fd int, is6 bool, ttl int) error {
	if ttl == 0 {
		return nil
	}
	level, name := unix.IPPROTO_IP, unix.IP_TTL
	if is6 {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, ttl))
}
