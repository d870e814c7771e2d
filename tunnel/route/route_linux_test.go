package route_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/tunnel/route"
)

// apart calls f in a network of its own, on a thread that ends with it.
func apart(t *testing.T, f func()) {
	t.Helper()
	lab.NeedRoot(t)
	lab.Need(t, "ip")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the runtime then ends the thread
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// ip runs lines of ip(8) in the network of this thread.
func ip(t *testing.T, lines string) {
	t.Helper()
	cmd := exec.Command(lab.Path("ip"), "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
}

// two are an ordinary way out and a VPN: eth has the default route, vpn one
// network, and a table of its own for who comes from 10.9.0.1.
const two = `link set lo up
link add eth type veth peer name router
link add vpn type veth peer name far
addr add 192.0.2.2/24 dev eth
addr add 2001:db8::2/64 dev eth nodad
addr add 10.9.0.1/24 dev vpn
addr add fd09::1/64 dev vpn nodad
link set eth up
link set router up
link set vpn up
link set far up
route add default via 192.0.2.1 dev eth
route add default via 2001:db8::1 dev eth
route add 10.30.0.0/16 dev vpn src 10.9.0.1
route add 10.31.0.0/16 via 10.9.0.254
route add 10.32.0.0/16 via inet6 fd09::254 dev vpn
route add fd30::/32 via fd09::254
route add blackhole 10.40.0.0/16
route add prohibit 10.41.0.0/16
route add unreachable fd40::/32
route add 10.50.0.0/16 via 10.9.0.254 table 7
rule add from 10.9.0.1 table 7
`

// TestFind holds what the kernel says against what ip(8) makes of it.
func TestFind(t *testing.T) {
	apart(t, func() {
		ip(t, two)
		for _, c := range []struct{ to, from string }{
			{"10.30.1.2", ""},
			{"10.31.0.9", ""},
			{"10.32.0.9", ""},
			{"203.0.113.7", ""},
			{"192.0.2.77", ""},
			{"10.9.0.9", ""},
			{"10.50.0.1", ""},
			{"10.50.0.1", "10.9.0.1"},
			{"10.30.1.2", "10.9.0.1"},
			{"fd30::5", ""},
			{"2a00::1", ""},
			{"fd09::7", ""},
			{"127.0.0.1", ""},
			{"10.40.0.1", ""},
			{"10.41.0.1", ""},
			{"fd40::1", ""},
		} {
			to, from := netip.MustParseAddr(c.to), netip.Addr{}
			args := []string{"route", "get", c.to}
			if c.from != "" {
				from = netip.MustParseAddr(c.from)
				args = append(args, "from", c.from)
			}
			r, err := route.Find(to, from)
			out, said := exec.Command(lab.Path("ip"), args...).CombinedOutput()
			if said != nil || strings.HasPrefix(string(out), "unreachable") {
				if err == nil {
					t.Errorf("%s: %s, where ip says: %s", c.to, r, out)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v, where ip says: %s", c.to, err, out)
				continue
			}
			words := strings.Fields(string(out))
			word := func(name string) string {
				for i, w := range words[:len(words)-1] {
					if w == name && (words[i+1] == "inet6" || words[i+1] == "inet") {
						return words[i+2]
					} else if w == name {
						return words[i+1]
					}
				}
				return ""
			}
			via := ""
			if r.Via.IsValid() {
				via = r.Via.String()
			}
			if r.Interface != word("dev") || via != word("via") || c.from == "" && r.Source.String() != word("src") {
				t.Errorf("%s: %s, where ip says: %s", c.to, r, out)
			}
		}
	})
}

// TestRule goes by the link, and refuses to go around it.
func TestRule(t *testing.T) {
	apart(t, func() {
		ip(t, two)
		networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
		one := func(s string) (a netip.Addr) {
			if s != "" {
				a = netip.MustParseAddr(s)
			}
			return a
		}
		for _, c := range []struct{ by, from, via, to, why string }{
			{"vpn", "", "", "10.30.0.5", ""},
			{"vpn", "", "", "10.31.0.5", ""},
			{"vpn", "", "", "fd30::5", ""},
			{"", "", "10.9.0.254", "10.31.0.5", ""},
			{"", "10.9.0.1", "", "10.30.0.5", ""},
			{"vpn", "10.9.0.1", "10.9.0.254", "10.50.0.1", ""},
			{"", "", "fd09::254", "fd30::5", ""},
			{"vpn", "", "", "203.0.113.7", "in none of the networks"},
			{"vpn", "", "", "10.60.0.1", "10.60.0.1 would be reached via 192.0.2.1 by eth from 192.0.2.2, and not by vpn"},
			{"wg0", "", "", "10.30.0.5", "and not by wg0"},
			{"", "", "10.9.0.253", "10.31.0.5", "and not via 10.9.0.253"},
			{"", "", "10.9.0.254", "10.30.0.5", "and not via 10.9.0.254"},
			{"", "192.0.2.9", "", "10.30.0.5", "find the way"},
			{"vpn", "", "", "10.40.0.1", "find the way"},
		} {
			r := &route.Rule{Name: "office", Networks: networks, Interface: c.by, Source: one(c.from), Via: one(c.via)}
			_, err := r.Check(one(c.to))
			switch {
			case c.why == "" && err != nil:
				t.Errorf("%+v: %v", c, err)
			case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why) || !fault.Is(err, fault.Route)):
				t.Errorf("%+v: %v", c, err)
			}
		}
		// The VPN goes down: what went by it would now leave in clear.
		r := &route.Rule{Name: "office", Networks: networks, Interface: "vpn"}
		ip(t, "link set vpn down\n")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := r.DialContext(ctx, "tcp", "10.30.0.5:22"); !fault.Is(err, fault.Route) || !strings.Contains(err.Error(), "by eth") {
			t.Errorf("with the VPN down: %v", err)
		}
	})
}

// TestDial connects through the interface, from the source, by name, and stays
// at the interface when the route goes away under it.
func TestDial(t *testing.T) {
	apart(t, func() {
		ip(t, two)
		far := make(chan int)
		end := make(chan struct{})
		defer close(end)
		go func() { // a host beyond the VPN, and one of the same address beyond eth
			runtime.LockOSThread()
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				t.Error(err)
			}
			far <- unix.Gettid()
			<-end
		}()
		tid := <-far
		ip(t, fmt.Sprintf("link set far netns %d\n", tid))
		beyond := func(f func()) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				runtime.LockOSThread()
				fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", tid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err == nil {
					err = unix.Setns(fd, unix.CLONE_NEWNET)
					unix.Close(fd) //nolint:errcheck // nothing is lost
				}
				if err != nil {
					t.Error(err)
					return
				}
				f()
			}()
			<-done
		}
		var server net.Listener
		beyond(func() {
			ip(t, "link set lo up\naddr add 10.9.0.254/24 dev far\naddr add 10.30.0.5/32 dev far\naddr add fd09::254/64 dev far nodad\naddr add fd30::5/128 dev far nodad\nlink set far up\n")
			var err error
			if server, err = net.Listen("tcp", ":0"); err != nil {
				t.Error(err)
			}
		})
		if server == nil {
			return
		}
		defer server.Close()
		go func() {
			for {
				c, err := server.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s\n", c.RemoteAddr())
				c.Close()
			}
		}()
		_, port, _ := net.SplitHostPort(server.Addr().String())
		r := &route.Rule{
			Name: "office", Interface: "vpn", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
			Lookup: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("10.30.0.5")}, nil
			},
		}
		ask := func(r *route.Rule, host string) (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			c, err := r.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
			if err != nil {
				return "", err
			}
			defer c.Close()
			line, err := bufio.NewReader(c).ReadString('\n')
			if err == io.EOF {
				err = nil
			}
			return line, err
		}
		for _, host := range []string{"10.30.0.5", "fd30::5", "behind.example"} {
			if line, err := ask(r, host); err != nil || !strings.HasPrefix(line, "10.9.0.1:") && !strings.HasPrefix(line, "[fd09::1]:") {
				t.Errorf("%s: %q, %v", host, line, err)
			}
		}
		from := *r
		from.Interface, from.Source = "", netip.MustParseAddr("10.9.0.1")
		ip(t, "rule del from 10.9.0.1 table 7\n")
		if line, err := ask(&from, "10.30.0.5"); err != nil || !strings.HasPrefix(line, "10.9.0.1:") {
			t.Errorf("%q, %v", line, err)
		}
		// A connection stays at its interface, whatever the routes are later.
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		c, err := r.DialContext(ctx, "udp", "10.30.0.5:9")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		ip(t, "route del 10.30.0.0/16\n")
		before := sent(t, "eth")
		for range 5 {
			c.Write([]byte("x")) //nolint:errcheck // it may say that there is no way
		}
		if after := sent(t, "eth"); after != before {
			t.Errorf("%d packets left by eth", after-before)
		}
	})
}

// sent is how many packets have left by an interface, of IPv4 ones those that
// were given to the neighbour's lookup too.
func sent(t *testing.T, name string) int {
	t.Helper()
	out, err := exec.Command(lab.Path("ip"), "-s", "-o", "link", "show", "dev", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, tx, _ := strings.Cut(string(out), "TX:")
	_, numbers, _ := strings.Cut(tx, "\\")
	var bytes, packets int
	fmt.Sscan(numbers, &bytes, &packets)
	return packets
}
