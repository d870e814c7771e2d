package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	xproxy "golang.org/x/net/proxy"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/internal/leak"
	"linehaul/tunnel/proxy"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// names is a dialer that knows hosts which nobody else does.
type names map[string]string

func (n names) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	switch {
	case host == "forbidden.test":
		return nil, fault.New(fault.Route, "%s is in none of the link's networks", host).AsPermanent()
	case host == "late.test":
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case n[address] == "":
		return nil, fault.New(fault.Name, "no name %q", host)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, n[address])
	if err != nil {
		return nil, fault.New(fault.TCP, "connect: %w", err)
	}
	return c, nil
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve starts a proxy and returns where it is. It has ended when the test does.
func serve(t *testing.T, o proxy.Options) string {
	t.Helper()
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- proxy.New(o).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// counter is a server that says at the end of what it is sent how much it was,
// and its sum.
func counter(t *testing.T) string {
	t.Helper()
	l := listen(t)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				h := sha256.New()
				n, err := io.Copy(h, c)
				if err == nil {
					fmt.Fprintf(c, "%d %x", n, h.Sum(nil))
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	return l.Addr().String()
}

// TestCurl: curl, which we did not write, fetches through the proxy by SOCKS
// and by CONNECT, by a name that only the dialer knows.
func TestCurl(t *testing.T) {
	lab.Need(t, "curl")
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(i * i >> 3)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%d", len(b))
			return
		}
		w.Write(content)
	}))
	defer web.Close()
	at := serve(t, proxy.Options{Dialer: names{"inside.test:80": web.Listener.Addr().String(), "closed.test:80": "127.0.0.1:1"}, Connect: time.Second})
	dir := t.TempDir()
	curl := func(args ...string) (string, error) {
		return lab.Try(t, "curl", append([]string{"-sS", "--max-time", "20", "--noproxy", ""}, args...)...)
	}
	for name, how := range map[string][]string{
		"SOCKS": {"--socks5-hostname", at}, "CONNECT": {"-p", "-x", "http://" + at},
	} {
		file := dir + "/" + name
		if out, err := curl(append(how, "-o", file, "http://inside.test/")...); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if out, err := curl(append(how, "-F", "file=@"+file, "http://inside.test/")...); err != nil || len(out) < 7 {
			t.Errorf("%s upload: %q, %v", name, out, err)
		}
		for host, want := range map[string]map[string]string{
			"unknown.test":   {"SOCKS": "(4)", "CONNECT": "response 502"},
			"closed.test":    {"SOCKS": "(5)", "CONNECT": "response 502"},
			"forbidden.test": {"SOCKS": "(2)", "CONNECT": "response 403"},
			"late.test":      {"SOCKS": "(4)", "CONNECT": "response 504"},
		} {
			if out, err := curl(append(how, "http://"+host+"/")...); err == nil || !strings.Contains(out, want[name]) {
				t.Errorf("%s to %s: %q, %v, want %s", name, host, out, err, want[name])
			}
		}
	}
}

// TestHalfClose: what one side ends, the other one can still answer, through
// each kind of proxy, and all that was written arrives.
func TestHalfClose(t *testing.T) {
	target := counter(t)
	at := serve(t, proxy.Options{Dialer: names{"count.test:7": target}})
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- proxy.New(proxy.Options{Dialer: names{"count.test:7": target}}).Forward(ctx, l, "count.test:7")
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for name, dial := range map[string]func() (net.Conn, error){
		"SOCKS": func() (net.Conn, error) {
			d, err := xproxy.SOCKS5("tcp", at, nil, xproxy.Direct)
			if err != nil {
				return nil, err
			}
			return d.Dial("tcp", "count.test:7")
		},
		"CONNECT": func() (net.Conn, error) {
			c, err := net.Dial("tcp", at)
			if err != nil {
				return nil, err
			}
			fmt.Fprint(c, "CONNECT count.test:7 HTTP/1.1\r\nHost: count.test:7\r\n\r\n")
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"})
			if err != nil || resp.StatusCode != 200 || r.Buffered() > 0 {
				return nil, fmt.Errorf("%v, %w", resp, err)
			}
			return c, nil
		},
		"forward": func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			data := make([]byte, 2<<20)
			rand.NewChaCha8([32]byte{1}).Read(data)
			if _, err := c.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if want := fmt.Sprintf("%d %x", len(data), sha256.Sum256(data)); err != nil || string(got) != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		})
	}
}

// TestEarlyBytes: what a client sends behind its request, without waiting, is
// not lost.
func TestEarlyBytes(t *testing.T) {
	at := serve(t, proxy.Options{Dialer: names{"count.test:7": counter(t)}})
	for name, request := range map[string]string{
		"SOCKS":   "\x05\x01\x00\x05\x01\x00\x03\x0acount.test\x00\x07",
		"CONNECT": "CONNECT count.test:7 HTTP/1.0\r\n\r\n",
	} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, request+"early")
		c.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(c)
		if want := fmt.Sprintf("5 %x", sha256.Sum256([]byte("early"))); err != nil || !strings.HasSuffix(string(got), want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestBounds: a client that says nothing, or nonsense, is let go, and more than
// there may be are turned away, and then there is room again.
func TestBounds(t *testing.T) {
	o := proxy.Options{Dialer: names{"count.test:7": counter(t)}, Handshake: 300 * time.Millisecond}
	at := serve(t, o)
	ends := func(sent string) string {
		t.Helper()
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, sent)
		got, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%.40q is not let go", sent)
		}
		return string(got)
	}
	for sent, want := range map[string]string{
		"":             "",
		"\x05":         "",
		"\x05\x01\x02": "\x05\xff", // a password only
		"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50":                         "\x05\x00\x05\x07", // BIND
		"\x05\x01\x00\x05\x01\x00\x09":                                                 "\x05\x00\x05\x08", // no such address
		"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50":                                     "\x05\x00\x05\x01", // no name
		"\x05\x01\x00\x05\x01\x00\x03\x03a\nb\x00\x50":                                 "\x05\x00\x05\x01",
		"\x04\x01\x00\x50\x7f\x00\x00\x01\x00":                                         "",
		"GET http://count.test/ HTTP/1.1\r\n\r\n":                                      "HTTP/1.1 405 ",
		"CONNECT count.test HTTP/1.1\r\n\r\n":                                          "HTTP/1.1 400 ",
		"CONNECT a b:7 HTTP/1.1\r\n\r\n":                                               "HTTP/1.1 400 ",
		"CONNECT count.test:7 SPDY\r\n\r\n":                                            "HTTP/1.1 400 ",
		"CONNECT :7 HTTP/1.1\r\n\r\n":                                                  "HTTP/1.1 400 ",
		"CONNECT count.test:7 HTTP/1.1\r\n" + strings.Repeat("a: b\r\n", 200) + "\r\n": "HTTP/1.1 431 ",
		"CONNECT count.test:7 HTTP/1.1\r\n" + strings.Repeat("a", 17<<10):              "HTTP/1.1 431 ",
		"CONNECT count.test:7 HTTP/1.1\r\nx: " + strings.Repeat("a", 15<<10) + "\r\ny: " + strings.Repeat("a", 2<<10) + "\r\n\r\n": "HTTP/1.1 431 ",
	} {
		if got := ends(sent); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%.60q: %q, want %q", sent, got, want)
		}
	}
	// Another server, as a client leaves its place a moment after it has seen its
	// end.
	o.MaxClients = 2
	at = serve(t, o)
	var held []net.Conn
	for range 2 {
		d, err := xproxy.SOCKS5("tcp", at, nil, xproxy.Direct)
		if err != nil {
			t.Fatal(err)
		}
		c, err := d.Dial("tcp", "count.test:7")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	if got := ends("\x05\x01\x00"); got != "" {
		t.Errorf("a third client got %q", got)
	}
	for _, c := range held {
		c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); ends("\x05\x01\x02") == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("there is no room again")
		}
	}
}

// TestEnd: the end of the server ends its clients, in the middle of anything.
func TestEnd(t *testing.T) {
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- proxy.New(proxy.Options{Dialer: names{"count.test:7": counter(t)}}).Serve(ctx, l)
	}()
	var clients []net.Conn
	for _, sent := range []string{"", "\x05\x01\x00\x05\x01\x00\x03\x0acount.test\x00\x07data", "\x05\x01\x00\x05\x01\x00\x03\x09late.test\x00\x07", "\x05\x01\x00\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, sent)
		if sent != "" {
			io.ReadFull(c, make([]byte, 2))
		}
		clients = append(clients, c)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	for i, c := range clients {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("client %d is still there", i)
		}
	}
}
