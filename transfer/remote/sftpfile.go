package remote

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"sync"

	"linehaul/transfer"
	"linehaul/transfer/sftp"
)

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
		f.files.c.spawn(f.file.Drop)
	})
	return nil
}

// An sftpReader reads one file. ReadAt may be called concurrently.
type sftpReader struct {
	sftpFile
	// ctx ends with the connection, and with Close: reads are too many for a
	// goroutine each.
	ctx context.Context
	end context.CancelCauseFunc
}

// Close ends reads that are under way.
func (r *sftpReader) Close() error {
	r.end(fs.ErrClosed)
	return r.sftpFile.Close()
}

func (r *sftpReader) ReadAt(p []byte, offset int64) (int, error) {
	return r.read(len(p), offset, func() []byte { return p }, func() {})
}

// ReadPieceAt is ReadAt for what has no room yet.
func (r *sftpReader) ReadPieceAt(n int, offset int64, room func(n int) []byte, sent func()) ([]byte, int, error) {
	if !r.files.c.inOrder() {
		sent = func() {}
	}
	var buf []byte
	read, err := r.read(n, offset, func() []byte {
		if buf == nil {
			buf = room(n)
		}
		return buf
	}, sent)
	if err != nil && err != io.EOF {
		return nil, read, err // the session may still make room, and write to it
	}
	return buf, read, err
}

// read asks again where the server sent less than was asked for, which it may
// do at any time.
func (r *sftpReader) read(size int, offset int64, room func() []byte, sent func()) (int, error) {
	c := r.files.c
	if r.ctx.Err() != nil {
		return 0, c.fileError("read", r.path, c.reason(context.Cause(r.ctx)))
	}
	read := 0
	for read < size {
		most := int(r.files.readSize.Load())
		from, to := read, min(size, read+most)
		n, err := r.file.ReadTo(r.ctx, to-from, func() []byte { return room()[from:to] }, offset+int64(from), sent)
		err = c.reason(err)
		read += n
		switch {
		case err == io.EOF:
			return read, io.EOF
		case err != nil:
			return read, c.fileError("read", r.path, err)
		case n == 0:
			return read, io.ErrNoProgress
		case n < to-from && n >= sftp.SafeData:
			// Perhaps that is the most that it sends; at the end of the file
			// it does no harm to think so.
			r.files.readSize.CompareAndSwap(int64(most), int64(n))
		}
	}
	return read, nil
}

func (r *sftpReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.ReadAt(p[:min(len(p), sftp.MaxData)], r.offset)
	r.offset += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Stat asks by the open handle, so that a file that was put in its place
// meanwhile is not described instead.
func (r *sftpReader) Stat(ctx context.Context) (transfer.Entry, error) {
	info, err := leave(ctx, r.files.c, r.stop, func() (sftp.Info, error) { return r.file.Stat(ctx) }, nil)
	if err != nil {
		return transfer.Entry{}, r.files.c.fileError("stat", r.path, err)
	}
	return entry(path.Base(r.path), info), nil
}

// Described waits for the answer to OpenAhead.
func (r *sftpReader) Described(ctx context.Context) (transfer.Entry, error) {
	info, err := leave(ctx, r.files.c, r.stop, func() (sftp.Info, error) { return r.file.Described(ctx) }, nil)
	if err != nil {
		r.files.c.traits.heed(err)
		return transfer.Entry{}, r.files.c.fileError("open", r.path, err)
	}
	return entry(path.Base(r.path), info), nil
}

// An sftpWriter writes one file. Its methods may be called concurrently.
type sftpWriter struct {
	sftpFile
	attrs transfer.Attrs
}

// Confirm waits for the answer to ReopenAhead.
func (w *sftpWriter) Confirm(ctx context.Context) error {
	_, err := leave(ctx, w.files.c, w.stop, func() (struct{}, error) { return struct{}{}, w.file.Confirm(ctx) }, nil)
	w.files.c.traits.heed(err)
	return w.files.c.fileError("open", w.path, err)
}

// WritePacketAt writes what follows the headroom in one request.
func (w *sftpWriter) WritePacketAt(packet []byte, offset int64, sent func()) error {
	_, err := leave(context.Background(), w.files.c, w.stop, func() (struct{}, error) {
		return struct{}{}, w.file.WriteAt(context.Background(), packet, offset, sent)
	}, nil)
	return w.files.c.fileError("write", w.path, err)
}

// WriteAt is WritePacketAt for data that stands anywhere.
func (w *sftpWriter) WriteAt(p []byte, offset int64) (int, error) {
	written := 0
	for written < len(p) {
		part := p[written:min(len(p), written+w.files.writeSize)]
		packet := make([]byte, sftp.Headroom+len(part))
		copy(packet[sftp.Headroom:], part)
		if err := w.WritePacketAt(packet, offset+int64(written), func() {}); err != nil {
			return written, err
		}
		written += len(part)
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

// Sync makes what was written durable, where the server has fsync@openssh.com.
func (w *sftpWriter) Sync(ctx context.Context) error {
	_, err := leave(ctx, w.files.c, w.stop, func() (struct{}, error) { return struct{}{}, w.sync(ctx) }, nil)
	return w.files.c.fileError("sync", w.path, err)
}

func (w *sftpWriter) sync(ctx context.Context) error {
	return w.files.c.watch.slowly(func() error {
		if err := w.file.Sync(ctx); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		return nil
	})
}

// Commit syncs where the server can, sets mode and times by the open handle, and
// closes.
func (w *sftpWriter) Commit(ctx context.Context) error {
	_, err := w.CommitStat(ctx)
	return err
}

// CommitStat is Commit, and describes the file.
func (w *sftpWriter) CommitStat(ctx context.Context) (transfer.Entry, error) {
	return w.described(ctx, "commit", func() (sftp.Info, error) { return w.file.Finish(ctx, w.final()) })
}

// described runs a request that makes the file durable and describes it.
func (w *sftpWriter) described(ctx context.Context, op string, request func() (sftp.Info, error)) (transfer.Entry, error) {
	c := w.files.c
	info, err := leave(ctx, c, w.stop, func() (info sftp.Info, err error) {
		err = c.watch.slowly(func() error {
			info, err = request()
			return err
		})
		return info, err
	}, nil)
	if err != nil {
		return transfer.Entry{}, c.fileError(op, w.path, err)
	}
	return entry(path.Base(w.path), info), nil
}

// final are the attributes that the file is to have in the end.
func (w *sftpWriter) final() sftp.Attrs {
	return sftp.Attrs{SetMode: w.attrs.Mode != 0, Mode: w.attrs.Mode.Perm(), MTime: w.attrs.MTime}
}

// An orderedWriter is that of a server that works in order, and makes files durable.
type orderedWriter struct{ *sftpWriter }

// Seal makes what was written durable, behind the last write, and describes the
// file.
func (w orderedWriter) Seal(ctx context.Context) (transfer.Entry, error) {
	return w.described(ctx, "sync", func() (sftp.Info, error) { return w.file.SyncStat(ctx) })
}

// Finish sets mode and times, and closes.
func (w orderedWriter) Finish(ctx context.Context, sent func()) error {
	_, err := leave(ctx, w.files.c, w.stop, func() (struct{}, error) { return struct{}{}, w.file.SetClose(ctx, w.final(), sent) }, nil)
	return w.files.c.fileError("finish", w.path, err)
}

// The packets that the engine makes have room for SFTP's header.
var _ [transfer.Headroom - sftp.Headroom]struct{}
