package pmtu

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/path"
	"linehaul/preflight/echo"
)

// A found is what a search came to.
type found struct {
	*Result
	to   netip.Addr
	took time.Duration
}

// find searches at the client, for several hosts at once.
func find(t *testing.T, p *path.Path, hosts ...netip.Addr) []found {
	t.Helper()
	all, errs := make([]found, len(hosts)), make([]error, len(hosts))
	var work sync.WaitGroup
	for i, to := range hosts {
		work.Go(func() {
			began := time.Now()
			errs[i] = p.Client.Do(func() error {
				r, err := Find(t.Context(), Options{To: to})
				all[i] = found{Result: r, to: to, took: time.Since(began)}
				return err
			})
		})
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		t.Logf("%v: %+v", f.took, *f.Result)
	}
	return all
}

// TestFind looks for the MTU of a path with routers and a far line in it, by
// both kinds of sockets and both protocols.
func TestFind(t *testing.T) {
	const mtu = 1300 // no link of IPv6 may have less than 1,280
	for _, way := range []string{echo.Unprivileged, echo.Raw} {
		t.Run(strings.ReplaceAll(way, " ", "-"), func(t *testing.T) {
			t.Parallel()
			p := path.Start(t, path.Options{Hops: 2, Lines: []int{1}, Seed: 3})
			p.Client.AllowPing(way == echo.Unprivileged)
			routers := map[netip.Addr]netip.Addr{p.Server4: p.Addr(2), p.Server6: p.Addr6(2)}
			for _, scene := range []struct {
				name   string
				faults path.Faults
				tries  int
				good   func(r found) bool
			}{
				{"a clean path", path.Faults{}, 1, func(r found) bool {
					return r.MTU == 1500 && r.Interface == 1500 && r.Way == way && r.Said == 0 && !r.BlackHole && !r.Unsure
				}},
				{"a router that says so", path.Faults{MTU: mtu, Answer: true}, 1, func(r found) bool {
					return r.MTU == mtu && r.Interface == 1500 && r.Said == mtu && r.By == routers[r.to] && !r.BlackHole && !r.Unsure
				}},
				{"a black hole", path.Faults{MTU: mtu}, 1, func(r found) bool {
					return r.MTU == mtu && r.Said == 0 && r.BlackHole && r.took <= 15*time.Second
				}},
				// Of ten packets of a size that passes, fewer than four come back by chance
				// in 6 of 10,000 searches: then they are not sure.
				{"a black hole that loses others, too", path.Faults{MTU: mtu, Loss: 0.1}, 2, func(r found) bool {
					return r.MTU == mtu && r.Said == 0 && r.BlackHole && r.took <= 15*time.Second
				}},
				{"a path that loses some", path.Faults{Loss: 0.1}, 1, func(r found) bool { return r.MTU == 1500 && !r.BlackHole }},
				{"nothing passes", path.Faults{Loss: 1}, 1, func(r found) bool { return r.MTU == 0 && !r.BlackHole && r.Unsure }},
			} {
				scene.faults.Delay = 40 * time.Millisecond
				p.Line(1).Set(scene.faults)
				left := []netip.Addr{p.Server4, p.Server6}
				for try := 1; try <= scene.tries && len(left) > 0; try++ {
					all := find(t, p, left...)
					left = nil
					for _, r := range all {
						if scene.good(r) {
							continue
						}
						left = append(left, r.to)
						if try == scene.tries {
							t.Errorf("%s, after %v: %+v", scene.name, r.took, *r.Result)
						}
					}
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
			if r := find(t, p, to)[0]; m == nil || m[1] != strconv.Itoa(r.MTU) || r.MTU != mtu || r.Said != mtu {
				t.Errorf("we find %d for %v, and tracepath:\n%s", r.MTU, to, out)
			}
		}
	}
}
