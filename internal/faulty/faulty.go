// Package faulty is an SFTP server for tests that misbehaves as it is told:
// version 3 (draft-ietf-secsh-filexfer-02) over any stream, with OpenSSH's
// posix-rename, fsync and limits extensions. It carries requests out in their
// order, one at a time for each session, on the files below a folder. A server
// without faults is a good one.
//
// It is written from the packets up, as what is wanted of it no library would
// send: answers that lie, that are too long, that come in another order or
// never. Times of access, owners and hard links are left out.
//
// The package imports the standard library only.
package faulty

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Faults say what goes wrong. The zero value is a good server. The functions
// are called concurrently, each session's in its own order.
type Faults struct {
	// Before is asked what becomes of a request before it is carried out.
	Before func(Request) Verdict
	// After is asked what becomes of the answer once it is carried out.
	After func(Request) Verdict
	// Tamper changes an answer, which is a whole packet with its length. It
	// returns what goes out instead, which may be anything.
	Tamper func(r Request, packet []byte) []byte
	// MaxRead is the most that a read is answered with, in bytes.
	MaxRead int
	// Reorder is how many answers are held back for a moment, to go out last
	// first.
	Reorder int
	// Describe changes what is said of a file, by its path and by its handle.
	Describe func(path string, i *Info)
	// OneHandle is given to every file and folder that is opened.
	OneHandle bool
	// OwnHandles are given to them: none is like one in another session.
	OwnHandles bool
	// Plain leaves the extensions out.
	Plain bool
	// Most is what limits@openssh.com says of a read and of a write, in bytes, and holds
	// them to; 0 stands for 261,120.
	Most int
	// Folds takes names that differ in case only for the same.
	Folds bool
}

// A Request has come and is not answered yet.
type Request struct {
	N       int64  // of all sessions together, from 1
	Session int64  // the session's number, from 1
	Op      string // as the draft names it: "open", "read", "write", "posix-rename@openssh.com"
	Path    string // what it is about, below the root; of a handle, what was opened
	Create  bool   // an open for writing that makes a file
	Offset  int64
	Length  int
}

// A Verdict is what becomes of a request. The zero value is that it goes its
// way.
type Verdict struct {
	Status uint32 // answered in place of what was asked for; 0 for none
	Text   string // of that status
	Lose   bool   // never answered
	End    bool   // the session ends in place of an answer
}

// The statuses of section 7 that a Verdict may want.
const (
	NoSuchFile       = 2
	PermissionDenied = 3
	Failure          = 4
)

// Info is what the server says of a file.
type Info struct {
	Size  int64
	Mode  os.FileMode
	MTime time.Time
}

// A Server serves the folder Root. Its methods may be called concurrently.
type Server struct {
	Root string

	faults   atomic.Pointer[Faults]
	requests atomic.Int64
	sessions atomic.Int64

	mu   sync.Mutex
	open int // sessions
	most int
}

// Set makes these the faults from now on, of open sessions too.
func (s *Server) Set(f Faults) { s.faults.Store(&f) }

// Most returns how many sessions there were at a time, at most, since it was
// last called.
func (s *Server) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.most
	s.most = s.open
	return most
}

func (s *Server) now() Faults {
	if f := s.faults.Load(); f != nil {
		return *f
	}
	return Faults{}
}

// count counts sessions that begin, with 1, and end, with -1.
func (s *Server) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += n
	s.most = max(s.most, s.open)
}

// maxPacket bounds what a client may send.
const maxPacket = 1 << 20

// errEnd ends a session as a fault wants it.
var errEnd = errors.New("the session ends here")

// Serve speaks with one client until either side ends it. It closes rw in the
// end, and waits for its own goroutine.
func (s *Server) Serve(rw io.ReadWriteCloser) error {
	root, err := os.OpenRoot(s.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	s.count(1)
	defer s.count(-1)
	c := &session{s: s, number: s.sessions.Add(1), root: root, files: map[string]*handle{}, out: make(chan []byte)}
	defer c.closeAll()
	var writer sync.WaitGroup
	writer.Go(func() { c.write(rw) })
	err = c.read(bufio.NewReaderSize(rw, 64<<10))
	if errors.Is(err, errEnd) {
		rw.Close() // what is held back is lost
	}
	close(c.out)
	writer.Wait()
	return errors.Join(err, rw.Close())
}

// A session is one client.
type session struct {
	s      *Server
	number int64
	root   *os.Root
	files  map[string]*handle
	next   int         // of a handle that is no number
	out    chan []byte // answers; closed by Serve
}

// read takes requests in and carries them out.
func (c *session) read(r *bufio.Reader) error {
	var head [4]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n < 1 || n > maxPacket {
			return fmt.Errorf("a packet of %d bytes", n)
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		if err := c.packet(body); err != nil {
			return err
		}
	}
}

// reorderWait is how long answers are held back that no others join.
const reorderWait = 5 * time.Millisecond

// write sends answers. When the client is gone, it goes on to take them.
func (c *session) write(w io.Writer) {
	var held [][]byte
	var idle <-chan time.Time
	flush := func() {
		for i := len(held) - 1; i >= 0; i-- {
			w.Write(held[i]) //nolint:errcheck // the reader sees the end too
		}
		held, idle = held[:0], nil
	}
	for {
		select {
		case p, more := <-c.out:
			if !more {
				flush()
				return
			}
			held = append(held, p)
			// The greeting comes first in any case.
			if len(held) > c.s.now().Reorder || p[4] == typeVersion {
				flush()
			} else {
				idle = time.After(reorderWait)
			}
		case <-idle:
			flush()
		}
	}
}

// packet carries out one packet, without its length.
func (c *session) packet(body []byte) error {
	f := c.s.now()
	d := &decoder{b: body}
	kind := d.byte()
	if kind == typeInit {
		c.out <- c.hello(f)
		return nil
	}
	id := d.uint32()
	q := c.parse(kind, d)
	if d.short {
		return fmt.Errorf("a packet of type %d does not parse", kind)
	}
	if f.Folds {
		q.Path, q.target = c.folded(q.Path), c.folded(q.target)
	}
	q.N, q.Session = c.s.requests.Add(1), c.number
	var v Verdict
	if f.Before != nil {
		v = f.Before(q.Request)
	}
	if v == (Verdict{}) && f.Most > 0 && (q.Op == "read" || q.Op == "write") && q.Length > f.Most {
		v = Verdict{Status: Failure, Text: "too much at once"}
	}
	var answer []byte
	if v == (Verdict{}) {
		answer = c.carryOut(f, id, q)
		if f.After != nil {
			v = f.After(q.Request)
		}
	}
	switch {
	case v.End:
		return errEnd
	case v.Lose:
		return nil
	case v.Status != 0:
		answer = status(id, v.Status, v.Text)
	}
	if f.Tamper != nil {
		answer = f.Tamper(q.Request, answer)
	}
	c.out <- answer
	return nil
}

// hello names the version and the extensions.
func (c *session) hello(f Faults) []byte {
	e := begin(typeVersion).uint32(3)
	if !f.Plain {
		e.string("posix-rename@openssh.com").string("1").string("fsync@openssh.com").string("1").string("limits@openssh.com").string("1")
	}
	return e.seal()
}

// A handle is a file or folder that is open.
type handle struct {
	path  string
	file  *os.File
	names []os.DirEntry // of a folder, still to be told
}

// keep gives an open file its handle: the lowest number that is free, as OpenSSH does.
func (c *session) keep(f Faults, h *handle) string {
	n := uint32(0)
	for c.files[number(n)] != nil {
		n++
	}
	name := number(n)
	switch {
	case f.OneHandle:
		name = "the one"
	case f.OwnHandles:
		c.next++
		name = fmt.Sprintf("%p %d", c, c.next)
	}
	c.files[name] = h
	return name
}

func number(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

func (c *session) closeAll() {
	for _, h := range c.files {
		h.file.Close()
	}
}
