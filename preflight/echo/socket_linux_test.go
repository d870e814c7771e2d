package echo

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/icmp"
	"linehaul/internal/lab/netns"
	"linehaul/internal/lab/path"
	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// patience is how long a test waits for an answer that must come.
const patience = 5 * time.Second

// next takes the next event, which must come.
func next(t *testing.T, s *Socket) Event {
	t.Helper()
	select {
	case e := <-s.Events():
		return e
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	panic("not reached")
}

// open opens a socket in a network.
func open(t *testing.T, h *netns.Host, o Options) *Socket {
	t.Helper()
	var s *Socket
	err := h.Do(func() (err error) {
		s, err = Open(o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ways goes through both kinds of sockets of Linux, with a router on the way.
func ways(t *testing.T, f func(t *testing.T, p *path.Path, way string)) {
	for _, way := range []string{Unprivileged, Raw} {
		t.Run(strings.ReplaceAll(way, " ", "-"), func(t *testing.T) {
			t.Parallel()
			p := path.Start(t, path.Options{Hops: 1})
			p.Client.AllowPing(way == Unprivileged)
			f(t, p, way)
		})
	}
}

func TestEchoes(t *testing.T) {
	ways(t, func(t *testing.T, p *path.Path, way string) {
		for _, to := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback(), p.Server4, p.Server6} {
			s := open(t, p.Client, Options{To: to})
			if s.Way() != way {
				t.Fatalf("the way is %q, want %q", s.Way(), way)
			}
			for i, size := range []int{0, 1, 7, 8, 56, 1400, 4000} {
				seq := uint16(65533 + i)
				if err := s.Send(seq, size); err != nil {
					t.Fatal(err)
				}
				// Before the first one, neighbours ask for each other.
				if e := next(t, s); e.Seq != seq || e.Kind != Echoed || e.From != to || e.RTT <= 0 || i > 0 && e.RTT > time.Second {
					t.Errorf("to %v with %d bytes as %d: %+v", to, size, seq, e)
				}
			}
		}
	})
}

// TestRefusals has each thing said that a router can say.
func TestRefusals(t *testing.T) {
	ways(t, func(t *testing.T, p *path.Path, _ string) {
		router := p.Host(1)
		for _, test := range []struct {
			to, from     netip.Addr
			reject, said string
		}{
			{p.Server4, p.Addr(1), "icmp host-unreachable", "host unreachable"},
			{p.Server4, p.Addr(1), "icmp net-unreachable", "network unreachable"},
			{p.Server4, p.Addr(1), "icmp admin-prohibited", "prohibited by a firewall"},
			{p.Server4, p.Addr(1), "icmp prot-unreachable", "protocol unreachable"},
			{p.Server6, p.Addr6(1), "icmpv6 no-route", "no route to destination"},
			{p.Server6, p.Addr6(1), "icmpv6 admin-prohibited", "prohibited by a firewall"},
			{p.Server6, p.Addr6(1), "icmpv6 addr-unreachable", "address unreachable"},
		} {
			router.Run("nft", "flush ruleset; table inet f { chain c { type filter hook forward priority 0; reject with "+test.reject+"; }; }")
			s := open(t, p.Client, Options{To: test.to})
			for seq := range uint16(5) {
				if err := s.Send(seq, 100); err != nil {
					t.Fatalf("%s: %v", test.said, err)
				}
				if e := next(t, s); e.Seq != seq || e.Kind != Refused || e.From != test.from || e.Said != test.said {
					t.Errorf("want %s from %v about %d, got %+v", test.said, test.from, seq, e)
				}
			}
		}
		s := open(t, p.Client, Options{To: p.Addr(1).Next().Next()})
		if err := s.Send(1, 56); err != nil {
			t.Fatal(err)
		}
		if e := next(t, s); e.Kind != Refused || e.Said != "host unreachable" {
			t.Errorf("a host that is not there: %+v", e)
		}
	})
}

func TestTooBig(t *testing.T) {
	ways(t, func(t *testing.T, p *path.Path, _ string) {
		p.Host(1).IP("link set next mtu 1300")
		p.Server.IP("link set prev mtu 1300")
		for _, test := range []struct {
			to, from netip.Addr
			header   int
		}{{p.Server4, p.Addr(1), 20 + icmp.HeaderLen}, {p.Server6, p.Addr6(1), 40 + icmp.HeaderLen}} {
			s := open(t, p.Client, Options{To: test.to, Whole: true})
			// Twice: what the kernel remembers of the path must not stop the second.
			for seq := range uint16(2) {
				if err := s.Send(seq, 1301-test.header); err != nil {
					t.Fatal(err)
				}
				if e := next(t, s); e.Seq != seq || e.Kind != TooBig || e.MTU != 1300 || e.From != test.from {
					t.Errorf("1,301 bytes to %v: %+v", test.to, e)
				}
			}
			if err := s.Send(3, 1300-test.header); err != nil {
				t.Fatal(err)
			}
			if e := next(t, s); e.Kind != Echoed {
				t.Errorf("1,300 bytes to %v: %+v", test.to, e)
			}
			if e := (*SendError)(nil); !errors.As(s.Send(4, 1501-test.header), &e) || !e.TooBig {
				t.Errorf("1,501 bytes to %v through an interface of 1,500: %v", test.to, e)
			}
			if err := s.Send(5, 56); err != nil {
				t.Error(err)
			}
			if e := next(t, s); e.Kind != Echoed || e.Seq != 5 {
				t.Errorf("after one that was too long: %+v", e)
			}
		}
	})
}

// TestHere has this machine stand in the way itself.
func TestHere(t *testing.T) {
	t.Parallel()
	p := path.Start(t, path.Options{Hops: 1})
	p.Client.AllowPing(true)
	s := open(t, p.Client, Options{To: p.Server4})
	p.Client.Mute("meta l4proto icmp")
	if err := s.Send(1, 56); !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "firewall") {
		t.Errorf("with a firewall of our own: %v", err)
	}
	p.Client.Allow()
	if err := open(t, p.Client, Options{To: netip.MustParseAddr("192.0.2.1")}).Send(2, 56); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("without a route: %v", err)
	}
	other := netip.MustParseAddr("198.18.0.9")
	p.Client.IP("address add 198.18.0.9/24 dev next")
	s = open(t, p.Client, Options{To: p.Server4, From: other})
	if err := s.Send(3, 56); err != nil {
		t.Fatal(err)
	}
	if e := next(t, s); e.Kind != Echoed {
		t.Errorf("from another address of ours: %+v", e)
	}
}

// TestNotAllowed asks as an ordinary user: a thread gives its rights up.
func TestNotAllowed(t *testing.T) {
	t.Parallel()
	p := path.Start(t, path.Options{})
	p.Client.AllowPing(false)
	err := p.Client.Do(func() error {
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, netns.UserID, netns.UserID, netns.UserID); e != 0 {
			return os.NewSyscallError("setresuid", e)
		}
		s, err := Open(Options{To: p.Server4})
		if err == nil {
			s.Close()
		}
		return err
	})
	var e *NotAllowedError
	if !errors.As(err, &e) || !errors.Is(err, syscall.EPERM) || !strings.Contains(e.Right, "ping_group_range") || !strings.Contains(e.Right, "CAP_NET_RAW") {
		t.Errorf("got %v", err)
	}
}
