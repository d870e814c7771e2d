package remote

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
	"linehaul/transfer/scp"
)

const (
	// secondLookFrom is the size, in bytes, from which on a file is looked at again when
	// its content has come. A source reads a smaller one in one go: a pipe of Linux takes
	// as much at once, and so it waits for nobody on the way. For such a file the second
	// command would take nearly as long as the first.
	secondLookFrom = 64 << 10
	// looks is how often a look is tried that fails for a reason that may pass, such as a
	// server that can start no process. Without an answer all of the content is fetched anew.
	looks = 2
	// lookPause is how long such a reason gets to pass.
	lookPause = time.Second
)

// An scpReader reads one file from the beginning.
type scpReader struct {
	files   *scpFiles
	c       *Conn
	source  *source
	path    string
	entry   transfer.Entry
	body    io.Reader
	stop    chan struct{}
	atEnd   atomic.Bool
	spoiled atomic.Bool // the source says that it could not read all of it
	closing sync.Once
}

func (r *scpReader) Read(p []byte) (int, error) {
	buf := r.c.bufs.Get().(*[]byte)
	part := (*buf)[:min(len(p), maxRequest)]
	n, err := call(context.Background(), r.c, r.stop, func() (int, error) { return r.body.Read(part) }, nil)
	if err != nil && err != io.EOF {
		var peer *scp.PeerError
		if errors.As(err, &peer) {
			r.spoiled.Store(true)
		}
		return 0, r.c.fileError("read", r.path, scpError(err))
	}
	r.atEnd.Store(err == io.EOF)
	copy(p, part[:n])
	r.c.bufs.Put(buf)
	return n, err
}

// Stat describes the file as it was when the server began to send it. When all of it
// has come, or the source could not read on, it describes what has the name now: SCP
// tells nothing more of a file that is open, so that takes a command of its own.
func (r *scpReader) Stat(ctx context.Context) (transfer.Entry, error) {
	if !r.spoiled.Load() && (!r.atEnd.Load() || r.entry.Size < secondLookFrom) {
		return r.entry, nil
	}
	r.endSource() // the server may allow no second session
	for try := 1; ; try++ {
		rec, err := r.files.stat(ctx, r.path)
		if err == nil {
			return scpEntry(rec), nil
		}
		if err = scpError(err); try == looks || !r.mayPass(ctx, err) {
			return transfer.Entry{}, r.lookError(err)
		}
		if err := r.c.sleep(ctx, lookPause); err != nil {
			return transfer.Entry{}, r.c.fileError("look again at", r.path, err)
		}
	}
}

// mayPass reports whether the same look may succeed in a moment: the server has
// neither answered it nor gone away.
func (r *scpReader) mayPass(ctx context.Context, err error) bool {
	var sorted *fault.Error
	return ctx.Err() == nil && !errors.As(err, &sorted) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission)
}

// lookError is the error of a look. Nobody can say whether what was fetched is one file
// or parts of two, so it is none, and is worth another attempt.
func (r *scpReader) lookError(err error) error {
	err = r.c.fileError("look again at", r.path, err)
	var sorted *fault.Error
	if !errors.As(err, &sorted) || sorted.Kind() != fault.RemoteFile {
		return err
	}
	return sorted.AsTransient().WithHint("by SCP it takes a second command to see that a file has held still while it was read, and that failed: look into the server's log, or use SFTP")
}

func (r *scpReader) Close() error {
	r.closing.Do(func() {
		close(r.stop)
		r.endSource()
	})
	return nil
}

// endSource ends the session, unless it has ended.
func (r *scpReader) endSource() {
	if r.atEnd.Load() {
		// The source waits for an answer to its last file.
		r.source.end(func() { r.source.records.Next() }) //nolint:errcheck // the file is whole, whatever it says
	} else {
		r.source.abort()
	}
}
