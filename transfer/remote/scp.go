package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"

	"linehaul/fault"
	"linehaul/transfer"
	"linehaul/transfer/scp"
)

// maxRequest is the size of the buffers, in bytes.
const maxRequest = 32 << 10

// maxEntries bounds a listing.
const maxEntries = 1 << 20

// scpFiles is a server's files by SCP, for servers without SFTP. Each call is
// a session of its own. Folders are listed, and files described, by refusing
// what `scp -f` offers; the rest is done by the shell commands mv, rm, mkdir
// and test. Files are read and written from the beginning to the end only.
//
// A folder's files that cannot be read are listed, too, with size 0 and no
// permission bits. Symbolic links are followed, names with a newline are not
// found.
//
// What the protocol costs: a listing takes two round trips for each entry; and
// as a sink says nothing until it has the file, a put that moves less than some
// 100 KB within the stall timeout is taken for a stall.
type scpFiles struct{ c *Conn }

var _ transfer.WritableRemote = (*scpFiles)(nil)

// openSCP finds out whether the server does SCP, by describing the login
// folder.
func (c *Conn) openSCP(ctx context.Context) (transfer.WritableRemote, error) {
	f := &scpFiles{c}
	var answer *scp.PeerError
	if _, err := f.stat(ctx, "."); err != nil && !errors.As(err, &answer) {
		return nil, err
	}
	return f, nil
}

// A source is a running `scp -f`.
type source struct {
	*session
	records *scp.Receiver
}

func (f *scpFiles) source(ctx context.Context, path string, recursive bool) (*source, error) {
	arg, name, err := scp.Target(path)
	if err != nil {
		return nil, err
	}
	s, err := f.c.exec(ctx, scp.SourceCommand(arg, recursive))
	if err != nil {
		return nil, err
	}
	return &source{s, scp.NewReceiver(s.ch, s.ch, scp.ReceiveOptions{Recursive: recursive, Name: name})}, nil
}

// next returns the next record. It runs inside of call. That there is none at
// all, or what is none, is explained by what the server prints.
func (s *source) next(ctx context.Context) (scp.Record, error) {
	rec, err := s.records.Next()
	var bad *scp.ProtocolError
	if err == io.EOF || errors.As(err, &bad) {
		if err == io.EOF {
			err = s.wait(ctx)
		}
		if words := s.words(ctx); words != "" {
			err = &serverError{words, err}
		} else if err == nil {
			err = errors.New("the server sends no such file, and no reason")
		}
	}
	return rec, err
}

// stat returns errors that are not sorted yet.
func (f *scpFiles) stat(ctx context.Context, path string) (scp.Record, error) {
	s, err := f.source(ctx, path, true)
	if err != nil {
		return scp.Record{}, err
	}
	defer s.finish(ctx)
	return call(ctx, f.c, nil, func() (scp.Record, error) {
		rec, err := s.next(ctx)
		if err == nil {
			err = s.records.Refuse("not wanted")
		}
		return rec, err
	}, nil)
}

func (f *scpFiles) Stat(ctx context.Context, path string) (transfer.Entry, error) {
	rec, err := f.stat(ctx, path)
	if err != nil {
		return transfer.Entry{}, f.c.fileError("stat", path, scpError(err))
	}
	return scpEntry(rec), nil
}

func (f *scpFiles) List(ctx context.Context, dir string) ([]transfer.Entry, error) {
	s, err := f.source(ctx, dir, true)
	if err != nil {
		return nil, f.c.fileError("list", dir, err)
	}
	type listing struct {
		entries []transfer.Entry
		denied  []string // the names of what cannot be read
	}
	l, err := call(ctx, f.c, nil, func() (listing, error) {
		entries, denied, err := s.list(ctx)
		return listing{entries, denied}, err
	}, nil)
	s.finish(ctx) // the server may allow no second session for what follows
	if err != nil {
		return nil, f.c.fileError("list", dir, scpError(err))
	}
	// They are listed all the same: a file that should be fetched and cannot
	// be must not go unnoticed.
	for _, name := range l.denied {
		e := transfer.Entry{Name: name}
		arg, _, err := scp.Target(strings.TrimRight(dir, "/") + "/" + name)
		if err != nil {
			return nil, f.c.fileError("list", dir, err)
		}
		var exit *exitError
		switch err := f.c.run(ctx, "test -d "+scp.Quote(arg)); {
		case err == nil:
			e.Mode = fs.ModeDir
		case !errors.As(err, &exit):
			return nil, f.c.fileError("list", dir, err)
		}
		l.entries = append(l.entries, e)
	}
	return l.entries, nil
}

// list accepts the folder and refuses everything in it. It runs inside of
// call.
func (s *source) list(ctx context.Context) (entries []transfer.Entry, denied []string, err error) {
	rec, err := s.next(ctx)
	if err != nil {
		return nil, nil, err
	}
	if rec.Kind != scp.Dir {
		return nil, nil, errors.New("not a folder")
	}
	if _, err := s.records.Accept(); err != nil {
		return nil, nil, err
	}
	for len(entries)+len(denied) < maxEntries {
		rec, err := s.records.Next()
		var peer *scp.PeerError
		switch {
		case errors.As(err, &peer) && !peer.Fatal:
			name, gone := failedEntry(peer.Text)
			if gone {
				continue
			}
			if name == "" {
				return nil, nil, err
			}
			denied = append(denied, name)
		case err != nil:
			return nil, nil, err
		case rec.Kind == scp.End:
			return entries, denied, nil
		default:
			entries = append(entries, scpEntry(rec))
			if err := s.records.Refuse("not wanted"); err != nil {
				return nil, nil, err
			}
		}
	}
	return nil, nil, fmt.Errorf("more than %d entries", maxEntries)
}

// failedEntry reads a warning of a source about a folder's entry. It returns
// the name of one that must not be read, or whether the entry is none: it has
// vanished, or is a link to nothing, a socket, or the like.
func failedEntry(text string) (name string, gone bool) {
	path, ok := strings.CutSuffix(text, ": Permission denied")
	if !ok {
		return "", strings.HasSuffix(text, ": No such file or directory") || strings.HasSuffix(text, ": not a regular file")
	}
	name = path[strings.LastIndexByte(path, '/')+1:]
	if scp.CheckName(name) != nil {
		return "", false
	}
	return name, false
}

func (f *scpFiles) Open(ctx context.Context, path string) (transfer.Reader, error) {
	s, err := f.source(ctx, path, false)
	if err != nil {
		return nil, f.c.fileError("open", path, err)
	}
	r := &scpReader{files: f, c: f.c, source: s, path: path, stop: make(chan struct{})}
	r.entry, err = call(ctx, f.c, nil, func() (transfer.Entry, error) {
		rec, err := s.next(ctx)
		if err == nil {
			r.body, err = s.records.Accept()
		}
		return scpEntry(rec), err
	}, nil)
	if err != nil {
		s.finish(ctx)
		return nil, f.c.fileError("open", path, scpError(err))
	}
	return r, nil
}

// Create starts `scp -t`, which would overwrite: so it is checked before that
// there is nothing yet.
func (f *scpFiles) Create(ctx context.Context, path string, attrs transfer.Attrs) (transfer.Writer, error) {
	w, err := f.create(ctx, path, attrs)
	if err != nil {
		return nil, f.c.fileError("create", path, scpError(err))
	}
	return w, nil
}

func (f *scpFiles) create(ctx context.Context, path string, attrs transfer.Attrs) (*scpWriter, error) {
	arg, name, err := scp.Target(path)
	if err == nil {
		err = scp.CheckName(name)
	}
	if err != nil {
		return nil, err
	}
	switch _, err := f.stat(ctx, path); {
	case err == nil:
		return nil, fs.ErrExist
	case !errors.Is(scpError(err), fs.ErrNotExist):
		return nil, err
	}
	rec := scp.Record{Name: name, Mode: attrs.Mode.Perm(), Size: attrs.Size, MTime: attrs.MTime}
	if rec.Mode == 0 {
		rec.Mode = 0o644
	}
	s, err := f.c.exec(ctx, scp.SinkCommand(arg))
	if err != nil {
		return nil, err
	}
	w := &scpWriter{c: f.c, session: s, path: path, stop: make(chan struct{})}
	w.file, err = call(ctx, f.c, nil, func() (*scp.FileWriter, error) {
		return scp.NewSender(s.ch, s.ch).File(rec)
	}, nil)
	if err != nil {
		s.finish(ctx)
		if words := s.words(ctx); words != "" {
			err = &serverError{words, err}
		}
		return nil, err
	}
	return w, nil
}

// An scpWriter writes one file from the beginning.
type scpWriter struct {
	c       *Conn
	session *session
	path    string
	file    *scp.FileWriter
	stop    chan struct{}

	committed atomic.Bool
	closing   sync.Once
}

func (w *scpWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		buf := w.c.bufs.Get().(*[]byte)
		part := (*buf)[:copy(*buf, p[written:])]
		n, err := call(context.Background(), w.c, w.stop, func() (int, error) { return w.file.Write(part) }, nil)
		if err != nil {
			return written, w.c.fileError("write", w.path, scpError(err))
		}
		w.c.bufs.Put(buf)
		written += n
	}
	return written, nil
}

// Commit ends the file and waits for what the server says of it, with mode and
// times. Some servers do not say how the command ended, which is no error when
// the protocol has come to its end. Whether the data is on the disk SCP cannot
// tell.
func (w *scpWriter) Commit(ctx context.Context) error {
	_, err := call(ctx, w.c, w.stop, func() (struct{}, error) {
		return struct{}{}, w.c.watch.slowly(func() error {
			if err := w.file.Close(); err != nil {
				return err
			}
			w.session.ch.CloseWrite()         //nolint:errcheck // the sink has said that all is well
			io.Copy(io.Discard, w.session.ch) //nolint:errcheck // likewise
			var exit *exitError
			if err := w.session.wait(ctx); errors.As(err, &exit) && exit.status > 0 {
				return err
			}
			return nil
		})
	}, nil)
	if err != nil {
		return w.c.fileError("commit", w.path, scpError(err))
	}
	w.committed.Store(true)
	return nil
}

func (w *scpWriter) Close() error {
	w.closing.Do(func() {
		close(w.stop)
		if w.committed.Load() {
			w.session.end(nil)
		} else {
			w.session.abort()
		}
	})
	return nil
}

// Replace refuses a folder as the target, into which mv would move.
func (f *scpFiles) Replace(ctx context.Context, from, to string) error {
	a, _, err := scp.Target(from)
	if err != nil {
		return f.c.fileError("rename", from, err)
	}
	b, _, err := scp.Target(to)
	if err != nil {
		return f.c.fileError("rename to", to, err)
	}
	err = f.command(ctx, fmt.Sprintf("test ! -d %s && mv -f -- %s %s", scp.Quote(b), scp.Quote(a), scp.Quote(b)))
	var exit *exitError
	if errors.As(err, &exit) && exit.status == 1 && exit.words == "" {
		err = fs.ErrInvalid // mv would have said something
	}
	return f.c.fileError("rename to", to, err)
}

func (f *scpFiles) Remove(ctx context.Context, path string) error {
	arg, _, err := scp.Target(path)
	if err == nil {
		err = f.command(ctx, "rm -f -- "+scp.Quote(arg))
	}
	return f.c.fileError("remove", path, err)
}

func (f *scpFiles) Mkdir(ctx context.Context, path string) error {
	arg, _, err := scp.Target(path)
	if err == nil {
		err = f.command(ctx, fmt.Sprintf("mkdir -- %s || test -d %s", scp.Quote(arg), scp.Quote(arg)))
	}
	return f.c.fileError("make folder", path, err)
}

// command runs a shell command that stands in for what SCP lacks.
func (f *scpFiles) command(ctx context.Context, line string) error {
	err := f.c.run(ctx, line)
	var exit *exitError
	if errors.Is(err, errRefusedHere) || (errors.As(err, &exit) && (exit.status == 126 || exit.status == 127)) {
		return fault.New(fault.RemoteFile, "the server does not run the command for it: %w", err).
			WithHint("SCP alone can neither rename nor remove: allow test, mv, rm and mkdir for this user on the server, or SFTP")
	}
	return err
}

func scpEntry(rec scp.Record) transfer.Entry {
	return transfer.Entry{Name: rec.Name, Size: rec.Size, Mode: rec.Mode, MTime: rec.MTime}
}

// scpError gives a source's or sink's words their meaning.
func scpError(err error) error {
	var peer *scp.PeerError
	if !errors.As(err, &peer) {
		return err
	}
	if m := meaning(peer.Text); m != nil {
		return m
	}
	return &serverError{peer.Text, err}
}

// meaning returns what the end of a Unix program's message stands for, or nil.
// The messages are those of strerror in the C locale, in which servers run.
func meaning(words string) error {
	switch {
	case strings.HasSuffix(words, "No such file or directory"):
		return fs.ErrNotExist
	case strings.HasSuffix(words, "Permission denied"):
		return fs.ErrPermission
	case strings.HasSuffix(words, "File exists"):
		return fs.ErrExist
	}
	return nil
}
