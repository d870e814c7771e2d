package trace

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// An answer is what came of a probe.
type answer struct {
	id   int
	from netip.Addr // not valid: the system says no more of it
	rtt  time.Duration
	kind kind
	said string // of a refusal, and of a host that says more than that it is there
}

// A kind is what an answer says.
type kind int

const (
	exceeded kind = iota // a router: the time to live has ended
	arrived              // the host
	refused              // somebody: there is no way on
)

// A table is the state of a trace: what was sent when and what came of it, and
// from that, what to send next. It does no I/O and reads no clock.
type table struct {
	o       Options
	self    netip.Addr // of this machine
	hops    []hop      // by TTL-1
	opened  int        // how many of them have been probed
	waiting map[int]probe
	next    int           // the number of the next probe
	last    time.Time     // when the last one was sent
	worst   time.Duration // of all answers
	failed  string
}

type probe struct {
	ttl int
	seq int // of the hop
	at  time.Time
}

// A hop counts what came of the probes of one TTL.
type hop struct {
	sent, recv, lost int
	first, last      time.Time
	best, worst      time.Duration
	rtts             []sample
	routers          []router
	arrived, refused bool
	exceeded         bool
}

type sample struct {
	at  time.Time // when it was sent
	rtt time.Duration
}

type router struct {
	addr    netip.Addr
	answers int
	said    string
	target  bool
}

// Limits of our own.
const (
	// ahead is how many hops are probed beyond the last that has answered. If the
	// host is nearer than that, it gets as many probes at once, which are counted
	// as its own.
	ahead = 4
	// gap is the least time between two probes of whatever hops.
	gap = time.Millisecond
	// An answer is taken for lost, as far as what comes next depends on it, after
	// three times the longest that any has taken, and leastPatience.
	patienceFactor = 3
	leastPatience  = 250 * time.Millisecond
	// keep is how many round trips of a hop are remembered, maxRouters how many
	// who answer.
	keep       = 1000
	maxRouters = 16
	// maxWaiting is how many probes may wait for an answer: each may be a socket.
	maxWaiting = 400
)

func newTable(o Options, self netip.Addr) *table {
	return &table{o: o, self: self, hops: make([]hop, o.MaxHops), waiting: map[int]probe{}}
}

// patience is how long it is worth to wait for an answer before going on.
func (t *table) patience() time.Duration {
	if t.worst == 0 {
		return t.o.Timeout
	}
	return min(t.o.Timeout, max(leastPatience, patienceFactor*t.worst))
}

// end is the TTL of the last hop, 0 if it is not known: the host, or who says
// that there is no way on and is right, as nobody behind it answers.
func (t *table) end() (ttl int, reached bool) {
	for i := range t.hops {
		if t.hops[i].arrived {
			return i + 1, true
		}
	}
	for i := len(t.hops) - 1; i >= 0 && !t.hops[i].exceeded; i-- {
		if t.hops[i].refused {
			ttl = i + 1
		}
	}
	return ttl, false
}

// sentTo is how many probes a hop has had, and when the first and the last of
// them. Those with more time to live than the last hop needs are its own.
func (t *table) sentTo(ttl, end int) (n int, first, last time.Time) {
	through := ttl
	if ttl == end {
		through = t.opened
	}
	for _, h := range t.hops[ttl-1 : max(ttl, through)] {
		if h.sent == 0 {
			continue
		}
		if n == 0 || h.first.Before(first) {
			first = h.first
		}
		if h.last.After(last) {
			last = h.last
		}
		n += h.sent
	}
	return n, first, last
}

// due returns the TTL of the probe to send now; or 0 and when to ask again, a
// zero time if there is nothing more to send.
func (t *table) due(now time.Time) (ttl int, at time.Time) {
	if len(t.waiting) >= maxWaiting {
		return 0, t.expiresAt()
	}
	soonest := time.Time{}
	earlier := func(a time.Time) bool { return soonest.IsZero() || a.Before(soonest) }
	end, _ := t.end()
	through, heard := t.opened, t.heard()
	if end > 0 {
		through = min(through, end)
	}
	for i := 1; i <= through; i++ {
		if a := t.dueAt(i, end, heard); !a.IsZero() && earlier(a) {
			ttl, soonest = i, a
		}
	}
	if end == 0 && t.opened < t.o.MaxHops {
		if a := t.opensAt(heard); earlier(a) {
			ttl, soonest = t.opened+1, a
		}
	}
	if ttl == 0 {
		return 0, time.Time{}
	}
	if spaced := t.last.Add(gap); soonest.Before(spaced) && !t.last.IsZero() {
		soonest = spaced
	}
	if soonest.After(now) {
		return 0, soonest
	}
	return ttl, now
}

// dueAt is when a hop that has been probed gets its next probe, zero if it gets
// none. What it has got early, as the last hop does, is made up for. A hop that
// may be behind the host is not asked again while the host may still answer.
func (t *table) dueAt(ttl, end, heard int) time.Time {
	n, first, last := t.sentTo(ttl, end)
	at := last.Add(t.o.Interval)
	if t.o.Probes != Endless {
		left := t.o.Probes - n
		if left <= 0 {
			return time.Time{}
		}
		all := first.Add(time.Duration(t.o.Probes-1) * t.o.Interval)
		at = last.Add(all.Sub(last) / time.Duration(left))
	}
	if patient := first.Add(t.o.Timeout); end == 0 && ttl > heard && patient.After(at) {
		return patient
	}
	return at
}

// heard is the farthest hop that has answered.
func (t *table) heard() (ttl int) {
	for i := range t.opened {
		if t.hops[i].recv > 0 {
			ttl = i + 1
		}
	}
	return ttl
}

// opensAt is when the next hop gets its first probe: now, as far as the times
// before it are concerned, if it is not too far ahead of those that have
// answered, or else when the next one of these has been waited for long enough.
func (t *table) opensAt(heard int) time.Time {
	if t.opened < heard+ahead {
		return t.last
	}
	// Of those that have not answered, the one in whose place it comes.
	return t.hops[t.opened-ahead].first.Add(t.patience())
}

// sent notes that a probe is sent, and gives it its number.
func (t *table) sent(ttl int, now time.Time) (id int) {
	h := &t.hops[ttl-1]
	if h.sent == 0 {
		h.first = now
	}
	h.sent++
	h.last, t.last = now, now
	t.opened = max(t.opened, ttl)
	id = t.next
	t.next++
	t.waiting[id] = probe{ttl: ttl, seq: h.sent, at: now}
	return id
}

// unsent notes that the system did not send a probe.
func (t *table) unsent(id int, why string) {
	if p, ok := t.waiting[id]; ok {
		t.hops[p.ttl-1].lost++
		delete(t.waiting, id)
		t.failed = why
	}
}

// answered notes what came of a probe. What comes twice, or late, is nothing.
func (t *table) answered(a answer) {
	p, ok := t.waiting[a.id]
	if !ok {
		return
	}
	delete(t.waiting, a.id)
	h := &t.hops[p.ttl-1]
	if !a.from.IsValid() {
		a.from = t.self
	}
	if a.kind == refused && a.from.IsValid() && a.from.WithZone("") == t.o.To.WithZone("") {
		a.kind = arrived // it refuses, and is there
	}
	switch a.kind {
	case arrived:
		h.arrived = true
	case refused:
		h.refused = true
	case exceeded:
		h.exceeded = true
	}
	if h.recv == 0 || a.rtt < h.best {
		h.best = a.rtt
	}
	h.recv++
	h.worst, t.worst = max(h.worst, a.rtt), max(t.worst, a.rtt)
	h.rtts = append(h.rtts, sample{p.at, a.rtt})
	if len(h.rtts) > 2*keep {
		h.rtts = slices.Clone(ordered(h.rtts)[len(h.rtts)-keep:])
	}
	h.meet(a)
}

// meet counts who answered.
func (h *hop) meet(a answer) {
	for i := range h.routers {
		if r := &h.routers[i]; r.addr == a.from {
			r.answers++
			r.target = r.target || a.kind == arrived
			if a.said != "" {
				r.said = a.said
			}
			return
		}
	}
	if len(h.routers) < maxRouters {
		h.routers = append(h.routers, router{a.from, 1, a.said, a.kind == arrived})
	}
}

// expire takes probes for lost that have waited too long.
func (t *table) expire(now time.Time) {
	for id, p := range t.waiting {
		if now.Sub(p.at) >= t.o.Timeout {
			t.hops[p.ttl-1].lost++
			delete(t.waiting, id)
		}
	}
}

// expiresAt is when the next probe will have waited too long.
func (t *table) expiresAt() (at time.Time) {
	for _, p := range t.waiting {
		if a := p.at.Add(t.o.Timeout); at.IsZero() || a.Before(at) {
			at = a
		}
	}
	return at
}

// overAt is when the trace has ended for what is known now: when nobody is
// waited for any more.
func (t *table) overAt() time.Time {
	end, patience := time.Time{}, t.patience()
	for _, p := range t.waiting {
		if a := p.at.Add(patience); a.After(end) {
			end = a
		}
	}
	return end
}

// giveUp takes for lost what is waited for still.
func (t *table) giveUp() {
	for id, p := range t.waiting {
		t.hops[p.ttl-1].lost++
		delete(t.waiting, id)
	}
}

func ordered(s []sample) []sample {
	slices.SortStableFunc(s, func(a, b sample) int { return a.at.Compare(b.at) })
	return s
}

// trace is what is known by now. Hops behind the last one that answered are
// left out but the first of them.
func (t *table) trace() *Trace {
	r := &Trace{To: t.o.To, Method: t.o.Method, Port: t.o.port(1), Hops: []Hop{}, Error: t.failed}
	end, reached := t.end()
	r.Reached = reached
	through := end
	if end == 0 {
		through = min(t.heard()+1, t.opened)
	}
	for ttl := 1; ttl <= through; ttl++ {
		all := t.hops[ttl-1 : ttl]
		if ttl == end {
			all = t.hops[ttl-1 : t.opened]
		}
		r.Hops = append(r.Hops, merge(ttl, all))
	}
	return r
}

// merge makes one hop of the probes of several times to live, all of which
// ended there.
func merge(ttl int, all []hop) Hop {
	h := Hop{TTL: ttl}
	var rtts []sample
	var best, worst time.Duration
	var who hop
	for _, one := range all {
		h.Sent += one.recv + one.lost
		if one.recv == 0 {
			continue
		}
		if h.Recv == 0 || one.best < best {
			best = one.best
		}
		h.Recv += one.recv
		worst = max(worst, one.worst)
		rtts = append(rtts, one.rtts...)
		for _, r := range one.routers {
			who.join(r)
		}
	}
	if h.Sent > 0 {
		h.Loss = float64(h.Sent-h.Recv) / float64(h.Sent)
	}
	h.BestMS, h.WorstMS = milliseconds(best), milliseconds(worst)
	rtts = ordered(rtts)
	for _, s := range rtts[max(0, len(rtts)-keep):] {
		h.RTTsMS = append(h.RTTsMS, milliseconds(s.rtt))
	}
	h.MedMS = median(h.RTTsMS)
	slices.SortStableFunc(who.routers, func(a, b router) int { return cmp.Compare(b.answers, a.answers) })
	for _, r := range who.routers {
		h.Routers = append(h.Routers, Router{Addr: r.addr, Answers: r.answers, Said: r.said, IsTarget: r.target})
	}
	return h
}

// join adds somebody who answered for another time to live.
func (h *hop) join(r router) {
	for i := range h.routers {
		if have := &h.routers[i]; have.addr == r.addr {
			have.answers += r.answers
			have.target = have.target || r.target
			if have.said == "" {
				have.said = r.said
			}
			return
		}
	}
	if len(h.routers) < maxRouters {
		h.routers = append(h.routers, r)
	}
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
