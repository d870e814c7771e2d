package remote

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"linehaul/transfer"
	"linehaul/transfer/sftp"
)

// findSFTPServer is what PuTTY runs, too, where the subsystem is not to be
// had: the program may be there all the same.
const findSFTPServer = "test -x /usr/lib/openssh/sftp-server && exec /usr/lib/openssh/sftp-server; " +
	"test -x /usr/lib/sftp-server && exec /usr/lib/sftp-server; " +
	"test -x /usr/libexec/sftp-server && exec /usr/libexec/sftp-server; " +
	"test -x /usr/libexec/openssh/sftp-server && exec /usr/libexec/openssh/sftp-server; " +
	"test -x /usr/local/lib/sftp-server && exec /usr/local/lib/sftp-server; " +
	"test -x /usr/local/libexec/sftp-server && exec /usr/local/libexec/sftp-server; " +
	"exec sftp-server"

// sftpFiles is a server's files by SFTP.
type sftpFiles struct {
	c       *Conn
	session *session
	client  *sftp.Client
	closed  func() // told once by Close; may be nil
	closing sync.Once

	// What one request may carry, in bytes; readSize shrinks to what the server
	// is seen to answer.
	readSize  atomic.Int64
	writeSize int
}

var (
	_ transfer.WritableRemote = (*sftpFiles)(nil)
	_ transfer.Lister         = (*sftpFiles)(nil)
	_ transfer.WholeRemote    = (*sftpFiles)(nil)
	_ transfer.RequestSizer   = (*sftpFiles)(nil)
	_ transfer.Reopener       = (*sftpFiles)(nil)
	_ transfer.StatOpener     = (*sftpFiles)(nil)
	_ transfer.AheadOpener    = (*sftpFiles)(nil)
	_ transfer.RoundTripper   = (*sftpFiles)(nil)
	_ transfer.Separator      = (*sftpFiles)(nil)
	_ transfer.Syncer         = (*sftpWriter)(nil)
	_ io.ReaderAt             = (*sftpReader)(nil)
	_ transfer.PacketWriterAt = (*sftpWriter)(nil)
	_ transfer.StatCommitter  = (*sftpWriter)(nil)
	_ transfer.Sealer         = orderedWriter{}
)

// A writeHalf is what a session's requests are written to. Closing it leaves the
// answers open.
type writeHalf struct{ ch ssh.Channel }

func (h writeHalf) Write(p []byte) (int, error) { return h.ch.Write(p) }
func (h writeHalf) Close() error                { return h.ch.CloseWrite() }

func (c *Conn) sftpOptions() sftp.Options {
	o := sftp.Options{Sent: c.watch.begin, Answered: c.watch.end, InOrder: c.inOrder()}
	if c.isOpenSSH() {
		// OpenSSH's sftp-server, a process for each session, counts handles from 0.
		o.Numbered = func() bool { return !c.traits.unforeseen.Load() }
	}
	return o
}

// traits are what one session of a server has shown of all.
type traits struct {
	syncs      atomic.Bool // it has fsync@openssh.com
	unforeseen atomic.Bool // it has given another handle than was foreseen
}

// heed notes whether an error is that nothing can be foreseen.
func (t *traits) heed(err error) {
	if errors.Is(err, sftp.ErrUnforeseen) {
		t.unforeseen.Store(true)
	}
}

func (c *Conn) sftpFiles(s *session, client *sftp.Client) *sftpFiles {
	c.spawn(func() {
		c.log.Debug("SFTP session ended", "reason", client.Wait())
		s.abort()
	})
	f := &sftpFiles{c: c, session: s, client: client, writeSize: sftp.SafeData}
	f.readSize.Store(sftp.MaxData)
	return f
}

// inOrder reports whether the server is known to do what belongs to one file in
// order: OpenSSH's sftp-server, which dropbear starts too, and ProFTPD's. Of
// OpenSSH on Windows it was not shown.
func (c *Conn) inOrder() bool {
	version := c.Info().ServerVersion
	return c.isOpenSSH() || strings.Contains(version, "dropbear") || strings.Contains(version, "mod_sftp")
}

// isOpenSSH reports whether the server is OpenSSH's, on something like Unix.
func (c *Conn) isOpenSSH() bool {
	version := c.Info().ServerVersion
	return strings.Contains(version, "OpenSSH") && !strings.Contains(version, "for_Windows")
}

// says reports whether the server has an extension, if it has said by now which it
// has.
func (f *sftpFiles) says(extension string) (has, said bool) {
	select {
	case <-f.client.Greeted():
		_, has = f.client.Extension(extension)
		return has, true
	default:
		return false, false
	}
}

// learn finds out how much one request may carry. A read may be answered with
// less than it asked for, so that asking for much does no harm; a write that is
// too large ends the session, so it is large only where the server is known to
// take that.
func (f *sftpFiles) learn(ctx context.Context) error {
	version := f.c.Info().ServerVersion
	f.trust(version)
	if _, ok := f.client.Extension(sftp.ExtLimits); !ok {
		return nil
	}
	if f.writeSize == sftp.MaxData && strings.Contains(version, "OpenSSH") {
		return nil // its limits are those that MaxData was made for
	}
	limits, err := call(ctx, f.c, nil, func() (sftp.Limits, error) { return f.client.Limits(ctx) }, nil)
	if err != nil {
		return f.c.fileError("ask for the limits of", "SFTP", err)
	}
	bound := func(limit uint64) int {
		const header = 1024
		size := uint64(sftp.MaxData)
		if limit > 0 {
			size = min(size, limit)
		}
		if limits.Packet > 2*header {
			size = min(size, limits.Packet-header)
		}
		return int(max(size, 1024))
	}
	f.readSize.Store(int64(bound(limits.Read)))
	f.writeSize = bound(limits.Write)
	return nil
}

// trust takes a server that is known for what it is known for.
func (f *sftpFiles) trust(version string) {
	for _, known := range []string{"OpenSSH", "mod_sftp", "AsyncSSH"} {
		if strings.Contains(version, known) {
			f.writeSize = sftp.MaxData
		}
	}
}

// Close ends the session, in the background. Files must not be in use.
func (f *sftpFiles) Close() error {
	f.closing.Do(func() {
		f.session.release(f.client.CloseWrite)
		if f.closed != nil {
			f.closed()
		}
	})
	return nil
}

// RoundTrip is about the shortest time in which the server can answer.
func (f *sftpFiles) RoundTrip() time.Duration { return f.c.roundTrip() }

// Separate reports whether each session has a process of its own: OpenSSH's.
func (f *sftpFiles) Separate() bool { return f.c.isOpenSSH() }

// RequestSize says what one read and one write carry at most, in bytes.
func (f *sftpFiles) RequestSize() (read, write int) { return int(f.readSize.Load()), f.writeSize }

// ask runs a request that returns a description.
func (f *sftpFiles) ask(ctx context.Context, request func() (sftp.Info, error)) (sftp.Info, error) {
	began := time.Now()
	info, err := leave(ctx, f.c, nil, request, nil)
	if err == nil {
		f.c.heard(time.Since(began))
	}
	return info, err
}

// tell runs a request that returns an error alone.
func (f *sftpFiles) tell(ctx context.Context, op, path string, request func() error) error {
	_, err := leave(ctx, f.c, nil, func() (struct{}, error) { return struct{}{}, request() }, nil)
	return f.c.fileError(op, path, err)
}

func (f *sftpFiles) Stat(ctx context.Context, name string) (transfer.Entry, error) {
	info, err := f.ask(ctx, func() (sftp.Info, error) { return f.client.Stat(ctx, name) })
	if err != nil {
		return transfer.Entry{}, f.c.fileError("stat", name, err)
	}
	return entry(path.Base(name), info), nil
}

// Realpath is a path from the server's root.
func (f *sftpFiles) Realpath(ctx context.Context, name string) (string, error) {
	whole, err := leave(ctx, f.c, nil, func() (string, error) { return f.client.Realpath(ctx, name) }, nil)
	return whole, f.c.fileError("find", name, err)
}

func (f *sftpFiles) List(ctx context.Context, dir string) ([]transfer.Entry, error) {
	var entries []transfer.Entry
	for e, err := range f.ListSeq(ctx, dir) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// ListSeq lists a folder as the server's answers come.
func (f *sftpFiles) ListSeq(ctx context.Context, dir string) iter.Seq2[transfer.Entry, error] {
	return func(yield func(transfer.Entry, error) bool) {
		for n, err := range f.client.Names(ctx, dir) {
			if err != nil {
				if ctx.Err() != nil {
					err = ctxError(ctx)
				}
				yield(transfer.Entry{}, f.c.fileError("list", dir, f.c.reason(err)))
				return
			}
			if n.Name == "." || n.Name == ".." {
				continue
			}
			if !yield(entry(n.Name, n.Info), nil) {
				return
			}
		}
	}
}

func (f *sftpFiles) Open(ctx context.Context, name string) (transfer.Reader, error) {
	file, err := leave(ctx, f.c, nil, func() (*sftp.File, error) {
		return f.client.Open(ctx, name, sftp.OpenRead, sftp.Attrs{})
	}, (*sftp.File).Drop)
	if err != nil {
		return nil, f.c.fileError("open", name, err)
	}
	return f.reader(file, name), nil
}

// OpenStat is Open and Stat in one round trip where the server works in order.
func (f *sftpFiles) OpenStat(ctx context.Context, name string) (transfer.Reader, transfer.Entry, error) {
	type result struct {
		file *sftp.File
		info sftp.Info
	}
	r, err := leave(ctx, f.c, nil, func() (result, error) {
		file, info, err := f.client.OpenStat(ctx, name)
		return result{file, info}, err
	}, func(r result) { r.file.Drop() })
	if err != nil {
		return nil, transfer.Entry{}, f.c.fileError("open", name, err)
	}
	return f.reader(r.file, name), entry(path.Base(name), r.info), nil
}

// OpenAhead is OpenStat without waiting for the answer; nil where that cannot be.
func (f *sftpFiles) OpenAhead(ctx context.Context, name string) (transfer.AheadReader, error) {
	file, err := f.openAhead(ctx, name, sftp.OpenRead, true)
	if file == nil || err != nil {
		return nil, err
	}
	return f.reader(file, name), nil
}

// ReopenAhead is Reopen without waiting for the answer; nil where that cannot be.
func (f *sftpFiles) ReopenAhead(ctx context.Context, name string, attrs transfer.Attrs) (transfer.AheadWriter, error) {
	file, err := f.openAhead(ctx, name, sftp.OpenWrite, false)
	if file == nil || err != nil {
		return nil, err
	}
	return f.writer(file, name, attrs), nil
}

func (f *sftpFiles) openAhead(ctx context.Context, name string, flags uint32, describe bool) (*sftp.File, error) {
	file, err := leave(ctx, f.c, nil, func() (*sftp.File, error) {
		return f.client.OpenAhead(name, flags, describe)
	}, func(file *sftp.File) {
		if file != nil {
			file.Drop()
		}
	})
	return file, f.c.fileError("open", name, err)
}

func (f *sftpFiles) reader(file *sftp.File, name string) *sftpReader {
	r := &sftpReader{sftpFile: sftpFile{files: f, file: file, path: name, stop: make(chan struct{})}}
	r.ctx, r.end = context.WithCancelCause(f.c.ctx)
	return r
}

// ReadWhole reads a small file in two round trips; see sftp.Client.ReadFile.
func (f *sftpFiles) ReadWhole(ctx context.Context, name string, p []byte) (int, transfer.Entry, error) {
	type result struct {
		n    int
		info sftp.Info
	}
	r, err := leave(ctx, f.c, nil, func() (result, error) {
		n, info, err := f.client.ReadFile(ctx, name, p)
		return result{n, info}, err
	}, nil)
	if err != nil {
		return 0, transfer.Entry{}, f.c.fileError("read", name, err)
	}
	return r.n, entry(path.Base(name), r.info), nil
}

// WriteWhole makes a small file in two round trips; see sftp.Client.WriteFile.
func (f *sftpFiles) WriteWhole(ctx context.Context, name string, packets [][]byte, attrs transfer.Attrs) (transfer.Entry, error) {
	made := sftp.Attrs{SetMode: attrs.Mode != 0, Mode: attrs.Mode.Perm()}
	set := made
	set.MTime = attrs.MTime
	info, err := leave(ctx, f.c, nil, func() (sftp.Info, error) {
		return f.client.WriteFile(ctx, name, packets, made, set)
	}, nil)
	if err != nil {
		return transfer.Entry{}, f.c.fileError("write", name, f.exists(ctx, name, err))
	}
	return entry(path.Base(name), info), nil
}

// exists gives a failed creation its reason where the file is there: version 3
// has no status for that.
func (f *sftpFiles) exists(ctx context.Context, name string, err error) error {
	var status *sftp.StatusError
	if !errors.As(err, &status) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	if _, statErr := f.client.Lstat(ctx, name); statErr == nil {
		return fs.ErrExist
	}
	return err
}

func (f *sftpFiles) Create(ctx context.Context, name string, attrs transfer.Attrs) (transfer.Writer, error) {
	file, err := leave(ctx, f.c, nil, func() (*sftp.File, error) { return f.create(ctx, name, attrs.Mode.Perm()) }, (*sftp.File).Drop)
	if err != nil {
		return nil, f.c.fileError("create", name, err)
	}
	return f.writer(file, name, attrs), nil
}

// Reopen opens a file for writing that is there already, and leaves what is in
// it.
func (f *sftpFiles) Reopen(ctx context.Context, name string, attrs transfer.Attrs) (transfer.Writer, error) {
	file, err := leave(ctx, f.c, nil, func() (*sftp.File, error) {
		return f.client.Open(ctx, name, sftp.OpenWrite, sftp.Attrs{})
	}, (*sftp.File).Drop)
	if err != nil {
		return nil, f.c.fileError("open", name, err)
	}
	return f.writer(file, name, attrs), nil
}

func (f *sftpFiles) writer(file *sftp.File, name string, attrs transfer.Attrs) transfer.AheadWriter {
	w := &sftpWriter{sftpFile: sftpFile{files: f, file: file, path: name, stop: make(chan struct{})}, attrs: attrs}
	if syncs, said := f.says(sftp.ExtFsync); said {
		f.c.traits.syncs.Store(syncs)
	}
	if f.c.inOrder() && f.c.traits.syncs.Load() {
		return orderedWriter{w}
	}
	return w
}

// create makes a new file, with a mode that lets its owner write to it, also by
// another handle. Its mode is set before there is anything in it that others
// should not read: some servers do not look at the one that it is made with.
func (f *sftpFiles) create(ctx context.Context, name string, mode fs.FileMode) (*sftp.File, error) {
	const ownerWrites = 0o200
	attrs := sftp.Attrs{SetMode: mode != 0, Mode: mode | ownerWrites}
	file, err := f.client.Open(ctx, name, sftp.OpenWrite|sftp.OpenCreate|sftp.OpenExcl, attrs)
	if err != nil {
		return nil, f.exists(ctx, name, err)
	}
	if mode == 0 || f.c.inOrder() {
		return file, nil
	}
	if err := f.optional("mode", name, file.Set(ctx, attrs)); err != nil {
		file.Drop()
		f.client.Remove(ctx, name) //nolint:errcheck // the error before counts
		return nil, err
	}
	return file, nil
}

// optional lets pass that a server does not know how to set an attribute.
func (f *sftpFiles) optional(what, name string, err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		f.c.log.Warn("the server cannot set this of a file", "what", what, "path", name)
		return nil
	}
	return err
}

func (f *sftpFiles) Remove(ctx context.Context, name string) error {
	return f.tell(ctx, "remove", name, func() error {
		if err := f.client.Remove(ctx, name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func (f *sftpFiles) Mkdir(ctx context.Context, name string) error {
	return f.tell(ctx, "make folder", name, func() error {
		err := f.client.Mkdir(ctx, name, sftp.Attrs{})
		if err == nil || lost(err) {
			return err
		}
		if info, statErr := f.client.Stat(ctx, name); statErr == nil && info.Mode.IsDir() {
			return nil
		}
		return err
	})
}

func entry(name string, info sftp.Info) transfer.Entry {
	return transfer.Entry{Name: name, Size: info.Size, Mode: info.Mode, MTime: info.MTime}
}
