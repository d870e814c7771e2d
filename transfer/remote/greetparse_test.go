package remote

import (
	"strings"
	"testing"
)

// greeting is what a server sends first, as OpenSSH does.
func greeting(version string, lists ...string) []byte {
	b := []byte(version)
	payload := append([]byte{20}, make([]byte, 16)...)
	for _, l := range lists {
		payload = append(payload, byte(len(l)>>24), byte(len(l)>>16), byte(len(l)>>8), byte(len(l)))
		payload = append(payload, l...)
	}
	n := len(payload) + 1
	b = append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 0)
	return append(b, payload...)
}

func TestParseGreeting(t *testing.T) {
	for name, tt := range map[string]struct {
		in         []byte
		version    string
		kex, types string
	}{
		"whole":             {greeting("SSH-2.0-x\r\n", "a,b", "c"), "SSH-2.0-x", "a b", "c"},
		"lines before it":   {greeting("hello\r\nSSH-2.0-x y\n", "a", "c,d"), "SSH-2.0-x y", "a", "c d"},
		"version alone":     {[]byte("SSH-2.0-x\r\n"), "SSH-2.0-x", "", ""},
		"half a line":       {[]byte("SSH-2.0-x"), "", "", ""},
		"no SSH":            {[]byte("220 ftp\r\n"), "", "", ""},
		"nothing":           {nil, "", "", ""},
		"another message":   {append([]byte("SSH-2.0-x\r\n"), make([]byte, 100)...), "SSH-2.0-x", "", ""},
		"a list cut short":  {greeting("SSH-2.0-x\r\n", "a,b", "c")[:38], "SSH-2.0-x", "", ""},
		"a length of 4 GiB": {append(greeting("SSH-2.0-x\r\n"), 0xff, 0xff, 0xff, 0xff, 'a'), "SSH-2.0-x", "", ""},
		"what is no letter": {greeting("SSH-2.0-\x1b[31m\r\n", "a\x00b", "c"), "SSH-2.0- [31m", "a b", "c"},
	} {
		version, kex, types := parseGreeting(tt.in)
		if version != tt.version || strings.Join(kex, " ") != tt.kex || strings.Join(types, " ") != tt.types {
			t.Errorf("%s: %q, %q, %q; want %q, %q, %q", name, version, kex, types, tt.version, tt.kex, tt.types)
		}
	}
}

// FuzzGreeting: what a stranger sends does not panic, and what is made of it has
// no letters that a terminal would obey.
func FuzzGreeting(f *testing.F) {
	f.Add(greeting("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "sntrup761x25519-sha512@openssh.com,curve25519-sha256", "rsa-sha2-512,ssh-ed25519"))
	f.Add(greeting("Welcome\r\nSSH-1.99-Cisco-1.25\n", "diffie-hellman-group1-sha1", "ssh-rsa"))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		version, kex, types := parseGreeting(b)
		for _, s := range append(append(kex, types...), version) {
			if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%q", s)
			}
		}
		if version == "" && len(kex)+len(types) > 0 {
			t.Errorf("%q without a version", kex)
		}
	})
}
