package pmtu

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/path"
	"linehaul/preflight/echo"
)

// find searches at the client.
func find(t *testing.T, p *path.Path, to netip.Addr) (r *Result, took time.Duration) {
	t.Helper()
	began := time.Now()
	err := p.Client.Do(func() (err error) {
		r, err = Find(t.Context(), Options{To: to})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	took = time.Since(began)
	t.Logf("%v: %+v", took, *r)
	return r, took
}

// TestFind looks for the MTU of a path with routers and a far line in it, by
// both kinds of sockets and both protocols.
func TestFind(t *testing.T) {
	for _, way := range []string{echo.Unprivileged, echo.Raw} {
		t.Run(strings.ReplaceAll(way, " ", "-"), func(t *testing.T) {
			t.Parallel()
			p := path.Start(t, path.Options{Hops: 2, Lines: []int{1}, Seed: 3})
			p.Client.AllowPing(way == echo.Unprivileged)
			for _, to := range []struct{ server, router netip.Addr }{{p.Server4, p.Addr(2)}, {p.Server6, p.Addr6(2)}} {
				f := path.Faults{Delay: 40 * time.Millisecond}
				p.Line(1).Set(f)
				if r, _ := find(t, p, to.server); r.MTU != 1500 || r.Interface != 1500 || r.Way != way || r.Said != 0 || r.BlackHole || r.Unsure {
					t.Errorf("a clean path: %+v", r)
				}
				mtu := 1200
				if to.server.Is6() {
					mtu = 1300 // no link of IPv6 may have less than 1,280
				}
				f.MTU, f.Answer = mtu, true
				p.Line(1).Set(f)
				if r, _ := find(t, p, to.server); r.MTU != mtu || r.Interface != 1500 || r.Said != mtu || r.By != to.router || r.BlackHole || r.Unsure {
					t.Errorf("a router that says so: %+v", r)
				}
				f.Answer = false
				p.Line(1).Set(f)
				if r, took := find(t, p, to.server); r.MTU != mtu || r.Said != 0 || !r.BlackHole || took > 15*time.Second {
					t.Errorf("a black hole, after %v: %+v", took, r)
				}
				f.Loss = 0.1
				p.Line(1).Set(f)
				if r, took := find(t, p, to.server); r.MTU != mtu || r.Said != 0 || !r.BlackHole || took > 15*time.Second {
					t.Errorf("a black hole that loses others, too, after %v: %+v", took, r)
				}
				f.MTU = 0
				p.Line(1).Set(f)
				if r, _ := find(t, p, to.server); r.MTU != 1500 || r.BlackHole {
					t.Errorf("a path that loses some: %+v", r)
				}
				f.Loss = 1
				p.Line(1).Set(f)
				if r, _ := find(t, p, to.server); r.MTU != 0 || r.BlackHole || !r.Unsure {
					t.Errorf("nothing passes: %+v", r)
				}
			}
		})
	}
}

// TestBesideTracepath finds what tracepath(8) does, where routers speak.
func TestBesideTracepath(t *testing.T) {
	t.Parallel()
	lab.Need(t, "tracepath")
	p := path.Start(t, path.Options{Hops: 3})
	p.Client.AllowPing(true)
	for host, mtu := range []int{1480, 1420, 1333} {
		p.Host(host + 1).IP(fmt.Sprintf("link set next mtu %d", mtu))
		p.Host(host + 2).IP(fmt.Sprintf("link set prev mtu %d", mtu))
		for _, to := range []netip.Addr{p.Server4, p.Server6} {
			out := p.Client.Run("tracepath", "-n", to.String())
			m := regexp.MustCompile(`Resume: pmtu (\d+)`).FindStringSubmatch(out)
			if r, _ := find(t, p, to); m == nil || m[1] != strconv.Itoa(r.MTU) || r.MTU != mtu || r.Said != mtu {
				t.Errorf("we find %d for %v, and tracepath:\n%s", r.MTU, to, out)
			}
		}
	}
}
