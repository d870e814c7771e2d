package transfer

import (
	"context"
	"sync"
	"time"
)

const (
	// laneRate is what the first lanes are to carry together if the line does,
	// in bytes a second.
	laneRate = 200 << 20
	// laneShare is the least that a lane should have before it in a file.
	laneShare = 4 << 20
	// growEvery is how often it is judged whether more lanes help.
	growEvery = 300 * time.Millisecond
	// growBy is by how much the rate must have grown for another lane to stay.
	growBy = 1.08
)

// grow opens sessions while that makes the transfer faster. A session carries
// one window, of 2 MiB as a rule, in the time of a round trip; so it begins
// with as many as the line's delay calls for, and then tries more.
func (l *lanes) grow() {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.growing = false
	}()
	if full := l.open(l.first()); full {
		return
	}
	before, tried := 0.0, 0
	for {
		rate, ok := l.measure()
		if !ok {
			return
		}
		if tried > 0 && rate < before*growBy {
			l.retire(tried)
			return
		}
		l.mu.Lock()
		live := l.live()
		l.mu.Unlock()
		before, tried = rate, min(max(1, live/2), maxLanes-live)
		if tried <= 0 || l.open(tried) {
			return
		}
	}
}

// first is how many more lanes there should be at the beginning.
func (l *lanes) first() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	perLane := float64(firstWindow) / max(l.rtt, time.Millisecond).Seconds()
	want := int(laneRate/perLane) + 1
	var left int64
	for _, s := range l.files {
		if s.shared {
			left += s.missing.size()
		}
	}
	want = min(want, int(left/laneShare), maxLanes)
	return max(0, want-l.live())
}

// open opens n sessions, all at a time, as each takes several round trips. It
// reports whether the server allows no more.
func (l *lanes) open(n int) (full bool) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range n {
		wg.Go(func() {
			r, err := l.more(l.ctx)
			if err == nil && l.add(r, true) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			full = true
			if err != nil && l.ctx.Err() == nil {
				l.log.Debug("no further session", keyError, err)
			}
		})
	}
	wg.Wait()
	l.changed.Broadcast()
	return full
}

// measure waits for a while and returns the rate in it, in bytes a second. It
// reports false when there is nothing large left to move.
func (l *lanes) measure() (float64, bool) {
	l.mu.Lock()
	from, wait := l.total, max(growEvery, 6*l.rtt)
	l.mu.Unlock()
	began := l.now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
		return 0, false
	case <-timer.C:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	busy := false
	for _, s := range l.files {
		busy = busy || s.shared && s.missing.size() > laneShare
	}
	passed := l.now().Sub(began).Seconds()
	return float64(l.total-from) / max(passed, 0.001), busy
}

// retire takes the last n lanes out of use: they did not help.
func (l *lanes) retire(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.all) - 1; i > 0 && n > 0; i-- {
		if a := l.all[i]; !a.gone && a.own {
			a.gone = true
			n--
		}
	}
	l.changed.Broadcast()
}

// session opens another session for large files, if there is a way.
type session = func(ctx context.Context) (WritableRemote, error)
