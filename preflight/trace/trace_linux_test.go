package trace_test

import (
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
	"linehaul/internal/lab/path"
	"linehaul/preflight/trace"
)

// methods are all that there are, each with an address of the client's own, as
// routers count what they say to an address.
var methods = []struct {
	method      trace.Method
	from, from6 string
}{
	{trace.ICMP, "198.18.0.11", "2001:db8:12::11"},
	{trace.UDP, "198.18.0.12", "2001:db8:12::12"},
	{trace.TCP, "198.18.0.13", "2001:db8:12::13"},
}

// from is the client's address for a method and a server.
func from(method trace.Method, to string) netip.Addr {
	for _, m := range methods {
		if m.method == method && strings.Contains(to, ":") {
			return netip.MustParseAddr(m.from6)
		} else if m.method == method {
			return netip.MustParseAddr(m.from)
		}
	}
	return netip.Addr{}
}

// TestThirty is the proof of the issue: thirty hops with ten probes each in
// less than 5 seconds, by an ordinary user, without a probe lost, though each
// router answers no faster than Linux does by default.
func TestThirty(t *testing.T) {
	const hops = 30
	if !netns.Inside() {
		lab.Need(t, "ping")
		p := path.Start(t, path.Options{Hops: hops - 1})
		for i := 1; i <= hops; i++ {
			p.Host(i).Set(map[string]string{"ipv4/icmp_ratelimit": "1000", "ipv6/icmp/ratelimit": "100"})
		}
		addresses(p)
		meet(t, p)
		t.Log(p.Again(t, routers(p)...))
		return
	}
	var work sync.WaitGroup
	for _, to := range []string{os.Getenv("SERVER4"), os.Getenv("SERVER6")} {
		for _, m := range methods {
			want := strings.Fields(os.Getenv("ROUTERS4"))
			if strings.Contains(to, ":") {
				want = strings.Fields(os.Getenv("ROUTERS6"))
			}
			o := trace.Options{To: netip.MustParseAddr(to), From: from(m.method, to), Method: m.method}
			work.Go(func() {
				began := time.Now()
				got, err := trace.Run(t.Context(), o)
				took := time.Since(began)
				if err != nil {
					t.Error(err)
					return
				}
				t.Logf("%s by %s: %d hops in %v", to, got.Way, len(got.Hops), took.Round(time.Millisecond))
				if took > 5*time.Second {
					t.Errorf("%s by %s took %v", to, m.method, took)
				}
				whole(t, got, want, 10)
			})
		}
	}
	work.Wait()
}

// addresses gives the client those of methods.
func addresses(p *path.Path) {
	for _, m := range methods {
		p.Client.IP("addr add " + m.from + "/24 dev next\naddr add " + m.from6 + "/64 dev next nodad\n")
	}
}

// meet has all neighbours find each other, which takes IPv6 a while.
func meet(t *testing.T, p *path.Path) {
	t.Helper()
	for _, to := range []netip.Addr{p.Server4, p.Server6} {
		p.Client.Run("ping", "-c2", "-i0.5", "-W2", to.String())
	}
}

// routers are the variables by which Again passes on who there is.
func routers(p *path.Path) []string {
	var four, six []string
	for i := 1; i <= p.Hops()+1; i++ {
		four, six = append(four, p.Addr(i).String()), append(six, p.Addr6(i).String())
	}
	return []string{"ROUTERS4=" + strings.Join(four, " "), "ROUTERS6=" + strings.Join(six, " "),
		"SERVER4=" + p.Server4.String(), "SERVER6=" + p.Server6.String()}
}

// whole wants each hop answered by its router, and every probe answered.
func whole(t *testing.T, got *trace.Trace, routers []string, probes int) {
	t.Helper()
	if !got.Reached || len(got.Hops) != len(routers) || got.Missing != "" || got.Error != "" {
		t.Errorf("%d hops, want %d; reached %v, missing %q, error %q", len(got.Hops), len(routers), got.Reached, got.Missing, got.Error)
	}
	for i, h := range got.Hops {
		if i >= len(routers) {
			break
		}
		if h.TTL != i+1 || h.Sent != probes || h.Recv != probes || h.Loss != 0 || len(h.RTTsMS) != probes ||
			len(h.Routers) != 1 || h.Routers[0].Addr.String() != routers[i] || h.Routers[0].Answers != probes || h.Routers[0].IsTarget != (i == len(routers)-1) {
			t.Errorf("hop %d: %+v, want %s", i+1, h, routers[i])
		}
		if h.BestMS <= 0 || h.BestMS > h.MedMS || h.MedMS > h.WorstMS {
			t.Errorf("hop %d: times %v %v %v", i+1, h.BestMS, h.MedMS, h.WorstMS)
		}
	}
}
