package ikemsg_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"linehaul/tunnel/ikemsg"
)

// orError fails the test unless err is nil or an *Error with a text.
func orError(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return true
	}
	if e, ok := errors.AsType[*ikemsg.Error](err); !ok || e.Msg == "" || e.Error() == "" {
		t.Fatalf("error %v of type %T", err, err)
	}
	return false
}

// FuzzParse: whatever arrives, Parse reads it or says why not, and keeps
// nothing of the datagram. What it reads is written with the same meaning, and
// then with the same bytes.
func FuzzParse(f *testing.F) {
	for _, c := range captures(f) {
		for _, s := range c.said {
			f.Add(s.b)
		}
	}
	for _, s := range shapes() {
		f.Add(datagramOf(s.payload.Type(), true, spaced(f, s.body)))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		b := bytes.Clone(datagram)
		m, err := ikemsg.Parse(b)
		if !orError(t, err) {
			return
		}
		text := m.String()
		out := m.Marshal()
		clear(b)
		if again := m.Marshal(); m.String() != text || !bytes.Equal(out, again) {
			t.Fatal("the message changed with the datagram")
		}
		back, err := ikemsg.Parse(out)
		if err != nil {
			t.Fatalf("%v is written as %x: %v", m, out, err)
		}
		if again := back.Marshal(); !bytes.Equal(out, again) {
			t.Fatalf("written as\n%x, then as\n%x", out, again)
		}
		var told bytes.Buffer
		for _, p := range m.Payloads {
			touch(&told, p)
		}
	})
}

// touch calls what takes a payload further apart.
func touch(b *bytes.Buffer, p ikemsg.Payload) {
	switch p := p.(type) {
	case *ikemsg.SA:
		for _, proposal := range p.Proposals {
			for _, t := range proposal.Transforms {
				b.WriteString(t.String())
			}
		}
	case *ikemsg.IDi:
		b.WriteString(p.String())
		b.Write(p.Signed())
	case *ikemsg.IDr:
		b.WriteString(p.String())
		b.Write(p.Signed())
	case *ikemsg.CertReq:
		for _, h := range p.Hashes() {
			b.Write(h[:])
		}
	case *ikemsg.Notify:
		p.Group()
		p.HashAlgorithms()
		p.Address()
		p.ChildSPI()
	case *ikemsg.TSi:
		for _, s := range p.Selectors {
			b.WriteString(s.String())
			s.Covers(p.Selectors[0])
			s.Contains(s.Start)
		}
	case *ikemsg.Config:
		for _, a := range p.Attributes {
			a.Address()
			a.Prefix()
		}
	case *ikemsg.VendorID:
		b.WriteString(p.String())
	}
}

// FuzzOpen: a chain of payloads inside of SK, from a peer who has the keys.
// What is read is sealed again, in one and in fragments, and is the same.
func FuzzOpen(f *testing.F) {
	for _, c := range captures(f) {
		c.open(f, func(s said, m *ikemsg.Message, p ikemsg.Protection) {
			if p != nil && len(m.Payloads) > 0 {
				f.Add(uint8(m.Payloads[0].Type()), m.Inner)
			}
		})
	}
	for _, s := range shapes() {
		d := datagramOf(s.payload.Type(), false, spaced(f, s.body))
		f.Add(uint8(s.payload.Type()), d[28:])
	}
	p := newBare()
	f.Fuzz(func(t *testing.T, first uint8, chain []byte) {
		if len(chain) > 60000 {
			return
		}
		d := (&ikemsg.Message{Header: header(ikemsg.IKEAuth), Payloads: []ikemsg.Payload{
			&ikemsg.Encrypted{First: ikemsg.PayloadType(first), Body: append(bytes.Clone(chain), 0)},
		}}).Marshal()
		m, err := ikemsg.Parse(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := ikemsg.Open(m, d, p); !orError(t, err) {
			if e, _ := errors.AsType[*ikemsg.Error](err); !e.Protected {
				t.Fatalf("%v: its sender is known, and the error does not say so", err)
			}
			return
		}
		if !bytes.Equal(m.Inner, chain) {
			t.Fatalf("the content is %x, was %x", m.Inner, chain)
		}
		signed, err := ikemsg.IntermediateAuth(m.Header, m.Payloads)
		if err != nil {
			t.Fatal(err)
		}
		for _, most := range []int{0, 400} {
			datagrams, err := ikemsg.Seal(m.Header, m.Payloads, p, counter(), most)
			if err != nil {
				t.Fatal(err)
			}
			var r ikemsg.Reassembly
			var whole *ikemsg.Message
			for _, d := range datagrams {
				whole = add(t, &r, d, p)
			}
			if whole == nil || !bytes.Equal(whole.IntermediateAuth(), signed) {
				t.Fatalf("in datagrams of %d: %v", most, whole)
			}
		}
	})
}

// FuzzReassembly holds a Reassembly against a slow model of RFC 7383 section
// 2.6. Each four bytes are a fragment: message id and direction, total,
// number, and what is done before.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 2, 1, 0, 0, 2, 2, 0})
	f.Add([]byte{0, 3, 3, 0, 0, 3, 3, 0, 1, 2, 1, 0, 0, 3, 1, 0, 1, 2, 2, 0, 0, 3, 2, 0})
	f.Add([]byte{0, 2, 1, 0, 0, 4, 1, 0, 0, 2, 2, 0, 0, 4, 2, 0, 0, 4, 3, 0, 0, 4, 4, 0})
	f.Add([]byte{0, 2, 1, 0, 1, 2, 1, 0, 2, 2, 1, 0, 3, 2, 1, 0, 4, 2, 1, 0, 0, 2, 2, 0, 4, 2, 2, 0})
	f.Add([]byte{0, 2, 1, 0, 0, 2, 2, 1, 0, 2, 1, 0, 0, 1, 1, 0})
	type id struct {
		n        uint32
		response bool
	}
	type held struct {
		id
		total int
		have  map[int]bool
	}
	p := newBare()
	f.Fuzz(func(t *testing.T, ops []byte) {
		ops = ops[:min(len(ops), 400)]
		var r ikemsg.Reassembly
		var model []*held
		drop := func(k id) {
			for i, h := range model {
				if h.id == k {
					model = append(model[:i:i], model[i+1:]...)
					return
				}
			}
		}
		for ; len(ops) >= 4; ops = ops[4:] {
			k := id{uint32(ops[0] % 6), ops[0] >= 128}
			total := 1 + int(ops[1]%6)
			number := 1 + int(ops[2])%total
			if ops[3] == 1 {
				r.Forget(k.n, k.response)
				drop(k)
			}
			h := header(ikemsg.Informational)
			h.MessageID = k.n
			if k.response {
				h.Flags |= ikemsg.FlagResponse
			}
			// A chain of one payload, which is as long as total parts of 8 bytes.
			chain := append([]byte{0, 0, 0, byte(total * 8)}, bytes.Repeat([]byte{byte(k.n), byte(total)}, total*4-2)...)
			fragment := &ikemsg.Fragment{Number: uint16(number), Total: uint16(total), Body: append(bytes.Clone(chain[(number-1)*8:number*8]), 0)}
			if number == 1 {
				fragment.First = ikemsg.PayloadVendorID
			}
			got := add(t, &r, (&ikemsg.Message{Header: h, Payloads: []ikemsg.Payload{fragment}}).Marshal(), p)

			var now *held
			for _, h := range model {
				if h.id == k {
					now = h
				}
			}
			if now != nil && total > now.total {
				drop(k)
				now = nil
			}
			if now == nil {
				now = &held{id: k, total: total, have: map[int]bool{}}
				model = append(model, now)
				if len(model) > 4 {
					model = model[1:]
				}
			}
			if total == now.total {
				now.have[number] = true
			}
			whole := len(now.have) == now.total
			if whole {
				drop(k)
			}
			if whole != (got != nil) {
				t.Fatalf("message %v, fragment %d of %d: whole %v, want %v", k, number, total, got, whole)
			}
			if whole && !bytes.Equal(got.Inner, chain) {
				t.Fatalf("message %v is %x, want %x", k, got.Inner, chain)
			}
		}
	})
}

// FuzzEAP: packets of EAP and what the methods put into them. What is read is
// written with the same bytes, but for what a method does not look at.
func FuzzEAP(f *testing.F) {
	for _, c := range captures(f) {
		c.open(f, func(s said, m *ikemsg.Message, p ikemsg.Protection) {
			if e, ok := ikemsg.Get[*ikemsg.EAP](m.Payloads); ok {
				f.Add(e.Marshal())
			}
		})
	}
	failure := &ikemsg.MSCHAPv2{Op: ikemsg.MSCHAPv2Failure, Body: []byte("E=691 R=1 C=000102030405060708090A0B0C0D0E0F V=3 M=no")}
	f.Add((&ikemsg.EAP{Code: ikemsg.EAPRequest, Kind: ikemsg.EAPMSCHAPv2, Data: failure.Marshal()}).Marshal())
	f.Fuzz(func(t *testing.T, packet []byte) {
		p, err := ikemsg.ParseEAP(packet)
		if !orError(t, err) {
			return
		}
		if out := p.Marshal(); !bytes.Equal(out, packet) || p.String() == "" {
			t.Fatalf("written as %x, was %x", out, packet)
		}
		if c, err := ikemsg.ParseMD5Challenge(p.Data); orError(t, err) && !bytes.Equal(c.Marshal(), p.Data) {
			t.Fatalf("written as %x, was %x", c.Marshal(), p.Data)
		}
		if c, err := ikemsg.ParseTLSFragment(p.Data); orError(t, err) {
			again, err := ikemsg.ParseTLSFragment(c.Marshal())
			if err != nil || !reflect.DeepEqual(again, c) {
				t.Fatalf("%+v, then %+v, %v", c, again, err)
			}
		}
		m, err := ikemsg.ParseMSCHAPv2(p.Data)
		if !orError(t, err) {
			return
		}
		again, err := ikemsg.ParseMSCHAPv2(m.Marshal())
		if err != nil || again.Op != m.Op || !bytes.Equal(again.Body, m.Body) {
			t.Fatalf("%+v, then %+v, %v", m, again, err)
		}
		if challenge, name, err := m.Challenge(); orError(t, err) {
			if again := ikemsg.NewChallenge(m.Identifier, challenge, name); !bytes.Equal(again.Body, m.Body) {
				t.Fatalf("written as %x, was %x", again.Body, m.Body)
			}
		}
		if r, err := m.Response(); orError(t, err) {
			back, err := ikemsg.NewResponse(m.Identifier, r).Response()
			if err != nil || !reflect.DeepEqual(back, r) {
				t.Fatalf("%+v, then %+v, %v", r, back, err)
			}
		}
		_, err = m.Verdict()
		orError(t, err)
	})
}

// FuzzSignature: the data of an AUTH of RFC 7427.
func FuzzSignature(f *testing.F) {
	for _, c := range captures(f) {
		c.open(f, func(s said, m *ikemsg.Message, p ikemsg.Protection) {
			if a, ok := ikemsg.Get[*ikemsg.Auth](m.Payloads); ok {
				f.Add(a.Data)
			}
		})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		algorithm, signature, err := ikemsg.SplitSignature(data)
		if orError(t, err) && !bytes.Equal(ikemsg.JoinSignature(algorithm, signature), data) {
			t.Fatalf("%x and %x of %x", algorithm, signature, data)
		}
	})
}
