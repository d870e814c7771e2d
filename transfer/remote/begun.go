package remote

import (
	"time"

	"linehaul/transfer/sftp"
)

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
	return len(c.begun)+c.beginning > 0
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
	c.mu.Lock()
	wanted := !c.unwanted
	if wanted {
		c.hasty = append(c.hasty, s)
	}
	c.mu.Unlock()
	if !wanted {
		s.abort()
		return nil
	}
	if err := s.ask(subsystem, argument, false); err != nil {
		s.abort()
		return nil
	}
	f, err := c.hastily(s)
	if err != nil {
		return nil
	}
	return f
}

// dropBegun ends what was begun ahead, as the server does not do it.
func (c *Conn) dropBegun() {
	c.mu.Lock()
	c.unwanted = true
	hasty := c.hasty
	c.hasty = nil
	c.mu.Unlock()
	for _, s := range hasty {
		s.abort()
	}
	c.spared.Broadcast()
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

// hastily begins SFTP on a session that runs it, or is about to. It waits for no
// answer. A session that the server does not begin is ended after the stall time.
func (c *Conn) hastily(s *session) (*sftpFiles, error) {
	client, err := sftp.Begin(s.ch, writeHalf{s.ch}, c.sftpOptions())
	if err != nil {
		s.abort()
		return nil, err
	}
	c.spawn(func() {
		late := time.NewTimer(c.host.StallTimeout)
		defer late.Stop()
		select {
		case <-client.Greeted():
		case <-client.Ended():
		case <-late.C:
			s.abort()
		}
	})
	f := c.sftpFiles(s, client)
	f.trust(c.Info().ServerVersion)
	return f, nil
}
