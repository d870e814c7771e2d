package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"linehaul/transfer"
)

// What SFTP can do beside the rest: links, and the server's clock.
var (
	_ transfer.LinkReader = (*sftpFiles)(nil)
	_ transfer.LinkMaker  = (*sftpFiles)(nil)
	_ transfer.Clock      = (*sftpFiles)(nil)
	_ transfer.Clock      = (*scpFiles)(nil)
)

func (f *sftpFiles) ReadLink(ctx context.Context, path string) (string, error) {
	text, err := leave(ctx, f.c, nil, func() (string, error) { return f.client.Readlink(ctx, path) }, nil)
	if err != nil {
		return "", f.c.fileError("read link", path, err)
	}
	return text, nil
}

func (f *sftpFiles) Symlink(ctx context.Context, text, path string) error {
	return f.tell(ctx, "make link", path, func() error { return f.client.Symlink(ctx, text, path) })
}

func (f *sftpFiles) Clock(ctx context.Context) (time.Time, error) { return f.c.clock(ctx) }
func (f *scpFiles) Clock(ctx context.Context) (time.Time, error)  { return f.c.clock(ctx) }

const (
	// clockTime is how long a server may take to tell its time; one that
	// allows file transfer alone may say nothing at all.
	clockTime = 5 * time.Second
	// maxClock bounds what it says, in bytes.
	maxClock = 64
)

var errNoTime = errors.New("the server does not tell its time")

// clock asks for the time by a command. There is no such request in SFTP.
func (c *Conn) clock(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, clockTime, errNoTime)
	defer cancel()
	s, err := c.exec(ctx, "date -u +%s")
	if err != nil {
		return time.Time{}, err
	}
	defer s.abort()
	said, err := leave(ctx, c, nil, func() ([]byte, error) {
		s.ch.CloseWrite() //nolint:errcheck // it may have ended already
		return io.ReadAll(io.LimitReader(s.ch, maxClock))
	}, nil)
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(string(bytes.TrimSpace(said)), 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}, errNoTime
	}
	return time.Unix(seconds, 0), nil
}
