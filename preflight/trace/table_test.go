package trace

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A world is a row of routers with a host at its end, in a time of its own.
type world struct {
	routers []node
	host    node
	flight  []arrival
	tokens  map[int]bucket
	gone    map[int]int // probes by TTL
}

// A node is how one of them answers.
type node struct {
	rtt     time.Duration
	silent  bool
	refuses string // instead of sending it on
	limited bool   // as Linux limits: six at once, one a second
	lose    int    // each so many-th probe is lost; 0: none
	addrs   []netip.Addr
}

type bucket struct {
	credit time.Duration
	last   time.Time
}

type arrival struct {
	at time.Time
	a  answer
}

func hostAddr() netip.Addr { return netip.MustParseAddr("198.18.99.2") }

func selfAddr() netip.Addr { return netip.MustParseAddr("198.18.0.1") }

func routerAddr(ttl int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(ttl), 2}) }

// send has a probe on its way, and its answer if one will come.
func (w *world) send(ttl, id int, now time.Time) {
	w.gone[ttl]++
	n, a := w.host, answer{id: id, from: hostAddr(), kind: arrived}
	at := min(ttl, len(w.routers)+1)
	for i := range at {
		if i < len(w.routers) && (w.routers[i].refuses != "" || i == at-1) {
			n, at = w.routers[i], i+1
			a = answer{id: id, from: routerAddr(at), kind: exceeded}
			if n.refuses != "" {
				a.kind, a.said = refused, n.refuses
			}
			break
		}
	}
	if n.refuses != "" && at > len(w.routers) {
		a.kind, a.said = refused, n.refuses
	}
	if len(n.addrs) > 0 {
		a.from = n.addrs[w.gone[ttl]%len(n.addrs)]
	}
	if n.silent || n.lose > 0 && w.gone[ttl]%n.lose == 0 || n.limited && !w.allow(at, now) {
		return
	}
	a.rtt = n.rtt
	w.flight = append(w.flight, arrival{now.Add(n.rtt), a})
	slices.SortStableFunc(w.flight, func(a, b arrival) int { return a.at.Compare(b.at) })
}

// allow is inet_peer_xrlim_allow of Linux: a second of credit for each message,
// of which there are at most six.
func (w *world) allow(at int, now time.Time) bool {
	b, known := w.tokens[at]
	if !known {
		b = bucket{6 * time.Second, now}
	}
	b.credit = min(6*time.Second, b.credit+now.Sub(b.last))
	b.last = now
	ok := b.credit >= time.Second
	if ok {
		b.credit -= time.Second
	}
	w.tokens[at] = b
	return ok
}

// trace runs a trace to its end, or for a while if it is endless.
func (w *world) trace(t *testing.T, o Options, most time.Duration) (*Trace, time.Duration) {
	t.Helper()
	o.To = hostAddr()
	o, err := o.complete()
	if err != nil {
		t.Fatal(err)
	}
	w.tokens, w.gone = map[int]bucket{}, map[int]int{}
	tb := newTable(o, selfAddr())
	start := time.Unix(1_000_000, 0)
	for now, steps := start, 0; ; steps++ {
		if steps > 200_000 {
			t.Fatal("it does not end")
		}
		if now.Sub(start) > most {
			if o.Probes != Endless {
				t.Fatalf("it takes longer than %v", most)
			}
			return tb.trace(), now.Sub(start)
		}
		tb.expire(now)
		ttl, at := tb.due(now)
		if ttl > 0 {
			w.send(ttl, tb.sent(ttl, now), now)
			continue
		}
		if at.IsZero() {
			if at = tb.overAt(); !at.After(now) {
				tb.giveUp()
				return tb.trace(), now.Sub(start)
			}
		}
		if len(w.flight) > 0 && !w.flight[0].at.After(at) {
			now = w.flight[0].at
			tb.answered(w.flight[0].a)
			w.flight = w.flight[1:]
			continue
		}
		if !at.After(now) {
			t.Fatalf("after %v it waits for what has passed", now.Sub(start))
		}
		now = at
	}
}

// line is a world of so many routers, the last of which is rtt away.
func line(routers int, rtt time.Duration, like node) *world {
	w := &world{host: like}
	w.host.rtt = rtt
	for i := range routers {
		n := like
		n.rtt = max(time.Microsecond, rtt*time.Duration(i+1)/time.Duration(routers+1))
		w.routers = append(w.routers, n)
	}
	return w
}

// TestPaceSuitsLinux: at no distance and no length of a line are routers asked
// faster than Linux answers, and thirty hops near by take less than 5 seconds.
func TestPaceSuitsLinux(t *testing.T) {
	for routers := range 30 {
		for _, rtt := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 250 * time.Millisecond, 700 * time.Millisecond} {
			w := line(routers, rtt, node{limited: true})
			got, took := w.trace(t, Options{Method: UDP}, time.Minute)
			if len(got.Hops) != routers+1 || !got.Reached {
				t.Fatalf("%d routers, %v: %d hops, reached %v", routers, rtt, len(got.Hops), got.Reached)
			}
			for _, h := range got.Hops {
				if h.Sent != 10 || h.Recv != 10 || h.Loss != 0 {
					t.Errorf("%d routers, %v: hop %d had %d probes and %d answers", routers, rtt, h.TTL, h.Sent, h.Recv)
				}
			}
			if most := 4800*time.Millisecond + time.Duration(routers/ahead+4)*rtt; took > most {
				t.Errorf("%d routers, %v: it took %v, more than %v", routers, rtt, took, most)
			}
		}
	}
}

// TestWorlds has routers that are silent, lose, refuse, or are several.
func TestWorlds(t *testing.T) {
	const ms = time.Millisecond
	two := []netip.Addr{routerAddr(51), routerAddr(52)}
	for _, tt := range []struct {
		name    string
		world   *world
		o       Options
		hops    int
		reached bool
		look    func(t *testing.T, hops []Hop)
	}{
		{"the host next door", line(0, ms, node{}), Options{}, 1, true, func(t *testing.T, h []Hop) {
			if h[0].Routers[0].Addr != hostAddr() || !h[0].Routers[0].IsTarget || h[0].BestMS != 1 || h[0].MedMS != 1 || h[0].WorstMS != 1 {
				t.Errorf("%+v", h[0])
			}
		}},
		{"silent routers between", silent(line(12, 20*ms, node{}), 3, 4, 5, 6, 7, 8), Options{}, 13, true, func(t *testing.T, h []Hop) {
			for i, one := range h {
				want := 0.0
				if i >= 2 && i <= 7 {
					want = 1
				}
				if one.Loss != want || one.Sent != 10 || (want == 1) != (len(one.Routers) == 0) {
					t.Errorf("%+v", one)
				}
			}
		}},
		{"a host that is silent", func() *world { w := line(5, 20*ms, node{}); w.host.silent = true; return w }(), Options{}, 6, false, func(t *testing.T, h []Hop) {
			if h[5].Sent != 10 || h[5].Loss != 1 || h[4].Loss != 0 {
				t.Errorf("%+v", h)
			}
		}},
		{"nobody", silent(line(3, ms, node{silent: true})), Options{MaxHops: 8}, 1, false, func(t *testing.T, h []Hop) {
			if h[0].Sent != 10 || h[0].Loss != 1 {
				t.Errorf("%+v", h)
			}
		}},
		{"loss at one hop only", func() *world { w := line(6, 20*ms, node{}); w.routers[2].lose = 2; return w }(), Options{Probes: 20}, 7, true, func(t *testing.T, h []Hop) {
			if h[2].Loss != 0.5 || h[2].Recv != 10 || len(h[2].RTTsMS) != 10 || h[6].Loss != 0 {
				t.Errorf("%+v", h)
			}
		}},
		{"a firewall that says no", func() *world {
			w := line(6, 20*ms, node{})
			w.routers[3].refuses = "prohibited by a firewall"
			return w
		}(), Options{}, 4, false, func(t *testing.T, h []Hop) {
			if r := h[3].Routers[0]; r.Said != "prohibited by a firewall" || r.IsTarget || h[3].Sent != 10 || h[3].Recv != 10 {
				t.Errorf("%+v", h[3])
			}
		}},
		{"a host that refuses is there", func() *world { w := line(2, 20*ms, node{}); w.host.refuses = "port unreachable"; return w }(), Options{}, 3, true, func(t *testing.T, h []Hop) {
			if r := h[2].Routers[0]; r.Said != "port unreachable" || !r.IsTarget {
				t.Errorf("%+v", h[2])
			}
		}},
		{"two routers by turns", func() *world { w := line(4, 20*ms, node{}); w.routers[1].addrs = two; return w }(), Options{Probes: 9}, 5, true, func(t *testing.T, h []Hop) {
			if len(h[1].Routers) != 2 || h[1].Routers[0].Answers+h[1].Routers[1].Answers != 9 || h[1].Routers[0].Answers < h[1].Routers[1].Answers {
				t.Errorf("%+v", h[1])
			}
		}},
		{"farther than the most", line(20, 20*ms, node{}), Options{MaxHops: 10}, 10, false, func(t *testing.T, h []Hop) {
			if h[9].Recv != 10 || h[9].Routers[0].IsTarget {
				t.Errorf("%+v", h[9])
			}
		}},
		{"one probe each", line(9, 20*ms, node{}), Options{Probes: 1}, 10, true, func(t *testing.T, h []Hop) {
			for _, one := range h[:9] {
				if one.Sent != 1 || one.Recv != 1 {
					t.Errorf("%+v", one)
				}
			}
			if h[9].Sent > ahead {
				t.Errorf("the host had %d", h[9].Sent)
			}
		}},
		{"answers later than the next probes", line(9, 900*ms, node{}), Options{Interval: 50 * ms}, 10, true, func(t *testing.T, h []Hop) {
			for _, one := range h {
				if one.Recv != 10 || one.Loss != 0 {
					t.Errorf("%+v", one)
				}
			}
		}},
		{"answers that are too late", line(1, 3*time.Second, node{}), Options{MaxHops: 3, Timeout: time.Second}, 1, false, func(t *testing.T, h []Hop) {
			if h[0].Recv != 0 || h[0].Loss != 1 {
				t.Errorf("%+v", h)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, took := tt.world.trace(t, tt.o, time.Minute)
			if len(got.Hops) != tt.hops || got.Reached != tt.reached {
				t.Fatalf("%d hops, reached %v, want %d, %v: %+v", len(got.Hops), got.Reached, tt.hops, tt.reached, got)
			}
			tt.look(t, got.Hops)
			t.Logf("%d hops in %v", len(got.Hops), took)
		})
	}
}

func silent(w *world, ttls ...int) *world {
	for _, ttl := range ttls {
		w.routers[ttl-1].silent = true
	}
	return w
}

// TestEndless: it goes on at its pace, and what it remembers has an end.
func TestEndless(t *testing.T) {
	w := line(4, 10*time.Millisecond, node{limited: true})
	w.routers[1].lose = 4
	got, _ := w.trace(t, Options{Probes: Endless}, time.Hour)
	for i, h := range got.Hops {
		want := int(time.Hour / EndlessInterval)
		if h.Sent < want-ahead || h.Sent > want+ahead || len(h.RTTsMS) != keep {
			t.Errorf("hop %d: %d sent, %d times kept, want %d and %d", h.TTL, h.Sent, len(h.RTTsMS), want, keep)
		}
		if loss := fmt.Sprintf("%.2f", h.Loss); loss != map[bool]string{true: "0.25", false: "0.00"}[i == 1] {
			t.Errorf("hop %d: loss %s", h.TTL, loss)
		}
	}
	if len(got.Hops) != 5 || !got.Reached {
		t.Errorf("%d hops, reached %v", len(got.Hops), got.Reached)
	}
}

// TestWaiting: no more sockets than there may be, though nobody answers and the
// probes are many.
func TestWaiting(t *testing.T) {
	o, err := Options{To: hostAddr(), Method: UDP, MaxHops: 60, Probes: 1000, Interval: MinInterval, Timeout: 5 * time.Second}.complete()
	if err != nil {
		t.Fatal(err)
	}
	tb, now, most := newTable(o, selfAddr()), time.Unix(1, 0), 0
	for range 6000 {
		tb.expire(now)
		ttl, at := tb.due(now)
		if ttl > 0 {
			tb.sent(ttl, now)
			most = max(most, len(tb.waiting))
			continue
		}
		if !at.After(now) {
			t.Fatal("it waits for what has passed")
		}
		now = at
	}
	if most != maxWaiting {
		t.Errorf("%d wait at a time, want %d", most, maxWaiting)
	}
}

// TestUnsent: what the system does not send is lost, and said.
func TestUnsent(t *testing.T) {
	o, err := Options{To: hostAddr(), Method: ICMP}.complete()
	if err != nil {
		t.Fatal(err)
	}
	tb, now := newTable(o, selfAddr()), time.Unix(1, 0)
	tb.unsent(tb.sent(1, now), "no buffer space available")
	tb.answered(answer{id: 0, from: routerAddr(1)})
	got := tb.trace()
	if len(got.Hops) != 1 || got.Hops[0].Sent != 1 || got.Hops[0].Recv != 0 || got.Hops[0].Loss != 1 || got.Error != "no buffer space available" {
		t.Errorf("%+v", got)
	}
}

// TestOwnWords: what this machine says itself is said by its own address.
func TestOwnWords(t *testing.T) {
	o, err := Options{To: hostAddr(), Method: ICMP}.complete()
	if err != nil {
		t.Fatal(err)
	}
	tb, now := newTable(o, selfAddr()), time.Unix(1, 0)
	tb.answered(answer{id: tb.sent(1, now), kind: refused, said: "host unreachable", rtt: time.Second})
	got := tb.trace()
	if len(got.Hops) != 1 || got.Reached || len(got.Hops[0].Routers) != 1 || got.Hops[0].Routers[0].Addr != selfAddr() || got.Hops[0].Routers[0].Said != "host unreachable" {
		t.Errorf("%+v", got)
	}
}

// FuzzTable: whatever is answered, and whenever, the trace ends, its numbers
// agree with each other, and no hop has more probes than were asked for.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 200, 201, 202})
	f.Add([]byte{255, 0, 255, 0, 13, 14, 255, 254, 253, 99, 98, 97, 7, 7, 7, 7, 7, 7})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Options{To: hostAddr(), Method: UDP, MaxHops: 12, Probes: 4, Interval: 30 * time.Millisecond, Timeout: 200 * time.Millisecond}.complete()
		if err != nil {
			t.Fatal(err)
		}
		tb, now := newTable(o, selfAddr()), time.Unix(1, 0)
		sent := 0
		for steps := 0; ; steps++ {
			if steps > 100_000 {
				t.Fatal("it does not end")
			}
			tb.expire(now)
			ttl, at := tb.due(now)
			switch {
			case ttl < 0 || ttl > o.MaxHops:
				t.Fatalf("ttl %d", ttl)
			case ttl > 0:
				tb.sent(ttl, now)
				sent++
			case at.IsZero():
				if at = tb.overAt(); !at.After(now) {
					tb.giveUp()
					judge(t, o, tb.trace(), sent)
					return
				}
				now = at
			default:
				now = at
			}
			if len(b) < 2 {
				continue
			}
			// An answer: of which probe, of what kind, from whom and how late.
			a := answer{id: int(b[0]) % (sent + 1), kind: kind(b[1] % 3), rtt: time.Duration(b[1]) * time.Millisecond, from: routerAddr(int(b[0] % 5))}
			switch {
			case b[1]%7 == 0:
				a.from = netip.Addr{}
			case a.kind == arrived || b[1]%5 == 0:
				a.from = hostAddr()
			}
			if a.kind == refused {
				a.said = "host unreachable"
			}
			tb.answered(a)
			judge(t, o, tb.trace(), sent)
			now = now.Add(time.Duration(b[1]) * time.Millisecond / 4)
			b = b[2:]
		}
	})
}

func judge(t *testing.T, o Options, got *Trace, sent int) {
	t.Helper()
	if _, err := json.Marshal(got); err != nil {
		t.Fatal(err)
	}
	all := 0
	for i, h := range got.Hops {
		all += h.Sent
		answers := 0
		for _, r := range h.Routers {
			answers += r.Answers
			if r.Answers < 1 {
				t.Errorf("%+v did not answer", r)
			}
		}
		switch {
		case h.TTL != i+1, h.Recv > h.Sent, len(h.RTTsMS) != h.Recv, answers != h.Recv:
			t.Fatalf("hop %d: %+v", i+1, h)
		case h.Sent > 0 && h.Loss != float64(h.Sent-h.Recv)/float64(h.Sent), h.Sent == 0 && h.Loss != 0:
			t.Fatalf("hop %d: loss %v", i+1, h.Loss)
		case h.BestMS > h.MedMS || h.MedMS > h.WorstMS:
			t.Fatalf("hop %d: times %+v", i+1, h)
		case i < len(got.Hops)-1 && h.Sent > o.Probes:
			t.Fatalf("hop %d had %d probes", i+1, h.Sent)
		case slices.IsSortedFunc(h.Routers, func(a, b Router) int { return cmp.Compare(b.Answers, a.Answers) }) == false:
			t.Fatalf("hop %d: %+v", i+1, h.Routers)
		}
	}
	if all > sent {
		t.Fatalf("%d probes of %d", all, sent)
	}
}
