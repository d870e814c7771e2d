package config

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// splitAddress splits NAME, NAME:PORT, an IPv4 or IPv6 address, IPV4:PORT or
// [IPV6]:PORT. The port is 0 if there is none.
func splitAddress(s string) (address string, port int, err error) {
	switch {
	case strings.Contains(s, "://"):
		return "", 0, errors.New("it is a URL: give the name or IP address of the server alone")
	case strings.Contains(s, "@"):
		return "", 0, errors.New("the user stands in `user`, not in the address")
	case strings.ContainsFunc(s, unicode.IsSpace):
		return "", 0, errors.New("it holds a space")
	}
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.String(), 0, nil
	}
	digits, hasPort := "", false
	if inside, ok := strings.CutPrefix(s, "["); ok {
		inside, after, _ := strings.Cut(inside, "]")
		ip, err := netip.ParseAddr(inside)
		digits, hasPort = strings.CutPrefix(after, ":")
		if err != nil || !ip.Is6() || after != "" && !hasPort || !strings.Contains(s, "]") {
			return "", 0, errors.New("brackets are for an IPv6 address, such as [2001:db8::5]:22")
		}
		address = ip.String()
	} else {
		address, digits, hasPort = strings.Cut(s, ":")
		if !isHostName(address) {
			return "", 0, errors.New("it is no name or IP address of a server")
		}
	}
	if hasPort {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 {
			return "", 0, errors.New("what follows the colon is no port from 1 to 65535")
		}
		port = int(n)
	}
	return address, port, nil
}

// isHostName reports whether s can be the name of a server: letters of any
// script, digits, dashes and underscores between dots (RFC 1123, section 2.1,
// loosened as people do).
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") {
			return false
		}
		for _, r := range label {
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '-' && r != '_' {
				return false
			}
		}
	}
	return true
}
