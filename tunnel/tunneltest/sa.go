package tunneltest

import (
	"bytes"
	"slices"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// A sa is an IKE SA: keys, and a window of one request each way.
type sa struct {
	initiator bool // we began it, by a rekey
	own, peer ikemsg.SPI
	suite     suite.Suite
	prf       suite.PRF
	d         []byte // SK_d
	in, out   *suite.Protection
	counter   uint64
	fragments int // 0: the client takes none
	pieces    ikemsg.Reassembly
	login     *login // until the client has proved who it is
	proved    bool

	next  uint32
	asked *asked

	expected uint32
	answer   [][]byte

	rekey, theirs  *nonces // ours is under way; the client has replaced it
	pending        *pending
	heir           *sa  // what the client has replaced it by, while ours is under way
	leaving        bool // we have said that it is deleted
	rekeyAt, until time.Time
}

// nonces are those of an exchange that replaces something.
type nonces struct{ ni, nr []byte }

// loses reports whether the exchange with the lowest nonce of all is a (RFC
// 7296 section 2.8.1): what it made is deleted by who began it.
func (a *nonces) loses(b *nonces) bool {
	least := slices.MinFunc([][]byte{a.ni, a.nr, b.ni, b.nr}, bytes.Compare)
	return bytes.Equal(least, a.ni) || bytes.Equal(least, a.nr)
}

// asked is a request of ours that is not answered.
type asked struct {
	id        uint32
	exchange  ikemsg.ExchangeType
	datagrams [][]byte
	done      func(now time.Time, answer *ikemsg.Message)
	began, at time.Time
	wait      time.Duration
}

func (s *sa) isFor(h ikemsg.Header) bool {
	if s.initiator {
		return h.InitiatorSPI == s.own && h.ResponderSPI == s.peer && !h.FromInitiator()
	}
	return h.InitiatorSPI == s.peer && h.ResponderSPI == s.own && h.FromInitiator()
}

func (s *sa) header(x ikemsg.ExchangeType, id uint32, response bool) ikemsg.Header {
	h := ikemsg.Header{InitiatorSPI: s.peer, ResponderSPI: s.own, Exchange: x, MessageID: id}
	if s.initiator {
		h.InitiatorSPI, h.ResponderSPI, h.Flags = s.own, s.peer, ikemsg.FlagInitiator
	}
	if response {
		h.Flags |= ikemsg.FlagResponse
	}
	return h
}

// derive makes the keys of SKEYSEED (section 2.14), of which the two of the
// login are returned: SK_pi and SK_pr.
func (s *sa) derive(seed, ni, nr []byte) (pi, pr []byte, err error) {
	i, r := s.peer, s.own
	if s.initiator {
		i, r = r, i
	}
	e, a, p := s.suite.KeySizes()
	all := s.prf.Plus(seed, slices.Concat(ni, nr, i[:], r[:]), 3*p+2*a+2*e)
	sizes := []int{p, a, a, e, e, p, p} // SK_d, SK_ai, SK_ar, SK_ei, SK_er, SK_pi, SK_pr
	parts := make([][]byte, len(sizes))
	for n, size := range sizes {
		parts[n], all = all[:size:size], all[size:]
	}
	s.d = parts[0]
	fromInitiator, err := s.suite.Protection(parts[3], parts[1])
	if err != nil {
		return nil, nil, err
	}
	fromResponder, err := s.suite.Protection(parts[4], parts[2])
	if err != nil {
		return nil, nil, err
	}
	s.in, s.out = fromInitiator, fromResponder
	if s.initiator {
		s.in, s.out = fromResponder, fromInitiator
	}
	return parts[5], parts[6], nil
}

func (g *Gateway) seal(s *sa, h ikemsg.Header, payloads []ikemsg.Payload) [][]byte {
	d, err := ikemsg.Seal(h, payloads, s.out, func() uint64 { s.counter++; return s.counter }, s.fragments)
	g.fail(err)
	return d
}

// ask sends a request. It is false if one is under way.
func (g *Gateway) ask(now time.Time, s *sa, x ikemsg.ExchangeType, payloads []ikemsg.Payload, done func(time.Time, *ikemsg.Message)) bool {
	if s.asked != nil {
		return false
	}
	s.asked = &asked{
		id: s.next, exchange: x, done: done, began: now, at: now.Add(firstWait), wait: firstWait,
		datagrams: g.seal(s, s.header(x, s.next, false), payloads),
	}
	s.next++
	g.send(s.asked.datagrams)
	return true
}

// receive takes a message of an IKE SA.
func (g *Gateway) receive(now time.Time, s *sa, m *ikemsg.Message, datagram []byte) {
	if g.o.Faults.Silent {
		return
	}
	switch {
	case m.Response() && (s.asked == nil || s.asked.id != m.MessageID || s.asked.exchange != m.Exchange):
		g.stats.Dropped++
		return
	case m.Response():
	case m.MessageID+1 == s.expected && s.answer != nil:
		if f, ok := ikemsg.Get[*ikemsg.Fragment](m.Payloads); !ok || f.Number == 1 {
			g.stats.Repeated++
			g.send(s.answer)
		}
		return
	case m.MessageID != s.expected:
		g.stats.Dropped++
		return
	}
	whole, err := s.pieces.Open(m, datagram, s.in)
	if err != nil {
		g.stats.Dropped++
		return
	}
	if whole == nil {
		return
	}
	g.heard = now
	if kind, critical := whole.Critical(); critical && !whole.Response() {
		g.reply(s, whole, notify(ikemsg.UnsupportedCriticalPayload, byte(kind)))
		return
	}
	if whole.Response() {
		done := s.asked.done
		s.asked = nil
		done(now, whole)
		return
	}
	payloads, after := g.answerTo(now, s, whole)
	if f := g.o.Faults.Answer; f != nil {
		payloads = f(whole, payloads)
	}
	g.reply(s, whole, payloads)
	if after != nil {
		after()
	}
}

// reply answers a request, and keeps the answer.
func (g *Gateway) reply(s *sa, request *ikemsg.Message, payloads []ikemsg.Payload) {
	s.answer = g.seal(s, s.header(request.Exchange, request.MessageID, true), payloads)
	s.expected = request.MessageID + 1
	g.send(s.answer)
}

// notify is an answer of one notification.
func notify(kind ikemsg.NotifyType, data ...byte) []ikemsg.Payload {
	return []ikemsg.Payload{&ikemsg.Notify{Kind: kind, Data: data}}
}

// answerTo makes the answer to a request; after is what comes behind it.
func (g *Gateway) answerTo(now time.Time, s *sa, m *ikemsg.Message) (answer []ikemsg.Payload, after func()) {
	switch {
	case !s.proved && m.Exchange == ikemsg.IKEAuth:
		return g.prove(now, s, m)
	case !s.proved && m.Exchange == ikemsg.IKEIntermediate:
		return g.intermediate(s, m)
	case !s.proved:
		return notify(ikemsg.InvalidSyntax), nil
	case m.Exchange == ikemsg.CreateChildSA:
		s.pending = nil
		return g.created(now, s, m)
	case m.Exchange == ikemsg.IKEFollowupKE:
		return g.followedUp(now, s, m)
	case m.Exchange == ikemsg.Informational:
		return g.informed(now, s, m)
	}
	return notify(ikemsg.InvalidSyntax), nil
}

// informed answers INFORMATIONAL (section 1.4).
func (g *Gateway) informed(now time.Time, s *sa, m *ikemsg.Message) (answer []ikemsg.Payload, after func()) {
	var gone []*child
	for _, d := range ikemsg.All[*ikemsg.Delete](m.Payloads) {
		if d.Protocol == ikemsg.ProtocolIKE {
			return nil, func() {
				s.until = now.Add(g.o.Patience)
				g.past = append(g.past, s)
				g.remove(s)
			}
		}
		for _, spi := range d.SPIs {
			if c := g.byOut(spi); c != nil && !slices.Contains(gone, c) {
				gone = append(gone, c)
			}
		}
	}
	ours := &ikemsg.Delete{Protocol: ikemsg.ProtocolESP}
	for _, c := range gone {
		if !c.gone { // else each has said so (section 1.4.1)
			ours.SPIs = append(ours.SPIs, c.inSPI)
		}
	}
	if len(ours.SPIs) > 0 {
		answer = append(answer, ours)
	}
	if n, ok := ikemsg.FindNotify(m.Payloads, ikemsg.Cookie2); ok {
		answer = append(answer, &ikemsg.Notify{Kind: ikemsg.Cookie2, Data: n.Data})
	}
	return answer, func() {
		for _, c := range gone {
			g.drop(now, c)
		}
	}
}

// remove takes an IKE SA away, and what the client has put in its place is used
// from now on. With the last one, all is gone.
func (g *Gateway) remove(s *sa) {
	was := g.current() == s
	g.sas = slices.DeleteFunc(g.sas, func(o *sa) bool { return o == s })
	if was && s.heir != nil {
		g.use(s.heir)
	}
	for _, c := range g.children {
		if c.under == s {
			c.rekey, c.under = nil, nil
		}
	}
	if len(g.sas) == 0 {
		g.children, g.retired, g.sending = nil, nil, nil
	}
}

// use puts an IKE SA first.
func (g *Gateway) use(s *sa) {
	g.sas = append([]*sa{s}, slices.DeleteFunc(g.sas, func(o *sa) bool { return o == s })...)
}
