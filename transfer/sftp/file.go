package sftp

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
)

// A File is an open file of a session. Its methods may be called concurrently.
type File struct {
	c      *Client
	handle string
	closed atomic.Bool

	// Of a file that was opened ahead, and nil else.
	opening, stat *request
	sure          atomic.Bool // the handle is the one that was foreseen
}

// Open opens a file (section 6.3); attrs are those that a file is made with.
func (c *Client) Open(ctx context.Context, path string, flags uint32, attrs Attrs) (*File, error) {
	q, err := c.sendOpen(openPacket(path, flags, attrs))
	if err != nil {
		return nil, err
	}
	return c.newFile(c.take(ctx, q, typeHandle))
}

func openPacket(path string, flags uint32, attrs Attrs) *encoder {
	return begin(typeOpen, 32+len(path)).string(path).uint32(flags).attrs(attrs)
}

// newFile makes a file of the answer to an open.
func (c *Client) newFile(d *decoder, err error) (*File, error) {
	if err != nil {
		return nil, err
	}
	h, err := d.handle()
	if err != nil {
		return nil, err
	}
	return &File{c: c, handle: h}, nil
}

// OpenStat opens a file for reading and describes what has its name after that,
// in one round trip where the server works in order, and in two elsewhere.
func (c *Client) OpenStat(ctx context.Context, path string) (*File, Info, error) {
	open, err := c.sendOpen(openPacket(path, OpenRead, Attrs{}))
	if err != nil {
		return nil, Info{}, err
	}
	var stat *request
	if c.options.InOrder {
		if stat, err = c.send(statPacket(path)); err != nil {
			c.leave(open)
			return nil, Info{}, err
		}
	}
	f, err := c.newFile(c.take(ctx, open, typeHandle))
	if err != nil {
		if stat != nil {
			c.leave(stat)
		}
		return nil, Info{}, err
	}
	var info Info
	if stat != nil {
		info, err = infoOf(c.take(ctx, stat, typeAttrs))
	} else {
		info, err = f.Stat(ctx)
	}
	if err != nil {
		f.Drop()
		return nil, Info{}, err
	}
	return f, info, nil
}

// ReadAt asks once for what fits p, MaxData bytes at most, and returns what
// came, which may be less in the middle of a file, too. At the end of the file
// it returns io.EOF and nothing else. After another error, and after ctx has
// ended, p belongs to the session: it may still be written to.
func (f *File) ReadAt(ctx context.Context, p []byte, offset int64) (int, error) {
	return f.ReadTo(ctx, len(p), func() []byte { return p }, offset, func() {})
}

// ReadTo is ReadAt for what has no room yet: the session calls room when the
// content comes, once at most, and not after ReadTo has returned without an
// error. Until then a read takes no memory. room must be fast, and return size
// bytes, or MaxData if that is less. ReadTo calls sent when the request is on its way.
func (f *File) ReadTo(ctx context.Context, size int, room func() []byte, offset int64, sent func()) (int, error) {
	q, err := f.sendBy(f.readRequest(destination{min(size, MaxData), room}, offset))
	if err != nil {
		return 0, err
	}
	sent()
	if err := f.c.wait(ctx, q); err != nil {
		return 0, err
	}
	return q.content()
}

func (f *File) readRequest(to destination, offset int64) outgoing {
	e := begin(typeRead, 16+len(f.handle)).string(f.handle).uint64(uint64(offset)).uint32(uint32(to.size))
	return outgoing{packet: e.seal, destination: to}
}

// content says how much of a read came.
func (q *request) content() (int, error) {
	switch q.kind {
	case typeData:
		return q.n, nil
	case typeStatus:
		return 0, (&decoder{b: q.body}).status(typeData)
	}
	return 0, broken("an answer of type %d to a read", q.kind)
}

// WriteAt writes the data that follows Headroom bytes in packet, MaxData at
// most, in one request (section 6.4), and waits for the answer. The bytes before
// it are overwritten. It calls sent when the request is on its way, and the
// packet may be used again; it may never be so after an error.
func (f *File) WriteAt(ctx context.Context, packet []byte, offset int64, sent func()) error {
	o, err := f.writeRequest(packet, offset)
	if err != nil {
		return err
	}
	q, err := f.sendBy(o)
	if err != nil {
		return err
	}
	sent()
	_, err = f.c.take(ctx, q, typeStatus)
	return err
}

func (f *File) writeRequest(packet []byte, offset int64) (outgoing, error) {
	data := uint32(len(packet) - Headroom)
	if len(packet) < Headroom || data > MaxData {
		return outgoing{}, errors.New("a write that is too large for one request, or has no room for its header")
	}
	return outgoing{packet: func(id uint32) []byte {
		// The header ends where the data begins.
		start := Headroom - (4 + 1 + 4 + 4 + len(f.handle) + 8 + 4)
		b := packet[start:]
		binary.BigEndian.PutUint32(b, uint32(len(b)-4))
		b[4] = typeWrite
		binary.BigEndian.PutUint32(b[5:], id)
		binary.BigEndian.PutUint32(b[9:], uint32(len(f.handle)))
		copy(b[13:], f.handle)
		at := b[13+len(f.handle):]
		binary.BigEndian.PutUint64(at, uint64(offset))
		binary.BigEndian.PutUint32(at[8:], data)
		return b
	}}, nil
}

// Stat describes the open file (section 6.8).
func (f *File) Stat(ctx context.Context) (Info, error) {
	if err := f.Confirm(ctx); err != nil {
		return Info{}, err
	}
	return infoOf(f.c.do(ctx, f.statPacket(), typeAttrs))
}

func (f *File) statPacket() *encoder { return begin(typeFstat, 4+len(f.handle)).string(f.handle) }

func infoOf(d *decoder, err error) (Info, error) {
	if err != nil {
		return Info{}, err
	}
	return parsed(d.info(), d, "what the server says of a file")
}

// Set sets attributes of the open file (section 6.9).
func (f *File) Set(ctx context.Context, a Attrs) error {
	if err := f.Confirm(ctx); err != nil {
		return err
	}
	_, err := f.c.do(ctx, f.setPacket(a), typeStatus)
	return err
}

func (f *File) setPacket(a Attrs) *encoder {
	return begin(typeFsetstat, 40+len(f.handle)).string(f.handle).attrs(a)
}

// ExtFsync makes a file durable (OpenSSH's PROTOCOL, section 4.5).
const ExtFsync = "fsync@openssh.com"

// Sync makes what was written durable. It is errors.ErrUnsupported where the
// server has no fsync@openssh.com.
func (f *File) Sync(ctx context.Context) error {
	if _, ok := f.c.Extension(ExtFsync); !ok {
		return errors.ErrUnsupported
	}
	if err := f.Confirm(ctx); err != nil {
		return err
	}
	_, err := f.c.do(ctx, f.syncPacket(), typeStatus)
	return err
}

func (f *File) syncPacket() *encoder {
	return begin(typeExtended, 8+len(ExtFsync)+len(f.handle)).string(ExtFsync).string(f.handle)
}

// Close closes the file (section 6.3). A second call does nothing.
func (f *File) Close(ctx context.Context) error {
	if err := f.Confirm(ctx); err != nil {
		return err
	}
	if f.closed.Swap(true) {
		return nil
	}
	_, err := f.c.do(ctx, f.closePacket(), typeStatus)
	return err
}

func (f *File) closePacket() *encoder {
	e := begin(typeClose, 4+len(f.handle)).string(f.handle)
	if f.c.options.InOrder {
		e.closes = f.handle
	} else {
		f.c.release(f.handle) // the answer may come after that to the next open
	}
	return e
}

// Drop closes the file without waiting for the answer to that; one that was opened
// ahead, when it is known what to close.
func (f *File) Drop() {
	if f.closed.Swap(true) {
		return
	}
	if f.opening == nil {
		f.c.drop(f.closePacket())
		return
	}
	<-f.opening.done
	if handle, err := f.given(); err == nil {
		f.c.drop((&File{c: f.c, handle: handle}).closePacket())
	}
}

// ReadFile reads a file into p in two round trips: one to open it, and one in
// which it is read, described as it is after the read, and closed. p wants room
// for one byte more than the file should have: if it is filled, the file has
// grown. What ReadAt says of p holds here.
func (c *Client) ReadFile(ctx context.Context, path string, p []byte) (int, Info, error) {
	f, err := c.Open(ctx, path, OpenRead, Attrs{})
	if err != nil {
		return 0, Info{}, err
	}
	defer f.Drop()
	var all []outgoing
	for from := 0; from < len(p); from += MaxData {
		part := p[from:min(from+MaxData, len(p))]
		all = append(all, f.readRequest(destination{len(part), func() []byte { return part }}, int64(from)))
	}
	reads := len(all)
	if !c.options.InOrder {
		requests, err := c.sendAll(all...)
		if err != nil {
			return 0, Info{}, err
		}
		n, err := f.gather(ctx, requests)
		if err != nil {
			return n, Info{}, err
		}
		info, err := f.Stat(ctx)
		return n, info, err
	}
	f.closed.Store(true)
	requests, err := c.sendAll(append(all, f.statPacket().request(), f.closePacket().request())...)
	if err != nil {
		return 0, Info{}, err
	}
	c.leave(requests[reads+1])
	c.await(ctx, requests[reads])
	n, err := f.gather(ctx, requests[:reads])
	if err != nil {
		c.leave(requests[reads])
		return n, Info{}, err
	}
	info, err := infoOf(c.take(ctx, requests[reads], typeAttrs))
	return n, info, err
}

// gather collects reads that follow each other. What comes after a short one
// does not count: the caller sees by the size that something is missing.
func (f *File) gather(ctx context.Context, reads []*request) (int, error) {
	n := 0
	for i, q := range reads {
		if err := f.c.wait(ctx, q); err != nil {
			return n, err
		}
		got, err := q.content()
		if err != nil && err != io.EOF {
			return n, err
		}
		if n == i*MaxData {
			n += got
		}
	}
	return n, nil
}

// WriteFile makes a new file with the data that follows Headroom bytes in each
// packet, in two round trips: one to make it, and one in which it is filled,
// made durable where the server can do that, given its attributes, described
// and closed. The description is returned. Where the file exists already the
// error is the server's.
func (c *Client) WriteFile(ctx context.Context, path string, packets [][]byte, made, attrs Attrs) (Info, error) {
	f, err := c.Open(ctx, path, OpenWrite|OpenCreate|OpenExcl, made)
	if err != nil {
		return Info{}, err
	}
	defer f.Drop()
	var writes []outgoing
	offset := int64(0)
	for _, p := range packets {
		o, err := f.writeRequest(p, offset)
		if err != nil {
			return Info{}, err
		}
		writes = append(writes, o)
		offset += int64(len(p) - Headroom)
	}
	if c.options.InOrder {
		return f.finish(ctx, writes, attrs)
	}
	requests, err := c.sendAll(writes...)
	if err != nil {
		return Info{}, err
	}
	for _, q := range requests {
		if _, err := c.take(ctx, q, typeStatus); err != nil {
			return Info{}, err
		}
	}
	return f.finish(ctx, nil, attrs)
}

// Finish makes what was written durable where the server can do that, gives the
// file its attributes, describes it and closes it, in one round trip where the
// server works in order. It must not be called before what was written was
// acknowledged.
func (f *File) Finish(ctx context.Context, attrs Attrs) (Info, error) {
	if err := f.Confirm(ctx); err != nil {
		return Info{}, err
	}
	if f.c.options.InOrder {
		return f.finish(ctx, nil, attrs)
	}
	if err := f.Sync(ctx); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return Info{}, err
	}
	if err := f.Set(ctx, attrs); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return Info{}, err
	}
	info, err := f.Stat(ctx)
	if err != nil {
		return Info{}, err
	}
	return info, f.Close(ctx)
}

// finish is Finish without waiting for anything before everything is asked for,
// behind the writes.
func (f *File) finish(ctx context.Context, writes []outgoing, attrs Attrs) (Info, error) {
	c, all := f.c, writes
	if _, ok := c.Extension(ExtFsync); ok {
		all = append(all, f.syncPacket().request())
	}
	all = append(all, f.setPacket(attrs).request(), f.statPacket().request(), f.closePacket().request())
	n := len(all)
	f.closed.Store(true)
	requests, err := c.sendAll(all...)
	if err != nil {
		return Info{}, err
	}
	set, stat := requests[n-3], requests[n-2]
	c.await(ctx, requests[n-1])
	var first error
	for _, q := range append(requests[:n-3:n-3], requests[n-1]) {
		if _, err := c.take(ctx, q, typeStatus); err != nil && first == nil {
			first = err
		}
	}
	// Some servers cannot set attributes; that is no reason to lose a file.
	if _, err := c.take(ctx, set, typeStatus); err != nil && !errors.Is(err, errors.ErrUnsupported) && first == nil {
		first = err
	}
	info, err := infoOf(c.take(ctx, stat, typeAttrs))
	if first == nil {
		first = err
	}
	return info, first
}

// SyncStat makes durable what was written, and describes the file, in one round trip.
// It may be called before what was written is acknowledged, where the server works in
// order. The server must have ExtFsync.
func (f *File) SyncStat(ctx context.Context) (Info, error) {
	if err := f.Confirm(ctx); err != nil {
		return Info{}, err
	}
	c := f.c
	requests, err := c.sendAll(f.syncPacket().request(), f.statPacket().request())
	if err != nil {
		return Info{}, err
	}
	if _, err := c.take(ctx, requests[0], typeStatus); err != nil {
		c.leave(requests[1])
		return Info{}, err
	}
	return infoOf(c.take(ctx, requests[1], typeAttrs))
}

// SetClose gives the file its attributes and closes it, in one round trip. It calls
// sent when that has been asked for.
func (f *File) SetClose(ctx context.Context, attrs Attrs, sent func()) error {
	if err := f.Confirm(ctx); err != nil {
		return err
	}
	if f.closed.Swap(true) {
		return errors.New("the file is closed already")
	}
	requests, err := f.c.sendAll(f.setPacket(attrs).request(), f.closePacket().request())
	if err != nil {
		return err
	}
	sent()
	_, setErr := f.c.take(ctx, requests[0], typeStatus)
	if errors.Is(setErr, errors.ErrUnsupported) {
		setErr = nil // no reason to lose a file
	}
	_, closeErr := f.c.take(ctx, requests[1], typeStatus)
	return errors.Join(setErr, closeErr)
}
