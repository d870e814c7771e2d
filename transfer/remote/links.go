package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
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

func (f *sftpFiles) Lstat(ctx context.Context, path string) (transfer.Entry, error) {
	info, err := call(ctx, f.c, nil, func() (fs.FileInfo, error) { return f.client.Lstat(path) }, nil)
	if err != nil {
		return transfer.Entry{}, f.c.fileError("lstat", path, err)
	}
	return entry(info), nil
}

func (f *sftpFiles) ReadLink(ctx context.Context, path string) (string, error) {
	text, err := call(ctx, f.c, nil, func() (string, error) { return f.client.ReadLink(path) }, nil)
	if err != nil {
		return "", f.c.fileError("read link", path, err)
	}
	return text, nil
}

// Symlink has the two paths in the order of OpenSSH's server, which is not
// that of the draft (section 6.10): others follow OpenSSH.
func (f *sftpFiles) Symlink(ctx context.Context, text, path string) error {
	return f.c.fileError("make link", path, f.c.do(ctx, func() error { return f.client.Symlink(text, path) }))
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
