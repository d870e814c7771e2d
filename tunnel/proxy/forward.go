package proxy

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"linehaul/fault"
)

// A Forward is a port that leads to one place.
type Forward struct{ Listen, Target string }

// ParseForward reads [BIND:]PORT:HOST:HOSTPORT, as ssh's -L has it. IPv6
// addresses stand in brackets. Without BIND it is the loopback; port 0 is one
// that is free.
func ParseForward(text string) (Forward, error) {
	bad := func(why string) (Forward, error) {
		return Forward{}, fault.New(fault.Usage, "%q is no forward: %s", text, why).WithHint("write it as in 8080:10.20.0.5:80, or [BIND:]PORT:HOST:HOSTPORT with IPv6 addresses in brackets")
	}
	parts, ok := splitColons(text)
	if !ok {
		return bad("a bracket is not closed, or stands in the middle")
	}
	if len(parts) == 3 {
		parts = append([]string{"127.0.0.1"}, parts...)
	}
	if len(parts) != 4 {
		return bad("it wants three or four parts")
	}
	if parts[2] == "" {
		return bad("the host is empty")
	}
	if _, err := strconv.ParseUint(parts[1], 10, 16); err != nil {
		return bad("the port to listen at is none")
	}
	if n, err := strconv.ParseUint(parts[3], 10, 16); err != nil || n == 0 {
		return bad("the host's port is none")
	}
	if _, err := checkName(parts[2]); err != nil {
		return bad("the host is no name and no address")
	}
	return Forward{net.JoinHostPort(parts[0], parts[1]), net.JoinHostPort(parts[2], parts[3])}, nil
}

// splitColons splits at colons that are not in brackets, which are taken away.
func splitColons(text string) (parts []string, ok bool) {
	for {
		var part string
		if inner, bracket := strings.CutPrefix(text, "["); bracket {
			part, text, ok = strings.Cut(inner, "]")
			if !ok || text != "" && text[0] != ':' {
				return nil, false
			}
			text, ok = strings.CutPrefix(text, ":")
		} else {
			part, text, ok = strings.Cut(text, ":")
		}
		if strings.ContainsAny(part, "[]") {
			return nil, false
		}
		parts = append(parts, part)
		if !ok {
			return parts, true
		}
	}
}

// Loopback reports whether only this machine can reach an address to listen at.
// An empty host is all of its addresses.
func Loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	return a.Unmap().IsLoopback()
}
