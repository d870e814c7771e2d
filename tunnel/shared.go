package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/preflight/tcpinfo"
)

// linger is how long a tunnel stays up that nobody uses: the next attempt of a
// job, or the next file of a script, then need not log in again.
const linger = 3 * time.Second

// Shared is a tunnel that comes up when somebody dials through it, is one for
// all who do so at a time, and goes down when the last connection was closed. Its
// methods may be called concurrently.
type Shared struct {
	name   string
	config func(ctx context.Context) (Config, error)

	raising sync.Mutex // one login at a time

	mu     sync.Mutex
	tunnel *Tunnel
	why    error // that it is down for; nil: nobody wanted it to be up
	users  int
	idle   *time.Timer
	closed bool
	work   sync.WaitGroup
}

// NewShared makes the tunnel of a link. config is asked each time that it comes
// up.
func NewShared(name string, config func(ctx context.Context) (Config, error)) *Shared {
	return &Shared{name: name, config: config}
}

// Link is the name of the link.
func (s *Shared) Link() string { return s.name }

// DialContext connects through the tunnel, which is brought up if need be.
func (s *Shared) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	t, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	c, err := t.DialContext(ctx, network, address)
	if err != nil {
		s.leave()
		return nil, err
	}
	return &counted{Conn: c, left: sync.OnceFunc(s.leave), tunnel: t, since: t.now()}, nil
}

// Use brings the tunnel up if need be, and keeps it up until done is called,
// which is to be called once.
func (s *Shared) Use(ctx context.Context) (t *Tunnel, done func(), err error) {
	if t, err = s.enter(ctx); err != nil {
		return nil, nil, err
	}
	return t, s.leave, nil
}

// counted is a connection that keeps the tunnel up.
type counted struct {
	net.Conn
	left   func()
	tunnel *Tunnel
	since  time.Time
}

// Carried are the pairs of ESP SAs that the connection was carried by.
func (c *counted) Carried() []SAPair { return c.tunnel.Carried(c.since) }

// TCPInfo returns the connection's figures.
func (c *counted) TCPInfo() (tcpinfo.Sample, error) { return tcpinfo.Read(c.Conn) }

// CloseWrite tells the peer that no more will come, where the connection has
// that.
func (c *counted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Conn.Close()
}

func (c *counted) Close() error {
	defer c.left()
	return c.Conn.Close()
}

// enter returns the tunnel with one user more.
func (s *Shared) enter(ctx context.Context) (*Tunnel, error) {
	s.raising.Lock()
	defer s.raising.Unlock()
	if t, err := s.current(); t != nil || err != nil {
		return t, err
	}
	c, err := s.config(ctx)
	if err != nil {
		return nil, err
	}
	t, err := Up(ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why = err; err != nil {
		return nil, err
	}
	if s.closed {
		s.down(t)
		return nil, net.ErrClosed
	}
	s.tunnel = t
	s.users++
	return t, nil
}

// current is the tunnel that is up, if one is.
func (s *Shared) current() (*Tunnel, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.tunnel == nil {
		return nil, nil
	}
	select {
	case <-s.tunnel.Done():
		s.why = s.tunnel.Err()
		s.tunnel = nil
		return nil, nil
	default:
	}
	// Connections learn of its end before all of it has ended, and their users
	// come back for another one.
	if err := s.tunnel.Err(); err != nil {
		s.why = err
		s.down(s.tunnel)
		s.tunnel = nil
		return nil, nil
	}
	if s.idle != nil {
		s.idle.Stop()
		s.idle = nil
	}
	s.users++
	return s.tunnel, nil
}

// leave counts a user less, and lets the tunnel go when there is none for a
// while.
func (s *Shared) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	if s.users > 0 || s.closed || s.tunnel == nil || s.idle != nil {
		return
	}
	s.idle = time.AfterFunc(linger, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.users == 0 && s.tunnel != nil {
			s.down(s.tunnel)
			s.tunnel = nil
		}
		s.idle = nil
	})
}

// down closes a tunnel in the background. The caller holds mu.
func (s *Shared) down(t *Tunnel) { s.work.Go(func() { t.Close() }) } //nolint:errcheck // it returns none

// Keep keeps the tunnel up until ctx ends, which is no error: it comes up now,
// and again when it has ended, after a wait that the number of failures in a row
// decides. ended is told of each end and of the wait. Keep gives up on what no
// further try can change.
func (s *Shared) Keep(ctx context.Context, wait func(failures int) time.Duration, ended func(err error, wait time.Duration)) error {
	for failures := 1; ; failures++ {
		t, err := s.enter(ctx)
		if err == nil {
			failures = 0
			select {
			case <-ctx.Done():
			case <-t.Done():
				err = t.Err()
			}
			s.leave()
		}
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		if errors.Is(err, net.ErrClosed) || !fault.Transient(err) {
			return err
		}
		d := wait(max(failures, 1))
		ended(err, d)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d):
		}
	}
}

// Status returns what the tunnel is doing. One that is down has a state, and the
// error of its end if it had one.
func (s *Shared) Status() Status {
	s.mu.Lock()
	t, why := s.tunnel, s.why
	s.mu.Unlock()
	status := Status{State: "down", Networks: []netip.Prefix{}, IKE: []IKE{}, Children: []Child{}, TCP: TCP{Connections: []Connection{}}}
	if t != nil {
		status = t.Status()
	} else if why != nil {
		status.Error = why.Error()
	}
	status.Link = s.name
	return status
}

// Idle reports whether nobody uses the tunnel and it is down.
func (s *Shared) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users == 0 && s.tunnel == nil
}

// Close lets the tunnel go at once, ends what goes through it, and waits for
// that.
func (s *Shared) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.idle != nil {
		s.idle.Stop()
	}
	if s.tunnel != nil {
		s.down(s.tunnel)
		s.tunnel = nil
	}
	s.mu.Unlock()
	s.work.Wait()
	return nil
}
