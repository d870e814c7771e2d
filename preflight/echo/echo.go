// Package echo is a socket for ICMP echo requests to one host, with whatever
// the system lets an ordinary user have (RFC 792, RFC 4443):
//
//	Linux             datagram sockets (net.ipv4.ping_group_range) with their
//	                  error queue, or else raw sockets (CAP_NET_RAW)
//	macOS             datagram sockets
//	FreeBSD, OpenBSD  raw sockets, for root only
//	Windows           the ICMP API of iphlpapi.dll, for everybody
//
// It knows of no series and no statistics: it sends, and tells of each request
// what came of it. The packages ping and pmtu are made of it.
//
// Left out: time stamp and address mask requests; broadcast and multicast.
package echo

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"linehaul/internal/icmp"
)

// Options of a Socket.
type Options struct {
	To   netip.Addr
	From netip.Addr // if valid: send from this address of ours
	// Device, if not empty, is the interface to send by, where the system can be
	// told (Linux, macOS). On others it is not heeded.
	Device string
	// Whole asks that no packet is cut into fragments, here or on the way: the
	// one that is too long is lost. What the system remembers of the path's MTU
	// is not heeded, where the system can be told so.
	Whole bool
	// Timeout is how long an answer is waited for, on systems that want to know.
	// On others answers are heard until Close.
	Timeout time.Duration
}

// MaxSize is the most data that fits behind the headers of a packet of 64 KiB.
const MaxSize = 65535 - 20 - icmp.HeaderLen

// A Kind is what came of a request.
type Kind int

// The kinds.
const (
	Echoed  Kind = iota // the host answered
	TooBig              // somebody said that the packet is too long to pass whole
	Refused             // somebody said that it cannot be carried
)

// An Event is something that came of one request. There may be none, and there
// may be several.
type Event struct {
	Seq  uint16
	Kind Kind
	RTT  time.Duration // since it was sent
	From netip.Addr    // who says so; not valid: this machine
	MTU  int           // with TooBig: what would pass; 0: not said
	Said string        // unless Echoed: as in "host unreachable"
	// Exceeded: Refused by a router at which the time to live ended.
	Exceeded bool
}

// A SendError is why the system did not send a request.
type SendError struct {
	Size   int  // of its data
	TooBig bool // it does not leave whole
	Err    error
}

func (e *SendError) Error() string { return fmt.Sprintf("send %d bytes: %v", e.Size, e.Err) }

// Unwrap returns the system's error.
func (e *SendError) Unwrap() error { return e.Err }

// A NotAllowedError says that this user may send no ICMP echoes by any way that
// the system has.
type NotAllowedError struct {
	Tried []string // the ways, as Socket.Way names them
	Right string   // what it takes, as in "CAP_NET_RAW"
	Err   error    // the system's answer to the last way
}

func (e *NotAllowedError) Error() string {
	return fmt.Sprintf("this user may not send ICMP echoes (%s: %v): it takes %s", strings.Join(e.Tried, ", "), e.Err, e.Right)
}

// Unwrap returns the system's error.
func (e *NotAllowedError) Unwrap() error { return e.Err }

// The ways.
const (
	Unprivileged = "unprivileged ICMP"
	Raw          = "raw ICMP"
	System       = "the system's ICMP"
)

// A Socket sends requests to one host and hears what comes of them. Send may be
// called from one goroutine, while another takes events.
type Socket struct {
	o      Options
	sys    system
	id     uint16 // of the requests; a datagram socket of Linux has one of its own
	cookie [cookieLen]byte
	events chan Event
	done   chan struct{} // closed by Close
	once   sync.Once
	wg     sync.WaitGroup

	mu   sync.Mutex
	sent map[uint16]request
}

// A request is what is remembered of one, until half of the sequence numbers
// have gone by.
type request struct {
	at   time.Time
	size int
}

// Limits of our own.
const (
	cookieLen = 8   // random bytes that answers must bring back
	maxTTL    = 255 // RFC 791 section 3.1: one byte
	backlog   = 64  // events that may wait to be taken
)

// Open returns a socket that is ready to send, or a *NotAllowedError if this
// user may not have one. Its owner calls Close.
func Open(o Options) (*Socket, error) {
	o.To, o.From = o.To.Unmap(), o.From.Unmap()
	switch {
	case !o.To.IsValid() || o.To.IsUnspecified() || o.To.IsMulticast():
		return nil, fmt.Errorf("%v is no address of a host", o.To)
	case o.From.IsValid() && o.From.Is4() != o.To.Is4():
		return nil, fmt.Errorf("%v cannot be reached from %v: IPv4 and IPv6 are two networks", o.To, o.From)
	}
	s := &Socket{o: o, events: make(chan Event, backlog), done: make(chan struct{}), sent: map[uint16]request{}}
	var seed [2 + cookieLen]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("take a number for echo requests: %w", err)
	}
	s.id, s.cookie = binary.BigEndian.Uint16(seed[:]), [cookieLen]byte(seed[2:])
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// Way says how requests are sent.
func (s *Socket) Way() string { return s.sys.way }

// Events returns what comes of the requests, in the order in which it comes.
// The channel is closed by Close.
func (s *Socket) Events() <-chan Event { return s.events }

// Send sends a request with size bytes of data. Its error is a *SendError.
func (s *Socket) Send(seq uint16, size int) error { return s.SendTTL(seq, size, 0) }

// SendTTL is Send with a time to live (in IPv6, a hop limit) from 1 to 255, which
// holds for later ones as well; 0 is what it was.
func (s *Socket) SendTTL(seq uint16, size, ttl int) error {
	if ttl < 0 || ttl > maxTTL {
		return &SendError{Size: size, Err: fmt.Errorf("no time to live is %d", ttl)}
	}
	if size < 0 || size > MaxSize {
		return &SendError{Size: size, TooBig: size > MaxSize, Err: errors.New("longer than a packet can be")}
	}
	return s.send(seq, size, ttl)
}

// Close ends the socket and returns when nothing is left of it. It may be
// called more than once.
func (s *Socket) Close() {
	s.once.Do(func() {
		close(s.done)
		s.sys.close()
		s.wg.Wait()
		close(s.events)
	})
}

// note remembers that a request is about to be sent.
func (s *Socket) note(seq uint16, size int, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sent, seq-1<<15)
	s.sent[seq] = request{at, size}
}

// request returns what is remembered of one.
func (s *Socket) request(seq uint16) (request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.sent[seq]
	return r, ok
}

// heard tells of a packet that came from an address at a time, if it is about a
// request of ours. If the system knows our identifier, the packet is not asked
// for it.
func (s *Socket) heard(b []byte, from netip.Addr, at time.Time, idKnown bool) {
	is6 := s.o.To.Is6()
	if answer, ok := icmp.ParseReply(b, is6); ok {
		if idKnown || answer.ID == s.id {
			s.answered(answer, from, at)
		}
		return
	}
	e, q, ok := icmp.Parse(b, is6)
	if !ok || q.Protocol != icmp.Protocol(is6) || q.To.Addr() != s.o.To.WithZone("") {
		return
	}
	if request, ok := e.Request(); ok && (idKnown || request.ID == s.id) {
		e.From = from
		s.refused(e, request.Seq, at)
	}
}

// answered tells of an answer, if it is one to a request of ours.
func (s *Socket) answered(answer icmp.Echo, from netip.Addr, at time.Time) {
	r, ours := s.request(answer.Seq)
	if ours && from.WithZone("") == s.o.To.WithZone("") && s.isOurs(answer.Data, r.size) {
		s.tell(Event{Seq: answer.Seq, Kind: Echoed, RTT: max(0, at.Sub(r.at)), From: from})
	}
}

// refused tells of an error about a request to our host.
func (s *Socket) refused(said icmp.Error, seq uint16, at time.Time) {
	if r, ours := s.request(seq); ours {
		e := eventOf(said)
		e.Seq, e.RTT = seq, max(0, at.Sub(r.at))
		s.tell(e)
	}
}

// eventOf is what an error says, without the request that it is about.
func eventOf(e icmp.Error) Event {
	m := e.Meaning()
	if m == icmp.TooBig {
		return Event{Kind: TooBig, From: e.From, MTU: e.MTU(), Said: e.String()}
	}
	return Event{Kind: Refused, From: e.From, Said: e.String(), Exceeded: m == icmp.Exceeded}
}

// tell hands an event on, unless the socket is closed.
func (s *Socket) tell(e Event) {
	select {
	case s.events <- e:
	case <-s.done:
	}
}

// data is what a request carries: the cookie, and then bytes that count, so
// that none is like the one before it.
func (s *Socket) data(size int) []byte {
	d := make([]byte, size)
	for i := copy(d, s.cookie[:]); i < size; i++ {
		d[i] = byte(i)
	}
	return d
}

// isOurs reports whether an answer brought back all that a request carried.
func (s *Socket) isOurs(data []byte, size int) bool {
	if len(data) != size {
		return false
	}
	n := min(size, cookieLen)
	if string(data[:n]) != string(s.cookie[:n]) {
		return false
	}
	for i := n; i < size; i++ {
		if data[i] != byte(i) {
			return false
		}
	}
	return true
}
