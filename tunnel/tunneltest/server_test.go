package tunneltest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"linehaul/internal/leak"
	"linehaul/tunnel"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/tunneltest"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func start(t *testing.T, o tunneltest.ServerOptions) *tunneltest.Server {
	t.Helper()
	o.PSK = []byte("secret")
	o.Networks = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24"), netip.MustParsePrefix("fd77::/64")}
	s, err := tunneltest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func up(t *testing.T, s *tunneltest.Server) *tunnel.Tunnel {
	t.Helper()
	c, err := tunnel.Up(t.Context(), tunnel.Config{Gateway: s.Addr(), IKE: ikev2.Config{
		PSK: []byte("secret"), Local: ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("road.test")},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// echo sends bytes through a connection and gets the same back.
func echo(t *testing.T, c net.Conn, n int) {
	t.Helper()
	want := make([]byte, n)
	rand.Read(want)
	go func() {
		c.Write(want)
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	c.SetDeadline(time.Now().Add(time.Minute))
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back of %d: %v", len(got), n, err)
	}
}

// TestServer has two clients at once talk to a server behind the gateway, and
// through it to one outside, while both sides rekey.
func TestServer(t *testing.T) {
	s := start(t, tunneltest.ServerOptions{Options: tunneltest.Options{ChildLifetime: 300 * time.Millisecond, IKELifetime: 500 * time.Millisecond}})
	var lc net.ListenConfig
	outside, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { outside.Close() })
	inside, err := s.Listen(7)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []net.Listener{inside, outside} {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					all, _ := io.ReadAll(c)
					c.Write(all)
				}()
			}
		}()
	}
	forwarded, err := s.Forward(t.Context(), 8, outside.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	one, two := up(t, s), up(t, s)
	if n := s.Logins(); n != 2 {
		t.Errorf("%d logins", n)
	}
	for range 4 {
		for _, to := range []string{inside.Addr().String(), forwarded} {
			for _, c := range []*tunnel.Tunnel{one, two} {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				conn, err := c.DialContext(ctx, "tcp", to)
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				echo(t, conn, 1<<20)
				conn.Close()
			}
		}
	}
	if st := s.Stats(); st.ChildRekeys < 3 || st.IKERekeys < 3 {
		t.Errorf("too few rekeys: %+v", st)
	}
	one.Close()
	two.Close()
	if n := s.Logins(); n != 0 {
		t.Errorf("%d logins in the end", n)
	}
}
