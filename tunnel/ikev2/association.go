package ikev2

import (
	"errors"
	"math"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// An association is an IKE SA: keys, and a window of one request each way
// (RFC 7296 section 2.3).
type association struct {
	initiator bool // we are its original initiator
	own, peer ikemsg.SPI
	suite     suite.Suite
	keys
	counter    uint64 // of datagrams that were sealed
	fragments  int    // the longest datagram; 0: the gateway takes no fragments
	reassembly ikemsg.Reassembly

	nextID  uint32
	request *request
	waiting []*request

	expected uint32   // the id of the gateway's next request
	answer   [][]byte // to the one before

	made           time.Time
	rekeyAt, endAt time.Time
	// rekey is our own attempt to replace it, and theirs what the gateway made
	// in its place.
	rekey, theirs *replacement
	leaving       bool
	pending       *pending // nil: no rekey of the gateway's is half done
	// until is how long one that was replaced waits for the gateway to delete it,
	// and one that is deleted to answer that once more; zero: for ever.
	until time.Time
}

// A request is one of ours that is answered some time.
type request struct {
	exchange ikemsg.ExchangeType
	payloads []ikemsg.Payload
	done     func(now time.Time, answer *ikemsg.Message) error
	patience time.Duration // 0: that of the config
	lost     func() error  // nobody answered; nil: the gateway is dead
	// turn makes another request in its place when its turn has come, by the IKE
	// SA that is in use then, or none if there is no need any more.
	turn func(now time.Time, sa *association) error
	// orphaned is what happens when its IKE SA is deleted before it is answered;
	// it is set of those about a child.
	orphaned func(now time.Time) error
	update   bool // of our address

	id        uint32
	datagrams [][]byte
	began     time.Time
	next      time.Time // to send it again
	wait      time.Duration
	tries     int
}

// isFor reports whether a message belongs to the association.
func (sa *association) isFor(h ikemsg.Header) bool {
	i, r := sa.own, sa.peer
	if !sa.initiator {
		i, r = r, i
	}
	return h.InitiatorSPI == i && h.ResponderSPI == r && h.FromInitiator() != sa.initiator
}

func (sa *association) header(x ikemsg.ExchangeType, id uint32, response bool) ikemsg.Header {
	h := ikemsg.Header{InitiatorSPI: sa.own, ResponderSPI: sa.peer, Exchange: x, MessageID: id}
	if sa.initiator {
		h.Flags |= ikemsg.FlagInitiator
	} else {
		h.InitiatorSPI, h.ResponderSPI = sa.peer, sa.own
	}
	if response {
		h.Flags |= ikemsg.FlagResponse
	}
	return h
}

func (sa *association) seal(h ikemsg.Header, payloads []ikemsg.Payload) ([][]byte, error) {
	return ikemsg.Seal(h, payloads, sa.outbound, func() uint64 { sa.counter++; return sa.counter }, sa.fragments)
}

// The times of RFC 7296 section 2.4, which leaves them to us.
const (
	firstWait = 500 * time.Millisecond
	longWait  = 8 * time.Second
)

// ask sends a request, when the one before it was answered.
func (m *Machine) ask(now time.Time, sa *association, r *request) error {
	if sa.request != nil {
		sa.waiting = append(sa.waiting, r)
		return nil
	}
	if sa.nextID == math.MaxUint32 {
		return fault.New(fault.IKE, "the IKE SA has no message ids left")
	}
	r.id = sa.nextID
	sa.nextID++
	datagrams, err := sa.seal(sa.header(r.exchange, r.id, false), r.payloads)
	if err != nil {
		return fault.New(fault.Internal, "make %v: %w", r.exchange, err)
	}
	r.datagrams, r.began, r.wait = datagrams, now, firstWait
	sa.request = r
	m.send(now, r)
	return nil
}

// send sends a request once, or once more.
func (m *Machine) send(now time.Time, r *request) {
	r.tries++
	for _, d := range r.datagrams {
		m.do(Send{d})
	}
	r.next = now.Add(r.wait)
	r.wait = min(r.wait*2, longWait)
}

// again sends a request again, or gives it up.
func (m *Machine) again(now time.Time, sa *association, r *request) error {
	patience := r.patience
	if patience == 0 {
		patience = m.config.Patience
	}
	if now.Sub(r.began) < patience {
		m.note(Debug, "no answer yet, asking again", "exchange", r.exchange.String(), "tries", r.tries)
		m.send(now, r)
		r.next = earlier(r.next, r.began.Add(patience))
		return nil
	}
	if sa != nil {
		sa.request = nil
	}
	if r.lost != nil {
		return r.lost()
	}
	return fault.New(fault.IKE, "the gateway has not answered %v for %v, asked %d times", r.exchange, now.Sub(r.began).Round(time.Second), r.tries).
		WithHint("the line to it is down, or it has forgotten the tunnel; the next attempt begins a new one")
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// receive takes a message of an association.
func (m *Machine) receive(now time.Time, sa *association, msg *ikemsg.Message, datagram []byte) error {
	switch {
	case msg.Response() && (sa.request == nil || msg.MessageID != sa.request.id || msg.Exchange != sa.request.exchange):
		return nil // late, or twice
	case !msg.Response() && sa.expected > 0 && msg.MessageID == sa.expected-1:
		return m.repeat(msg, sa)
	case !msg.Response() && msg.MessageID != sa.expected:
		return nil // outside of the window
	}
	whole, err := sa.reassembly.Open(msg, datagram, sa.inbound)
	if err != nil {
		return m.refuse(sa, msg, err)
	}
	if whole == nil {
		return nil // more fragments are to come
	}
	m.Heard(now)
	if kind, critical := whole.Critical(); critical {
		return m.refuseCritical(sa, whole, kind)
	}
	if !whole.Response() {
		return m.answerTo(now, sa, whole)
	}
	r := sa.request
	sa.request = nil
	if err := r.done(now, whole); err != nil || m.state == ended {
		return err
	}
	return m.askNext(now, sa)
}

// askNext sends the next request that waits.
func (m *Machine) askNext(now time.Time, sa *association) error {
	for sa.request == nil && len(sa.waiting) > 0 {
		r := sa.waiting[0]
		sa.waiting = sa.waiting[1:]
		send := m.ask
		if r.turn != nil {
			send = func(now time.Time, sa *association, r *request) error { return r.turn(now, sa) }
		}
		if err := send(now, sa, r); err != nil || m.state == ended {
			return err
		}
	}
	return nil
}

// repeat sends the answer again that the gateway has not seen. Of a request in
// fragments, the first one asks for it (RFC 7383 section 2.6.1).
func (m *Machine) repeat(msg *ikemsg.Message, sa *association) error {
	if len(msg.Payloads) > 0 {
		if f, ok := msg.Payloads[len(msg.Payloads)-1].(*ikemsg.Fragment); ok && f.Number != 1 {
			return nil
		}
	}
	for _, d := range sa.answer {
		m.do(Send{d})
	}
	return nil
}

// refuse answers what was authentic and made no sense (RFC 7296 section 2.21.3),
// and drops everything else.
func (m *Machine) refuse(sa *association, msg *ikemsg.Message, err error) error {
	var bad *ikemsg.Error
	if !errors.As(err, &bad) || !bad.Protected {
		m.note(Debug, "dropped a datagram", "reason", err)
		return nil
	}
	if msg.Response() {
		return fault.New(fault.IKE, "the gateway's answer to %v makes no sense: %w", msg.Exchange, err)
	}
	return m.reply(sa, msg.Header, []ikemsg.Payload{&ikemsg.Notify{Kind: ikemsg.InvalidSyntax}})
}

// refuseCritical answers a request with a payload that is critical and unknown
// (RFC 7296 section 2.5).
func (m *Machine) refuseCritical(sa *association, msg *ikemsg.Message, kind ikemsg.PayloadType) error {
	if msg.Response() {
		return fault.New(fault.IKE, "the gateway's answer to %v has a critical payload of type %v, which is not known here", msg.Exchange, kind)
	}
	return m.reply(sa, msg.Header, []ikemsg.Payload{&ikemsg.Notify{Kind: ikemsg.UnsupportedCriticalPayload, Data: []byte{byte(kind)}}})
}

// reply answers the gateway's request, and keeps the answer.
func (m *Machine) reply(sa *association, request ikemsg.Header, payloads []ikemsg.Payload) error {
	datagrams, err := sa.seal(sa.header(request.Exchange, request.MessageID, true), payloads)
	if err != nil {
		return fault.New(fault.Internal, "make the answer to %v: %w", request.Exchange, err)
	}
	sa.expected = request.MessageID + 1
	sa.answer = datagrams
	for _, d := range datagrams {
		m.do(Send{d})
	}
	return nil
}
