package remote

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"golang.org/x/crypto/ssh"

	"linehaul/transfer"
)

const (
	// sessionsEach is how many file sessions one connection carries. OpenSSH
	// allows 10 sessions (MaxSessions in sshd_config(5)); two are left for
	// commands.
	sessionsEach = 8
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
	return &Pool{
		dialer: d, host: first.host, log: first.log, fixed: connections,
		conns: []*pooled{{Conn: first, sessions: 1, limit: sessionsEach}},
	}
}

// errFull says that the server allows no more.
var errFull = errors.New("the server allows no more sessions")

// Files opens another session. That the server allows no more is an error.
func (p *Pool) Files(ctx context.Context) (transfer.WritableRemote, error) {
	for {
		c, err := p.pick(ctx)
		if err != nil {
			return nil, err
		}
		files, err := c.Files(ctx)
		if err == nil {
			return files, nil
		}
		p.mu.Lock()
		c.sessions--
		var refused *ssh.OpenChannelError
		full := errors.As(err, &refused)
		if full || c.gone() != nil {
			c.limit = min(c.limit, c.sessions)
		}
		p.mu.Unlock()
		if !full {
			return nil, err
		}
	}
}

// pick returns a connection that takes another session, and counts it.
func (p *Pool) pick(ctx context.Context) (*pooled, error) {
	if c, again := p.room(); !again {
		return c, nil
	}
	// While one connects, others wait and then use that connection.
	p.dialing.Lock()
	defer p.dialing.Unlock()
	if c, again := p.room(); !again {
		return c, nil
	}
	p.mu.Lock()
	full := len(p.conns) >= max(p.fixed, maxConnections)
	p.mu.Unlock()
	if full {
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

// room returns the connection with the fewest sessions that takes another one,
// and counts it. Again is set if there is none, or if there should be another
// connection first.
func (p *Pool) room() (c *pooled, again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, each := range p.conns {
		if each.sessions < each.limit && (c == nil || each.sessions < c.sessions) {
			c = each
		}
	}
	if c == nil || len(p.conns) < p.fixed {
		return nil, true
	}
	c.sessions++
	return c, false
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
