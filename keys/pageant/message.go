package pageant

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// maxRequest is the longest request that a Pageant before PuTTY 0.71 takes,
	// length field and all.
	maxRequest = 8 << 10
	// sharedSize is how much memory the window is given, as PuTTY's own
	// programs do: an old Pageant uses the first 8 KiB of it.
	sharedSize = lengthSize + maxAnswer
	// askTime bounds a request for which no deadline was set.
	askTime = time.Minute
)

// A messageConn makes a connection of a window that answers one request at a
// time. Write and Read must not be called at the same time; Close and
// SetDeadline may be.
type messageConn struct {
	// ask gives a whole request to the window and returns the memory that the
	// two share, once the answer stands there. It returns within limit.
	ask func(request []byte, limit time.Duration) (shared []byte, err error)

	request []byte // as far as it was written
	answer  []byte // what was not read yet

	closed chan struct{} // closed by Close
	once   sync.Once

	mu       sync.Mutex
	deadline time.Time
}

func newMessageConn(ask func([]byte, time.Duration) ([]byte, error)) *messageConn {
	return &messageConn{ask: ask, closed: make(chan struct{})}
}

// Write takes a request, or a part of it, for the next Read to ask.
func (c *messageConn) Write(p []byte) (int, error) {
	c.answer = nil
	if len(c.request)+len(p) > maxRequest {
		return 0, fmt.Errorf("a request of more than %d bytes, which is all that the window takes", maxRequest)
	}
	c.request = append(c.request, p...)
	return len(p), nil
}

// Read asks the window if a request was written, and reads from the answer.
func (c *messageConn) Read(p []byte) (int, error) {
	if len(c.answer) == 0 {
		request := c.request
		c.request = nil
		if err := wholeRequest(request); err != nil {
			return 0, err
		}
		shared, err := c.wait(request)
		if err != nil {
			return 0, err
		}
		if c.answer, err = answerIn(shared); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.answer)
	c.answer = c.answer[n:]
	return n, nil
}

// wholeRequest reports what is wrong with a request.
func wholeRequest(request []byte) error {
	if len(request) < lengthSize {
		return io.ErrUnexpectedEOF
	}
	size, err := messageSize(request)
	if err == nil && size != len(request) {
		err = fmt.Errorf("a request of %d bytes that claims to have %d", len(request), size)
	}
	return err
}

// answerIn copies the answer out of shared memory. The length that stands
// there is the other program's word, and read once.
func answerIn(shared []byte) ([]byte, error) {
	if len(shared) < lengthSize {
		return nil, io.ErrUnexpectedEOF
	}
	length := [lengthSize]byte(shared)
	size, err := messageSize(length[:])
	if err != nil {
		return nil, err
	}
	if size > len(shared) {
		return nil, fmt.Errorf("an answer of %d bytes in %d bytes of memory", size, len(shared))
	}
	return append(length[:], shared[lengthSize:size]...), nil
}

// wait asks, and returns when there is an answer, the time is up, or the
// connection is closed. A message that was sent cannot be called back: after
// Close the goroutine here lives on until the window has answered or the time
// is up, and holds nothing but its own memory.
func (c *messageConn) wait(request []byte) ([]byte, error) {
	limit, err := c.timeLeft()
	if err != nil {
		return nil, err
	}
	type result struct {
		shared []byte
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		shared, err := c.ask(request, limit)
		answered <- result{shared, err}
	}()
	select {
	case r := <-answered:
		return r.shared, r.err
	case <-c.closed:
		return nil, net.ErrClosed
	}
}

func (c *messageConn) timeLeft() (time.Duration, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline.IsZero() {
		return askTime, nil
	}
	left := time.Until(c.deadline)
	if left <= 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return left, nil
}

// SetDeadline bounds the requests that begin after it. A zero t stands for the
// bound that each has anyway.
func (c *messageConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return nil
}

// Close ends a Read that waits, and fails all later ones.
func (c *messageConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}
