package transfer

import (
	"context"
	"io"
	"io/fs"
	"time"
)

// Remote is the part of a server's file system that every protocol has. Paths
// are slash-separated and as the server understands them; a relative path
// starts in the login folder.
//
// Errors are *fault.Error of kind RemoteFile (wrapping fs.ErrNotExist or
// fs.ErrPermission where that is the reason), Stall or a network kind. All
// methods may be called concurrently; each returns soon after ctx ends.
type Remote interface {
	// Stat describes what path leads to, through symbolic links.
	Stat(ctx context.Context, path string) (Entry, error)
	// List describes the entries of a folder, in no order, without "." and
	// "..". Links are described as links where the protocol can tell.
	List(ctx context.Context, dir string) ([]Entry, error)
	// Open opens a file for reading. The caller closes it.
	Open(ctx context.Context, path string) (Reader, error)
}

// WritableRemote is a Remote that files can be put on.
type WritableRemote interface {
	Remote
	// Create opens a new file for writing; it fails if path exists.
	Create(ctx context.Context, path string, attrs Attrs) (Writer, error)
	// Replace renames from to to, over an existing file, in one step where
	// the server can do that.
	Replace(ctx context.Context, from, to string) error
	// Remove removes a file. A file that is not there is no error.
	Remove(ctx context.Context, path string) error
	// Mkdir makes one folder. A folder that exists is no error.
	Mkdir(ctx context.Context, path string) error
}

// Entry describes one file or folder.
type Entry struct {
	// Name is the last element of the path, as the peer sent it: validate it
	// with CheckName before it becomes part of a local path.
	Name  string
	Size  int64       // bytes
	Mode  fs.FileMode // type and permission bits
	MTime time.Time   // whole seconds, as SFTP version 3 and SCP carry it
}

// Attrs is what a new file is to be like.
type Attrs struct {
	Size  int64       // bytes that will be written; SCP must know before
	Mode  fs.FileMode // permission bits only
	MTime time.Time
}

// Reader is an open remote file. It may also be an io.ReaderAt whose calls may
// run concurrently; the engine then keeps several requests in flight. Close
// may be called at any time, and ends reads that are under way.
type Reader interface {
	io.ReadCloser
	// Stat describes the open file as it is now.
	Stat(ctx context.Context) (Entry, error)
}

// Writer is a remote file being written. It may also be an io.WriterAt whose
// calls may run concurrently.
type Writer interface {
	io.Writer
	// Commit makes what was written durable as far as the server can, sets
	// mode and modification time, and closes the file. Until it returns nil,
	// the file is not whole.
	Commit(ctx context.Context) error
	// Close gives the file up unless it was committed. It may be called at
	// any time, again, and after Commit; it ends writes that are under way.
	Close() error
}

// What a protocol may have beside that. The engine asks a Remote, a Reader or
// a Writer whether it is one of these.
type (
	// A WholeRemote moves a small file in as few round trips as the protocol
	// allows.
	WholeRemote interface {
		// ReadWhole reads a file into p and describes it as it is afterwards.
		// p wants room for one byte more than the file should have: if it is
		// filled, the file has grown. After an error p must not be used again.
		ReadWhole(ctx context.Context, path string, p []byte) (int, Entry, error)
		// WriteWhole makes a new file, durable as far as the server can, of
		// what follows Headroom bytes in each packet, and describes it. It
		// fails if path exists. After an error the packets must not be used
		// again, and the file may be there.
		WriteWhole(ctx context.Context, path string, packets [][]byte, attrs Attrs) (Entry, error)
	}

	// A RequestSizer says what one read and one write carry at most, in bytes.
	RequestSizer interface {
		RequestSize() (read, write int)
	}

	// A PacketWriterAt is a Writer that puts its header before the data, where
	// the caller leaves room for it, and so need not copy. Calls may run
	// concurrently.
	PacketWriterAt interface {
		// WritePacketAt writes what follows Headroom bytes, as one request, and
		// waits for the answer. It calls sent when the packet may be used again,
		// which is as soon as it is on its way; after an error it may be that
		// nobody does.
		WritePacketAt(packet []byte, offset int64, sent func()) error
	}

	// A PieceReader is an io.ReaderAt that makes room for what it reads only when
	// that comes: on a long line most of what is asked for is under way. Calls
	// may run concurrently.
	PieceReader interface {
		// ReadPieceAt reads n bytes, or what there is of them, as ReadAt does,
		// into what room returns for n, which is called once at most. It
		// returns that, nil if nothing came, and how much of it was read.
		// After an error but io.EOF it must not be used again. Where the server
		// does what it is asked by one Reader in the order of the questions, sent
		// is called each time that one of this piece has gone out, and else never.
		ReadPieceAt(n int, offset int64, room func(n int) []byte, sent func()) ([]byte, int, error)
	}

	// A StatOpener opens a file for reading and describes it at the same time.
	StatOpener interface {
		OpenStat(ctx context.Context, path string) (Reader, Entry, error)
	}

	// An AheadOpener opens a file once more, on another session, without waiting
	// for the server: what is moved by it counts once the server has answered.
	// Both are nil where that has to be waited for.
	AheadOpener interface {
		OpenAhead(ctx context.Context, path string) (AheadReader, error)
		ReopenAhead(ctx context.Context, path string, attrs Attrs) (AheadWriter, error)
	}

	// An AheadReader is a Reader that was opened ahead.
	AheadReader interface {
		Reader
		io.ReaderAt
		PieceReader
		// Described waits until the server has opened the file, and describes
		// what had its name then. After an error, nothing that was read was its
		// content.
		Described(ctx context.Context) (Entry, error)
	}

	// An AheadWriter is a Writer that was opened ahead.
	AheadWriter interface {
		Writer
		PacketWriterAt
		// Confirm waits until the server has opened the file. After an error,
		// nothing was written to it.
		Confirm(ctx context.Context) error
	}

	// A RoundTripper knows about the shortest time in which the server can
	// answer. It is 0 while nothing was asked.
	RoundTripper interface {
		RoundTrip() time.Duration
	}

	// A Separator reports whether each session has a process of its own on the server,
	// so that several work side by side on small files.
	Separator interface {
		Separate() bool
	}

	// A Reopener opens a file for writing again that was created before.
	Reopener interface {
		Reopen(ctx context.Context, path string, attrs Attrs) (Writer, error)
	}

	// A StatCommitter is a Writer that describes the file as it commits it.
	StatCommitter interface {
		CommitStat(ctx context.Context) (Entry, error)
	}

	// A Sealer is a Writer of a server that does what it is asked in one session in
	// the order of the questions.
	Sealer interface {
		PacketWriterAt
		// Seal makes durable, as far as the server can, what was written by this
		// Writer, and describes the file as it is after that. It may be called as
		// soon as the last write was sent.
		Seal(ctx context.Context) (Entry, error)
		// Finish sets mode and modification time, and closes the file. It calls sent
		// when that is on its way: what is asked of its Remote then comes after it.
		// After an error it may be that nobody does.
		Finish(ctx context.Context, sent func()) error
	}

	// A Syncer is a Writer that can make what was written durable on the way.
	Syncer interface {
		Sync(ctx context.Context) error
	}
)

// Headroom is how many bytes a packet has before its data: no protocol needs
// more.
const Headroom = 288

// openStat opens a file for reading, and describes it.
func openStat(ctx context.Context, r Remote, path string) (Reader, Entry, error) {
	if both, ok := r.(StatOpener); ok {
		return both.OpenStat(ctx, path)
	}
	file, err := r.Open(ctx, path)
	if err != nil {
		return nil, Entry{}, err
	}
	e, err := file.Stat(ctx)
	if err != nil {
		shut(file)
		return nil, Entry{}, err
	}
	return file, e, nil
}
