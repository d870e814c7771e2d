package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// Files opens a session for files. It may be called several times: each call
// opens a channel of its own, which lasts as long as c. Where a server has
// several ways, the one that worked is kept for the next call.
func (c *Conn) Files(ctx context.Context) (transfer.WritableRemote, error) {
	return c.files(ctx, false)
}

func (c *Conn) files(ctx context.Context, ahead bool) (transfer.WritableRemote, error) {
	ways := c.ways()
	var failed []error
	for i, w := range ways {
		files, err := c.try(ctx, w, ahead, i == len(ways)-1)
		if err == nil {
			c.keep(w, failed)
			c.log.Debug("file session open", "by", w.name)
			return files, nil
		}
		if gone := c.gone(); gone != nil {
			return nil, fmt.Errorf("open files on %s: %w", c.host.Name, gone)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("open files on %s: %w", c.host.Name, ctxError(ctx))
		}
		c.log.Debug("no file session", "by", w.name, "reason", err)
		failed = append(failed, fmt.Errorf("%s: %w", w.name, err))
	}
	return nil, fault.New(fault.SSH, "open files on %s: %w", c.host.Name, joinLine(failed)).AsPermanent().
		WithHint("the login works, but the server allows no file transfer: it needs `Subsystem sftp` in its sshd_config, or the program scp, and a shell that prints nothing on its own")
}

// FilesAhead is Files, and does not wait until a server has greeted that says that it
// begins SFTP: the first questions go out together with the greeting. Should it
// not greet, whatever is asked fails, and Unanswered says so; Files of another
// connection then finds another way.
func (c *Conn) FilesAhead(ctx context.Context) (transfer.WritableRemote, error) {
	return c.files(ctx, true)
}

// Unanswered reports whether files that FilesAhead has returned are of no use, as the
// server has not begun what it said that it begins. Nothing was done by them.
func Unanswered(files transfer.WritableRemote) bool {
	f, ok := files.(*sftpFiles)
	if !ok {
		return false
	}
	gone := f.c.gone()
	return errors.Is(gone, errUngreeted) || gone == nil && f.client.Refused()
}

// heard notes how long the server took for something that is no work.
func (c *Conn) heard(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d > 0 && (c.rtt == 0 || d < c.rtt) {
		c.rtt = d
	}
}

// roundTrip is the shortest that was seen.
func (c *Conn) roundTrip() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rtt
}

// another opens one more session for files, by the way that worked. It returns
// before the server has said that it does, where the server is known to take
// what comes right behind: what was wrong is the error of the first request.
func (c *Conn) another(ctx context.Context) (transfer.WritableRemote, error) {
	c.mu.Lock()
	hasty := c.way.hasty
	c.mu.Unlock()
	if hasty == nil || !c.isOpenSSH() {
		return c.Files(ctx)
	}
	files, err := hasty(ctx)
	if err != nil {
		return nil, fmt.Errorf("open files on %s: %w", c.host.Name, err)
	}
	c.log.Debug("file session open", "by", "more of the same")
	return files, nil
}

// takeAfter has a connection use the way that has worked on another one with the
// same server.
func (c *Conn) takeAfter(first *Conn) {
	first.mu.Lock()
	name, version := first.way.name, first.info.ServerVersion
	first.mu.Unlock()
	if c == first || name == "" || version != c.Info().ServerVersion {
		return
	}
	for _, w := range c.ways() {
		if w.name == name {
			c.keep(w, nil)
		}
	}
}

// keep notes the way that worked after others had failed.
func (c *Conn) keep(w way, failed []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.way.open == nil && c.host.Protocol == SCP && w.protocol == SFTP && len(failed) > 0 {
		c.log.Warn("the server does no SCP: using SFTP", "reason", joinLine(failed))
	}
	c.way, c.info.Protocol = w, w.protocol
}

// try opens files in one way. A server may take a request and then not know
// what to do with it: if there is another way, this one gets less time than the
// watch would give it.
func (c *Conn) try(ctx context.Context, w way, ahead, last bool) (transfer.WritableRemote, error) {
	if !last {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.host.StallTimeout*3/4)
		defer cancel()
	}
	if ahead && w.ahead != nil {
		return w.ahead(ctx)
	}
	return w.open(ctx)
}

// A way is one way to transfer files.
type way struct {
	name     string
	protocol Protocol
	open     func(context.Context) (transfer.WritableRemote, error)
	// ahead is open without waiting for the greeting, and hasty without waiting for
	// any answer, where the way has worked. They may be nil.
	ahead, hasty func(context.Context) (transfer.WritableRemote, error)
}

// ways lists what to try, best first.
func (c *Conn) ways() []way {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.way.open != nil {
		return []way{c.way}
	}
	sftp := []way{
		{
			name: "SFTP subsystem", protocol: SFTP,
			open: func(ctx context.Context) (transfer.WritableRemote, error) { return c.openSFTP(ctx, subsystem, "sftp") },
			ahead: func(ctx context.Context) (transfer.WritableRemote, error) {
				return c.openSFTPAhead(ctx, subsystem, "sftp")
			},
			hasty: func(ctx context.Context) (transfer.WritableRemote, error) { return c.beginSFTP(ctx, subsystem, "sftp") },
		},
		{name: "sftp-server", protocol: SFTP, open: func(ctx context.Context) (transfer.WritableRemote, error) {
			return c.openSFTP(ctx, "exec", findSFTPServer)
		}},
	}
	scp := way{name: "SCP", protocol: SCP, open: c.openSCP}
	switch c.host.Protocol {
	case SFTP:
		return sftp
	case SCP:
		return append([]way{scp}, sftp...)
	default:
		return append(sftp, scp)
	}
}
