package sftp

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Options are what a session may be told.
type Options struct {
	// Sent and Answered are called once for each request, when it goes out and
	// when its answer has come or the session has ended. They must be safe for
	// concurrent use, and fast. They may be nil.
	Sent, Answered func()
	// InOrder says that the server does what belongs to one file in the order
	// in which it was asked to, as section 6 of the draft has it. Some work at
	// several requests at a time: without it, ReadFile and WriteFile take a
	// round trip more.
	InOrder bool
	// Numbered reports whether the server's handles are numbers of four bytes, which
	// it gives out from 0 in each session, and again when they have been given back,
	// as OpenSSH's does. Such a server works in order, too. It must be fast, and may
	// be nil: they are not. See OpenAhead.
	Numbered func() bool
}

// A Client is one session. Its methods may be called concurrently; a request
// goes out before its call returns or waits for the answer, together with those of
// other calls.
type Client struct {
	out     outbox
	options Options

	greeted    chan struct{}     // closed when the fields below are set
	extensions map[string]string // nil: the server did not greet
	refusal    error             // why not

	mu      sync.Mutex
	next    uint32
	pending map[uint32]*request
	handles map[string]bool // of what is open
	err     error           // why the session ended
	ended   chan struct{}   // closed when it has

	drops sync.WaitGroup // of files that nobody waits for

	opens sync.Mutex // guards what is below; held until what is opened is sent, where that matters
	count int        // how often something was opened
	// foreseen is held for reading while something is sent by a handle that is
	// not confirmed.
	foreseen sync.RWMutex
	ahead    <-chan struct{} // closed when it is known what became of OpenAhead; nil: it was not called
}

// ErrEnded is the error of a request that has no answer because the session has
// ended. It is never io.EOF, which is the end of a file.
var ErrEnded = errors.New("the SFTP session has ended")

// A request waits for its answer.
type request struct {
	done chan struct{} // closed when the fields below are set
	kind byte
	body []byte // of the answer, without type and id
	err  error  // the session ended

	short [32]byte // what body is in, if that fits: a status, a handle, attributes

	closes      string // a handle that is given back by it
	destination        // of the content, for a read
	n           int    // how much of it came

	// Guarded by Client.mu.
	filling bool // the reader writes to the destination
	left    bool // nobody waits any more
}

// A destination is where content goes: up to size bytes, into what room returns
// when they come. It is nil for what is no read.
type destination struct {
	size int
	room func() []byte
}

// Begin begins a session: it says which version it speaks and waits for
// nothing, so that requests may go out right behind. A server that takes none
// before it has greeted wants NewClient. A goroutine of the session's own reads
// r until the session ends; Wait waits for that. Closing r is up to the caller,
// and ends it. Only CloseWrite closes w.
func Begin(r io.Reader, w io.WriteCloser, o Options) (*Client, error) {
	c := &Client{out: outbox{w: w}, options: o, pending: map[uint32]*request{}, handles: map[string]bool{}, ended: make(chan struct{}), greeted: make(chan struct{})}
	hello := []byte{0, 0, 0, 5, typeInit, 0, 0, 0, version}
	if _, err := w.Write(hello); err != nil {
		return nil, err
	}
	go c.read(r)
	return c, nil
}

// NewClient is Begin, and waits until the server has greeted.
func NewClient(r io.Reader, w io.WriteCloser, o Options) (*Client, error) {
	c, err := Begin(r, w, o)
	if err != nil {
		return nil, err
	}
	if err := c.Greet(); err != nil {
		return nil, err
	}
	return c, nil
}

// Greet waits until the server has greeted. If it does not, the session has
// ended.
func (c *Client) Greet() error {
	<-c.greeted
	if c.refusal != nil {
		c.Wait() //nolint:errcheck // it is the refusal
	}
	return c.refusal
}

// Greeted is closed when the server has greeted, or will not.
func (c *Client) Greeted() <-chan struct{} { return c.greeted }

// Refused reports whether the session has ended without the server's greeting.
func (c *Client) Refused() bool {
	select {
	case <-c.greeted:
		return c.refusal != nil
	default:
		return false
	}
}

// greet waits for the server's version and keeps what it says of itself.
func (c *Client) greet(r *bufio.Reader) error {
	defer close(c.greeted)
	c.extensions, c.refusal = hear(r)
	return c.refusal
}

// hear reads the server's version and extensions (section 4).
func hear(r *bufio.Reader) (map[string]string, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if head[4] != typeVersion || length < 5 || length > maxPacket {
		return nil, broken("the answer to the greeting is no SFTP: %q", head[:])
	}
	body := make([]byte, length-1)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	d := decoder{b: body}
	if v := d.uint32(); v < version {
		return nil, broken("the server speaks version %d, and not %d", v, version)
	}
	extensions := map[string]string{}
	for len(d.b) > 0 {
		name, data := d.string(), d.string()
		if d.short || len(extensions) == maxExtensions {
			return nil, broken("the extensions that the server names do not parse")
		}
		extensions[name] = data
	}
	return extensions, nil
}

// Extension returns what the server says with an extension, which is a version
// for most, and whether it has it. It waits until the server has greeted.
func (c *Client) Extension(name string) (string, bool) {
	<-c.greeted
	data, ok := c.extensions[name]
	return data, ok
}

// CloseWrite closes what requests are written to, never in the middle of one:
// none can be sent from then on. A server then ends the session, when it has
// answered what it was asked.
func (c *Client) CloseWrite() error {
	return c.out.close()
}

// Wait waits until the session has ended, with every goroutine of its own, and
// returns why. It is io.EOF if the server ended it in an orderly way.
func (c *Client) Wait() error {
	<-c.ended
	c.drops.Wait()
	return c.err
}

// Ended is closed when the session has ended.
func (c *Client) Ended() <-chan struct{} { return c.ended }

// read takes the answers in until there are none.
func (c *Client) read(r io.Reader) {
	// The largest header before content is small; content itself passes the
	// buffer where it is larger.
	in := bufio.NewReaderSize(r, 16<<10)
	err := c.greet(in)
	if err == nil {
		err = c.answers(in)
	}
	c.mu.Lock()
	c.err = err
	left := c.pending
	c.pending = nil
	c.mu.Unlock()
	for _, q := range left {
		q.err = ended(err)
		close(q.done)
		c.answered()
	}
	close(c.ended)
}

// ended turns the end of the session into an error of a request.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrEnded
	}
	return err
}

func (c *Client) answered() {
	if c.options.Answered != nil {
		c.options.Answered()
	}
}

func (c *Client) answers(r *bufio.Reader) error {
	var head [9]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return broken("the session ended in the middle of an answer")
			}
			return err
		}
		length, kind, id := binary.BigEndian.Uint32(head[:]), head[4], binary.BigEndian.Uint32(head[5:])
		if length < 5 || length > maxPacket {
			return broken("an answer of %d bytes", length)
		}
		c.mu.Lock()
		q := c.pending[id]
		delete(c.pending, id)
		wanted := q != nil && !q.left
		if wanted && kind == typeData && q.room != nil {
			q.filling = true
		}
		c.mu.Unlock()
		if q == nil {
			return broken("an answer to request %d, which is not open", id)
		}
		if err := c.answer(r, q, kind, length-5, wanted); err != nil {
			q.err = ended(err)
			close(q.done)
			c.answered()
			return err
		}
		close(q.done)
		c.answered()
	}
}

// answer reads the rest of an answer of length bytes.
func (c *Client) answer(r *bufio.Reader, q *request, kind byte, length uint32, wanted bool) error {
	q.kind = kind
	if q.closes != "" {
		c.release(q.closes)
	}
	switch {
	case !wanted:
		return c.orphan(r, kind, length)
	case kind == typeData && q.room != nil:
		return fill(r, q, length)
	}
	if q.body = q.short[:min(int(length), len(q.short))]; int(length) > len(q.short) {
		q.body = make([]byte, length)
	}
	if _, err := io.ReadFull(r, q.body); err != nil || kind != typeHandle {
		return err
	}
	return c.hold(&decoder{b: q.body})
}

// hold notes the handle of what was opened. If it is that of something else
// that is open, nobody knows whose content comes.
func (c *Client) hold(d *decoder) error {
	handle := d.string()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handles[handle] {
		return broken("two open files have the handle %q", handle[:min(len(handle), maxHandle)])
	}
	c.handles[handle] = true
	return nil
}

// release forgets a handle that is closed: the server may give it to the next file.
func (c *Client) release(handle string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.handles, handle)
}

// fill reads content to where it belongs.
func fill(r *bufio.Reader, q *request, length uint32) error {
	var size [4]byte
	if length < 4 {
		return broken("content without a length")
	}
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > length-4 || uint64(n) > uint64(q.size) {
		return broken("%d bytes came of %d that were asked for", n, q.size)
	}
	if _, err := io.ReadFull(r, q.room()[:n]); err != nil {
		return err
	}
	q.n = int(n)
	_, err := r.Discard(int(length - 4 - n))
	return err
}

// orphan reads an answer that nobody waits for any more. A file that was
// opened is closed.
func (c *Client) orphan(r *bufio.Reader, kind byte, length uint32) error {
	if kind != typeHandle || length > 4+maxHandle {
		_, err := r.Discard(int(length))
		return err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	d := decoder{b: body}
	if handle := d.string(); !d.short {
		// The reader must not wait for the writer, who may wait for it.
		c.drops.Go(func() { c.drop(begin(typeClose, 4+len(handle)).string(handle)) })
	}
	return nil
}

// leave gives a request up. It reports whether its buffer may be used again:
// not so if content is on its way into it.
func (c *Client) leave(q *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	q.left = true
	return !q.filling
}

// wait waits for the answer. When ctx ends first, the request is given up, and
// the buffer of a read belongs to the session for good.
func (c *Client) wait(ctx context.Context, q *request) error {
	select {
	case <-q.done: // as most are of several that were sent together
		return q.err
	default:
	}
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		c.leave(q)
		return context.Cause(ctx)
	}
}

// await waits for the last of several answers that come in order, so that those
// before it wake nobody. What became of it is said by wait.
func (c *Client) await(ctx context.Context, last *request) {
	select {
	case <-last.done:
	case <-ctx.Done():
	}
}

// do sends a request and waits for an answer of the kind that is wanted, or a
// status, which is an error unless that was wanted and is OK.
func (c *Client) do(ctx context.Context, e *encoder, want byte) (*decoder, error) {
	q, err := c.send(e)
	if err != nil {
		return nil, err
	}
	return c.take(ctx, q, want)
}

// take waits for a request's answer.
func (c *Client) take(ctx context.Context, q *request, want byte) (*decoder, error) {
	if err := c.wait(ctx, q); err != nil {
		return nil, err
	}
	return q.answer(want)
}

// answer takes the answer of a request apart.
func (q *request) answer(want byte) (*decoder, error) {
	d := &decoder{b: q.body}
	switch {
	case q.kind == typeStatus:
		return d, d.status(want)
	case q.kind != want:
		return nil, broken("an answer of type %d where %d belongs", q.kind, want)
	}
	return d, nil
}

// status reads a status (section 7). Old servers leave out the message.
func (d *decoder) status(want byte) error {
	code := d.uint32()
	if d.short {
		return broken("a status without a code")
	}
	message := d.string()
	switch {
	case code == statusOK && want == typeStatus:
		return nil
	case code == statusOK:
		return broken("the server says OK where it should answer")
	case code == statusEOF:
		return io.EOF
	}
	const maxMessage = 1024
	return &StatusError{Code: code, Message: message[:min(len(message), maxMessage)]}
}

// handle reads the answer to an open.
func (d *decoder) handle() (string, error) {
	h := d.string()
	if d.short || len(h) > maxHandle {
		return "", broken("a file handle of %d bytes", len(h))
	}
	return h, nil
}

// parsed returns what was read, or that it could not be.
func parsed[T any](v T, d *decoder, what string) (T, error) {
	if d.short {
		var zero T
		return zero, broken("%s does not parse", what)
	}
	return v, nil
}

// Extended sends a request of an extension and returns the body of the answer,
// which is empty where the server answers with OK alone.
func (c *Client) Extended(ctx context.Context, name string, payload []byte) ([]byte, error) {
	e := begin(typeExtended, 4+len(name)+len(payload)).string(name)
	e.b = append(e.b, payload...)
	q, err := c.send(e)
	if err != nil {
		return nil, err
	}
	if err := c.wait(ctx, q); err != nil {
		return nil, err
	}
	d := &decoder{b: q.body}
	switch q.kind {
	case typeExtendedReply:
		return q.body, nil
	case typeStatus:
		return nil, d.status(typeStatus)
	}
	return nil, fmt.Errorf("%s: %w", name, broken("an answer of type %d", q.kind))
}
