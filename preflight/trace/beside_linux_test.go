package trace_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
	"linehaul/internal/lab/path"
	"linehaul/preflight/trace"
)

// A peerHop is a hop as another program shows it.
type peerHop struct {
	addrs []string
	ms    []float64
}

// TestBesideOthers traces a line with delays beside mtr, traceroute and
// tcptraceroute, which run as root, all at the same time: the same hops, and
// medians within 10 % of theirs, or a millisecond where there is no delay.
func TestBesideOthers(t *testing.T) {
	const marker = "TRACE "
	if netns.Inside() {
		var work sync.WaitGroup
		for _, method := range strings.Fields(os.Getenv("METHODS")) {
			work.Go(func() {
				got, err := trace.Run(t.Context(), trace.Options{
					To: netip.MustParseAddr(os.Getenv("SERVER4")), Method: trace.Method(method), Interval: 150 * time.Millisecond,
				})
				if err != nil {
					t.Error(err)
					return
				}
				b, err := json.Marshal(got)
				if err != nil {
					t.Error(err)
				}
				fmt.Printf("%s%s\n", marker, b)
			})
		}
		work.Wait()
		return
	}
	lab.Need(t, "mtr", "traceroute", "tcptraceroute")
	p := path.Start(t, path.Options{Hops: 7, Lines: []int{2, 5}})
	p.Line(2).Set(path.Faults{Delay: 20 * time.Millisecond})
	p.Line(5).Set(path.Faults{Delay: 12 * time.Millisecond})
	here := func(methods string) map[trace.Method]*trace.Trace {
		all := map[trace.Method]*trace.Trace{}
		for line := range strings.Lines(p.Again(t, append(routers(p), "METHODS="+methods)...)) {
			if text, ok := strings.CutPrefix(line, marker); ok {
				var got trace.Trace
				if err := json.Unmarshal([]byte(text), &got); err != nil {
					t.Fatal(err)
				}
				all[got.Method] = &got
			}
		}
		return all
	}
	server := p.Server4.String()
	type peer struct {
		method trace.Method
		args   []string
		read   func(t *testing.T, out string) []peerHop
		odd    []string
	}
	left := []*peer{
		{trace.ICMP, []string{"mtr", "-n", "-G", "1", "-l", "-c", "10", "-i", "0.15", server}, readMTR, nil},
		{trace.UDP, []string{"mtr", "-n", "-G", "1", "-l", "-u", "-c", "10", "-i", "0.15", server}, readMTR, nil},
		{trace.TCP, []string{"mtr", "-n", "-G", "1", "-l", "-T", "-P", "22", "-c", "10", "-i", "0.15", server}, readMTR, nil},
		{trace.UDP, []string{"traceroute", "-n", "-N", "1", "-w", "1", "-q", "5", server}, readTraceroute, nil},
		{trace.ICMP, []string{"traceroute", "-n", "-N", "1", "-w", "1", "-I", "-q", "5", server}, readTraceroute, nil},
		{trace.TCP, []string{"tcptraceroute", "-n", "-q", "5", server, "22"}, readTraceroute, nil},
	}
	// The lines are this process's: on a machine that is busy for a moment, they
	// are longer then. Who was odd is looked at again.
	for range 4 {
		outs, errs, methods := make([][]byte, len(left)), make([]error, len(left)), []string{}
		var work sync.WaitGroup
		for i, with := range left {
			if m := string(with.method); !slices.Contains(methods, m) {
				methods = append(methods, m)
			}
			work.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				outs[i], errs[i] = p.Client.Command(exec.CommandContext(ctx, lab.Path(with.args[0]), with.args[1:]...)).CombinedOutput()
			})
		}
		mine := here(strings.Join(methods, " "))
		work.Wait()
		for i, with := range left {
			if errs[i] != nil {
				t.Fatalf("%s: %v\n%s", with.args, errs[i], outs[i])
			}
			with.odd = compare(t, strings.Join(with.args, " "), mine[with.method], with.read(t, string(outs[i])), server)
		}
		if left = slices.DeleteFunc(left, func(with *peer) bool { return len(with.odd) == 0 }); len(left) == 0 {
			break
		}
	}
	for _, with := range left {
		for _, line := range with.odd {
			t.Error(line)
		}
	}
}

// compare returns what is not alike. Behind the server there are no hops,
// though mtr shows it once more for each probe that went out too far.
func compare(t *testing.T, peer string, got *trace.Trace, want []peerHop, server string) (odd []string) {
	t.Helper()
	if i := slices.IndexFunc(want, func(h peerHop) bool { return slices.Contains(h.addrs, server) }); i >= 0 {
		want = want[:i+1]
	}
	if got == nil || len(got.Hops) != len(want) || len(want) != 8 {
		return []string{fmt.Sprintf("%s: %d hops, and %+v here", peer, len(want), got)}
	}
	for i, w := range want {
		h := got.Hops[i]
		var addrs []string
		for _, r := range h.Routers {
			addrs = append(addrs, r.Addr.String())
		}
		slices.Sort(w.ms)
		if len(w.ms) < 5 {
			odd = append(odd, fmt.Sprintf("%s: hop %d: %+v", peer, i+1, w))
			continue
		}
		median := w.ms[len(w.ms)/2]
		t.Logf("%-45s hop %d %v %.2f ms, here %v %.2f ms, loss %.0f%%", peer, i+1, w.addrs, median, addrs, h.MedMS, h.Loss*100)
		if !slices.Equal(addrs, w.addrs) || h.Loss != 0 {
			odd = append(odd, fmt.Sprintf("%s: hop %d is %v, and %v with loss %v here", peer, i+1, w.addrs, addrs, h.Loss))
		}
		if apart := math.Abs(h.MedMS - median); apart > 1 && apart > median/10 {
			odd = append(odd, fmt.Sprintf("%s: hop %d takes %.2f ms, and %.2f ms here", peer, i+1, median, h.MedMS))
		}
	}
	return odd
}

// readMTR reads mtr's raw output: "h HOP ADDRESS" and "p HOP MICROSECONDS N",
// where hops are counted from 0.
func readMTR(t *testing.T, out string) []peerHop {
	t.Helper()
	var hops []peerHop
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "h" && f[0] != "p" {
			continue
		}
		i, err := strconv.Atoi(f[1])
		if err != nil || i > 30 {
			t.Fatalf("mtr printed %q", line)
		}
		for len(hops) <= i {
			hops = append(hops, peerHop{})
		}
		if f[0] == "h" {
			hops[i].add(f[2])
			continue
		}
		us, err := strconv.Atoi(f[2])
		if err != nil {
			t.Fatalf("mtr printed %q", line)
		}
		hops[i].ms = append(hops[i].ms, float64(us)/1000)
	}
	return hops
}

func (h *peerHop) add(addr string) {
	if !slices.Contains(h.addrs, addr) {
		h.addrs = append(h.addrs, addr)
	}
}

// readTraceroute reads lines of a hop's number, addresses and times.
func readTraceroute(t *testing.T, out string) []peerHop {
	t.Helper()
	var hops []peerHop
	number, addr, ms := regexp.MustCompile(`^ *(\d+) `), regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`), regexp.MustCompile(`([\d.]+) ms`)
	for line := range strings.Lines(out) {
		if !number.MatchString(line) {
			continue
		}
		var h peerHop
		for _, a := range addr.FindAllString(line, -1) {
			h.add(a)
		}
		for _, m := range ms.FindAllStringSubmatch(line, -1) {
			v, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatalf("it printed %q", line)
			}
			h.ms = append(h.ms, v)
		}
		hops = append(hops, h)
	}
	return hops
}
