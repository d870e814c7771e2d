package route

import (
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// getBestRoute2 is the IP Helper's function that says by which route the system
// would send to an address.
func getBestRoute2() *windows.LazyProc {
	return windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetBestRoute2")
}

// find asks by GetBestRoute2.
func find(to, from netip.Addr) (Route, error) {
	proc := getBestRoute2()
	if err := proc.Find(); err != nil {
		return Route{}, err
	}
	destination := sockaddr(to)
	var source *windows.RawSockaddrInet6
	if from.IsValid() {
		s := sockaddr(from)
		source = &s
	}
	var row windows.MibIpForwardRow2
	var best windows.RawSockaddrInet6
	code, _, _ := proc.Call(0, 0, uintptr(unsafe.Pointer(source)), uintptr(unsafe.Pointer(&destination)), 0,
		uintptr(unsafe.Pointer(&row)), uintptr(unsafe.Pointer(&best)))
	if code != 0 {
		return Route{}, os.NewSyscallError("GetBestRoute2", syscall.Errno(code))
	}
	r := Route{Index: int(row.InterfaceIndex), Source: address(&best)}
	if via := address((*windows.RawSockaddrInet6)(unsafe.Pointer(&row.NextHop))); via.IsValid() && !via.IsUnspecified() {
		r.Via = via
	}
	return r, nil
}

// sockaddr is a SOCKADDR_INET, of which the IPv6 one is the longer.
func sockaddr(a netip.Addr) windows.RawSockaddrInet6 {
	if a.Is6() {
		return windows.RawSockaddrInet6{Family: windows.AF_INET6, Addr: a.As16()}
	}
	var s windows.RawSockaddrInet6
	(*windows.RawSockaddrInet4)(unsafe.Pointer(&s)).Family = windows.AF_INET
	(*windows.RawSockaddrInet4)(unsafe.Pointer(&s)).Addr = a.As4()
	return s
}

func address(s *windows.RawSockaddrInet6) netip.Addr {
	switch s.Family {
	case windows.AF_INET:
		return netip.AddrFrom4((*windows.RawSockaddrInet4)(unsafe.Pointer(s)).Addr)
	case windows.AF_INET6:
		return netip.AddrFrom16(s.Addr)
	}
	return netip.Addr{}
}
