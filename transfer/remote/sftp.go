package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"linehaul/transfer"
)

// maxRequest is the most that one read or write asks for. Every server must
// do it (draft-ietf-secsh-filexfer-02, section 3, asks for 34000 bytes with
// the header), and larger ones break some.
const maxRequest = 32 << 10

// findSFTPServer is what PuTTY runs, too, where the subsystem is not to be
// had: the program may be there all the same.
const findSFTPServer = "test -x /usr/lib/openssh/sftp-server && exec /usr/lib/openssh/sftp-server; " +
	"test -x /usr/lib/sftp-server && exec /usr/lib/sftp-server; " +
	"test -x /usr/libexec/sftp-server && exec /usr/libexec/sftp-server; " +
	"test -x /usr/libexec/openssh/sftp-server && exec /usr/libexec/openssh/sftp-server; " +
	"test -x /usr/local/lib/sftp-server && exec /usr/local/lib/sftp-server; " +
	"test -x /usr/local/libexec/sftp-server && exec /usr/local/libexec/sftp-server; " +
	"exec sftp-server"

// sftpFiles is a server's files by SFTP. The library does the protocol; its
// WriteTo and ReadFrom, which take a short read for the end of the file, are
// never used.
type sftpFiles struct {
	c      *Conn
	client *sftp.Client
}

var (
	_ transfer.WritableRemote = (*sftpFiles)(nil)
	_ io.ReaderAt             = (*sftpReader)(nil)
	_ io.WriterAt             = (*sftpWriter)(nil)
)

// openSFTP starts a session that speaks SFTP.
func (c *Conn) openSFTP(ctx context.Context, request, argument string) (transfer.WritableRemote, error) {
	s, err := c.open(ctx, request, argument)
	if err != nil {
		return nil, err
	}
	said := &head{}
	client, err := call(ctx, c, nil, func() (*sftp.Client, error) {
		return sftp.NewClientPipe(io.TeeReader(s.ch, said), s.ch)
	}, nil)
	if err != nil {
		s.abort()
		wait(ctx, s.done)
		if text := oneLine(said.String() + " " + s.words(ctx)); text != "" {
			return nil, &serverError{fmt.Sprintf("it says %q", text), err}
		}
		return nil, err
	}
	c.spawn(func() {
		c.log.Debug("SFTP session ended", "reason", client.Wait())
		s.abort()
	})
	return &sftpFiles{c, client}, nil
}

func (f *sftpFiles) Stat(ctx context.Context, path string) (transfer.Entry, error) {
	info, err := call(ctx, f.c, nil, func() (fs.FileInfo, error) { return f.client.Stat(path) }, nil)
	if err != nil {
		return transfer.Entry{}, f.c.fileError("stat", path, err)
	}
	return entry(info), nil
}

func (f *sftpFiles) List(ctx context.Context, dir string) ([]transfer.Entry, error) {
	infos, err := call(ctx, f.c, nil, func() ([]fs.FileInfo, error) { return f.client.ReadDirContext(ctx, dir) }, nil)
	if err != nil {
		return nil, f.c.fileError("list", dir, err)
	}
	entries := make([]transfer.Entry, len(infos))
	for i, info := range infos {
		entries[i] = entry(info)
	}
	return entries, nil
}

func (f *sftpFiles) Open(ctx context.Context, path string) (transfer.Reader, error) {
	file, err := call(ctx, f.c, nil, func() (*sftp.File, error) { return f.client.Open(path) }, closeFile)
	if err != nil {
		return nil, f.c.fileError("open", path, err)
	}
	return &sftpReader{sftpFile{files: f, file: file, path: path, stop: make(chan struct{})}}, nil
}

func (f *sftpFiles) Create(ctx context.Context, path string, attrs transfer.Attrs) (transfer.Writer, error) {
	file, err := call(ctx, f.c, nil, func() (*sftp.File, error) { return f.create(path, attrs.Mode.Perm()) }, closeFile)
	if err != nil {
		return nil, f.c.fileError("create", path, err)
	}
	return &sftpWriter{sftpFile: sftpFile{files: f, file: file, path: path, stop: make(chan struct{})}, attrs: attrs}, nil
}

// create makes a new file. Its mode is set before there is anything in it that
// others should not read. It runs inside of call.
func (f *sftpFiles) create(path string, mode fs.FileMode) (*sftp.File, error) {
	file, err := f.client.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		// Version 3 has no status for a file that exists.
		if _, statErr := f.client.Lstat(path); statErr == nil {
			err = fs.ErrExist
		}
		return nil, err
	}
	if mode == 0 {
		return file, nil
	}
	if err := f.optional("mode", path, file.Chmod(mode)); err != nil {
		closeFile(file)
		f.client.Remove(path) //nolint:errcheck // the error before counts
		return nil, err
	}
	return file, nil
}

// optional lets pass that a server does not know how to set an attribute.
func (f *sftpFiles) optional(what, path string, err error) error {
	var status *sftp.StatusError
	if errors.As(err, &status) && status.FxCode() == sftp.ErrSSHFxOpUnsupported {
		f.c.log.Warn("the server cannot set this of a file", "what", what, "path", path)
		return nil
	}
	return err
}

// Replace renames in one step where the server has posix-rename@openssh.com.
// Plain renames do not replace (section 6.5 of the draft), so elsewhere the
// old file is removed first if there is one.
func (f *sftpFiles) Replace(ctx context.Context, from, to string) error {
	return f.c.fileError("rename to", to, f.c.do(ctx, func() error {
		if _, ok := f.client.HasExtension("posix-rename@openssh.com"); ok {
			return f.client.PosixRename(from, to)
		}
		err := f.client.Rename(from, to)
		if err == nil || lost(err) {
			return err
		}
		if info, statErr := f.client.Lstat(to); statErr != nil || info.IsDir() {
			return err
		}
		f.c.log.Warn("the server cannot replace a file in one step: removing the old one first", "path", to)
		if err := f.client.Remove(to); err != nil {
			return err
		}
		return f.client.Rename(from, to)
	}))
}

func (f *sftpFiles) Remove(ctx context.Context, path string) error {
	return f.c.fileError("remove", path, f.c.do(ctx, func() error {
		// The library's Remove would take an empty folder, too.
		info, err := f.client.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case info.IsDir():
			return errIsFolder
		}
		if err := f.client.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}))
}

func (f *sftpFiles) Mkdir(ctx context.Context, path string) error {
	return f.c.fileError("make folder", path, f.c.do(ctx, func() error {
		err := f.client.Mkdir(path)
		if err == nil || lost(err) {
			return err
		}
		if info, statErr := f.client.Stat(path); statErr == nil && info.IsDir() {
			return nil
		}
		return err
	}))
}

var errIsFolder = errors.New("is a folder")

func entry(info fs.FileInfo) transfer.Entry {
	return transfer.Entry{Name: info.Name(), Size: info.Size(), Mode: info.Mode(), MTime: info.ModTime()}
}

// closeFile drops a file that nobody waits for any more.
func closeFile(file *sftp.File) { file.Close() } //nolint:errcheck // nothing of it is of use

// An sftpFile is what readers and writers have in common.
type sftpFile struct {
	files *sftpFiles
	file  *sftp.File
	path  string
	stop  chan struct{} // closed by Close

	mu     sync.Mutex
	offset int64 // of Read and Write

	closing sync.Once
}

// Close ends calls that are under way, and closes the file in the background.
func (f *sftpFile) Close() error {
	f.closing.Do(func() {
		close(f.stop)
		f.files.c.spawn(func() { closeFile(f.file) })
	})
	return nil
}

// transfer does one request of len(in) or len(out) bytes, maxRequest at most.
// The request has a buffer of its own: it may outlive the call, and then must
// not touch the caller's.
func (f *sftpFile) transfer(request func(buf []byte) (int, error), in, out []byte) (int, error) {
	c := f.files.c
	buf := c.bufs.Get().(*[]byte)
	part := (*buf)[:max(len(in), len(out))]
	copy(part, in)
	n, err := call(context.Background(), c, f.stop, func() (int, error) { return request(part) }, nil)
	if err == nil || err == io.EOF {
		copy(out, part[:n])
		c.bufs.Put(buf)
		return n, err
	}
	return 0, err
}

// An sftpReader reads one file. ReadAt may be called concurrently.
type sftpReader struct{ sftpFile }

func (r *sftpReader) ReadAt(p []byte, offset int64) (int, error) {
	read := 0
	for read < len(p) {
		part, at := p[read:min(len(p), read+maxRequest)], offset+int64(read)
		// The library asks again where the server sent less than was asked for.
		n, err := r.transfer(func(buf []byte) (int, error) { return r.file.ReadAt(buf, at) }, nil, part)
		read += n
		if err == io.EOF {
			return read, io.EOF
		}
		if err != nil {
			return read, r.files.c.fileError("read", r.path, err)
		}
	}
	return read, nil
}

func (r *sftpReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.ReadAt(p[:min(len(p), maxRequest)], r.offset)
	r.offset += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Stat asks by the open handle, so that a file that was put in its place
// meanwhile is not described instead.
func (r *sftpReader) Stat(ctx context.Context) (transfer.Entry, error) {
	info, err := call(ctx, r.files.c, r.stop, r.file.Stat, nil)
	if err != nil {
		return transfer.Entry{}, r.files.c.fileError("stat", r.path, err)
	}
	return entry(info), nil
}

// An sftpWriter writes one file. WriteAt may be called concurrently.
type sftpWriter struct {
	sftpFile
	attrs transfer.Attrs
}

func (w *sftpWriter) WriteAt(p []byte, offset int64) (int, error) {
	written := 0
	for written < len(p) {
		part, at := p[written:min(len(p), written+maxRequest)], offset+int64(written)
		n, err := w.transfer(func(buf []byte) (int, error) { return w.file.WriteAt(buf, at) }, part, nil)
		written += n
		if err != nil {
			return written, w.files.c.fileError("write", w.path, err)
		}
	}
	return written, nil
}

func (w *sftpWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.WriteAt(p, w.offset)
	w.offset += int64(n)
	return n, err
}

// Commit syncs where the server has fsync@openssh.com, closes, and sets the
// times. The mode was set by Create.
func (w *sftpWriter) Commit(ctx context.Context) error {
	f := w.files
	_, err := call(ctx, f.c, w.stop, func() (struct{}, error) {
		err := f.c.watch.slowly(func() error {
			if _, ok := f.client.HasExtension("fsync@openssh.com"); ok {
				if err := w.file.Sync(); err != nil {
					return err
				}
			}
			return w.file.Close()
		})
		if err == nil && !w.attrs.MTime.IsZero() {
			t := wireTime(w.attrs.MTime)
			err = f.optional("times", w.path, f.client.Chtimes(w.path, t, t))
		}
		return struct{}{}, err
	}, nil)
	if err != nil {
		return f.c.fileError("commit", w.path, err)
	}
	return nil
}

// wireTime clamps a time to the 32 bits that version 3 has for it.
func wireTime(t time.Time) time.Time {
	return time.Unix(min(max(t.Unix(), 0), math.MaxUint32), 0)
}
