package sftp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrUnforeseen says that a server gives other handles than was thought.
var ErrUnforeseen = errors.New("the server's handles cannot be foreseen")

// OpenAhead opens a file as the first of its session, and does not wait for the
// answer: reads and writes may follow at once, by the handle that it will have where
// they are numbers. What comes of them counts once Confirm has returned
// nil; until the answer is there, nothing else is opened in the session, so that no
// other file can have that handle. With describe it asks what has the name, too,
// for Described. It is nil where nothing is foreseen, or where something was opened
// in the session before.
func (c *Client) OpenAhead(path string, flags uint32, describe bool) (*File, error) {
	c.opens.Lock()
	defer c.opens.Unlock()
	if !c.numbered() || c.count > 0 {
		return nil, nil
	}
	c.count = 1
	all := []outgoing{openPacket(path, flags, Attrs{}).request()}
	if describe {
		all = append(all, statPacket(path).request())
	}
	requests, err := c.sendAll(all...)
	if err != nil {
		return nil, err
	}
	f := &File{c: c, handle: number(0), opening: requests[0]}
	if describe {
		f.stat = requests[1]
	}
	c.ahead = f.opening.done
	return f, nil
}

// sendOpen sends what opens a file or folder.
func (c *Client) sendOpen(e *encoder) (*request, error) {
	requests, _, err := c.sendOpening(e, nil)
	if err != nil {
		return nil, err
	}
	return requests[0], nil
}

func (c *Client) numbered() bool { return c.options.Numbered != nil && c.options.Numbered() }

// number is the handle that a server gives out as the nth, from 0, if they are
// numbers.
func number(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }

// mostNumbered is how many of the first files and folders of a session have handles that
// are foreseen, where they are numbers: those that come later get what others gave
// back.
const mostNumbered = 8

// sendOpening is sendOpen, with requests right behind it by the handle that is
// foreseen, if one is. They are answered for nothing if it is not the one: a number
// that no file of the session has had yet.
func (c *Client) sendOpening(e *encoder, behind func(handle string) []outgoing) (requests []*request, handle string, err error) {
	c.opens.Lock()
	n, ahead := c.count, c.ahead
	c.count = n + 1
	if !c.numbered() || n >= mostNumbered || ahead != nil {
		c.opens.Unlock()
		if ahead != nil {
			<-ahead // which the end of the session closes, too
			c.foreseen.Lock()
			c.foreseen.Unlock() //nolint:staticcheck // what is being sent by the handle is sent now
		}
		requests, err = c.sendAll(e.request())
		return requests, "", err
	}
	defer c.opens.Unlock() // they go out in the order in which they are counted
	all := []outgoing{e.request()}
	if behind != nil {
		handle = number(n)
		all = append(all, behind(handle)...)
	}
	requests, err = c.sendAll(all...)
	return requests, handle, err
}

// sendBy sends a request that has the file's handle: by one that is foreseen only as
// long as nothing else can have it.
func (f *File) sendBy(o outgoing) (*request, error) {
	if f.opening == nil || f.sure.Load() {
		return f.c.sendOne(o)
	}
	f.c.foreseen.RLock()
	defer f.c.foreseen.RUnlock()
	select {
	case <-f.opening.done:
		if err := f.answered(); err != nil {
			return nil, err
		}
		f.sure.Store(true)
	default:
	}
	return f.c.sendOne(o)
}

// Confirm waits until the server has answered to OpenAhead. An error says that what
// was read by the file is not its content, and that nothing was written to it. Of
// a file that was opened in another way it is nil at once.
func (f *File) Confirm(ctx context.Context) error {
	if f.opening == nil {
		return nil
	}
	select {
	case <-f.opening.done:
		return f.answered()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// answered is an error if the server has opened nothing, or by another handle.
func (f *File) answered() error {
	handle, err := f.given()
	if err == nil && handle != f.handle {
		err = fmt.Errorf("%w: %q where %q was expected", ErrUnforeseen, handle, f.handle)
	}
	return err
}

// given is the handle that the server has answered OpenAhead with.
func (f *File) given() (string, error) {
	if f.opening.err != nil {
		return "", f.opening.err
	}
	d, err := f.opening.answer(typeHandle)
	if err != nil {
		return "", err
	}
	return d.handle()
}

// Described waits for what OpenAhead has asked about the file; Confirm is a part of it.
func (f *File) Described(ctx context.Context) (Info, error) {
	if err := f.Confirm(ctx); err != nil {
		return Info{}, err
	}
	select {
	case <-f.stat.done:
	case <-ctx.Done():
		return Info{}, context.Cause(ctx)
	}
	if f.stat.err != nil {
		return Info{}, f.stat.err
	}
	return infoOf(f.stat.answer(typeAttrs))
}
