package proxy

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"testing"
)

func TestParseForward(t *testing.T) {
	for text, want := range map[string]Forward{
		"8080:10.20.0.5:80":                 {"127.0.0.1:8080", "10.20.0.5:80"},
		"127.0.0.1:8080:web.example.net:80": {"127.0.0.1:8080", "web.example.net:80"},
		"[::1]:8080:[fd77::2]:80":           {"[::1]:8080", "[fd77::2]:80"},
		"0:[fd77::2]:80":                    {"127.0.0.1:0", "[fd77::2]:80"},
		":8080:h:80":                        {":8080", "h:80"},
		"localhost:22:[2001:db8::1]:65535":  {"localhost:22", "[2001:db8::1]:65535"},
	} {
		if got, err := ParseForward(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "80", "80:h", "80:h:", "x:h:80", "80:h:0", "80:h:70000", "70000:h:80", "80::80", "a:b:80:h:80", "[::1:80:h:80", "80:[h:80", "80:[::1]x:80", "80:h]:80", "80:a b:80", "fd77::2:80:h:80"} {
		if got, err := ParseForward(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestLoopback(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "host.example:1": false, "": false,
	} {
		if Loopback(listen) != want {
			t.Errorf("%q: %v", listen, !want)
		}
	}
}

// FuzzRequest gives any bytes to the parsers: none panics, and what is taken is
// a host and a port that a dialer and a log line can have.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"\x05\x01\x00\x05\x01\x00\x03\x0acount.test\x00\x07", "\x05\x02\x00\x02\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00",
		"\x05\x01\x00\x05\x01\x00\x04\xfd\x77\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16",
		"CONNECT count.test:7 HTTP/1.1\r\nHost: count.test:7\r\n\r\n", "CONNECT [fd77::2]:7 HTTP/1.0\n\n", "GET / HTTP/1.1\r\n\r\n",
		"\x00\x00\x00\x03\x08one.test\x00\x35data", "\x00\x00\x00\x01\x7f\x00\x00\x01\x00\x35",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(target string, err error) {
			if err != nil {
				return
			}
			host, port, err := net.SplitHostPort(target)
			if err != nil || host == "" || port == "" || len(host) > 300 || strings.ContainsAny(host, " \r\n\t\x00\"") {
				t.Errorf("%q is taken: %v", target, err)
			}
		}
		r := bufio.NewReaderSize(bytes.NewReader(b), maxHead)
		if _, err := readMethods(r); err == nil {
			q, err := readRequest(r)
			check(q.target, err)
		}
		target, err := readConnect(bufio.NewReaderSize(bytes.NewReader(b), maxHead))
		check(target, err)
		if target, data, ok := parseDatagram(b); ok {
			check(target, nil)
			if !bytes.HasSuffix(b, data) {
				t.Errorf("%q is not the end of %q", data, b)
			}
		}
	})
}

// FuzzForward: what is taken can be listened at and dialled.
func FuzzForward(f *testing.F) {
	for _, seed := range []string{"8080:10.20.0.5:80", "[::1]:8080:[fd77::2]:80", "x", "[", "a:b:c:d:e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseForward(text)
		if err != nil {
			return
		}
		for _, a := range []string{got.Listen, got.Target} {
			if _, _, err := net.SplitHostPort(a); err != nil {
				t.Errorf("%q makes %q: %v", text, a, err)
			}
		}
	})
}
