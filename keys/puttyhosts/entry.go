package puttyhosts

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
)

// maxHost is the length of the longest host name (RFC 1035 section 2.3.4).
const maxHost = 255

// parseEntry reads TYPE@PORT:HOST and the numbers of the key. Its errors hold
// nothing of either, but for a type.
func parseEntry(name, numbers string) (Entry, error) {
	keyType, rest, hasType := strings.Cut(name, "@")
	digits, host, hasPort := strings.Cut(rest, ":")
	if !hasType || !hasPort {
		return Entry{}, errors.New("its name is not TYPE@PORT:HOST")
	}
	port, err := strconv.Atoi(digits)
	if err != nil || port < 1 || port > 65535 || strconv.Itoa(port) != digits {
		return Entry{}, errors.New("its port is not a number from 1 to 65535")
	}
	if host, err = checkHost(host); err != nil {
		return Entry{}, err
	}
	if len(numbers) > maxNumbers {
		return Entry{}, fmt.Errorf("longer than %d KiB", maxNumbers>>10)
	}
	wire, blob, err := parseKey(keyType, strings.Split(numbers, ","))
	if err != nil {
		return Entry{}, err
	}
	return Entry{Host: host, Port: port, Type: wire, Blob: blob}, nil
}

// checkHost lets through only what known_hosts takes for one name and nothing
// else: no pattern, no list, no marker, no comment, no second field.
func checkHost(host string) (string, error) {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		// PuTTY takes the brackets off; a file made by other hands may have them.
		inner, ok = strings.CutSuffix(inner, "]")
		if addr, err := netip.ParseAddr(inner); ok && err == nil && addr.Is6() {
			host = inner
		}
	}
	if host == "" || len(host) > maxHost {
		return "", fmt.Errorf("its host name is empty or longer than %d bytes", maxHost)
	}
	for _, c := range []byte(host) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(".-_:%", c) >= 0:
		case c >= 0x80:
			return "", errors.New("its host name is not plain ASCII")
		default:
			return "", errors.New("its host name holds a character that no host name has")
		}
	}
	return host, nil
}

// unescape undoes what PuTTY does to a name that goes into the registry: %XX
// with upper-case digits.
func unescape(name string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		const upper = "0123456789ABCDEF"
		if i+2 >= len(name) {
			return "", errors.New("its name ends within an escape")
		}
		high, low := strings.IndexByte(upper, name[i+1]), strings.IndexByte(upper, name[i+2])
		if high < 0 || low < 0 {
			return "", errors.New("its name holds an escape that is not % and two digits 0 to F")
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), nil
}

// bareError drops the operation and path that the os package puts before a
// cause: our message has them.
func bareError(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
