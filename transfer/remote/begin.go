package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
	"linehaul/transfer/sftp"
)

// openSFTP starts a session that speaks SFTP.
func (c *Conn) openSFTP(ctx context.Context, request, argument string) (transfer.WritableRemote, error) {
	s, err := c.open(ctx, request, argument)
	if err != nil {
		return nil, err
	}
	said := &head{}
	client, err := call(ctx, c, nil, func() (*sftp.Client, error) {
		return sftp.NewClient(io.TeeReader(s.ch, said), writeHalf{s.ch}, c.sftpOptions())
	}, nil)
	if err != nil {
		s.abort()
		wait(ctx, s.done)
		if text := oneLine(said.String() + " " + s.words(ctx)); text != "" {
			return nil, &serverError{fmt.Sprintf("it says %q", text), err}
		}
		return nil, err
	}
	f := c.sftpFiles(s, client)
	return f, f.learn(ctx)
}

// openAheadFrom is the round trip from which on it is worth it not to wait for a
// server's greeting.
const openAheadFrom = 10 * time.Millisecond

// openSFTPAhead is openSFTP, and does not wait for the greeting, where the server is
// known to take what comes right behind and the line is long.
func (c *Conn) openSFTPAhead(ctx context.Context, request, argument string) (transfer.WritableRemote, error) {
	if !c.isOpenSSH() || c.roundTrip() < openAheadFrom {
		return c.openSFTP(ctx, request, argument)
	}
	s, err := c.open(ctx, request, argument)
	if err != nil {
		return nil, err
	}
	f, err := c.hastily(s, func() {
		c.fail(fault.New(fault.Stall, "%s: it says that it begins SFTP, and does not greet: %w", c.host.label(), errUngreeted))
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// errUngreeted is why a connection was ended on which everything waits for a
// greeting.
var errUngreeted = errors.New("no answer")

// beginSFTP is openSFTP where everything is known of the server already: it
// waits for no answer but that the channel is open.
func (c *Conn) beginSFTP(ctx context.Context, request, argument string) (transfer.WritableRemote, error) {
	begun, err := leave(ctx, c, nil, func() (*sftpFiles, error) { return c.takeBegun(), nil }, func(f *sftpFiles) {
		if f != nil {
			f.Close() //nolint:errcheck // nobody has used it
		}
	})
	if err != nil {
		return nil, err
	}
	if begun != nil {
		return begun, nil
	}
	s, err := c.openHastily(ctx, request, argument)
	if err != nil {
		return nil, err
	}
	f, err := c.hastily(s, s.abort)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// hastily begins SFTP on a session that runs it, or is about to. It waits for no
// answer. late is called if the server has not begun it after three quarters of the
// stall time.
func (c *Conn) hastily(s *session, late func()) (*sftpFiles, error) {
	client, err := sftp.Begin(s.ch, writeHalf{s.ch}, c.sftpOptions())
	if err != nil {
		s.abort()
		return nil, err
	}
	c.spawn(func() {
		patience := time.NewTimer(c.host.StallTimeout * 3 / 4)
		defer patience.Stop()
		select {
		case <-client.Greeted():
		case <-client.Ended():
		case <-patience.C:
			late()
		}
	})
	f := c.sftpFiles(s, client)
	f.trust(c.Info().ServerVersion)
	return f, nil
}

// What takes longest to be had on a session is the program behind it, as OpenSSH
// takes nothing before that runs. Where large files are to be moved on a long line,
// the sessions that were opened ahead begin SFTP right behind the first one, and not
// when the first file is known.

// beginEvery is the time from one of them to the next: the server makes a process
// for each, and answers nothing in the meantime.
const beginEvery = 3 * time.Millisecond

// wantBegun says how many sessions are to begin SFTP beside the next one.
func (c *Conn) wantBegun(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = n
}

// hasBegun reports whether there is a session that has begun ahead, or is about to.
func (c *Conn) hasBegun() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.begun)+c.beginning > 0 && !c.unwanted
}

// beginAhead begins a subsystem, SFTP, on the sessions that were opened ahead, as far
// as they are wanted, in the background.
func (c *Conn) beginAhead(argument string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(c.wanted, len(c.spares)+c.ahead)
	c.wanted = 0
	if c.closed || n <= 0 {
		return
	}
	c.beginning = n
	c.wg.Go(func() {
		pace := time.NewTicker(beginEvery)
		defer pace.Stop()
		for range n {
			select {
			case <-pace.C:
			case <-c.ctx.Done():
			}
			if !c.spawn(func() { c.cameBegun(c.beginSpare(argument)) }) {
				c.cameBegun(nil)
			}
		}
	})
}

// beginSpare is a session that was opened ahead, with SFTP on it; nil if there is
// none.
func (c *Conn) beginSpare(argument string) *sftpFiles {
	s := c.spare()
	if s == nil {
		return nil
	}
	if !c.begins(s) {
		s.abort()
		return nil
	}
	if err := s.ask(subsystem, argument, false); err != nil {
		s.abort()
		return nil
	}
	f, err := c.hastily(s, s.abort)
	if err != nil {
		return nil
	}
	return f
}

// begins reports whether a session is still to begin SFTP, and notes it as long as
// nobody knows whether the server does that.
func (c *Conn) begins(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.settled {
		c.hasty = append(c.hasty, s)
	}
	return !c.unwanted
}

// settleBegun ends what was begun ahead, unless the server does it.
func (c *Conn) settleBegun(does bool) {
	c.mu.Lock()
	hasty := c.hasty
	c.hasty, c.settled, c.unwanted = nil, true, !does
	c.spared.Broadcast()
	c.mu.Unlock()
	if does {
		return
	}
	for _, s := range hasty {
		s.abort()
	}
}

// cameBegun notes a session that has begun ahead, or that it has not.
func (c *Conn) cameBegun(f *sftpFiles) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beginning--
	if f != nil {
		c.begun = append(c.begun, f)
	}
	c.spared.Broadcast()
}

// takeBegun returns a session that has begun ahead, or nil. It waits for those that
// are on their way.
func (c *Conn) takeBegun() *sftpFiles {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.begun)+c.beginning > 0 && !c.unwanted {
		if len(c.begun) == 0 {
			c.spared.Wait()
			continue
		}
		f := c.begun[0]
		c.begun = c.begun[1:]
		select {
		case <-f.client.Ended():
		default:
			return f
		}
	}
	return nil
}
