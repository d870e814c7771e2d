package transfer

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// MaxSessions is how many sessions large files are moved over at most, and bounds
// the memory: 16 times 4 MiB.
const MaxSessions = 16

const (
	// maxRequest is the most that one request carries: 255 KiB, which OpenSSH,
	// ProFTPD and asyncssh take, and 256 KiB they do not.
	maxRequest = 261120
	// minRequest is what every server takes (draft-ietf-secsh-filexfer-02,
	// section 3).
	minRequest = 32 << 10
	// firstWrite is what one write carries at most while nothing is known of a
	// session's rate, and where that is low: what is on its way is lost if the run
	// is killed.
	firstWrite = 64 << 10
	// writeTime is how long a larger one may take.
	writeTime = 10 * time.Millisecond
	// channelWindow is what an SSH channel carries in a round trip: most servers,
	// and x/crypto, keep its window at 2 MiB, whatever is asked for beyond it.
	channelWindow = 2 << 20
	// putWindow is what a channel should carry when it is written to: what waits
	// in OpenSSH's buffers there costs it dear, the square of what it is.
	putWindow = 768 << 10
	// startPutWindow is the most that is sent on a session before anything is known
	// of its rate. All sessions begin at once, and what the server has not taken
	// in yet waits in those buffers: of 2 MiB on each of nine, nothing was
	// acknowledged for 1.5 s.
	startPutWindow = 1536 << 10
	// maxWindow is the most that a session has under way when getting: twice the
	// channel's, so that the server never waits for a request. When putting it is
	// maxPutWindow: what is beyond the channel's waits here, and takes memory.
	maxWindow    = 4 << 20
	maxPutWindow = channelWindow + 4*maxRequest
	// leastRequests is how many requests may be under way at least, so that the
	// server has the next one before it has answered the last.
	leastRequests = 6
	// leastWrites is the same for writes that are larger than firstWrite.
	leastWrites = 3
	// requestTime is how long one request may take on a slow line, as far as
	// minRequest allows.
	requestTime = 50 * time.Millisecond
	// latencyAge is for how long a short answer time counts.
	latencyAge = 10 * time.Second
)

// A lane is one session with the server, with its measure of the line.
type lane struct {
	remote Remote
	own    bool // it was opened here, and is closed here
	gone   bool // it takes nothing new
	// What is under way of files that it is the home of, see homing.
	homes int
	homed int64 // bytes
	waits bool  // a file that was opened ahead on it was not opened after all

	shared bool // its last turn was a large file's

	window   int64 // bytes that may be under way
	inFlight int64 // bytes that are
	requests sync.WaitGroup

	// What is measured, see observe.
	shortest   time.Duration // the quickest answer of late
	shortestAt time.Time
	since      time.Time // of count
	count      int64     // bytes that came since
	rate       float64   // bytes a second; 0: not known yet
}

// A handle is a file that is open on a lane.
type handle struct {
	file    io.Closer
	ready   bool // false while it is being opened, and after that failed
	opening bool
	sure    bool // it needs no confirmation, or has one

	moved   int // how many pieces were given to it
	unsent  int // of these have not been asked for yet
	looking bool
	looked  bool // it was as before; see looks
	changed error
}

// A spread is a file whose pieces are moved on one lane or on several, in any
// order. All of it is guarded by the mutex of its lanes.
type spread struct {
	name    string
	size    int64
	missing ranges // nobody moves it yet
	done    ranges
	under   int // requests and openings under way
	err     error
	broke   error // why a session that had it open is gone

	home    *lane // the lane on which it is open first
	shared  bool  // other lanes may take part
	hasty   bool  // an opening that is late need not be waited for
	handles map[*lane]*handle
	ended   bool
	// joining bounds the openings on other lanes, and unjoin ends it.
	joining context.Context
	unjoin  context.CancelFunc

	// open opens the file on a lane that has not got it; with ahead it need not wait
	// for the answer. move moves one piece by a handle's file, and may call sent each
	// time that a request of it has gone out. look says whether the file is as it
	// should be; it may be nil. All run concurrently.
	open func(ctx context.Context, r Remote, ahead bool) (io.Closer, error)
	move func(file io.Closer, piece span, sent func()) error
	look lookFunc
	// stale says that something was read after it was looked at.
	stale bool
	// wait waits until n bytes may be moved. It comes before move, so that the
	// measure of the line leaves it out.
	wait  func(n int) error
	moved func(total int64) // may be nil
}

// lanes hand out the pieces of files to sessions, in turns, as far as a session may take
// part in a file.
type lanes struct {
	put bool // to the server
	log *slog.Logger
	now func() time.Time
	// more opens another session, or is nil if there is no other.
	more   session
	spread func() int   // over how many connections it spreads them
	pace   func() int64 // the rate that is allowed, in bytes a second; 0: any
	// commands says that commands are run for files, each in a session of its own.
	commands bool

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	all     []*lane
	files   []*spread
	ahead   int64 // bytes of large files that are not carried yet
	total   int64 // bytes moved in all
	rtt     time.Duration
	growing bool
	opening int // sessions on their way
	closed  bool

	small    hope // files that are not large, and are to come
	starting bool // the first further sessions are on their way
	picking  int  // who waits for room on a session
}

func newLanes(put bool, first Remote, more session, spread func() int, pace func() int64, now func() time.Time, log *slog.Logger) *lanes {
	l := &lanes{put: put, log: log, now: now, more: more, spread: spread, pace: pace}
	if spread == nil {
		l.spread = func() int { return 1 }
	}
	if pace == nil {
		l.pace = func() int64 { return 0 }
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.changed = sync.NewCond(&l.mu)
	l.add(first, false)
	return l
}

// close ends the sessions that were opened here. No file may be under way.
func (l *lanes) close() {
	l.cancel()
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	l.work.Wait()
}

// add puts a session to use. It reports false if it is too late for that.
func (l *lanes) add(r Remote, own bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	a := &lane{remote: r, own: own}
	l.all = append(l.all, a)
	l.work.Go(func() { l.run(a) })
	l.changed.Broadcast()
	return true
}

// begin says what a lane may have under way before anything is known of its
// rate. The caller holds mu.
func (l *lanes) begin(a *lane) {
	lanes := max(1, min(l.live()+l.opening, l.most()))
	share := int64(laneRate*l.trip().Seconds()) / int64(lanes)
	if l.put {
		share = min(share, startPutWindow)
	} else {
		share *= 2 // so that the server never waits for a request
	}
	a.window = min(max(share, leastRequests*l.request(a)), l.widest())
}

// most is how many lanes there are at most before it was seen that they help.
// The caller holds mu.
func (l *lanes) most() int {
	return min(firstLanes+moreLanes*(max(1, l.spread())-1), MaxSessions)
}

// widest is the most that a lane may have under way.
func (l *lanes) widest() int64 {
	if l.put {
		return maxPutWindow
	}
	return maxWindow
}

// trip is the line's round trip, as far as it is known. The caller holds mu.
func (l *lanes) trip() time.Duration {
	if near, ok := l.all[0].remote.(RoundTripper); ok {
		if rtt := near.RoundTrip(); rtt > 0 && (l.rtt == 0 || rtt < l.rtt) {
			l.rtt = rtt
		}
	}
	return l.rtt
}

// live counts the lanes that take work. The caller holds mu.
func (l *lanes) live() int {
	n := 0
	for _, a := range l.all {
		if !a.gone {
			n++
		}
	}
	return n
}

// home is the lane of the session that everything else goes over.
func (l *lanes) home() *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[0]
}

// carry moves a file and returns when no request of it is under way any more.
// It closes every handle but the one of the file's home.
func (l *lanes) carry(ctx context.Context, s *spread) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.fail(s, context.Cause(ctx))
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	s.joining, s.unjoin = context.WithCancel(l.ctx)
	defer s.unjoin()
	l.files = append(l.files, s)
	l.changed.Broadcast()
	if s.shared {
		l.startGrowing()
	}
	for s.under > 0 || s.err == nil && s.done.size() < s.size {
		l.changed.Wait()
	}
	s.ended = true
	for i, f := range l.files {
		if f == s {
			l.files = append(l.files[:i], l.files[i+1:]...)
			break
		}
	}
	for a, h := range s.handles {
		if h.ready && a != s.home {
			shut(h.file)
		}
	}
	return s.err
}

// doneOf returns what is there of a file.
func (l *lanes) doneOf(s *spread) ranges {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(s.done)
}

// fail ends a file: what is under way is cut short. The caller holds mu.
func (l *lanes) fail(s *spread, err error) {
	if s.err != nil || s.ended {
		return
	}
	s.err = err
	s.settle()
	for _, h := range s.handles {
		if h.ready {
			shut(h.file)
		}
	}
	l.changed.Broadcast()
}

// settle gives up openings that would come too late. The caller holds the
// lanes' mutex.
func (s *spread) settle() {
	if s.hasty && (s.err != nil || s.done.size() >= s.size) {
		s.unjoin()
	}
}

// run gives a lane its work until it is gone.
func (l *lanes) run(a *lane) {
	for {
		work := l.next(a)
		if work == nil {
			break
		}
		a.requests.Go(work)
	}
	a.requests.Wait()
	if c, ok := a.remote.(io.Closer); ok && a.own {
		shut(c)
	}
}

// next waits for something that a lane can do. It is nil if there will be
// nothing more.
func (l *lanes) next(a *lane) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && !a.gone {
		if a.window == 0 || a.inFlight < a.window {
			if work := l.turn(a); work != nil {
				return work
			}
		}
		l.changed.Wait()
	}
	return nil
}

// turn is what a lane can do next, or nil. Large files take turns with the others, which
// would wait for as long as one takes; among themselves, either come one after the other,
// so that the first is soon whole. The caller holds mu.
func (l *lanes) turn(a *lane) func() {
	for _, shared := range []bool{!a.shared, a.shared} {
		for _, s := range l.files {
			if s.shared != shared {
				continue
			}
			if work := l.piece(a, s); work != nil {
				a.shared = shared
				return work
			}
		}
	}
	return nil
}

// piece is what a lane can do for a file, or nil. The caller holds mu.
func (l *lanes) piece(a *lane, s *spread) func() {
	if s.err != nil || len(s.missing) == 0 {
		return nil
	}
	h := s.handles[a]
	if h == nil {
		// What the others have before them anyway is not worth an opening. If
		// the sessions that had the file are gone, there are no others.
		if s.carried() && (!s.shared || s.missing.size() < maxWindow) {
			return nil
		}
		h = &handle{opening: true}
		s.handles[a] = h
		s.under++
		ahead := !a.waits
		return func() { l.join(a, s, h, ahead) }
	}
	if !h.ready {
		return nil
	}
	if a.window == 0 {
		l.begin(a)
	}
	p := s.missing.take(l.request(a))
	s.under++
	a.inFlight += p.size()
	h.moved++
	h.unsent++
	s.stale = s.stale || h.looking
	l.looks(s)
	return func() { l.transfer(a, s, h, p) }
}

// join opens a file on a lane that is to take part in it. That it cannot be is
// no failure of the file: the home has it open.
func (l *lanes) join(a *lane, s *spread, h *handle, ahead bool) {
	file, err := s.open(s.joining, a.remote, ahead)
	l.mu.Lock()
	defer l.mu.Unlock()
	s.under--
	h.opening = false
	switch {
	case err != nil:
		l.log.Debug("a session takes no part", keyName, s.name, keyError, err)
		l.lost(a, err)
		l.strand(s, err)
	case s.err != nil:
		shut(file)
	default:
		h.file, h.ready = file, true
	}
	l.changed.Broadcast()
}

// transfer moves one piece.
func (l *lanes) transfer(a *lane, s *spread, h *handle, p span) {
	limited := s.wait(int(p.size()))
	began, err := l.now(), limited
	var unopened error
	if err == nil {
		err = s.move(h.file, p, l.sent(s, h))
		unopened = l.confirm(s, h)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.under--
	a.inFlight -= p.size()
	switch {
	case unopened != nil:
		// Nothing was moved. The lane may try once more, and wait for the answer.
		if h.ready {
			l.log.Debug("a file was not opened ahead", keyName, s.name, keyError, unopened)
			h.ready = false
			shut(h.file)
			if !a.waits {
				a.waits = true
				delete(s.handles, a)
			}
		}
		l.lost(a, unopened)
		s.missing.add(p)
		s.stale = true
		s.broke = unopened
		l.strand(s, unopened)
	case err == nil:
		s.done.add(p)
		l.total += p.size()
		s.settle()
		l.observe(a, p.size(), began, l.now())
		if s.moved != nil {
			s.moved(s.done.size())
		}
	case limited == nil && l.lost(a, err):
		// Another session takes it up.
		h.ready = false
		s.missing.add(p)
		s.stale = true
		s.broke = err
		l.strand(s, err)
	default:
		l.fail(s, err)
	}
	l.changed.Broadcast()
}
