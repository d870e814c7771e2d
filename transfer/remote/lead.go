package remote

import (
	"context"
	"errors"
	"sync"
	"time"

	"linehaul/fault"
)

// errStays is why a connection that was begun beside the first one did not log
// in: the first has not, or has with what may ask a person or a token again.
var errStays = errors.New("the first connection did not log in by a key from a file alone")

// A lead is what the first of several connections tells those that are begun
// beside it. They follow it at each host on the way:
//
//	first       host key  ...  the server agrees to a key  signature  logged in
//	              |                   |                                   |
//	              begin               settled                             ended
//	              v                   v                                   v
//	follower      connect, host key   that key is offered  .............  signature
//
// A follower begins three round trips after the first and waits at each step until
// the first has come further, which on a line of any length costs it nothing. So a server never
// sees it try a user or a key that was not accepted a moment ago, and nobody is
// asked again: it has the first one's key in memory, and nothing else.
type lead struct {
	// begin is told how long a round trip to the first host takes, once that
	// host's key was accepted. It must not wait.
	begin func(trip time.Duration)
	steps []*step // one for each host, the outermost first
	asks  bool    // a login may need something else than a key from a file first
}

// A step is the first connection's login to one host.
type step struct {
	mu         sync.Mutex
	algorithms []string // by which its host key was accepted; nil: not known yet
	offer      *offer   // the first that the server agreed to
	plain      bool     // it logged in by that one alone
	settled    chan struct{}
	ended      chan struct{}
	settle     func() // closes settled, once
	end        func() // closes ended, once
}

func newLead(h Host, begin func(trip time.Duration)) *lead {
	l := &lead{begin: begin}
	for at := &h; at != nil; at = at.Jump {
		s := &step{settled: make(chan struct{}), ended: make(chan struct{})}
		s.settle = sync.OnceFunc(func() { close(s.settled) })
		s.end = sync.OnceFunc(func() { close(s.ended) })
		l.steps = append(l.steps, s)
	}
	return l
}

// at is the step of a host.
func (l *lead) at(h Host) *step {
	n := 0
	for h.Jump != nil {
		h = *h.Jump
		n++
	}
	return l.steps[n]
}

// over says that the first connection is there, or will not be: nobody waits for
// it any longer.
func (l *lead) over() {
	for _, s := range l.steps {
		s.settle()
		s.end()
	}
}

// look notes whether credentials begin with a key from a file, so that others
// may follow.
func (l *lead) look(c *credentials) {
	if len(c.offers) == 0 || c.offers[0].agent || c.methods[0] != "publickey" {
		l.asks = true
	}
}

// accepted notes by which algorithms a host's key was accepted, and lets others
// begin.
func (l *lead) accepted(s *step, algorithms []string, trip time.Duration) {
	s.mu.Lock()
	s.algorithms = algorithms
	s.mu.Unlock()
	if !l.asks {
		l.begin(trip)
	}
}

// groups are the host key algorithms that the first connection asked for with
// success; else all.
func (s *step) groups(all [][]string) [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.algorithms == nil {
		return all
	}
	return [][]string{s.algorithms}
}

// agreed notes that the server has agreed to a key, which is about to sign.
func (s *step) agreed(o offer) {
	s.mu.Lock()
	if s.offer == nil {
		s.offer = &o
	}
	s.mu.Unlock()
	s.settle()
}

// loggedIn notes how the login ended: by the key with that fingerprint, and
// whether by nothing besides.
func (s *step) loggedIn(key string, alone bool) {
	s.mu.Lock()
	s.plain = alone && s.offer != nil && !s.offer.agent && fingerprint(s.offer.signer.PublicKey()) == key
	s.mu.Unlock()
	s.settle()
	s.end()
}

// key waits for the key that the server agrees to, and returns it if it lies in
// a file.
func (s *step) key(ctx context.Context) (offer, error) {
	select {
	case <-s.settled:
	case <-ctx.Done():
		return offer{}, ctxError(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offer == nil || s.offer.agent {
		return offer{}, fault.Wrap(fault.SSH, errStays)
	}
	return *s.offer, nil
}

// login waits until the first connection is logged in by that key alone.
func (s *step) login(ctx context.Context) error {
	select {
	case <-s.ended:
	case <-ctx.Done():
		return ctxError(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.plain {
		return fault.Wrap(fault.SSH, errStays)
	}
	return nil
}
