package transfer

import "time"

// request is how much a lane asks for at a time: less on a slow line and under a
// low limit, where a large piece would take long, and what the server takes at
// most. The caller holds mu.
func (l *lanes) request(a *lane) int64 {
	most := int64(minRequest)
	if s, ok := a.remote.(RequestSizer); ok {
		read, write := s.RequestSize()
		if l.put {
			read = write
		}
		most = int64(min(read, maxRequest))
	}
	if l.put {
		most = min(most, max(firstWrite, int64(a.rate*writeTime.Seconds())))
	}
	rate := a.rate
	if pace := l.pace(); pace > 0 && (rate == 0 || float64(pace) < rate) {
		rate = float64(pace)
	}
	if rate > 0 {
		most = min(most, max(minRequest, int64(rate*requestTime.Seconds())))
	}
	return max(1, most)
}

// observe learns from an answer. The window follows the product of bandwidth
// and delay: half as much again as comes in a round trip, so that it grows while
// the line gives more, and shrinks where requests only wait: what waits costs the
// server time (OpenSSH moves its buffers about), and every other lane, too. The
// caller holds mu.
func (l *lanes) observe(a *lane, n int64, began, now time.Time) {
	took := now.Sub(began)
	if a.shortest == 0 || took < a.shortest || now.Sub(a.shortestAt) > latencyAge {
		a.shortest, a.shortestAt = took, now
	}
	if a.since.IsZero() {
		a.since = began
	}
	a.count += n
	passed := now.Sub(a.since)
	if passed < max(2*a.shortest, 20*time.Millisecond) {
		return
	}
	a.rate = float64(a.count) / passed.Seconds()
	trip := a.shortest
	if l.rtt > 0 && trip > 2*l.rtt {
		trip = 2 * l.rtt // what is above that is waiting
	}
	product := a.rate * trip.Seconds()
	more := 1.5
	switch {
	case l.put && took < l.rtt*3/2: // nothing waits
		more = 2
	case l.put:
		more = 1.2
	}
	request := l.request(a)
	least := leastRequests * request
	if l.put {
		least = max(leastRequests*firstWrite, leastWrites*request)
	}
	least = max(least/max(1, int64(l.live())), 2*request)
	// A server that gets going is slow at first, so it shrinks step by step.
	a.window = min(max(int64(more*product), a.window*3/4, least), l.widest())
	a.since, a.count = now, 0
}
