package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/fault"
)

// maxSessions is how many commands run at a time: OpenSSH allows 10 sessions
// on a connection, and a few may be open for SFTP.
const maxSessions = 6

// sessionsFor returns how many commands a server may run at a time. dropbear
// (seen with 2022.83) closes a session that has just begun when another one
// ends at that moment, whether or not the command runs.
func sessionsFor(version string) int {
	if strings.Contains(version, "dropbear") {
		return 1
	}
	return maxSessions
}

var (
	// errRefusedHere says that the server takes the session and not what it
	// is for.
	errRefusedHere = errors.New("refused by the server")
	// errNoAnswer says that the server closed the session instead of an answer.
	errNoAnswer = errors.New("the server closed the session before it had begun")
)

// subsystem is the request for one that the server has a name for (RFC 4254, section
// 6.5).
const subsystem = "subsystem"

// A session is one channel of type "session" (RFC 4254, section 6) that runs
// the SFTP subsystem or a command.
type session struct {
	c      *Conn
	ch     ssh.Channel
	slot   bool // it holds one of c.slots
	stderr head
	said   chan struct{} // closed when stderr has ended

	exited chan struct{} // closed when it is known how the command ended
	done   chan struct{} // closed when the server has closed the channel
	status int           // exit status, -1 if there is none; valid after exited
	signal string        // what ended the command; valid after exited

	closing sync.Once
}

// open opens a session that runs the SFTP subsystem or a command.
func (c *Conn) open(ctx context.Context, request, argument string) (*session, error) {
	return call(ctx, c, nil, func() (*session, error) { return c.request(request, argument, true) }, (*session).abort)
}

// openHastily is open, and does not wait for the server's word that it runs
// what was asked for: for what has run before.
func (c *Conn) openHastily(ctx context.Context, request, argument string) (*session, error) {
	return call(ctx, c, nil, func() (*session, error) { return c.request(request, argument, false) }, (*session).abort)
}

// channel opens a session that runs nothing yet. It blocks, so it runs inside of
// call.
func (c *Conn) channel() (*session, error) {
	began := time.Now()
	ch, requests, err := c.client.OpenChannel("session", nil)
	if err != nil {
		return nil, err
	}
	c.heard(time.Since(began))
	s := &session{c: c, ch: ch, said: make(chan struct{}), exited: make(chan struct{}), done: make(chan struct{}), status: -1}
	if !c.spawn(func() { s.follow(requests) }) {
		return nil, errClosed
	}
	// What is not read would fill the window that it shares with the data.
	c.spawn(func() {
		defer close(s.said)
		io.Copy(&s.stderr, ch.Stderr()) //nolint:errcheck // it ends with the channel
	})
	return s, nil
}

// request is what open does inside of call.
func (c *Conn) request(request, argument string, confirmed bool) (*session, error) {
	s := c.spare()
	if s == nil {
		var err error
		if s, err = c.channel(); err != nil {
			return nil, err
		}
	}
	first := request == subsystem && confirmed
	if first {
		c.beginAhead(argument)
	}
	err := s.ask(request, argument, confirmed)
	if first {
		c.settleBegun(err == nil)
	}
	if err != nil {
		s.abort()
		wait(context.Background(), s.done)
		return nil, err
	}
	return s, nil
}

// ask has the session run something, and waits for the server's word if that is to
// be confirmed.
func (s *session) ask(request, argument string, confirmed bool) error {
	ok, err := s.ch.SendRequest(request, confirmed, ssh.Marshal(struct{ Text string }{argument}))
	switch {
	case err == nil && confirmed && !ok:
		return errRefusedHere
	case errors.Is(err, io.EOF) && s.c.gone() == nil:
		return errNoAnswer
	}
	return err
}

// spareFrom is the round trip from which on that is worth it.
const spareFrom = 30 * time.Millisecond

// openAhead opens as many sessions that run nothing yet as OpenSSH allows, in the
// background: whoever needs one saves a round trip. To the server they are little
// more than numbers.
func (c *Conn) openAhead() {
	for range sessionsEach + 1 {
		c.mu.Lock()
		c.ahead++
		c.mu.Unlock()
		ok := c.spawn(func() {
			s, err := c.channel()
			if err != nil {
				s = nil // the server allows no more
			}
			c.cameAhead(s)
		})
		if !ok {
			c.cameAhead(nil)
		}
	}
}

// cameAhead notes a session that was opened ahead, or that it was not.
func (c *Conn) cameAhead(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead--
	if s != nil {
		c.spares = append(c.spares, s)
	}
	c.spared.Broadcast()
}

// spare returns a session that was opened ahead, or nil. It waits for those that
// are on their way: they may be all that the server allows.
func (c *Conn) spare() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.spares)+c.ahead > 0 {
		if len(c.spares) == 0 {
			c.spared.Wait()
			continue
		}
		s := c.spares[0]
		c.spares = c.spares[1:]
		select {
		case <-s.done: // the server has closed it
		default:
			return s
		}
	}
	return nil
}

// follow keeps how the command ended.
func (s *session) follow(requests <-chan *ssh.Request) {
	defer close(s.done)
	ended := sync.OnceFunc(func() { close(s.exited) })
	defer ended()
	for r := range requests {
		var code struct{ Status uint32 }
		var sig struct {
			Name string
			Rest []byte `ssh:"rest"`
		}
		switch {
		case s.status >= 0 || s.signal != "":
		case r.Type == "exit-status" && ssh.Unmarshal(r.Payload, &code) == nil:
			s.status = int(code.Status & 0xff)
			ended()
		case r.Type == "exit-signal" && ssh.Unmarshal(r.Payload, &sig) == nil:
			s.signal = "signal " + oneLine(sig.Name)
			ended()
		}
		r.Reply(false, nil) //nolint:errcheck // the channel is gone then
	}
}

// wait waits until the command has ended. It blocks, so it runs inside of
// call.
func (s *session) wait(ctx context.Context) error {
	<-s.exited
	if s.status == 0 {
		return nil
	}
	return &exitError{s.status, s.signal, s.words(ctx)}
}

// words returns what the command says on its standard error until it ends.
func (s *session) words(ctx context.Context) string {
	wait(ctx, s.said)
	return oneLine(s.stderr.String())
}

// endGrace is how long a command may take to end once it was told to.
const endGrace = 2 * time.Second

// wait waits for something that is about to happen, but not for long.
func wait(ctx context.Context, happens <-chan struct{}) {
	select {
	case <-happens:
	case <-ctx.Done():
	case <-time.After(endGrace):
	}
}

// end lets the command come to its end, after last if there is any, and closes
// the session, all in the background.
func (s *session) end(last func()) {
	s.closeAfter(endGrace, func() {
		if last != nil {
			last()
		}
		s.ch.CloseWrite()         //nolint:errcheck // it has ended already, then
		io.Copy(io.Discard, s.ch) //nolint:errcheck // likewise
	})
}

// release is end for a session that somebody else reads to its end and writes
// to: the library wakes one reader only, and does not like a write and the end
// of writing at once. last says that nothing more is written.
func (s *session) release(last func() error) {
	s.closeAfter(endGrace, func() { last() }) //nolint:errcheck // it has ended already, then
}

// abort closes the session in the middle, in the background.
func (s *session) abort() { s.closeAfter(0, func() {}) }

// finish is end, or abort if ctx or the connection has ended, and left something
// behind, which may be a write: see release.
func (s *session) finish(ctx context.Context) {
	if ctx.Err() != nil || s.c.gone() != nil {
		s.abort()
	} else {
		s.end(nil)
	}
}

// closeAfter runs f, and closes the session when the server has closed it or
// after some time; whichever of the functions above is called first does so.
// The session's place is free again when the server has closed it.
func (s *session) closeAfter(grace time.Duration, f func()) {
	s.closing.Do(func() {
		s.c.spawn(f)
		s.c.spawn(func() {
			select {
			case <-s.done:
			case <-time.After(grace):
			}
			s.ch.Close() //nolint:errcheck // the connection is gone then
			<-s.done
			if s.slot {
				s.c.slots.give()
			}
		})
	})
}

// exec opens a session that runs a command, as soon as the server may have one
// more. The caller closes it.
func (c *Conn) exec(ctx context.Context, command string) (*session, error) {
	for backoff := 50 * time.Millisecond; ; {
		if err := c.slots.take(ctx, c); err != nil {
			return nil, err
		}
		s, err := c.open(ctx, "exec", command)
		if err == nil {
			s.slot = true
			return s, nil
		}
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			c.slots.give()
			return nil, err
		}
		// OpenSSH refuses sessions beyond its MaxSessions, and has one less
		// for a moment after a command has ended.
		if c.slots.shrink() {
			continue
		}
		c.slots.give()
		if backoff > time.Second {
			return nil, fault.New(fault.SSH, "the server opens no session: %s: %s", refused.Reason, oneLine(refused.Message))
		}
		if err := c.sleep(ctx, backoff); err != nil {
			return nil, err
		}
		backoff *= 2
	}
}

// sleep waits, unless ctx or the connection ends first.
func (c *Conn) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctxError(ctx)
	case <-c.ctx.Done():
		return c.gone()
	}
}

// run runs a command to its end and drops its output. Another exit status than
// 0 is an *exitError.
func (c *Conn) run(ctx context.Context, command string) error {
	s, err := c.exec(ctx, command)
	if err != nil {
		return err
	}
	defer s.finish(ctx)
	return c.do(ctx, func() error {
		s.ch.CloseWrite()         //nolint:errcheck // a lost channel has no exit status
		io.Copy(io.Discard, s.ch) //nolint:errcheck // likewise
		return s.wait(ctx)
	})
}

// An exitError says how a command failed.
type exitError struct {
	status int // -1 if the server did not say
	signal string
	words  string
}

func (e *exitError) Error() string {
	switch {
	case e.words != "":
		return e.words
	case e.signal != "":
		return e.signal
	case e.status < 0:
		return "the server does not say how the command ended"
	}
	return fmt.Sprintf("exit status %d", e.status)
}

func (e *exitError) Unwrap() error { return meaning(e.words) }

// slots bounds the commands that run at a time, and learns the server's bound.
type slots struct {
	mu          sync.Mutex
	limit, used int
	changed     chan struct{} // closed when a slot may be free
}

func newSlots(limit int) *slots { return &slots{limit: limit, changed: make(chan struct{})} }

// take waits for a slot as long as those who have one get anything done.
func (s *slots) take(ctx context.Context, c *Conn) error {
	patience := time.NewTicker(c.host.StallTimeout)
	defer patience.Stop()
	for {
		s.mu.Lock()
		free, changed, limit := s.used < s.limit, s.changed, s.limit
		if free {
			s.used++
		}
		s.mu.Unlock()
		if free {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctxError(ctx)
		case <-c.ctx.Done():
			return c.gone()
		case <-patience.C:
			if c.watch.quiet() >= c.host.StallTimeout {
				return fault.New(fault.SSH, "the server allows %d sessions at a time, and all are in use", limit).
					WithHint("raise MaxSessions in the server's sshd_config, or use SFTP, which needs one session for all files")
			}
		}
	}
}

// try takes a slot if one is free.
func (s *slots) try() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= s.limit {
		return false
	}
	s.used++
	return true
}

func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	close(s.changed)
	s.changed = make(chan struct{})
}

// shrink gives a slot up for good that the server did not honour. It does
// nothing and reports false if it is the only one in use.
func (s *slots) shrink() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used < 2 {
		return false
	}
	s.used--
	s.limit = min(s.limit, s.used)
	return true
}

// maxHead is how many bytes a head keeps.
const maxHead = 512

// A head keeps the beginning of what is written to it. It is safe for
// concurrent use.
type head struct {
	mu   sync.Mutex
	text []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, p[:min(len(p), maxHead-len(h.text))]...)
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.text)
}
