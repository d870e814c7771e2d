package port_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
	"linehaul/preflight/port"
	"linehaul/tunnel/route"
)

// The three hosts of the test: the client, a router that is a firewall, and a
// server.
const clientLines = `link set lo up
addr add 10.1.0.2/24 dev eth
addr add fd01::2/64 dev eth nodad
link set eth up
route add 10.2.0.0/16 via 10.1.0.1
route add 10.9.0.0/16 via 10.1.0.1
route add fd02::/16 via fd01::1
route add fd09::/16 via fd01::1
route add prohibit 10.8.0.0/16
route add prohibit fd08::/16
`

const routerLines = `link set lo up
addr add 10.1.0.1/24 dev eth
addr add fd01::1/64 dev eth nodad
addr add 10.2.0.1/24 dev far
addr add fd02::1/64 dev far nodad
link set eth up
link set far up
`

const serverLines = `link set lo up
addr add 10.2.0.2/24 dev eth
addr add fd02::2/64 dev eth nodad
link set eth up
route add default via 10.2.0.1
route add default via fd02::1
`

const routerRules = `table inet firewall {
	chain forward {
		type filter hook forward priority 0;
		th dport 1001 drop
		tcp dport 1002 reject with tcp reset
		th dport 1003 reject with icmpx type port-unreachable
		th dport 1004 reject with icmpx type admin-prohibited
		th dport 1005 reject with icmpx type host-unreachable
		th dport 1006 reject with icmpx type no-route
		meta nfproto ipv4 th dport 1007 reject with icmp type host-prohibited
		meta nfproto ipv4 th dport 1008 reject with icmp type net-prohibited
		meta nfproto ipv4 th dport 1009 reject with icmp type prot-unreachable
		meta nfproto ipv6 th dport 1007 reject with icmpv6 type policy-fail
		meta nfproto ipv6 th dport 1008 reject with icmpv6 type reject-route
	}
}
`

const serverRules = `table inet firewall {
	chain input {
		type filter hook input priority 0;
		udp dport 1010 reject
		tcp dport 1010 reject
		udp dport 1011 drop
	}
}
`

const clientRules = `table inet firewall {
	chain output {
		type filter hook output priority 0;
		udp dport 1012 drop
	}
}
`

// TestFirewall: each way to be refused is told apart by an ordinary user, with
// who refused.
func TestFirewall(t *testing.T) {
	t.Parallel()
	if netns.Inside() {
		askFirewall(t)
		return
	}
	lab.NeedRoot(t)
	lab.Need(t, "ip", "nft", "nsenter")
	client := netns.New(t, "client", netns.Options{})
	router, server := netns.New(t, "router", netns.Options{With: client}), netns.New(t, "server", netns.Options{With: client})
	client.IP(fmt.Sprintf("link add eth type veth peer name eth netns %d\n", router.PID()))
	router.IP(fmt.Sprintf("link add far type veth peer name eth netns %d\n", server.PID()))
	client.IP(clientLines)
	router.IP(routerLines)
	server.IP(serverLines)
	router.Set(map[string]string{"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/icmp_ratemask": "0", "ipv6/icmp/ratelimit": "0"})
	server.Set(map[string]string{"ipv4/icmp_ratemask": "0", "ipv6/icmp/ratelimit": "0"})
	folder := lab.Folder(t)
	for _, rules := range []struct {
		host *netns.Host
		text string
	}{{client, clientRules}, {router, routerRules}, {server, serverRules}} {
		file := filepath.Join(folder, rules.host.Name()+".nft")
		if err := os.WriteFile(file, []byte(rules.text), 0o600); err != nil {
			t.Fatal(err)
		}
		rules.host.Run("nft", "-f", file)
	}
	l, err := server.Listen(t.Context(), "tcp", ":22")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel itself accepts what nobody takes
	home := filepath.Join(folder, "home")
	if err := os.Mkdir(home, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, netns.UserID, netns.UserID); err != nil {
		t.Fatal(err)
	}
	client.Again(t, folder, home)
}

type want struct {
	target string
	state  port.State
	from   string
	text   string
}

func askFirewall(t *testing.T) {
	const (
		self, gate, host    = "10.1.0.2", "10.1.0.1", "10.2.0.2"
		self6, gate6, host6 = "fd01::2", "fd01::1", "fd02::2"
	)
	wants := []want{
		{"tcp 10.2.0.2:22", port.Open, "", ""},
		{"tcp 10.2.0.2:23", port.Refused, "", "connection refused"},
		{"tcp 10.2.0.2:1001", port.Filtered, "", ""},
		{"tcp 10.2.0.2:1002", port.Refused, "", "connection refused"},
		{"tcp 10.2.0.2:1003", port.Prohibited, gate, "port unreachable"},
		{"tcp 10.2.0.2:1004", port.Prohibited, gate, "prohibited by a firewall"},
		{"tcp 10.2.0.2:1005", port.NoRoute, gate, "host unreachable"},
		{"tcp 10.2.0.2:1006", port.NoRoute, gate, "network unreachable"},
		{"tcp 10.2.0.2:1007", port.Prohibited, gate, "host prohibited by a firewall"},
		{"tcp 10.2.0.2:1008", port.Prohibited, gate, "network prohibited by a firewall"},
		{"tcp 10.2.0.2:1009", port.Prohibited, gate, "protocol unreachable"},
		{"tcp 10.2.0.2:1010", port.Prohibited, host, "port unreachable"},
		{"tcp 10.9.0.1:22", port.NoRoute, gate, "network unreachable"},
		{"tcp 10.7.0.1:22", port.NoRoute, "", "network is unreachable"},
		{"tcp 10.8.0.1:22", port.Prohibited, "", "permission denied"},
		{"tcp 10.1.0.77:22", port.NoRoute, self, "host unreachable"},
		{"tcp 10.2.0.77:22", port.NoRoute, gate, "host unreachable"},

		{"udp 10.2.0.2:23", port.Closed, host, "port unreachable"},
		{"udp 10.2.0.2:1001", port.OpenOrFiltered, "", ""},
		{"udp 10.2.0.2:1003", port.Prohibited, gate, "port unreachable"},
		{"udp 10.2.0.2:1004", port.Prohibited, gate, "prohibited by a firewall"},
		{"udp 10.2.0.2:1005", port.NoRoute, gate, "host unreachable"},
		{"udp 10.2.0.2:1006", port.NoRoute, gate, "network unreachable"},
		{"udp 10.2.0.2:1007", port.Prohibited, gate, "host prohibited by a firewall"},
		{"udp 10.2.0.2:1010", port.Closed, host, "port unreachable"}, // the host's own firewall speaks as the host
		{"udp 10.2.0.2:1011", port.OpenOrFiltered, "", ""},
		{"udp 10.2.0.2:1012", port.Prohibited, "", "operation not permitted"}, // this machine's own
		{"udp 10.9.0.1:22", port.NoRoute, gate, "network unreachable"},
		{"udp 10.7.0.1:22", port.NoRoute, "", "network is unreachable"},
		{"udp 10.1.0.77:22", port.NoRoute, self, "host unreachable"},

		{"tcp [fd02::2]:22", port.Open, "", ""},
		{"tcp [fd02::2]:23", port.Refused, "", "connection refused"},
		{"tcp [fd02::2]:1001", port.Filtered, "", ""},
		{"tcp [fd02::2]:1002", port.Refused, "", "connection refused"},
		{"tcp [fd02::2]:1003", port.Prohibited, gate6, "port unreachable"},
		{"tcp [fd02::2]:1004", port.Prohibited, gate6, "prohibited by a firewall"},
		{"tcp [fd02::2]:1005", port.NoRoute, gate6, "address unreachable"},
		{"tcp [fd02::2]:1006", port.NoRoute, gate6, "no route to destination"},
		{"tcp [fd02::2]:1007", port.Prohibited, gate6, "source address prohibited by a firewall"},
		{"tcp [fd02::2]:1008", port.Prohibited, gate6, "route rejected"},
		{"tcp [fd09::1]:22", port.NoRoute, gate6, "no route to destination"},
		{"tcp [fd07::1]:22", port.NoRoute, "", "network is unreachable"},
		{"tcp [fd08::1]:22", port.Prohibited, "", "permission denied"},
		{"tcp [fd01::77]:22", port.NoRoute, self6, "address unreachable"},
		{"udp [fd02::2]:23", port.Closed, host6, "port unreachable"},
		{"udp [fd02::2]:1001", port.OpenOrFiltered, "", ""},
		{"udp [fd02::2]:1003", port.Prohibited, gate6, "port unreachable"},
		{"udp [fd02::2]:1004", port.Prohibited, gate6, "prohibited by a firewall"},
	}
	var targets []port.Target
	for _, w := range wants {
		network, at, _ := strings.Cut(w.target, " ")
		targets = append(targets, port.Target{Network: network, At: netip.MustParseAddrPort(at)})
	}
	direct := port.Options{Timeout: 5 * time.Second, AtOnce: len(targets)}
	byLink := direct
	byLink.Dialer = &route.Rule{Name: "lan", Interface: "eth", Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	began := time.Now()
	results := port.All(t.Context(), targets, direct)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("all at once took %v", took)
	}
	check(t, "direct", wants, results, direct.Timeout)
	// By the rule of a link the same, save for what this machine itself says: for
	// what it has no way to, the rule has words of its own, and what it says by
	// ICMP of a next hop that is dead does not come to a socket that is bound to
	// an interface.
	results = port.All(t.Context(), targets, byLink)
	for i, w := range wants {
		switch {
		case w.from == "" && (w.text == "network is unreachable" || w.text == "permission denied"):
			wants[i].text = results[i].Error
		case (w.from == self || w.from == self6) && (results[i].State == port.Filtered || results[i].State == port.OpenOrFiltered):
			wants[i] = want{w.target, results[i].State, "", ""}
		}
	}
	check(t, "by a link", wants, results, byLink.Timeout)
	// A dialer without its sockets in sight, as a tunnel's: who refused is not
	// known, and that somebody did is.
	blind := direct
	blind.Dialer = dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return struct{ net.Conn }{c}, nil
	})
	for _, w := range []want{
		{"tcp 10.2.0.2:22", port.Open, "", ""},
		{"tcp 10.2.0.2:1003", port.Refused, "", "connection refused"},
		{"tcp 10.2.0.2:1004", port.NoRoute, "", "no route to host"},
		{"udp 10.2.0.2:23", port.Closed, "", "connection refused"},
	} {
		network, at, _ := strings.Cut(w.target, " ")
		r := port.All(t.Context(), []port.Target{{Network: network, At: netip.MustParseAddrPort(at)}}, blind)
		check(t, "blind", []want{w}, r, blind.Timeout)
	}
	// The caller's own Control is called as well.
	var seen error
	own := &net.Dialer{Control: func(network, _ string, _ syscall.RawConn) error {
		seen = errors.New(network)
		return seen
	}}
	if r := port.TCP(t.Context(), targets[0].At, port.Options{Dialer: own}); r.State != port.Unknown || seen == nil || r.Error != "tcp4" {
		t.Errorf("with a Control that refuses: %+v", r)
	}
}

func check(t *testing.T, how string, wants []want, results []port.Result, timeout time.Duration) {
	t.Helper()
	for i, w := range wants {
		r := results[i]
		from := ""
		if r.From.IsValid() {
			from = r.From.String()
		}
		if r.State != w.state || from != w.from || r.Error != w.text {
			t.Errorf("%s: %s: got %q from %q: %q, want %q from %q: %q", how, w.target, r.State, from, r.Error, w.state, w.from, w.text)
		}
		silent := r.State == port.Filtered || r.State == port.OpenOrFiltered
		if silent != (r.ConnectMS == 0) && r.From.IsValid() || r.ConnectMS > milliseconds(timeout) {
			t.Errorf("%s: %s: %q in %v ms", how, w.target, r.State, r.ConnectMS)
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
