package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/crypto/ssh"

	"linehaul/transfer"
)

const (
	// sessionsEach is how many file sessions one connection carries. OpenSSH
	// allows 10 sessions (MaxSessions in sshd_config(5)); one is left for
	// commands.
	sessionsEach = 9
	// maxConnections is how many connections there are at most where nobody
	// says how many there should be.
	maxConnections = 2
)

// A Pool opens file sessions with one server, over one connection or more. Its
// methods may be called concurrently.
type Pool struct {
	dialer Dialer
	host   Host
	log    *slog.Logger
	fixed  int // connections wanted; 0: as many as the sessions need

	dialing sync.Mutex // one connection at a time, for the sake of MaxStartups

	mu    sync.Mutex
	conns []*pooled
}

// pooled is a connection with the sessions on it.
type pooled struct {
	*Conn
	sessions int
	limit    int // learnt from the server
	own      bool
}

// NewPool makes a pool of a connection that exists, on which one file session
// is open, and which the caller closes. With connections above 0, sessions are
// spread over so many; otherwise another is made when one is full.
func NewPool(first *Conn, d Dialer, connections int) *Pool {
	host := first.host
	host.LoggedIn = true
	return &Pool{
		dialer: d, host: host, log: first.log, fixed: connections,
		conns: []*pooled{{Conn: first, sessions: 1, limit: sessionsEach}},
	}
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

// pick returns a connection that takes another session, and counts it.
func (p *Pool) pick(ctx context.Context, apart bool) (*pooled, error) {
	if c, again := p.room(apart); !again {
		return c, nil
	}
	// While one connects, others wait and then use that connection.
	p.dialing.Lock()
	defer p.dialing.Unlock()
	if c, again := p.room(apart); !again {
		return c, nil
	}
	if p.complete() {
		return nil, errFull
	}
	conn, err := Dial(ctx, p.dialer, p.host, p.log)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := &pooled{Conn: conn, sessions: 1, limit: sessionsEach, own: true}
	p.conns = append(p.conns, fresh)
	return fresh, nil
}

// complete reports whether there are as many connections as there may be.
func (p *Pool) complete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) >= p.most()
}

// most is how many connections there may be.
func (p *Pool) most() int {
	if p.fixed > 0 {
		return p.fixed
	}
	return maxConnections
}

// room returns the connection with the fewest sessions that takes another one,
// and counts it. Again is set if there is none, or if there should be another
// connection first.
func (p *Pool) room(apart bool) (c *pooled, again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := p.fixed
	if apart {
		want = min(2, p.most())
	}
	for _, each := range p.conns {
		if each.sessions < each.limit && (c == nil || each.sessions < c.sessions) {
			c = each
		}
	}
	if c == nil || len(p.conns) < want {
		return nil, true
	}
	c.sessions++
	return c, false
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

// Close ends the connections that were made here.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.conns {
		if c.own {
			errs = append(errs, c.Close())
		}
	}
	p.conns = nil
	return errors.Join(errs...)
}
