package preflight_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/pmtu"
	"linehaul/preflight/port"
	"linehaul/preflight/trace"
)

// A scene is a subject of which all is well but for what a row changes.
type scene struct {
	preflight.Subject
	policy preflight.Policy
}

var (
	hostAddr = netip.MustParseAddr("192.0.2.10")
	via      = netip.MustParseAddr("192.0.2.1")
)

// well is a scene in which all checks are required and all succeed.
func well() *scene {
	s := &scene{policy: preflight.ForPerson()}
	for _, name := range preflight.Names() {
		s.policy.Levels[name] = preflight.Require
	}
	s.policy.Traces = []trace.Options{{Method: trace.TCP, Port: 22}}
	s.Subject = preflight.Subject{
		Name: "hk1", Address: "hk1.example.net", Port: 22,
		Way: preflight.Way{
			Kind: "direct",
			Resolve: func(context.Context, string) (preflight.Name, error) {
				return preflight.Name{Name: "hk1.example.net", Addresses: []netip.Addr{hostAddr}, Server: "192.0.2.53:53"}, nil
			},
			Link: func(context.Context, netip.Addr) (preflight.Link, error) {
				return preflight.Link{Kind: "direct", Interface: "eth0", Source: via, Via: via}, nil
			},
			Port:  func(context.Context, string, netip.AddrPort) port.Result { return answer(port.Open) },
			Ping:  func(context.Context, ping.Options) (*ping.Series, error) { return series(10, 10, 80), nil },
			Trace: func(context.Context, trace.Options) (*trace.Trace, error) { return hops(0, 0, 0), nil },
			MTU:   func(context.Context, netip.Addr) (*pmtu.Result, error) { return &pmtu.Result{MTU: 1500}, nil },
		},
		SSH: func(context.Context) (preflight.SSH, error) {
			return preflight.SSH{Banner: "SSH-2.0-x", HostKey: "SHA256:x"}, nil
		},
		Space: func(context.Context) (preflight.Space, error) { return room(1<<30, 1000), nil },
		Clock: func(context.Context) (preflight.Clock, error) {
			return preflight.Clock{OffsetMS: 100, WithinMS: 500}, nil
		},
	}
	return s
}

func answer(s port.State) port.Result {
	return port.Result{Addr: hostAddr, Port: 22, Network: "tcp", State: s, From: via}
}

func answerUDP(s port.State) port.Result {
	return port.Result{Addr: hostAddr, Port: 123, Network: "udp", State: s, Answer: "NTP, stratum 2"}
}

func series(sent, received int, ms float64) *ping.Series {
	return &ping.Series{
		To: hostAddr, Sent: sent, Received: received, Loss: 1 - float64(received)/float64(sent), MedianMS: ms, MinMS: ms, MaxMS: ms, P95MS: ms, JitterMS: 1,
	}
}

func room(free, files int64) preflight.Space {
	return preflight.Space{Folder: "/srv/backup", Free: free, Inodes: files, Needed: 1000, NeedFiles: 10, Where: preflight.Here}
}

// hops is a trace that reaches the host, with a share of loss at each hop; 1 is a
// router that never answers.
func hops(loss ...float64) *trace.Trace {
	t := &trace.Trace{To: hostAddr, Method: trace.TCP, Port: 22, Reached: true}
	for i, l := range loss {
		addr := via
		if i == len(loss)-1 {
			addr = hostAddr
		}
		h := trace.Hop{TTL: i + 1, Sent: 10, Recv: int(10 * (1 - l)), Loss: l, MedMS: 1}
		if h.Recv > 0 {
			h.Routers = []trace.Router{{Addr: addr, Answers: h.Recv, IsTarget: addr == hostAddr}}
		}
		t.Hops = append(t.Hops, h)
	}
	return t
}

// ends is a trace of which nobody answers behind so many hops.
func ends(hop int, said string) *trace.Trace {
	t := hops(0, 0, 0, 0)
	t.Reached = false
	for i := hop; i < len(t.Hops); i++ {
		t.Hops[i].Recv, t.Hops[i].Loss, t.Hops[i].Routers = 0, 1, nil
	}
	if said != "" {
		t.Hops[hop-1].Routers[0].Said = said
	}
	return t
}

// A row provokes one text, and says what all comes to.
type row struct {
	code    string
	change  func(s *scene)
	verdict preflight.Verdict // of the report
	layer   string            // to blame
	next    string            // a part of the next step
}

func resolves(addr string, err error) func(*scene) {
	return func(s *scene) {
		s.Way.Resolve = func(context.Context, string) (preflight.Name, error) {
			n := preflight.Name{Server: "192.0.2.53:53"}
			if addr != "" {
				n.Addresses = []netip.Addr{netip.MustParseAddr(addr)}
			}
			return n, err
		}
	}
}

func links(l preflight.Link, err error) func(*scene) {
	return func(s *scene) {
		s.Way.Kind = l.Kind
		s.Way.Link = func(context.Context, netip.Addr) (preflight.Link, error) { return l, err }
	}
}

func pings(r *ping.Series, err error) func(*scene) {
	return func(s *scene) {
		s.Way.Ping = func(context.Context, ping.Options) (*ping.Series, error) { return r, err }
	}
}

func limited(l preflight.Limits) func(*scene) {
	return func(s *scene) {
		s.policy.Limits = l
		r := series(10, 9, 80)
		r.JitterMS = 30
		pings(r, nil)(s)
	}
}

func ports(r port.Result) func(*scene) {
	return func(s *scene) {
		if r.Network == "udp" {
			s.Port, s.SSH, s.Clock, s.policy.Ports = 0, nil, nil, []preflight.Port{{Network: "udp", Number: 123}}
		}
		s.Way.Port = func(context.Context, string, netip.AddrPort) port.Result { return r }
	}
}

func traces(r *trace.Trace, err error) func(*scene) {
	return func(s *scene) {
		s.Way.Trace = func(context.Context, trace.Options) (*trace.Trace, error) { return r, err }
	}
}

func mtus(kind string, r *pmtu.Result, err error) func(*scene) {
	return func(s *scene) {
		s.Way.Kind = kind
		s.Way.MTU = func(context.Context, netip.Addr) (*pmtu.Result, error) { return r, err }
	}
}

func servers(r preflight.SSH, err error) func(*scene) {
	return func(s *scene) {
		s.SSH = func(context.Context) (preflight.SSH, error) { return r, err }
	}
}

func spaces(r preflight.Space, err error) func(*scene) {
	return func(s *scene) {
		s.Space = func(context.Context) (preflight.Space, error) { return r, err }
	}
}

func clocks(r preflight.Clock, err error) func(*scene) {
	return func(s *scene) {
		s.Clock = func(context.Context) (preflight.Clock, error) { return r, err }
	}
}

func rows() []row {
	const ok, fail = preflight.OK, preflight.Fail
	rights := &ping.NotAllowedError{Tried: []string{"unprivileged ICMP"}, Right: "CAP_NET_RAW", Err: errors.New("no")}
	tunnel := preflight.Link{Kind: "ipsec", SAs: []string{"c0ffee/beef AES_GCM_16-256"}}
	carries := tunnel
	carries.RTTMS, carries.Inside = 3, hostAddr
	silent := func(s *scene) {
		pings(series(10, 0, 0), nil)(s)
		ports(answerUDP(port.OpenOrFiltered))(s)
		traces(ends(1, ""), nil)(s)
		s.policy.Levels[preflight.CheckTrace], s.policy.Levels[preflight.CheckMTU] = preflight.Off, preflight.Off
		s.Space = nil
	}
	return []row{
		{"skipped", resolves("", &net.DNSError{IsNotFound: true}), fail, "name", "spelling"},
		{"late", func(s *scene) { pings(&ping.Series{}, nil)(s) }, ok, "", ""},

		{"name-address", func(s *scene) { s.Address = "192.0.2.10" }, ok, "", ""},
		{"name-found", func(*scene) {}, ok, "", ""},
		{"name-unknown", resolves("", &net.DNSError{IsNotFound: true}), fail, "name", "spelling"},
		{"name-no-answer", resolves("", &net.DNSError{IsTimeout: true, Err: "timeout"}), fail, "name", "DNS server"},
		{"name-nowhere", resolves("0.0.0.0", nil), fail, "name", "filter"},
		{"name-outside", func(s *scene) { s.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, fail, "name", "networks"},

		{"name-mute", func(s *scene) {
			resolves("", fault.New(fault.Name, "resolve: no answer"))(s)
			links(tunnel, nil)(s)
		}, fail, "name", "dns"},
		{"name-beyond", func(s *scene) {
			s.Networks, s.Way.Kind = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "ipsec"
			s.Way.Link = func(context.Context, netip.Addr) (preflight.Link, error) { return tunnel, nil }
		}, fail, "name", "name server"},

		{"link-direct", func(*scene) {}, ok, "", ""},
		{"link-route", links(preflight.Link{Kind: "route", Interface: "wg0"}, nil), ok, "", ""},
		{"link-tunnel", links(tunnel, nil), ok, "", ""},
		{"link-carries", links(carries, nil), ok, "", ""},
		{"link-none", links(preflight.Link{Kind: "direct"}, errors.New("network is unreachable")), fail, "route", "VPN"},
		{"link-other", links(preflight.Link{Kind: "route"}, fault.New(fault.Route, "the system would send by eth0")), fail, "route", "VPN"},
		{"link-down", links(preflight.Link{Kind: "ipsec"}, fault.New(fault.IKE, "no answer")), fail, "ike", "tunnel up"},
		{"link-down", func(s *scene) {
			s.LinkTime, s.Way.Kind = 10*time.Millisecond, "ipsec"
			s.Way.Link = func(ctx context.Context, _ netip.Addr) (preflight.Link, error) {
				<-ctx.Done()
				return preflight.Link{}, context.Cause(ctx)
			}
		}, fail, "ike", "tunnel up"},
		{"link-login", links(preflight.Link{Kind: "ipsec"}, fault.New(fault.GatewayLogin, "refused")), fail, "gateway login", "identities"},
		{"link-empty", links(preflight.Link{Kind: "ipsec"}, fault.New(fault.ESP, "no networks")), fail, "esp", "policy"},

		{"ping-well", func(*scene) {}, ok, "", ""},
		{"ping-lost", pings(series(10, 9, 80), nil), preflight.Warn, "route", "trace"},
		{"ping-loss", limited(preflight.Limits{MaxLoss: 0.05}), fail, "route", "max_loss"},
		{"ping-slow", limited(preflight.Limits{MaxLoss: -1, MaxRTT: 50 * time.Millisecond}), fail, "route", "max_rtt"},
		{"ping-uneven", limited(preflight.Limits{MaxLoss: -1, MaxJitter: 20 * time.Millisecond}), fail, "route", "max_jitter"},
		{"ping-refused", pings(&ping.Series{Sent: 10, Said: []string{"192.0.2.1: host unreachable"}}, nil), fail, "route", "routes there"},
		{"ping-astray", pings(series(10, 9, 80), fault.New(fault.Route, "the system would send by eth0")), fail, "route", "VPN"},
		{"ping-filtered", pings(series(10, 0, 0), nil), ok, "", ""},
		{"ping-silent", silent, fail, "route", "TCP port"},
		{"ping-nobody", func(s *scene) {
			s.Nobody, s.Port, s.SSH, s.Clock = true, 0, nil, nil
			pings(&ping.Series{To: hostAddr, Sent: 10, Said: []string{"192.0.2.1: host unreachable"}}, nil)(s)
		}, ok, "", ""},
		{"ping-rights", pings(nil, fmt.Errorf("ping: %w", rights)), ok, "", ""},
		{"ping-failed", pings(nil, errors.New("out of buffers")), ok, "", ""},

		{"port-open", func(*scene) {}, ok, "", ""},
		{"port-refused", ports(answer(port.Refused)), fail, "tcp", "listens"},
		{"port-filtered", ports(answer(port.Filtered)), fail, "tcp", "firewall"},
		{"port-silent", func(s *scene) {
			links(tunnel, nil)(s)
			ports(answer(port.Filtered))(s)
		}, fail, "tcp", "behind the gateway"},
		{"port-prohibited", ports(answer(port.Prohibited)), fail, "tcp", "firewall"},
		{"port-no-route", ports(answer(port.NoRoute)), fail, "route", "route"},
		{"port-answers", ports(answerUDP(port.Open)), ok, "", ""},
		{"port-closed", ports(answerUDP(port.Closed)), fail, "tcp", "listens"},
		{"port-untold", ports(answerUDP(port.OpenOrFiltered)), ok, "", ""},
		{"port-failed", ports(port.Result{Network: "tcp", Error: "too many open files"}), ok, "", ""},

		{"trace-reached", func(*scene) {}, ok, "", ""},
		{"trace-loss", traces(hops(0, 0.2, 0.3, 0.2), nil), fail, "route", "show this"},
		{"trace-ends", traces(ends(2, ""), nil), fail, "route", "firewall"},
		{"trace-first", traces(ends(0, ""), nil), fail, "route", "next hop"},
		{"trace-said", traces(ends(2, "host unreachable"), nil), fail, "route", "show this"},
		{"trace-rights", traces(&trace.Trace{Missing: "CAP_NET_RAW"}, nil), ok, "", ""},
		{"trace-inside", func(s *scene) { s.Way.Trace = nil }, ok, "", ""},
		{"trace-failed", traces(nil, errors.New("out of buffers")), ok, "", ""},

		{"mtu-whole", func(*scene) {}, ok, "", ""},
		{"mtu-less", mtus("direct", &pmtu.Result{MTU: 1400, Said: 1400, By: via}, nil), ok, "", ""},
		{"mtu-inside", mtus("ipsec", &pmtu.Result{MTU: 1400}, nil), ok, "", ""},
		{"mtu-hole", mtus("direct", &pmtu.Result{MTU: 1200, BlackHole: true}, nil), fail, "route", "1200"},
		{"mtu-unsure", mtus("direct", &pmtu.Result{MTU: 1400, Unsure: true}, nil), ok, "", ""},
		{"mtu-refused", mtus("direct", &pmtu.Result{Refused: "192.0.2.1: host unreachable"}, nil), ok, "", ""},
		{"mtu-hole-link", mtus("ipsec", &pmtu.Result{MTU: 1200, BlackHole: true}, nil), preflight.Warn, "esp", "mtu: 1200"},
		{"mtu-hole-stays", func(s *scene) {
			mtus("ipsec", &pmtu.Result{MTU: 500, BlackHole: true}, nil)(s)
			s.Way.Shrink = func(int) error { return errors.New("an MTU of 500: it must be at least 576") }
		}, fail, "esp", "larger packets let through"},
		{"mtu-silent", mtus("direct", &pmtu.Result{}, nil), ok, "", ""},
		{"mtu-rights", mtus("direct", nil, fmt.Errorf("mtu: %w", rights)), ok, "", ""},
		{"mtu-failed", mtus("direct", nil, errors.New("out of buffers")), ok, "", ""},

		{"ssh-known", func(*scene) {}, ok, "", ""},
		{"ssh-login", servers(preflight.SSH{Banner: "SSH-2.0-x", LoggedIn: "jephe"}, nil), ok, "", ""},
		{"ssh-no-server", servers(preflight.SSH{}, fault.New(fault.SSH, "it says HTTP/1.1")), fail, "ssh", "SSH server"},
		{"ssh-mute", servers(preflight.SSH{}, fault.New(fault.Stall, "no banner")), fail, "stall", "firewall"},
		{"ssh-key-unknown", servers(preflight.SSH{}, fault.New(fault.HostKeyUnknown, "no key is known")), fail, "host key", "fingerprint"},
		{"ssh-key-changed", servers(preflight.SSH{}, fault.New(fault.HostKeyChanged, "another key")), fail, "host key", "stands in between"},
		{"ssh-refused", servers(preflight.SSH{}, fault.New(fault.Login, "refused")), fail, "login", "authorized_keys"},
		{"ssh-own-key", servers(preflight.SSH{}, fault.New(fault.Key, "encrypted")), fail, "key", "passphrase"},
		{"ssh-lost", servers(preflight.SSH{}, fault.New(fault.TCP, "reset")), fail, "tcp", "--mtu"},

		{"space-enough", func(*scene) {}, ok, "", ""},
		{"space-short", spaces(room(999, 1000), nil), fail, "local disk", "make room"},
		{"space-full", spaces(preflight.Space{Folder: "/srv", Needed: -1, NeedFiles: -1, Inodes: -1}, nil), fail, "local disk", "make room"},
		{"space-inodes", spaces(room(1<<30, 9), nil), fail, "local disk", "inodes"},
		{"space-forbidden", spaces(room(-1, -1), fault.New(fault.LocalDisk, "write: permission denied")), fail, "local disk", "account"},
		{"space-untold", spaces(room(-1, -1), nil), ok, "", ""},
		{"space-failed", spaces(room(-1, -1), errors.New("no")), ok, "", ""},

		{"clock-equal", func(*scene) {}, ok, "", ""},
		{"clock-off", clocks(preflight.Clock{OffsetMS: -70_000, WithinMS: 500}, nil), fail, "remote file", "NTP"},
		{"clock-failed", clocks(preflight.Clock{}, errors.New("no")), ok, "", ""},
	}
}

// TestTexts provokes each text of the table, in a look at a subject of which all
// else is well.
func TestTexts(t *testing.T) {
	provoked := map[string]bool{}
	for _, r := range rows() {
		t.Run(r.code, func(t *testing.T) {
			s := well()
			r.change(s)
			report := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
			i := slices.IndexFunc(report.Findings, func(f preflight.Finding) bool { return f.Code == r.code })
			if i < 0 {
				t.Fatalf("no finding says so: %+v", report.Findings)
			}
			f := report.Findings[i]
			provoked[r.code] = true
			if f.Text == "" || strings.Contains(f.Text+f.Hint, "%!") {
				t.Errorf("text %q, hint %q", f.Text, f.Hint)
			}
			if report.Verdict != r.verdict || report.Layer != r.layer || !strings.Contains(report.Next, r.next) {
				t.Errorf("%s, blames %q, next %q; want %s, %q, ...%s...\n%s", report.Verdict, report.Layer, report.Next, r.verdict, r.layer, r.next, report.Summary)
			}
			if r.verdict == preflight.OK && (report.Next != "" || report.Err() != nil) {
				t.Errorf("all is well, and yet: %q, %v", report.Next, report.Err())
			}
		})
	}
	t.Run("stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the run is over"))
		s := well()
		for _, f := range preflight.Look(ctx, s.Subject, s.policy, time.Now, nil).Findings {
			if f.Code != "stopped" || !strings.Contains(f.Text, "the run is over") {
				t.Errorf("%s: %s: %s", f.Check, f.Code, f.Text)
			}
		}
		provoked["stopped"] = true
	})
	for _, text := range preflight.Texts() {
		if !provoked[text.Code] {
			t.Errorf("no row provokes %q", text.Code)
		}
		if text.Verdict == preflight.Fail && (text.Hint == "" || text.Layer == fault.Internal) {
			t.Errorf("%q fails without a next step, or without a layer", text.Code)
		}
	}
}
