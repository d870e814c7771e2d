package remote_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
	"linehaul/internal/delay"
	"linehaul/internal/lab"
	"linehaul/transfer/remote"
)

// TestGreet: OpenSSH says what it is and offers, its key is held against what is
// known, and nobody tries to log in.
func TestGreet(t *testing.T) {
	startsOthers(t)
	key, _ := newKey(t)
	s := lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"}, Config: "LogLevel VERBOSE"})
	h := sshdHost(t, s, key)
	g, err := remote.Greet(t.Context(), &net.Dialer{}, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(g.Version, "SSH-2.0-OpenSSH") || g.HostKey != s.Fingerprint() || g.HostKeyType != ssh.KeyAlgoED25519 {
		t.Errorf("%+v", g)
	}
	if !slices.Contains(g.KeyExchanges, "curve25519-sha256") || !slices.Contains(g.HostKeyTypes, "ssh-ed25519") {
		t.Errorf("offers %q and %q", g.KeyExchanges, g.HostKeyTypes)
	}
	if g.Trips < 2 || g.Trips > 6 || g.Took <= 0 {
		t.Errorf("%d round trips in %s", g.Trips, g.Took)
	}
	for _, word := range []string{"Failed", "Invalid user", "Accepted"} {
		if strings.Contains(s.Log(), word) {
			t.Errorf("the server's log has %q:\n%s", word, s.Log())
		}
	}

	h.HostKeys = pinned(t, "SHA256:"+strings.Repeat("A", 43))
	if g, err = remote.Greet(t.Context(), &net.Dialer{}, h, nil); !fault.Is(err, fault.HostKeyChanged) || g.Version == "" || g.HostKey != "" {
		t.Errorf("another key: %+v, %v", g, err)
	}
	h.HostKeys = noKeys(t)
	if _, err = remote.Greet(t.Context(), &net.Dialer{}, h, nil); !fault.Is(err, fault.HostKeyUnknown) {
		t.Errorf("no key is known: %v", err)
	}
}

// TestGreetTrips: how often the server is waited for is what the time on a long
// line comes from.
func TestGreetTrips(t *testing.T) {
	startsOthers(t)
	key, _ := newKey(t)
	s := lab.StartSSHD(t, lab.SSHD{AuthorizedKeys: []string{key + ".pub"}, HostKeys: []string{"ed25519"}})
	const trip = 200 * time.Millisecond
	line, err := delay.Listen(s.Addr, delay.Options{RTT: trip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	h := sshdHost(t, s, key)
	h.Address, h.Port = "127.0.0.1", line.Port()
	g, err := remote.Greet(t.Context(), &net.Dialer{}, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	if least := time.Duration(g.Trips-1) * trip; g.Took < least || g.Took > least+4*trip {
		t.Errorf("%d round trips of %s, and it took %s", g.Trips, trip, g.Took)
	}
}

// TestGreetStranger: what is no SSH server is quoted, and what says nothing is
// not waited for longer than is allowed.
func TestGreetStranger(t *testing.T) {
	t.Parallel()
	for text, kind := range map[string]fault.Kind{"220 ftp.example.net ready\r\n": fault.SSH, "": fault.Stall} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			c.Write([]byte(text))
			for {
				if _, err := c.Read(make([]byte, 1000)); err != nil {
					return
				}
			}
		}()
		h := hostAt(l.Addr().String())
		h.ConnectTimeout, h.HostKeys = 300*time.Millisecond, noKeys(t)
		g, err := remote.Greet(t.Context(), &net.Dialer{}, h, nil)
		if !fault.Is(err, kind) || g.Version != "" || text != "" && !strings.Contains(err.Error(), "220 ftp") {
			t.Errorf("%q: %+v, %v", text, g, err)
		}
		l.Close()
		<-done
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	h := hostAt(ln.Addr().String())
	h.HostKeys = noKeys(t)
	if _, err := remote.Greet(t.Context(), &net.Dialer{}, h, nil); !fault.Is(err, fault.TCP) || errors.Is(err, net.ErrClosed) {
		t.Errorf("nobody listens: %v", err)
	}
}
