package trace_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
	"linehaul/internal/lab/path"
	"linehaul/preflight/trace"
)

// A line of hops as it is to come out: of each hop the router's number, or ".",
// with what it says after a colon; and "!" if the host is reached.
func drawn(got *trace.Trace) string {
	routers := slices.Concat(strings.Fields(os.Getenv("ROUTERS4")), strings.Fields(os.Getenv("ROUTERS6")))
	var hops []string
	for _, h := range got.Hops {
		var who []string
		for _, r := range h.Routers {
			i := slices.Index(routers, r.Addr.String())
			name := r.Addr.String()
			if i >= 0 {
				name = string("123456789"[i%(len(routers)/2)])
			}
			if r.Said != "" {
				name += ":" + r.Said
			}
			who = append(who, name)
		}
		if len(who) == 0 {
			who = []string{"."}
		}
		hops = append(hops, strings.Join(who, "+"))
	}
	if got.Reached {
		hops = append(hops, "!")
	}
	return strings.Join(hops, " ")
}

// TestFaults has something wrong on a line of five routers, and each method
// show it, to an ordinary user.
func TestFaults(t *testing.T) {
	t.Parallel()
	const hops, icmp, udp, tcp = 5, trace.ICMP, trace.UDP, trace.TCP
	const closed, shut = "port unreachable", "connection refused"
	type row struct {
		method trace.Method
		want   string
	}
	type scene struct {
		name  string
		at    []int // the hosts where something is wrong
		fault func(p *path.Path)
		rows4 []row
		rows6 []row
		// slow is how many probes there are, at the interval of every day, where Linux's
		// routers have a limit that is always there, or take a while.
		slow int
	}
	cases := []scene{
		{"nothing", nil, func(*path.Path) {},
			[]row{{icmp, "1 2 3 4 5 6 !"}, {udp, "1 2 3 4 5 6:" + closed + " !"}, {tcp, "1 2 3 4 5 6:" + shut + " !"}},
			[]row{{icmp, "1 2 3 4 5 6 !"}, {udp, "1 2 3 4 5 6:" + closed + " !"}, {tcp, "1 2 3 4 5 6:" + shut + " !"}}, 0},
		{"a router that says nothing", []int{3}, func(p *path.Path) {
			p.Host(3).Mute("icmp type time-exceeded")
			p.Host(3).Mute("icmpv6 type time-exceeded")
		},
			[]row{{icmp, "1 2 . 4 5 6 !"}, {udp, "1 2 . 4 5 6:" + closed + " !"}, {tcp, "1 2 . 4 5 6:" + shut + " !"}},
			[]row{{tcp, "1 2 . 4 5 6:" + shut + " !"}}, 0},
		{"a firewall that says no", []int{4}, func(p *path.Path) { p.Host(4).Prohibit("tcp dport 22"); p.Host(4).Prohibit("udp dport 33434-33500") },
			[]row{{icmp, "1 2 3 4 5 6 !"}, {udp, "1 2 3 4 4:prohibited by a firewall"}, {tcp, "1 2 3 4 4:prohibited by a firewall"}},
			[]row{{udp, "1 2 3 4 4:prohibited by a firewall"}, {tcp, "1 2 3 4 4:prohibited by a firewall"}}, 0},
		{"a firewall that says nothing", []int{2, 4}, func(p *path.Path) {
			p.Host(2).Drop("icmp type echo-request")
			p.Host(2).Drop("icmpv6 type echo-request")
			p.Host(4).Drop("tcp dport 22")
		},
			[]row{{icmp, "1 2 ."}, {tcp, "1 2 3 4 ."}},
			[]row{{icmp, "1 2 ."}, {tcp, "1 2 3 4 ."}}, 0},
		{"a router without a route", []int{3}, func(p *path.Path) { p.NoRoute(3) },
			[]row{{icmp, "1 2 3:network unreachable"}, {udp, "1 2 3:network unreachable"}, {tcp, "1 2 3:network unreachable"}},
			[]row{{tcp, "1 2 3:no route to destination"}}, 5},
		{"a dead next hop", []int{3}, func(p *path.Path) { p.DeadHop(3) },
			[]row{{udp, "1 2 3 3:host unreachable"}, {tcp, "1 2 3 3:host unreachable"}}, nil, 10},
	}
	if netns.Inside() {
		i := slices.IndexFunc(cases, func(c scene) bool { return c.name == os.Getenv("CASE") })
		var work sync.WaitGroup
		for _, of := range []struct {
			to   string
			rows []row
		}{{os.Getenv("SERVER4"), cases[i].rows4}, {os.Getenv("SERVER6"), cases[i].rows6}} {
			for _, r := range of.rows {
				work.Go(func() {
					o := trace.Options{To: netip.MustParseAddr(of.to), From: from(r.method, of.to), Method: r.method, MaxHops: 9, Probes: 10, Interval: 50 * time.Millisecond}
					if cases[i].slow > 0 {
						o.Probes, o.Interval = cases[i].slow, 0
					}
					got, err := trace.Run(t.Context(), o)
					if err != nil {
						t.Error(err)
						return
					}
					if d := drawn(got); d != r.want {
						t.Errorf("%s, %s by %s: %s, want %s", cases[i].name, of.to, r.method, d, r.want)
					}
					for _, h := range got.Hops {
						silent, few := len(h.Routers) == 0, cases[i].slow > 0
						if h.Sent < o.Probes || h.Sent > o.Probes && !few || silent != (h.Loss == 1) || !silent && h.Loss > 0 && !few {
							t.Errorf("%s, %s by %s: %+v", cases[i].name, of.to, r.method, h)
						}
					}
				})
			}
		}
		work.Wait()
		return
	}
	lab.Need(t, "ping")
	p := path.Start(t, path.Options{Hops: hops})
	who := routers(p)
	addresses(p)
	meet(t, p)
	for _, c := range cases {
		c.fault(p)
		p.Again(t, append(who, "CASE="+c.name)...)
		for _, i := range c.at {
			p.Host(i).Allow()
			p.Mend(i)
		}
	}
}

// TestRights: without the right to ICMP sockets, UDP takes their place, and what
// is missing is said. A machine without a route is an error.
func TestRights(t *testing.T) {
	t.Parallel()
	if !netns.Inside() {
		p := path.Start(t, path.Options{Hops: 1})
		p.Again(t, append(routers(p), "PING=yes")...)
		p.Client.AllowPing(false)
		p.Again(t, routers(p)...)
		// Root has raw sockets.
		for to, router := range map[netip.Addr]netip.Addr{p.Server4: p.Addr(1), p.Server6: p.Addr6(1)} {
			var got *trace.Trace
			err := p.Client.Do(func() (err error) {
				got, err = trace.Run(t.Context(), trace.Options{To: to, Probes: 3, Interval: 50 * time.Millisecond})
				return err
			})
			if err != nil || got.Way != "raw ICMP" || got.Missing != "" || !got.Reached || len(got.Hops) != 2 || got.Hops[0].Routers[0].Addr != router || got.Hops[0].Recv != 3 {
				t.Errorf("by raw sockets: %+v, %v", got, err)
			}
		}
		return
	}
	o := trace.Options{To: netip.MustParseAddr(os.Getenv("SERVER4")), Probes: 2, Interval: 20 * time.Millisecond}
	if os.Getenv("PING") != "" {
		if got, err := trace.Run(t.Context(), o); err != nil || got.Method != trace.ICMP || got.Way != "unprivileged ICMP" || !got.Reached || got.Missing != "" {
			t.Errorf("%+v, %v", got, err)
		}
		o.To = netip.MustParseAddr("192.0.2.1")
		for _, o.Method = range []trace.Method{"", trace.ICMP, trace.UDP, trace.TCP} {
			if got, err := trace.Run(t.Context(), o); !fault.Is(err, fault.Route) {
				t.Errorf("without a route, by %q: %+v, %v", o.Method, got, err)
			}
		}
		return
	}
	const right = "it takes a group of this user in net.ipv4.ping_group_range, or CAP_NET_RAW"
	got, err := trace.Run(t.Context(), o)
	if err != nil || got.Method != trace.UDP || !got.Reached || len(got.Hops) != 2 || !strings.Contains(got.Missing, right) {
		t.Errorf("%+v, %v", got, err)
	}
	o.Method = trace.ICMP
	got, err = trace.Run(t.Context(), o)
	if err != nil || got.Reached || got.Hops == nil || len(got.Hops) != 0 || !strings.Contains(got.Missing, right) || got.Method != trace.ICMP {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOpenPort: a TCP trace makes and drops as many connections as the last hop
// has probes, and no more, though the host's distance is not known at first.
func TestOpenPort(t *testing.T) {
	t.Parallel()
	if netns.Inside() {
		got, err := trace.Run(t.Context(), trace.Options{
			To: netip.MustParseAddr(os.Getenv("SERVER4")), Method: trace.TCP, Port: 2222, Interval: 50 * time.Millisecond, Device: "next",
		})
		if err != nil || drawn(got) != "1 2 3 !" || got.Port != 2222 {
			t.Errorf("%+v, %v", got, err)
		}
		whole(t, got, strings.Fields(os.Getenv("ROUTERS4")), 10)
		return
	}
	p := path.Start(t, path.Options{Hops: 2})
	l, err := p.Server.Listen(t.Context(), "tcp", net.JoinHostPort(p.Server4.String(), "2222"))
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			c.Close()
		}
	}()
	p.Again(t, routers(p)...)
	l.Close()
	<-done
	if n := accepted.Load(); n != 10 {
		t.Errorf("%d connections, want 10", n)
	}
}

// TestWatch: an endless trace goes on until its context ends, tells what it
// knows meanwhile, and has names in the end.
func TestWatch(t *testing.T) {
	t.Parallel()
	if !netns.Inside() {
		p := path.Start(t, path.Options{Hops: 3})
		for i := 1; i <= 4; i++ {
			p.Names.SetText(strings.TrimSuffix(netns.Reverse(p.Addr(i)), "in-addr.arpa.")+"origin.asn.cymru.com", "64500 | 198.18.0.0/15 | SG | apnic | 2011-08-11")
		}
		p.Names.SetText("AS64500.asn.cymru.com", "64500 | SG | apnic | 2011-08-11 | EXAMPLE, SG")
		p.Again(t, routers(p)...)
		return
	}
	dns := &net.Resolver{PreferGo: true}
	book := trace.NewBook(trace.BookOptions{Names: dns, AS: dns})
	defer book.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, most := 0, 0
	o := trace.Options{
		To: netip.MustParseAddr(os.Getenv("SERVER4")), Method: trace.UDP, Probes: trace.Endless, Interval: 20 * time.Millisecond, Book: book,
		Each: func(got *trace.Trace) {
			told++
			if n := got.Hops[0].Sent; n < most {
				t.Errorf("%d probes, and %d before", n, most)
			} else {
				most = n
			}
			if most >= 40 && got.Hops[0].Routers[0].Name != "" {
				cancel()
			}
		},
	}
	got, err := trace.Run(ctx, o)
	if err != nil || drawn(got) != "1 2 3 4:port unreachable !" || told < 5 || got.Hops[3].Sent < 30 {
		t.Fatalf("told %d times: %+v, %v", told, got, err)
	}
	for i, h := range got.Hops {
		want := []string{"r1.path.test", "r2.path.test", "r3.path.test", "server.path.test"}[i]
		if r := h.Routers[0]; r.Name != want || r.AS != "AS64500 EXAMPLE, SG" {
			t.Errorf("hop %d: %+v, want %s", i+1, r, want)
		}
	}
	// One that is to end, and is stopped, says so, and what it knew.
	stop := errors.New("stopped")
	stopped, end := context.WithCancelCause(t.Context())
	o.Probes, o.Each = 1000, func(got *trace.Trace) {
		if got.Hops[0].Recv > 10 {
			end(stop)
		}
	}
	if got, err = trace.Run(stopped, o); !errors.Is(err, stop) || !got.Reached || got.Hops[0].Recv < 10 || got.Hops[0].Recv > 500 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestUsage: what cannot be is refused.
func TestUsage(t *testing.T) {
	to := netip.MustParseAddr("198.18.0.1")
	for _, o := range []trace.Options{
		{}, {To: netip.MustParseAddr("0.0.0.0")}, {To: netip.MustParseAddr("ff02::1")}, {To: to, From: netip.MustParseAddr("::1")}, {To: to, Method: "sctp"},
		{To: to, Port: 70000}, {To: to, MaxHops: 65}, {To: to, MaxHops: -1}, {To: to, Probes: -2}, {To: to, Probes: 1001}, {To: to, Interval: time.Millisecond},
		{To: to, Timeout: time.Minute},
	} {
		if got, err := trace.Run(t.Context(), o); !fault.Is(err, fault.Usage) {
			t.Errorf("%+v: %+v, %v", o, got, err)
		}
	}
}

// TestLoss: of a line that loses a fifth each way, each hop behind it shows what
// is to be expected, and none before it does.
func TestLoss(t *testing.T) {
	t.Parallel()
	const probes, each = 200, 0.2
	if netns.Inside() {
		var work sync.WaitGroup
		for _, method := range []trace.Method{trace.ICMP, trace.UDP, trace.TCP} {
			work.Go(func() {
				got, err := trace.Run(t.Context(), trace.Options{
					To: netip.MustParseAddr(os.Getenv("SERVER4")), Method: method, Probes: probes, Interval: 20 * time.Millisecond, Timeout: 900 * time.Millisecond,
				})
				if err != nil || !got.Reached || len(got.Hops) != 5 {
					t.Errorf("by %s: %+v, %v", method, got, err)
					return
				}
				const loss = 1 - (1-each)*(1-each)
				for i, h := range got.Hops {
					t.Logf("by %s: hop %d of %d probes: %.3f lost", method, h.TTL, h.Sent, h.Loss)
					if i < 2 && h.Loss > 0 || i >= 2 && !path.Likely(h.Sent-h.Recv, h.Sent, loss) {
						t.Errorf("by %s: hop %d lost %d of %d, where %.2f are to be expected behind the line", method, h.TTL, h.Sent-h.Recv, h.Sent, loss)
					}
				}
			})
		}
		work.Wait()
		return
	}
	p := path.Start(t, path.Options{Hops: 4, Lines: []int{2}, Seed: 7})
	p.Line(2).Set(path.Faults{Loss: each, Delay: 10 * time.Millisecond})
	t.Log(p.Again(t, routers(p)...))
	if up := p.Line(2).Up(); up.Lost < 3*3*probes*each/2 {
		t.Errorf("the line lost %+v", up)
	}
}
