package remote

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"linehaul/transfer/scp"
)

// A command for each file takes three round trips, and the server as many processes as
// it has programs in it. So files are summed up by a loop in a shell, which reads
// their names and answers one after the other; there are as many such loops as
// files that are summed up at a time. Where they do not work, or where sessions are
// wanted for files, as by SCP, each file has a command.

// sumEnd is the line with which a loop begins, and ends what it says of a file.
const sumEnd = "linehaul-end"

// sumLoop is the loop, for any shell that a user logs in to.
func sumLoop() string {
	return "exec sh -c " + scp.Quote(`echo `+sumEnd+`; while IFS= read -r f; do `+sumOf(`"$f"`)+`; echo `+sumEnd+`; done`)
}

// A summer is a session that runs the loop.
type summer struct {
	s  *session
	in *bufio.Reader
}

// errNoLoop says that a loop has ended, or says something else.
var errNoLoop = errors.New("the loop does not answer")

// sumInLoop returns what a loop says of a file. It does not answer where there can be
// none. The caller has seen that the name is one line.
func (c *Conn) sumInLoop(ctx context.Context, arg string) (text string, answered bool, err error) {
	if c.Info().Protocol != SFTP {
		return "", false, nil
	}
	for {
		l, works := c.takeSummer(ctx)
		fresh := l == nil
		err = nil
		if fresh && works {
			l, err = c.beginSummer(ctx)
		}
		switch {
		case ctx.Err() != nil:
			err = ctxError(ctx)
		case c.gone() != nil:
			err = c.gone()
		case !works || err != nil:
		case l == nil:
			continue // and wait for another one
		default:
			text, err = c.ask(ctx, l, arg, fresh)
		}
		if err == nil && works {
			c.giveSummer(l)
			return text, true, nil
		}
		if l != nil {
			c.dropSummer(l)
		}
		switch {
		case !works, ctx.Err() != nil, c.gone() != nil, l == nil:
			return "", false, err
		case fresh:
			c.noSummers()
		}
	}
}

// beginSummer begins a loop. It is nil where the server allows no further session, and
// there are others.
func (c *Conn) beginSummer(ctx context.Context) (*summer, error) {
	var s *session
	err := errNoLoop
	if c.slots.try() {
		if s, err = c.open(ctx, "exec", sumLoop()); err == nil {
			s.slot = true
		} else {
			c.slots.give()
		}
	}
	if err != nil && c.lastSummer() {
		s, err = c.exec(ctx, sumLoop()) // which waits for one
	}
	if err != nil {
		alone := c.unmadeSummer()
		if alone || ctx.Err() != nil || c.gone() != nil {
			return nil, err
		}
		return nil, nil
	}
	return &summer{s, bufio.NewReaderSize(s.ch, maxSumOutput)}, nil
}

// ask sends a name to a loop, and returns what is said of it. One that is fresh begins
// within a quarter of the stall time.
func (c *Conn) ask(ctx context.Context, l *summer, name string, fresh bool) (string, error) {
	_, err := leave(ctx, c, nil, func() (int, error) { return io.WriteString(l.s.ch, name+"\n") }, nil)
	if err == nil && fresh {
		soon, cancel := context.WithTimeout(ctx, c.host.StallTimeout/4)
		defer cancel()
		_, err = leave(soon, c, nil, func() (string, error) {
			if said, err := l.read(); err != nil || said != "" {
				return "", errNoLoop
			}
			return "", nil
		}, nil)
	}
	if err != nil {
		return "", err
	}
	return leave(ctx, c, nil, l.read, nil)
}

// read returns what comes before the next sumEnd. It blocks, so it runs inside of
// leave.
func (l *summer) read() (string, error) {
	var text strings.Builder
	for text.Len() < maxSumOutput {
		line, err := l.in.ReadSlice('\n')
		if err != nil {
			return "", errNoLoop
		}
		if strings.TrimSpace(string(line)) == sumEnd {
			return text.String(), nil
		}
		text.Write(line)
	}
	return "", errNoLoop
}

// takeSummer returns a loop that has nothing to do. It is nil where there is to be
// another one, which is counted; else it waits for one. Works is false where it is known
// that there can be none.
func (c *Conn) takeSummer(ctx context.Context) (l *summer, works bool) {
	wake := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.spared.Broadcast()
	}
	defer context.AfterFunc(ctx, wake)()
	defer context.AfterFunc(c.ctx, wake)()
	var ended []*summer
	defer func() {
		for _, e := range ended {
			e.s.abort()
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.loopless && ctx.Err() == nil && c.ctx.Err() == nil {
		if n := len(c.summers); n > 0 {
			l = c.summers[n-1]
			c.summers = c.summers[:n-1]
			select {
			case <-l.s.done: // the server has ended it
				c.loops--
				ended = append(ended, l)
				continue
			default:
				return l, true
			}
		}
		if c.loops < c.mostLoops {
			c.loops++
			return nil, true
		}
		c.spared.Wait()
	}
	return nil, false
}

// lastSummer reports whether no other loop is there or on its way.
func (c *Conn) lastSummer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loops == 1
}

// unmadeSummer notes that the server allows no further loop, and reports whether there is
// no other one.
func (c *Conn) unmadeSummer() (alone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loops--
	c.mostLoops = max(1, c.loops)
	c.spared.Broadcast()
	return c.loops == 0
}

func (c *Conn) giveSummer(l *summer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.summers = append(c.summers, l)
	c.spared.Broadcast()
}

// dropSummer ends a loop, also in the middle of an answer.
func (c *Conn) dropSummer(l *summer) {
	l.s.abort()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loops--
	c.spared.Broadcast()
}

func (c *Conn) noSummers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loopless = true
	c.spared.Broadcast()
}
