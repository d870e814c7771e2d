package echo

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// patience is how long a test waits for an answer that must come.
const patience = 5 * time.Second

// everybody lets all groups use datagram sockets for ICMP.
const everybody = "0 2147483647"

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
func open(t *testing.T, n *lab.Net, o Options) *Socket {
	t.Helper()
	var s *Socket
	err := n.Do(func() (err error) {
		s, err = Open(o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A chain is a client, a router and a server behind it.
type chain struct{ client, router, server *lab.Net }

func newChain(t *testing.T, unprivileged bool) chain {
	c := chain{lab.NewNet(t), lab.NewNet(t), lab.NewNet(t)}
	c.client.Join("east", "10.1.0.1/24", c.router, "west", "10.1.0.2/24")
	c.router.Join("east", "10.2.0.1/24", c.server, "west", "10.2.0.2/24")
	c.client.IP("address add fd01::1/64 dev east nodad")
	c.router.IP("address add fd01::2/64 dev west nodad", "address add fd02::1/64 dev east nodad")
	c.server.IP("address add fd02::2/64 dev west nodad")
	c.client.IP("route add default via 10.1.0.2", "route add default via fd01::2")
	c.server.IP("route add default via 10.2.0.1", "route add default via fd02::1")
	c.router.Set("ipv4/ip_forward", "1")
	c.router.Set("ipv6/conf/all/forwarding", "1")
	c.router.Set("ipv4/icmp_ratelimit", "0")
	c.router.Set("ipv6/icmp/ratelimit", "0")
	if unprivileged {
		c.client.Set("ipv4/ping_group_range", everybody)
	}
	return c
}

// ways goes through both kinds of sockets of Linux.
func ways(t *testing.T, f func(t *testing.T, c chain, way string)) {
	for _, way := range []string{Unprivileged, Raw} {
		t.Run(strings.ReplaceAll(way, " ", "-"), func(t *testing.T) { f(t, newChain(t, way == Unprivileged), way) })
	}
}

func TestEchoes(t *testing.T) {
	ways(t, func(t *testing.T, c chain, way string) {
		for _, to := range []string{"127.0.0.1", "::1", "10.2.0.2", "fd02::2"} {
			s := open(t, c.client, Options{To: netip.MustParseAddr(to)})
			if s.Way() != way {
				t.Fatalf("the way is %q, want %q", s.Way(), way)
			}
			for i, size := range []int{0, 1, 7, 8, 56, 1400, 4000} {
				seq := uint16(65533 + i)
				if err := s.Send(seq, size); err != nil {
					t.Fatal(err)
				}
				if e := next(t, s); e.Seq != seq || e.Kind != Echoed || e.From.String() != to || e.RTT <= 0 || i > 0 && e.RTT > time.Second {
					t.Errorf("to %s with %d bytes as %d: %+v", to, size, seq, e)
				}
			}
		}
	})
}

// TestRefusals has each thing said that a router can say.
func TestRefusals(t *testing.T) {
	lab.Need(t, "nft")
	ways(t, func(t *testing.T, c chain, way string) {
		for _, test := range []struct {
			to, reject string
			from, said string
		}{
			{"10.2.0.2", "icmp type host-unreachable", "10.1.0.2", "host unreachable"},
			{"10.2.0.2", "icmp type net-unreachable", "10.1.0.2", "network unreachable"},
			{"10.2.0.2", "icmp type admin-prohibited", "10.1.0.2", "prohibited by a firewall"},
			{"10.2.0.2", "icmp type prot-unreachable", "10.1.0.2", "protocol unreachable"},
			{"fd02::2", "icmpv6 type no-route", "fd01::2", "no route to destination"},
			{"fd02::2", "icmpv6 type admin-prohibited", "fd01::2", "prohibited by a firewall"},
			{"fd02::2", "icmpv6 type addr-unreachable", "fd01::2", "address unreachable"},
		} {
			c.router.Run("flush ruleset\ntable inet f {\n chain c {\n type filter hook forward priority 0\n reject with "+test.reject+"\n }\n}\n", "nft", "-f", "-")
			s := open(t, c.client, Options{To: netip.MustParseAddr(test.to)})
			for seq := range uint16(5) {
				if err := s.Send(seq, 100); err != nil {
					t.Fatalf("%s: %v", test.said, err)
				}
				e := next(t, s)
				if e.Seq != seq || e.Kind != Refused || e.From.String() != test.from || e.Said != test.said {
					t.Errorf("want %s from %s about %d, got %+v", test.said, test.from, seq, e)
				}
			}
		}
		s := open(t, c.client, Options{To: netip.MustParseAddr("10.1.0.77")})
		if err := s.Send(1, 56); err != nil {
			t.Fatal(err)
		}
		if e := next(t, s); e.Kind != Refused || e.Said != "host unreachable" {
			t.Errorf("a host that is not there: %+v", e)
		}
	})
}

func TestTooBig(t *testing.T) {
	ways(t, func(t *testing.T, c chain, way string) {
		c.router.IP("link set east mtu 1300")
		c.server.IP("link set west mtu 1300")
		for _, test := range []struct {
			to     string
			header int
			from   string
		}{{"10.2.0.2", ipv4Header + headerLen, "10.1.0.2"}, {"fd02::2", ipv6Header + headerLen, "fd01::2"}} {
			s := open(t, c.client, Options{To: netip.MustParseAddr(test.to), Whole: true})
			// Twice: what the kernel remembers of the path must not stop the second.
			for seq := range uint16(2) {
				if err := s.Send(seq, 1301-test.header); err != nil {
					t.Fatal(err)
				}
				if e := next(t, s); e.Seq != seq || e.Kind != TooBig || e.MTU != 1300 || e.From.String() != test.from {
					t.Errorf("1,301 bytes to %s: %+v", test.to, e)
				}
			}
			if err := s.Send(3, 1300-test.header); err != nil {
				t.Fatal(err)
			}
			if e := next(t, s); e.Kind != Echoed {
				t.Errorf("1,300 bytes to %s: %+v", test.to, e)
			}
			if e := (*SendError)(nil); !errors.As(s.Send(4, 1501-test.header), &e) || !e.TooBig {
				t.Errorf("1,501 bytes to %s through an interface of 1,500: %v", test.to, e)
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

func TestHere(t *testing.T) {
	lab.Need(t, "nft")
	c := newChain(t, true)
	s := open(t, c.client, Options{To: netip.MustParseAddr("10.2.0.2")})
	c.client.Run("table inet f {\n chain c {\n type filter hook output priority 0\n meta l4proto icmp drop\n }\n}\n", "nft", "-f", "-")
	if err := s.Send(1, 56); !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "firewall") {
		t.Errorf("with a firewall of our own: %v", err)
	}
	c.client.Run("flush ruleset", "nft", "-f", "-")
	c.client.IP("route del default")
	if err := s.Send(2, 56); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("without a route: %v", err)
	}
	c.client.IP("address add 10.1.0.9/24 dev east", "route add default via 10.1.0.2")
	s = open(t, c.client, Options{To: netip.MustParseAddr("10.2.0.2"), From: netip.MustParseAddr("10.1.0.9")})
	if err := s.Send(3, 56); err != nil {
		t.Fatal(err)
	}
	if e := next(t, s); e.Kind != Echoed {
		t.Errorf("from another address of ours: %+v", e)
	}
}

// TestNotAllowed asks as an ordinary user: a thread gives its rights up.
func TestNotAllowed(t *testing.T) {
	lab.NeedRoot(t)
	n := lab.NewNet(t)
	n.Set("ipv4/ping_group_range", "1 0")
	err := n.Do(func() error {
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); e != 0 {
			return os.NewSyscallError("setresuid", e)
		}
		s, err := Open(Options{To: netip.MustParseAddr("127.0.0.1")})
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
