package ikemsg

import "fmt"

// A Reassembly puts the fragments of messages together (RFC 7383 section 2.6).
// One belongs to one IKE SA. The zero value is ready; it is not safe for
// concurrent use.
//
// It holds authentic content only, of at most maxMessages messages of at most
// maxReassembled bytes. When another message begins, the oldest one goes.
type Reassembly struct {
	partial []*partial // in the order in which they began
}

// partial is a message of which some fragments are there.
type partial struct {
	id       uint32
	response bool
	exchange ExchangeType
	parts    []*Fragment // by number less one; nil where it is missing
	missing  int
	size     int
	first    *Message // that with fragment 1
}

// Open opens m, which Parse made of the datagram, as the function Open does,
// and returns the whole message: m itself if it came in one SK, and a new one
// with the header of fragment 1 when the last missing fragment of it has come.
// It returns nil and no error while fragments are missing, and for one that is
// there already.
//
// Duplicates and fragments of an older, coarser division cost no decryption.
//
// Whether the message id is one that is expected must be checked before. A
// request that was answered already is answered again only when fragment 1 of
// it comes (RFC 7383 section 2.6.1).
func (r *Reassembly) Open(m *Message, datagram []byte, p Protection) (*Message, error) {
	f := lastFragment(m)
	if f != nil && !r.wants(m, f) {
		return nil, nil
	}
	if err := open(m, datagram, p); err != nil {
		return nil, err
	}
	if f == nil {
		return m, nil
	}
	whole, err := r.add(m, f)
	if err != nil {
		return nil, err
	}
	return whole, nil
}

// Reset forgets everything.
func (r *Reassembly) Reset() { r.partial = nil }

// Forget drops what is there of one message, as when it was answered already
// or given up.
func (r *Reassembly) Forget(id uint32, response bool) {
	for i, p := range r.partial {
		if p.id == id && p.response == response {
			r.partial = append(r.partial[:i:i], r.partial[i+1:]...)
			return
		}
	}
}

func lastFragment(m *Message) *Fragment {
	if n := len(m.Payloads); n > 0 {
		if f, ok := m.Payloads[n-1].(*Fragment); ok {
			return f
		}
	}
	return nil
}

func (r *Reassembly) find(m *Message) *partial {
	for _, p := range r.partial {
		if p.id == m.MessageID && p.response == m.Response() && p.exchange == m.Exchange {
			return p
		}
	}
	return nil
}

// wants reports whether a fragment, which nobody has checked yet, would be of
// use.
func (r *Reassembly) wants(m *Message, f *Fragment) bool {
	p := r.find(m)
	if p == nil {
		return true
	}
	switch total := int(f.Total); {
	case total < len(p.parts):
		// The peer has divided the message anew, more finely, because the
		// fragments did not pass (RFC 7383 section 2.5.2); this is an old one.
		return false
	case total > len(p.parts):
		return true
	}
	return p.parts[f.Number-1] == nil
}

// add takes an authentic fragment.
func (r *Reassembly) add(m *Message, f *Fragment) (*Message, *Error) {
	p := r.find(m)
	if p != nil && int(f.Total) > len(p.parts) {
		r.Forget(p.id, p.response)
		p = nil
	}
	if p == nil {
		p = &partial{id: m.MessageID, response: m.Response(), exchange: m.Exchange, parts: make([]*Fragment, f.Total), missing: int(f.Total)}
		r.Forget(p.id, p.response) // of another exchange type
		if len(r.partial) == maxMessages {
			r.partial = append([]*partial(nil), r.partial[1:]...)
		}
		r.partial = append(r.partial, p)
	}
	if p.size+len(f.Content) > maxReassembled {
		r.Forget(p.id, p.response)
		return nil, &Error{Kind: TooLarge, Payload: PayloadFragment, Protected: true, Msg: fmt.Sprintf("more than %d bytes in fragments", maxReassembled)}
	}
	p.parts[f.Number-1] = f
	p.missing--
	p.size += len(f.Content)
	if f.Number == 1 {
		p.first = m
	}
	if p.missing > 0 {
		return nil, nil
	}
	r.Forget(p.id, p.response)
	return p.whole()
}

// whole parses what the fragments are together.
func (p *partial) whole() (*Message, *Error) {
	chain := make([]byte, 0, p.size)
	for _, f := range p.parts {
		chain = append(chain, f.Content...)
	}
	m := *p.first
	m.size = 0
	last := len(m.Payloads) - 1
	if err := m.fill(m.Payloads[:last:last], p.parts[0].First, chain); err != nil {
		return nil, err
	}
	return &m, nil
}
