package ikemsg

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A Protection is one key in one direction: it encrypts and authenticates
// packets in place. Package suite makes them.
type Protection interface {
	Sizer
	// Seal gets head bytes in clear, IVSize bytes of IV, the content, and
	// ICVSize bytes of ICV. It makes the IV of counter, which never repeats
	// under a key, encrypts the content, and writes the ICV. High is nil here.
	Seal(packet []byte, head int, high []byte, counter uint64)
	// Open checks the ICV, in constant time, and decrypts only then.
	Open(packet []byte, head int, high []byte) error
}

// A Sizer says how much room a protection takes.
type Sizer interface {
	IVSize() int
	ICVSize() int
	BlockSize() int // the content's length is a multiple of it; 1 for streams and AEAD
}

// Encrypted is a payload SK before it is opened (RFC 7296 section 3.14).
type Encrypted struct {
	First PayloadType // of the payloads inside; 0 if there are none
	Body  []byte      // IV, content and ICV

	at int // where the payload begins in the datagram
}

// Type is PayloadEncrypted.
func (*Encrypted) Type() PayloadType { return PayloadEncrypted }

func (p *Encrypted) append(e *encoder) { e.bytes(p.Body) }

// A Fragment is a payload SKF (RFC 7383 section 2.5). Open fills in Content.
type Fragment struct {
	First   PayloadType // of the payloads of the whole, in fragment 1; 0 in the others
	Number  uint16      // from 1 to Total
	Total   uint16
	Body    []byte // IV, content and ICV
	Content []byte // its part of the chain of payloads, once opened; nil before

	at   int // where the payload begins in the datagram
	link int // where its type stands in the datagram
}

// Type is PayloadFragment.
func (*Fragment) Type() PayloadType { return PayloadFragment }

// String is SKF(number/total).
func (p *Fragment) String() string { return fmt.Sprintf("SKF(%d/%d)", p.Number, p.Total) }

// fragmentHead are number and total, before the IV.
const fragmentHead = 4

func parseFragment(body []byte) (*Fragment, *Error) {
	d := decoder{b: body}
	p := &Fragment{Number: d.uint16(), Total: d.uint16()}
	p.Body = d.rest()
	switch {
	case d.short:
		return nil, d.end()
	// RFC 7383 section 2.6: a number of zero, a total of zero, or a number
	// above the total.
	case p.Number == 0 || p.Number > p.Total:
		return nil, malformed("fragment %d of %d", p.Number, p.Total)
	case p.Total > maxFragments:
		return nil, tooLarge("%d fragments", p.Total)
	}
	return p, nil
}

func (p *Fragment) append(e *encoder) {
	e.uint16(p.Number)
	e.uint16(p.Total)
	e.bytes(p.Body)
}

// Seal writes the datagrams of a protected message: one with a payload SK, or
// several with SKF (RFC 7383) if maxDatagram is above 0 and the one would be
// longer. MaxDatagram counts from the first byte of the header: neither UDP
// nor the four zero bytes of port 4500 are in it. Next gives the counter of
// each datagram.
//
// A message that is sent again must be the same datagrams: they are to be
// kept, not sealed again.
//
// The error is an *Error of kind TooLarge or Malformed, and then it is about
// the payloads that were given.
func Seal(h Header, payloads []Payload, p Protection, next func() uint64, maxDatagram int) ([][]byte, error) {
	e := &encoder{b: make([]byte, 0, 1024)}
	appendPayloads(e, payloads)
	if e.err != nil {
		return nil, e.err
	}
	chain, firstInner := e.b, firstType(payloads)
	whole := HeaderSize + payloadHeader + sealedSize(len(chain), p)
	if maxDatagram <= 0 || whole <= maxDatagram {
		if whole > MaxDatagram || whole-HeaderSize > maxPayload {
			return nil, tooLarge("%d bytes in one datagram", whole)
		}
		return [][]byte{sealOne(h, PayloadEncrypted, firstInner, nil, chain, p, next())}, nil
	}
	room := contentRoom(maxDatagram-HeaderSize-payloadHeader-fragmentHead, p)
	if room <= 0 {
		return nil, tooLarge("fragments of %d bytes have no room for content", maxDatagram)
	}
	total := (len(chain) + room - 1) / room
	if total > maxFragments {
		return nil, tooLarge("%d bytes in fragments of %d are %d fragments, and %d are allowed", len(chain), maxDatagram, total, maxFragments)
	}
	datagrams := make([][]byte, total)
	for i := range datagrams {
		numbers := binary.BigEndian.AppendUint16(nil, uint16(i+1))
		numbers = binary.BigEndian.AppendUint16(numbers, uint16(total))
		part := chain[i*room : min((i+1)*room, len(chain))]
		datagrams[i] = sealOne(h, PayloadFragment, firstInner, numbers, part, p, next())
		firstInner = 0 // in all but the first (RFC 7383 section 2.5.3)
	}
	return datagrams, nil
}

// padding is what content of n bytes and the byte that counts the padding need
// to fill blocks.
func padding(n int, s Sizer) int {
	block := s.BlockSize()
	return (block - (n+1)%block) % block
}

// sealedSize is the length of IV, content and ICV.
func sealedSize(n int, s Sizer) int {
	return s.IVSize() + n + padding(n, s) + 1 + s.ICVSize()
}

// contentRoom is how much content fits when IV, content and ICV may be n bytes.
func contentRoom(n int, s Sizer) int {
	n -= s.IVSize() + s.ICVSize()
	return n - n%s.BlockSize() - 1
}

func sealOne(h Header, t, firstInner PayloadType, numbers, content []byte, p Protection, counter uint64) []byte {
	pad := padding(len(content), p)
	e := &encoder{b: make([]byte, 0, HeaderSize+payloadHeader+len(numbers)+sealedSize(len(content), p))}
	h.append(e, t)
	e.uint8(uint8(firstInner))
	e.uint8(0)
	end := e.length(HeaderSize)
	e.bytes(numbers)
	head := len(e.b)
	e.reserved(p.IVSize())
	e.bytes(content)
	e.reserved(pad)
	e.uint8(uint8(pad))
	e.reserved(p.ICVSize())
	end()
	binary.BigEndian.PutUint32(e.b[24:], uint32(len(e.b)))
	p.Seal(e.b, head, nil, counter)
	return e.b
}

// Open opens the SK or SKF at the end of m, which Parse made of this datagram.
// In place of an Encrypted come the payloads that were inside, after those that
// stood before it in clear and are authentic now too. A Fragment gets its
// Content. The datagram is not changed.
//
// The error is an *Error. NotAuthentic leaves m as it was, and says nothing
// about who sent it; after Malformed or TooLarge with Protected set, the peer
// itself made it so.
func Open(m *Message, datagram []byte, p Protection) error {
	if err := open(m, datagram, p); err != nil {
		return err
	}
	return nil
}

func open(m *Message, datagram []byte, p Protection) *Error {
	if len(m.Payloads) == 0 {
		return malformed("nothing in it is encrypted")
	}
	if len(datagram) != m.size {
		return malformed("%d bytes to open of a message of %d", len(datagram), m.size)
	}
	last := len(m.Payloads) - 1
	switch sealed := m.Payloads[last].(type) {
	case *Encrypted:
		content, err := openContent(datagram, sealed.at+payloadHeader, p)
		if err != nil {
			return in(PayloadEncrypted, err)
		}
		if err := m.fill(m.Payloads[:last:last], sealed.First, content); err != nil {
			return err
		}
		m.head = bytes.Clone(datagram[:sealed.at+payloadHeader])
		return nil
	case *Fragment:
		content, err := openContent(datagram, sealed.at+payloadHeader+fragmentHead, p)
		if err != nil {
			return in(PayloadFragment, err)
		}
		sealed.Content = content
		// It counts as if it had come in one SK (RFC 9242 section 3.3.2).
		m.head = bytes.Clone(datagram[:sealed.at+payloadHeader])
		m.head[sealed.link] = uint8(PayloadEncrypted)
		return nil
	}
	return malformed("nothing in it is encrypted")
}

// openContent decrypts a copy and takes the padding off.
func openContent(datagram []byte, head int, p Protection) ([]byte, *Error) {
	n := len(datagram) - head - p.IVSize() - p.ICVSize()
	if n < 1 || n%p.BlockSize() != 0 {
		return nil, &Error{Kind: NotAuthentic, Msg: fmt.Sprintf("%d bytes of content are not what this cipher makes", n)}
	}
	packet := bytes.Clone(datagram)
	if err := p.Open(packet, head, nil); err != nil {
		return nil, &Error{Kind: NotAuthentic, Msg: "integrity check", Err: err}
	}
	content := packet[head+p.IVSize():][:n]
	// The padding may be longer than needed, and of any bytes (RFC 7296
	// section 3.14).
	pad := int(content[n-1])
	if pad > n-1 {
		return nil, &Error{Kind: Malformed, Protected: true, Msg: fmt.Sprintf("%d bytes of padding in %d of content", pad, n)}
	}
	end := n - 1 - pad
	return content[:end:end], nil
}

// fill parses what was inside of SK or of all fragments.
func (m *Message) fill(clear []Payload, firstInner PayloadType, chain []byte) *Error {
	inner, err := parsePayloads(firstInner, chain, 0)
	if err == nil && len(clear)+len(inner) > maxPayloads {
		err = tooLarge("more than %d payloads", maxPayloads)
	}
	for _, p := range inner {
		if t := p.Type(); t == PayloadEncrypted || t == PayloadFragment {
			err = first(err, in(t, malformed("it is inside of another one")))
		}
	}
	if err != nil {
		err.Protected = true
		return err
	}
	m.Payloads, m.Inner = append(clear, inner...), chain
	return nil
}

// IntermediateAuth is what is signed of a message of an IKE_INTERMEDIATE
// exchange that goes out in Seal: the header and the header of its SK as if
// the content had neither IV, padding nor ICV, and the content, whether it goes
// in fragments or not (RFC 9242 section 3.3.2). For one that came in there is
// Message.IntermediateAuth.
func IntermediateAuth(h Header, payloads []Payload) ([]byte, error) {
	e := &encoder{b: make([]byte, 0, 1024)}
	h.append(e, PayloadEncrypted)
	e.uint8(uint8(firstType(payloads)))
	e.uint8(0)
	end := e.length(HeaderSize)
	appendPayloads(e, payloads)
	end()
	if e.err != nil {
		return nil, e.err
	}
	binary.BigEndian.PutUint32(e.b[24:], uint32(len(e.b)))
	return e.b, nil
}

// IntermediateAuth is what its sender signed of this message, once it was
// opened; nil before.
func (m *Message) IntermediateAuth() []byte {
	if m.head == nil {
		return nil
	}
	b := append(bytes.Clone(m.head), m.Inner...)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	binary.BigEndian.PutUint16(b[len(m.head)-2:], uint16(payloadHeader+len(m.Inner)))
	return b
}
