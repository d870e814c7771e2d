// Package proxy lets other programs connect through a dialer: by SOCKS version
// 5 (RFC 1928) with CONNECT and UDP ASSOCIATE, by HTTP's CONNECT (RFC 9110
// section 9.3.6), and by ports that lead to one place.
//
// SOCKS and HTTP share a port, as their first bytes differ. Names are not
// resolved here: the dialer gets them as they came.
//
// Nobody has to log in: who reaches the port may use it, so that it belongs on
// the loopback. Left out: SOCKS 4, BIND, fragments of UDP, GSSAPI and passwords,
// and HTTP requests for anything but a connection.
package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"linehaul/fault"
)

// A Dialer connects to what clients ask for: networks "tcp" and "udp", a name
// or an address, and a port.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Options of a Server. What is 0 has a default.
type Options struct {
	Dialer Dialer
	// MaxClients is how many there may be at a time: 512. More are turned away.
	MaxClients int
	// Handshake is how long a client may take to say what it wants, 10 seconds,
	// and Connect how long the dialer may take, 30 seconds.
	Handshake, Connect time.Duration
	// Idle is after how long without a datagram a way of UDP ends: 2 minutes.
	Idle time.Duration
	Log  *slog.Logger     // may be nil
	Now  func() time.Time // the clock; nil is time.Now
}

const (
	maxClients = 512
	handshake  = 10 * time.Second
	connect    = 30 * time.Second
	idleUDP    = 2 * time.Minute
	// acceptPause is waited when the system has no file for a client.
	acceptPause = 50 * time.Millisecond
)

// A Server serves clients at any number of listeners. It is safe for concurrent
// use.
type Server struct {
	o     Options
	slots chan struct{}
}

// New makes a server.
func New(o Options) *Server {
	orTime := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	orTime(&o.Handshake, handshake)
	orTime(&o.Connect, connect)
	orTime(&o.Idle, idleUDP)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxClients <= 0 {
		o.MaxClients = maxClients
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o, slots: make(chan struct{}, o.MaxClients)}
}

// Serve gives each client of a listener what it asks for by SOCKS or HTTP, until
// ctx ends; then it ends all clients, waits for that, and returns nil. It closes
// the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.accept(ctx, l, s.client)
}

// Forward connects each client of a listener with a target, as Serve does with
// what is asked for.
func (s *Server) Forward(ctx context.Context, l net.Listener, target string) error {
	return s.accept(ctx, l, func(ctx context.Context, c net.Conn) error {
		there, err := s.dial(ctx, "tcp", target)
		if err != nil {
			return err
		}
		join(ctx, c, c, there)
		return nil
	})
}

// accept serves clients until ctx ends.
func (s *Server) accept(ctx context.Context, l net.Listener, serve func(context.Context, net.Conn) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
			s.o.Log.Warn("a client could not be taken", "error", err.Error())
			pause(ctx, acceptPause)
			continue
		case err != nil:
			return fault.New(fault.Internal, "wait for clients at %s: %w", l.Addr(), err)
		}
		select {
		case s.slots <- struct{}{}:
		default:
			s.o.Log.Warn("a client was turned away: there are too many", "client", c.RemoteAddr().String(), "most", s.o.MaxClients)
			c.Close()
			continue
		}
		clients.Go(func() {
			defer func() { <-s.slots }()
			defer c.Close()
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			if err := serve(ctx, c); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("a client got no connection", "client", c.RemoteAddr().String(), "layer", fault.KindOf(err).String(), "error", err.Error())
			}
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// client serves one of SOCKS or HTTP.
func (s *Server) client(ctx context.Context, c net.Conn) error {
	if err := c.SetDeadline(s.o.Now().Add(s.o.Handshake)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, maxHead)
	first, err := r.Peek(1)
	if err == io.EOF {
		return nil // it only looked whether somebody listens
	}
	if err != nil {
		return fault.New(fault.Usage, "the client has not said what it wants: %w", err)
	}
	if first[0] == version5 {
		return s.socks(ctx, c, r)
	}
	return s.http(ctx, c, r)
}

// dial connects to what a client wants.
func (s *Server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	late := fault.New(fault.TCP, "connect to %s: no answer for %v", address, s.o.Connect)
	limited, cancel := context.WithTimeoutCause(ctx, s.o.Connect, late)
	defer cancel()
	c, err := s.o.Dialer.DialContext(limited, network, address)
	if err == nil {
		s.o.Log.Debug("connected", "network", network, "address", address)
	}
	return c, err
}

// join carries bytes both ways until both have ended, or one has failed. What
// has come from the client already is in r. It closes both, at the end.
func join(ctx context.Context, c net.Conn, r io.Reader, there net.Conn) {
	both := func() {
		c.Close()
		there.Close()
	}
	defer both()
	stop := context.AfterFunc(ctx, both)
	defer stop()
	var work sync.WaitGroup
	half := func(to net.Conn, from io.Reader) {
		_, err := io.Copy(to, from)
		if closer, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
			err = closer.CloseWrite()
		} else if err == nil {
			err = net.ErrClosed // it cannot say that no more comes, but by closing
		}
		if err != nil {
			both()
		}
	}
	work.Go(func() { half(there, r) })
	half(c, there)
	work.Wait()
}

// answer is what is made of an error of the dialer.
type answer struct {
	socks byte
	http  string
}

// explain sorts an error into what a client can be told.
func explain(err error) answer {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return answer{replyRefused, "502 Bad Gateway"}
	case fault.Is(err, fault.Route) && !fault.Transient(err):
		return answer{replyForbidden, "403 Forbidden"}
	case fault.Is(err, fault.Route):
		return answer{replyNetwork, "502 Bad Gateway"}
	case fault.Is(err, fault.Name):
		return answer{replyHost, "502 Bad Gateway"}
	case fault.Is(err, fault.TCP), fault.Is(err, fault.Timeout):
		return answer{replyHost, "504 Gateway Timeout"}
	}
	return answer{replyFailure, "502 Bad Gateway"}
}
