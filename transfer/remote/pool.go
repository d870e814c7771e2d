package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/transfer"
)

const (
	// sessionsEach is how many file sessions one connection carries. OpenSSH
	// allows 10 sessions (MaxSessions in sshd_config(5)); one is left for
	// commands, and as a session that has ended is counted for a moment longer.
	sessionsEach = 9
	// maxConnections is how many connections there are at most where nobody
	// says how many there should be.
	maxConnections = 2
	// dialsAtOnce is how many connections are on their way at a time, beside the
	// first: OpenSSH begins to drop some of them when 10 are not logged in yet
	// (MaxStartups in sshd_config(5)).
	dialsAtOnce = 8
	// aheadFrom is the round trip from which on a second connection is begun
	// before anybody knows that it is of use: its login takes eight of them, and
	// more to get going, in which the first one moves some 150 MB.
	aheadFrom = 80 * time.Millisecond
	// aheadForLarge is the same where there is a large file for sure.
	aheadForLarge = 40 * time.Millisecond
)

// A Pool opens file sessions with one server, over one connection or more. Its
// methods may be called concurrently.
type Pool struct {
	dialer Dialer
	host   Host
	log    *slog.Logger
	fixed  int           // connections wanted; 0: as many as the sessions need
	from   time.Duration // the round trip from which on one is begun ahead
	lead   *lead
	traits *traits // of the server, as all connections share them

	ctx    context.Context // ends with Close, and what is on its way with it
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // the connections on their way
	slots  chan struct{}  // each of them holds one

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, when a connection comes or will not
	first   *Conn
	conns   []*pooled
	coming  int   // connections on their way
	refused error // why there will be no more of them; nil: there may
	closed  bool
}

// pooled is a connection with the sessions on it.
type pooled struct {
	*Conn
	sessions int
	limit    int // learnt from the server
}

// A Spread says over how many connections a Pool spreads its sessions.
type Spread struct {
	// Connections is how many there should be. With 0, a second one is made when
	// it is asked for or the first is full.
	Connections int
	// Ahead has the others begun beside the first one, before they are needed:
	// all that Connections asks for; or a second one, where a round trip takes
	// long. They log in where the first has logged in by a key from a file, and
	// by nothing besides: what may ask a person or a token is used again only
	// when they are needed.
	Ahead bool
	// Large says that a large file will be moved; else that is a hope.
	Large bool
	// Sessions has the first connection begin file sessions before they are needed,
	// where a round trip takes long: processes of the server's for nothing if no
	// large file is moved.
	Sessions bool
	// Commands says that commands will be run, too: a session is left for them.
	Commands bool
}

// DialPool connects to h as Dial does, and makes a pool of that connection. One
// of its sessions is the caller's. The others are dialled by d, the first by
// first, which may be the same. That there is no other one is no error. The
// caller closes the Pool.
func DialPool(ctx context.Context, first, d Dialer, h Host, s Spread, log *slog.Logger) (*Pool, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Pool{
		dialer: d, host: h, log: log, fixed: s.Connections, from: aheadFrom,
		slots: make(chan struct{}, dialsAtOnce), changed: make(chan struct{}), traits: &traits{},
	}
	if s.Large {
		p.from = aheadForLarge
	}
	p.host.LoggedIn = true // when others log in, the first one is
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	var b beside
	if s.Ahead && p.most() > 1 {
		p.lead = newLead(h, p.ahead)
		defer p.lead.over()
		b.leads = p.lead
	}
	c, err := dialBeside(ctx, first, h, b, log)
	if err != nil {
		p.Close() //nolint:errcheck // there is an error already
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Sessions {
		c.wantBegun(p.sessionsAhead(s.Commands))
	}
	c.traits = p.traits
	p.first = c
	p.conns = append([]*pooled{{Conn: c, sessions: 1, limit: c.carries()}}, p.conns...)
	return p, nil
}

// First is the connection that was made first. It ends with the pool.
func (p *Pool) First() *Conn { return p.first }

// sessionsAhead is how many sessions the first connection begins beside its first one.
// All that OpenSSH allows are had once only: when one of them has ended, there are
// sessionsEach. The caller holds mu.
func (p *Pool) sessionsAhead(commands bool) int {
	switch {
	case p.coming > 0:
		return p.share() - 1
	case commands:
		return sessionsEach - 1
	}
	return sessionsEach
}

// share is what a connection carries of all sessions.
func (p *Pool) share() int { return (transfer.MaxSessions + p.most() - 1) / p.most() }

// ahead begins the connections that are to follow the first one, when that has
// found the server and knows how far it is.
func (p *Pool) ahead(trip time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fixed == 0 && trip < p.from {
		return
	}
	p.begin(p.most()-1-p.coming-len(p.conns), p.lead)
}

// begin begins to connect n times more, unless the server has refused one. The
// caller holds mu.
func (p *Pool) begin(n int, follows *lead) {
	if p.closed || p.refused != nil {
		return
	}
	for range n {
		p.coming++
		p.work.Go(func() { p.connect(follows) })
	}
}

// connect makes one connection more.
func (p *Pool) connect(follows *lead) {
	var conn *Conn
	var err error
	began := time.Now()
	select {
	case <-p.ctx.Done():
		err = ctxError(p.ctx)
	case p.slots <- struct{}{}:
		began = time.Now()
		conn, err = dialBeside(p.ctx, p.dialer, p.host, beside{follows: follows}, p.log)
		<-p.slots
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.coming--
	switch {
	case err == nil:
		conn.traits = p.traits
		p.conns = append(p.conns, &pooled{Conn: conn, limit: conn.carries()})
		p.log.Info("another connection", "address", conn.info.Address, "user", conn.info.User, "connections", len(p.conns),
			"seconds", time.Since(began).Round(time.Millisecond).Seconds())
	case p.ctx.Err() != nil:
	case errors.Is(err, errStays): // until it is needed
		p.log.Debug("no connection ahead", "error", err)
	default:
		p.refused = err
		p.log.Info("no further connection, going on without", "error", err)
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// errFull says that there are as many sessions as there may be.
var errFull = errors.New("there are as many sessions as there may be")

// Files opens another session, apart from the first connection if that is asked
// for and can be. It may be closed before its connection. The error is
// transfer.ErrCrowded where the server allows no more.
func (p *Pool) Files(ctx context.Context, apart bool) (transfer.WritableRemote, error) {
	c, err := p.pick(ctx, apart)
	if err != nil {
		return nil, err
	}
	c.takeAfter(p.first)
	files, err := c.another(ctx)
	if err == nil {
		if f, ok := files.(*sftpFiles); ok {
			f.closed = func() { p.leave(c) }
		}
		return files, nil
	}
	p.leave(c)
	var refused *ssh.OpenChannelError
	full := errors.As(err, &refused)
	p.mu.Lock()
	switch {
	case c.gone() != nil:
		c.limit = 0
	case full: // by one that ends just now, if there is no other
		c.limit = min(c.limit, max(1, c.sessions))
	}
	p.mu.Unlock()
	if full {
		return nil, fmt.Errorf("%w: %w", transfer.ErrCrowded, err)
	}
	return nil, err
}

// leave counts a session that has ended.
func (p *Pool) leave(c *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.sessions--
}

// pick returns a connection that takes another session, and counts it. It waits
// for one that is on its way if no other does.
func (p *Pool) pick(ctx context.Context, apart bool) (*pooled, error) {
	for {
		c, changed, err := p.room(apart)
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctxError(ctx)
		}
	}
}

// carries is how many file sessions a connection carries: several where that was tried.
// ProFTPD has one process for all, which takes the handle of one session for one of
// another, or dies: of files of 24 MiB that were put over a line of 50 ms, every second
// failed with "Invalid handle" (seen with 1.3.8).
func (c *Conn) carries() int {
	version := c.Info().ServerVersion
	for _, known := range []string{"OpenSSH", "dropbear", "AsyncSSH", "linehaul"} {
		if strings.Contains(version, known) {
			return sessionsEach
		}
	}
	return 1
}

// most is how many connections there may be.
func (p *Pool) most() int {
	if p.fixed > 0 {
		return p.fixed
	}
	return maxConnections
}

// room returns the connection with the fewest sessions that takes another one,
// and counts it. Without one, and without an error, something will have changed
// when changed is closed.
func (p *Pool) room(apart bool) (c *pooled, changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	want := p.fixed
	if apart {
		want = min(2, p.most())
	}
	p.begin(want-len(p.conns)-p.coming, nil)
	c = p.roomiest(apart)
	if c == nil && p.coming == 0 && len(p.conns) < p.most() {
		p.begin(1, nil)
	}
	switch {
	case c != nil:
		c.sessions++
	case p.coming == 0:
		err = errFull
	}
	return c, p.changed, err
}

// roomiest is the connection with the fewest sessions, if that takes another one.
// While others are on their way, a connection takes no more than its share, and
// none where it is to be one of these. The caller holds mu.
func (p *Pool) roomiest(apart bool) *pooled {
	most := sessionsEach
	switch {
	case p.coming == 0:
	case apart && len(p.conns) == 1, p.fixed > 0 && p.first.roundTrip() < spareFrom:
		return nil
	default: // far away, where many sessions are wanted
		most = p.share()
	}
	var c *pooled
	for _, each := range p.conns {
		room := each.sessions < min(each.limit, most) || p.coming == 0 && each.hasBegun()
		if room && (c == nil || each.sessions < c.sessions) {
			c = each
		}
	}
	return c
}

// Conns are the pool's connections, also those that have broken. They are there
// to be asked.
func (p *Pool) Conns() []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	conns := make([]*Conn, 0, len(p.conns))
	for _, c := range p.conns {
		conns = append(conns, c.Conn)
	}
	return conns
}

// Spread is how many connections sessions are spread over: those that there are,
// and those that are on their way or will be when they are needed.
func (p *Pool) Spread() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fixed > 0 && p.refused == nil {
		return p.fixed
	}
	return len(p.conns) + p.coming
}

// Refused reports whether another connection could not be had.
func (p *Pool) Refused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused != nil
}

// Close ends all connections, also those on their way, and waits for them.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel(errClosed)
	p.work.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.conns {
		errs = append(errs, c.Close())
	}
	p.conns = nil
	return errors.Join(errs...)
}
