package main

import (
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"

	"linehaul/fault"
)

// target is a remote place as the command line spells it: `host:path`,
// `user@address:path` or `sftp://user@address:port/path`.
type target struct {
	user    string
	address string // an address, or the name of a host in the config
	port    int    // 0: not given
	path    string
	url     bool
}

// parseTarget reads a remote place. The second result is false for a text that
// names a local one.
func parseTarget(s string) (target, bool, error) {
	if strings.HasPrefix(s, "sftp://") || strings.HasPrefix(s, "scp://") {
		t, err := parseURL(s)
		return t, true, err
	}
	// A bracketed IPv6 address may hold colons itself.
	user, rest, hasUser := strings.Cut(s, "@")
	if !hasUser || strings.ContainsAny(user, `/\:[`) {
		user, rest = "", s
	}
	t := target{user: user}
	if after, ok := strings.CutPrefix(rest, "["); ok {
		addr, more, closed := strings.Cut(after, "]")
		p, colon := strings.CutPrefix(more, ":")
		if !closed || !colon || addr == "" {
			return target{}, false, nil
		}
		t.address, t.path = addr, p
		return t, true, nil
	}
	addr, p, colon := strings.Cut(rest, ":")
	switch {
	case !colon || addr == "" || strings.ContainsAny(addr, `/\`):
		return target{}, false, nil // a local path, as scp sees it too
	case runtime.GOOS == "windows" && len(addr) == 1 && user == "":
		return target{}, false, nil // a drive
	}
	t.address, t.path = addr, p
	return t, true, nil
}

// parseURL reads sftp://user@address:port/path. The path is absolute, but for
// one that begins with /~/, which starts in the login folder.
func parseURL(s string) (target, error) {
	u, err := url.Parse(s)
	if err != nil {
		// The text may hold a password, so the parser's own message does not.
		return target{}, fault.New(fault.Usage, "the URL cannot be read").WithHint("write sftp://user@address:port/path")
	}
	if _, secret := u.User.Password(); secret {
		return target{}, fault.New(fault.Usage, "a URL must not hold a password").
			WithHint("use --password env:NAME, file:PATH or command:CMD, or better a key")
	}
	t := target{user: u.User.Username(), address: u.Hostname(), path: u.Path, url: true}
	if rest, ok := strings.CutPrefix(u.Path, "/~/"); ok {
		t.path = rest
	}
	if t.address == "" {
		return target{}, fault.New(fault.Usage, "%q names no address", u.Redacted())
	}
	if p := u.Port(); p != "" {
		if t.port, err = strconv.Atoi(p); err != nil || t.port < 1 || t.port > 65535 {
			return target{}, fault.New(fault.Usage, "%q: port %s is not between 1 and 65535", u.Redacted(), p)
		}
	}
	return t, nil
}

// sameHost reports whether two targets name one host in the same way.
func (t target) sameHost(o target) bool {
	return t.user == o.user && t.address == o.address && t.port == o.port
}

// String spells the target so that parseTarget reads the same of it, but for a
// port, which only a URL can hold.
func (t target) String() string {
	s := t.address
	switch {
	case t.port != 0:
		s = net.JoinHostPort(s, strconv.Itoa(t.port))
	case strings.Contains(s, ":"):
		s = "[" + s + "]"
	}
	if t.user != "" {
		s = t.user + "@" + s
	}
	return s + ":" + t.path
}
