package transfer

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// laneRate is what the first lanes are to carry together if the line does,
	// in bytes a second.
	laneRate = 400 << 20
	// firstLanes is how many there are at most before it was seen that they help:
	// what one connection carries. moreLanes are those for each further connection:
	// some only, as each is a process of the server's, which takes it some 20 ms
	// to begin.
	firstLanes = 10
	moreLanes  = 6
	// openingTrips and openingTime are what it takes to connect and open a
	// session: so many round trips, and a time that is worth the trouble.
	openingTrips = 40
	openingTime  = 2 * time.Second
	// laneShare is the least that a lane should have before it in a file.
	laneShare = 4 << 20
	// growEvery is how often it is judged whether more lanes help.
	growEvery = 300 * time.Millisecond
	// growBy is by how much the rate must have grown for another lane to stay.
	growBy = 1.08
)

// expect says that so many bytes will be carried soon: if they are many, there
// will be sessions for them. The caller calls begun when they are carried, or
// will not be; a second call does nothing.
func (l *lanes) expect(size int64) (begun func()) {
	if size < SharedSize {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead += size
	l.startGrowing()
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ahead -= size
	})
}

// startGrowing opens more sessions, unless that is going on. The caller holds
// mu.
func (l *lanes) startGrowing() {
	if l.more != nil && !l.growing && !l.closed {
		l.growing, l.starting = true, true
		l.work.Go(l.grow)
	}
}

// grow opens sessions while that makes the transfer faster. A session carries
// one window, of 2 MiB as a rule, in the time of a round trip; so it begins
// with as many as the line's delay calls for, and one on each connection that
// there is, and then tries more: first on a connection apart, which has a
// processor of its own and its own share of the line.
func (l *lanes) grow() {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.growing = false
	}()
	l.mu.Lock()
	n := l.first()
	beside := l.commands && l.onlyHomes()
	if beside && n > 0 {
		n++ // one is given back, so that there is one for commands
	}
	l.mu.Unlock()
	full := l.open(n, false)
	if beside && n > 0 {
		l.retire(1)
	}
	l.mu.Lock()
	l.starting = false
	l.changed.Broadcast()
	l.mu.Unlock()
	if full || beside {
		return
	}
	before, tried := 0.0, 0
	for apart := true; ; apart = false {
		rate, ok := l.measure()
		if !ok {
			return
		}
		if l.pace() > 0 {
			before, tried = 0, 0 // that is the limit's rate, and not the line's
			continue
		}
		if tried > 0 && rate < before*growBy {
			l.retire(tried)
			return
		}
		l.mu.Lock()
		live := l.live()
		l.mu.Unlock()
		before, tried = rate, min(max(1, live/2), MaxSessions-live)
		if tried <= 0 || l.open(tried, apart) {
			return
		}
	}
}

// first is how many more lanes there should be at the beginning. The caller holds mu.
func (l *lanes) first() int {
	window, rate := float64(channelWindow), float64(laneRate)
	if l.put {
		window = putWindow
	}
	if pace := l.pace(); pace > 0 {
		rate = min(rate, float64(pace))
	}
	want := max(int(rate*max(l.trip(), time.Millisecond).Seconds()/window)+1, l.spread())
	most := l.most()
	if l.commands && l.onlyHomes() {
		most = min(most, homesBeside)
	}
	want = min(want, int(l.left()/laneShare), most)
	if l.put && l.pace() == 0 {
		want = max(want, min(homesNear, 1+l.small.files/homeShare))
	}
	return max(0, want-l.live())
}

// left is what there is to move on several lanes, in bytes. The caller holds
// mu.
func (l *lanes) left() int64 {
	left := l.ahead + l.small.bytes
	for _, s := range l.files {
		if s.shared {
			left += s.missing.size()
		}
	}
	return left
}

// open opens n sessions, all at a time, as each takes several round trips, on a
// connection apart if there can be one. It reports whether there can be no more.
// Where the server refused one, another is given back: commands need one, too.
func (l *lanes) open(n int, apart bool) (full bool) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	crowded := false
	l.mu.Lock()
	l.opening = n
	l.mu.Unlock()
	for range n {
		wg.Go(func() {
			r, err := l.more(l.ctx, apart)
			if err == nil && l.add(r, true) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			full = true
			crowded = crowded || errors.Is(err, ErrCrowded)
			if err != nil && l.ctx.Err() == nil {
				l.log.Debug("no further session", keyError, err)
			}
		})
	}
	wg.Wait()
	l.mu.Lock()
	l.opening = 0
	l.mu.Unlock()
	if crowded {
		l.retire(1)
	}
	l.changed.Broadcast()
	return full
}

// measure waits for a while and returns the rate in it, in bytes a second. It
// reports false when so little is left to move that another session would come
// too late.
func (l *lanes) measure() (float64, bool) {
	l.mu.Lock()
	half := max(growEvery, 6*l.rtt) / 2
	l.mu.Unlock()
	// In the first half new lanes get going.
	if !l.pause(half) {
		return 0, false
	}
	l.mu.Lock()
	from, began := l.total, l.now()
	l.mu.Unlock()
	if !l.pause(half) {
		return 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	passed := l.now().Sub(began).Seconds()
	rate := float64(l.total-from) / max(passed, 0.001)
	return rate, float64(l.left()) > max(laneShare, rate*(openingTime+openingTrips*l.rtt).Seconds())
}

// pause waits, and reports false if the lanes were closed meanwhile.
func (l *lanes) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// retire takes n lanes out of use that did not help: the last, but those first that
// are nobody's home, as a home is given back only when its files are moved. One
// stays, also where the first has broken meanwhile.
func (l *lanes) retire(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, homes := range []bool{false, true} {
		for i := len(l.all) - 1; i > 0 && n > 0 && l.live() > 1; i-- {
			if a := l.all[i]; !a.gone && a.own && (homes || a.homes == 0) {
				a.gone = true
				n--
			}
		}
	}
	l.changed.Broadcast()
}

// ErrCrowded is the error of Get.More and Put.More where the server refuses
// another session.
var ErrCrowded = errors.New("the server allows no more sessions")

// session opens another session for large files, if there is a way; apart from
// the first connection if that is asked for and can be.
type session = func(ctx context.Context, apart bool) (WritableRemote, error)
