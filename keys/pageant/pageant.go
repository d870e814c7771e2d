// Package pageant reaches the SSH agents of Windows. Three ways lead to one:
//
//	\\.\pipe\openssh-ssh-agent      the service of OpenSSH for Windows, and
//	                                programs that take its place
//	\\.\pipe\pageant.USER.SHA256    newer Pageants
//	the window "Pageant"            every Pageant, and programs that take its
//	                                place: a WM_COPYDATA message names shared
//	                                memory that holds the request, and where
//	                                the answer then stands
//
// On each of them run the messages of draft-miller-ssh-agent, section 3, one
// answer to one request:
//
//	+-----------------+------+-----------------+
//	| length, 4 bytes | type | length - 1      |
//	| big-endian      |      | bytes           |
//	+-----------------+------+-----------------+
//
// What the messages mean is the caller's business, but for the list of keys,
// for which Dial asks. ReadMessage serves connections to other agents too. Left
// out are the sockets of Cygwin and WSL, and agents
// of other users and other machines. Elsewhere than on Windows both Dials fail.
package pageant

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// maxAnswer is how long an answer may be, its length field left out. It is
	// what OpenSSH (authfd.c, MAX_AGENT_REPLY_LEN) and PuTTY (pageant.h,
	// AGENT_MAX_MSGLEN) allow.
	maxAnswer = 256 << 10
	// lengthSize is the size of the field in front of each message.
	lengthSize = 4
)

// Messages of draft-miller-ssh-agent, section 6.1.
const (
	agentFailure           = 5
	agentRequestIdentities = 11
	agentIdentitiesAnswer  = 12
)

// Our own limits.
const (
	// openTime is how long one way may take to open; a pipe can be busy.
	openTime = 5 * time.Second
	// listTime is how long an agent that was found may take to list its keys,
	// while there may be another one. Some ask to be unlocked first.
	listTime = 10 * time.Second
)

// A Conn is a connection to an agent, for one request at a time. SetDeadline
// bounds the requests that begin after it. Close may be called from anywhere and
// more than once, and ends a Read that waits.
type Conn interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// A way leads to one agent.
type way struct {
	name string
	open func(context.Context) (Conn, error)
}

// find opens the first way behind which an agent has keys, or else the first
// behind which one answers: an agent of the system that nobody uses must not
// hide the one that somebody does.
func find(ctx context.Context, ways []way) (conn Conn, name string, err error) {
	shut := func(c Conn) {
		if c != nil {
			c.Close()
		}
	}
	var failed []string
	for _, w := range ways {
		next, held, err := w.try(ctx)
		switch {
		case ctx.Err() != nil:
			shut(conn)
			shut(next)
			return nil, "", context.Cause(ctx)
		case err != nil:
			failed = append(failed, fmt.Sprintf("%s: %v", w.name, err))
		case held > 0:
			shut(conn)
			return next, w.name, nil
		case conn == nil:
			conn, name = next, w.name
		default:
			shut(next)
		}
	}
	if conn == nil {
		return nil, "", fmt.Errorf("no agent answers (%s)", strings.Join(failed, "; "))
	}
	return conn, name, nil
}

// try opens a way and counts the keys behind it.
func (w way) try(ctx context.Context) (conn Conn, held int, err error) {
	opening, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if conn, err = w.open(opening); err != nil {
		return nil, 0, err
	}
	if held, err = countKeys(ctx, conn); err != nil {
		conn.Close()
		return nil, 0, err
	}
	return conn, held, nil
}

// countKeys asks an agent how many keys it has, and leaves the connection
// ready for the next request. The end of ctx closes the connection.
func countKeys(ctx context.Context, conn Conn) (int, error) {
	if err := conn.SetDeadline(time.Now().Add(listTime)); err != nil {
		return 0, err
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		conn.Close()
	})
	_, err := conn.Write(frame(agentRequestIdentities))
	var answer []byte
	if err == nil {
		answer, err = ReadMessage(conn)
	}
	if !stop() {
		<-closed
		return 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, err
	}
	switch body := answer[lengthSize:]; {
	case body[0] == agentFailure:
		return 0, conn.SetDeadline(time.Time{})
	case body[0] == agentIdentitiesAnswer && len(body) >= 1+4:
		count := binary.BigEndian.Uint32(body[1:])
		return int(min(count, maxAnswer)), conn.SetDeadline(time.Time{})
	}
	return 0, errors.New("it does not answer as an agent does")
}

// frame makes a message without contents.
func frame(messageType byte) []byte { return []byte{0, 0, 0, 1, messageType} }

// ReadMessage reads one message, length field and all, and nothing of what may
// follow it. It refuses one that is empty or longer than 256 KiB, before it
// makes room for it.
func ReadMessage(r io.Reader) ([]byte, error) {
	var length [lengthSize]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	size, err := messageSize(length[:])
	if err != nil {
		return nil, err
	}
	message := append(length[:], make([]byte, size-lengthSize)...)
	if _, err := io.ReadFull(r, message[lengthSize:]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return message, nil
}

// messageSize returns the size of a message, length field and all, that begins
// with these bytes, once that is known to be one that an agent may send.
func messageSize(start []byte) (int, error) {
	n := binary.BigEndian.Uint32(start)
	if n == 0 || n > maxAnswer {
		return 0, fmt.Errorf("a message of %d bytes, where 1 to %d are allowed", n, maxAnswer)
	}
	return lengthSize + int(n), nil
}
