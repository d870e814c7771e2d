package tunneltest

import (
	"time"

	"linehaul/tunnel/ikemsg"
)

// Faults are what a Gateway does wrongly. The zero value is a good gateway.
type Faults struct {
	// Cookies is how often it asks for another cookie before it goes on.
	Cookies int
	// Group says which key exchange it wants in IKE_SA_INIT in place of one; the
	// same one, or 0, is taken.
	Group func(asked uint16) uint16
	// Silent answers nothing after IKE_SA_INIT.
	Silent bool
	// NoAddress assigns none.
	NoAddress bool
	// Narrow is what becomes of the selectors of our side, and the client's, in
	// each answer.
	Narrow func(remote, local []ikemsg.Selector) (ours, theirs []ikemsg.Selector)
	// DeleteAtOnce deletes each child that the client asks for, as soon as it
	// was made.
	DeleteAtOnce bool
	// KeepOld deletes nothing that it has replaced.
	KeepOld bool
	// Refuse is the answer to each CREATE_CHILD_SA, unless it is 0.
	Refuse ikemsg.NotifyType

	// Answer changes what an answer says before it is sealed.
	Answer func(request *ikemsg.Message, payloads []ikemsg.Payload) []ikemsg.Payload
	// Datagrams changes what is sent at a time: whether lost, twice, in another
	// order, or damaged.
	Datagrams func([][]byte) [][]byte
}

// Forge seals a message as the IKE SA in use does, whatever is in it: what only
// a gateway itself can make. The header is that of its next request, or what
// change makes of it; the chain of payloads, of which the first is of the type,
// need not be one.
func (g *Gateway) Forge(change func(*ikemsg.Header), first ikemsg.PayloadType, chain []byte) []byte {
	return g.forge(change, ikemsg.PayloadEncrypted, nil, first, chain)
}

// ForgeFragment is Forge for a fragment (RFC 7383 section 2.5).
func (g *Gateway) ForgeFragment(change func(*ikemsg.Header), number, total uint16, first ikemsg.PayloadType, part []byte) []byte {
	numbers := []byte{byte(number >> 8), byte(number), byte(total >> 8), byte(total)}
	return g.forge(change, ikemsg.PayloadFragment, numbers, first, part)
}

func (g *Gateway) forge(change func(*ikemsg.Header), kind ikemsg.PayloadType, numbers []byte, first ikemsg.PayloadType, chain []byte) []byte {
	s := g.current()
	if s == nil {
		return nil
	}
	h := s.header(ikemsg.Informational, s.next, false)
	if change != nil {
		change(&h)
	}
	p := s.out
	block := p.BlockSize()
	pad := (block - (len(chain)+1)%block) % block
	// The payload by itself, sealed: its length is right, whatever the chain
	// says.
	body := len(numbers) + p.IVSize() + len(chain) + pad + 1 + p.ICVSize()
	empty := ikemsg.Message{Header: h, Payloads: []ikemsg.Payload{&ikemsg.Unknown{Kind: kind, Body: make([]byte, body)}}}
	b := empty.Marshal()
	b[ikemsg.HeaderSize] = byte(first)
	content := b[ikemsg.HeaderSize+4:]
	n := copy(content, numbers)
	copy(content[n+p.IVSize():], chain)
	content[n+p.IVSize()+len(chain)+pad] = byte(pad)
	s.counter++
	p.Seal(b, ikemsg.HeaderSize+4+n, nil, s.counter)
	return b
}

// Sent counts a forged request as one that was asked: the next one has the next
// message id.
func (g *Gateway) Sent() {
	if s := g.current(); s != nil {
		s.next++
	}
}

// Request asks the client anything, by the IKE SA in use. It returns nil if a
// request is under way already. Done, which may be nil, gets the answer.
func (g *Gateway) Request(now time.Time, exchange ikemsg.ExchangeType, payloads []ikemsg.Payload, done func(*ikemsg.Message)) [][]byte {
	if s := g.current(); s != nil {
		g.ask(now, s, exchange, payloads, func(_ time.Time, answer *ikemsg.Message) {
			if done != nil {
				done(answer)
			}
		})
	}
	return g.take()
}
