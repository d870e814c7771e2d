package ikemsg_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"linehaul/tunnel/ikemsg"
)

// bare protects nothing: for tests of what comes behind the protection.
type bare struct{ opened *int }

func (bare) IVSize() int                               { return 0 }
func (bare) ICVSize() int                              { return 0 }
func (bare) BlockSize() int                            { return 1 }
func (bare) Seal([]byte, int, []byte, uint64)          {}
func (b bare) Open(p []byte, h int, high []byte) error { *b.opened++; return nil }

func newBare() bare { return bare{new(int)} }

// divided is a message in fragments of a size, and its payloads.
func divided(t testing.TB, h ikemsg.Header, content, most int, p ikemsg.Protection) ([][]byte, []ikemsg.Payload) {
	t.Helper()
	data := make([]byte, content)
	for i := range data {
		data[i] = byte(i ^ int(h.MessageID))
	}
	payloads := []ikemsg.Payload{&ikemsg.Notify{Kind: ikemsg.InitialContact}, &ikemsg.Cert{Encoding: ikemsg.CertX509Signature, Data: data}}
	datagrams, err := ikemsg.Seal(h, payloads, p, counter(), most)
	if err != nil {
		t.Fatal(err)
	}
	return datagrams, payloads
}

func add(t testing.TB, r *ikemsg.Reassembly, d []byte, p ikemsg.Protection) *ikemsg.Message {
	t.Helper()
	m, err := ikemsg.Parse(d)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = r.Open(m, d, p); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestReassemblyOrder(t *testing.T) {
	p := newBare()
	datagrams, payloads := divided(t, header(ikemsg.IKEAuth), 1000, 400, p)
	if len(datagrams) != 3 {
		t.Fatalf("%d fragments", len(datagrams))
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 0, 1, 1, 0, 2}, {2, 2, 2, 0, 2, 1}} {
		var r ikemsg.Reassembly
		*p.opened = 0
		for i, n := range order {
			m := add(t, &r, datagrams[n], p)
			if (m != nil) != (i == len(order)-1) {
				t.Fatalf("order %v: after %d: %v", order, i, m)
			}
			if m != nil {
				same(t, m.Payloads, payloads)
			}
		}
		if *p.opened != 3 {
			t.Errorf("order %v: %d decryptions", order, *p.opened)
		}
	}
}

// TestReassemblyDividedAnew: a peer whose fragments do not pass divides more
// finely (RFC 7383 section 2.5.2); what came of the first division is void.
func TestReassemblyDividedAnew(t *testing.T) {
	p := newBare()
	coarse, _ := divided(t, header(ikemsg.IKEAuth), 1000, 600, p)
	fine, payloads := divided(t, header(ikemsg.IKEAuth), 1000, 300, p)
	if len(coarse) != 2 || len(fine) != 4 {
		t.Fatalf("%d and %d fragments", len(coarse), len(fine))
	}
	var r ikemsg.Reassembly
	for i, d := range [][]byte{coarse[0], fine[0], coarse[1], coarse[0], fine[2], fine[1], fine[3]} {
		m := add(t, &r, d, p)
		if (m != nil) != (i == 6) {
			t.Fatalf("after %d: %v", i, m)
		}
		if m != nil {
			same(t, m.Payloads, payloads)
		}
	}
}

// TestReassemblyOfSeveral: a request and a response of the same id are two
// messages, and one too many pushes the oldest out.
func TestReassemblyOfSeveral(t *testing.T) {
	p := newBare()
	var firsts, lasts [][]byte
	for id := range uint32(3) {
		for _, f := range []ikemsg.Flags{ikemsg.FlagInitiator, ikemsg.FlagResponse} {
			h := header(ikemsg.Informational)
			h.MessageID, h.Flags = id, f
			d, _ := divided(t, h, 500, 300, p)
			firsts, lasts = append(firsts, d[:len(d)-1]...), append(lasts, d[len(d)-1])
		}
	}
	var r ikemsg.Reassembly
	for _, d := range firsts {
		if m := add(t, &r, d, p); m != nil {
			t.Fatal(m)
		}
	}
	// The last begun first: the end of one that is gone begins another one.
	slices.Reverse(lasts)
	for i, d := range lasts {
		m := add(t, &r, d, p)
		if (m != nil) != (i < 4) {
			t.Errorf("message %d of those in store: %v", i, m)
		}
	}
	r.Reset()
	r.Forget(0, true)
	add(t, &r, firsts[0], p)
	r.Forget(0, false)
	if m := add(t, &r, lasts[5], p); m != nil {
		t.Errorf("forgotten, and whole: %v", m)
	}
}

// TestReassemblyForged: what is not authentic changes nothing.
func TestReassemblyForged(t *testing.T) {
	for name, p := range protections(t) {
		datagrams, payloads := divided(t, header(ikemsg.IKEAuth), 1000, 500, p)
		var r ikemsg.Reassembly
		var whole *ikemsg.Message
		for i, d := range datagrams {
			forged := bytes.Clone(d)
			forged[len(forged)-1] ^= 1
			finer := bytes.Clone(d)
			finer[35] = 200 // one fragment of 200, which would void all others
			for _, b := range [][]byte{forged, finer} {
				m, err := ikemsg.Parse(b)
				if err != nil {
					t.Fatal(err)
				}
				_, err = r.Open(m, b, p)
				refused(t, err, ikemsg.NotAuthentic)
			}
			whole = add(t, &r, d, p)
			if (whole != nil) != (i == len(datagrams)-1) {
				t.Fatalf("%s: after %d: %v", name, i, whole)
			}
		}
		same(t, whole.Payloads, payloads)
	}
}

// TestReassemblyBounds: an authentic peer cannot fill memory.
func TestReassemblyBounds(t *testing.T) {
	p := newBare()
	var r ikemsg.Reassembly
	var failed error
	for i := range 4 {
		f := &ikemsg.Fragment{Number: uint16(i + 1), Total: 5, Body: append(make([]byte, 60000), 0)}
		d := (&ikemsg.Message{Header: header(ikemsg.IKEAuth), Payloads: []ikemsg.Payload{f}}).Marshal()
		m, err := ikemsg.Parse(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = r.Open(m, d, p); err != nil {
			failed = err
			break
		}
	}
	if e := refused(t, failed, ikemsg.TooLarge); !e.Protected {
		t.Error("its sender is known, and the error does not say so")
	}
}

// TestReassemblyOfGarbage: fragments that are authentic and no chain of
// payloads.
func TestReassemblyOfGarbage(t *testing.T) {
	p := newBare()
	var r ikemsg.Reassembly
	f := &ikemsg.Fragment{First: ikemsg.PayloadNonce, Number: 1, Total: 1, Body: []byte{0, 0, 0, 9, 1, 0}}
	d := (&ikemsg.Message{Header: header(ikemsg.IKEAuth), Payloads: []ikemsg.Payload{f}}).Marshal()
	m, err := ikemsg.Parse(d)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Open(m, d, p)
	if e := refused(t, err, ikemsg.Malformed); !e.Protected || e.Payload != ikemsg.PayloadNonce {
		t.Errorf("%+v", e)
	}
}

// TestClearPayloads: what stands before SK in clear is authentic with it.
func TestClearPayloads(t *testing.T) {
	p := newBare()
	clear := &ikemsg.Notify{Kind: ikemsg.Cookie2, Data: []byte("clear")}
	for name, last := range map[string]ikemsg.Payload{
		"SK":  &ikemsg.Encrypted{First: ikemsg.PayloadVendorID, Body: []byte{0, 0, 0, 5, 'x', 0}},
		"SKF": &ikemsg.Fragment{First: ikemsg.PayloadVendorID, Number: 1, Total: 1, Body: []byte{0, 0, 0, 5, 'x', 0}},
	} {
		d := (&ikemsg.Message{Header: header(ikemsg.IKEIntermediate), Payloads: []ikemsg.Payload{clear, last}}).Marshal()
		var r ikemsg.Reassembly
		m := add(t, &r, d, p)
		same(t, m.Payloads, []ikemsg.Payload{clear, &ikemsg.VendorID{Data: []byte("x")}})
		// Header, N, the header of SK without padding, and the content.
		want := bytes.Clone(d[:28+13+4])
		want = append(want, 0, 0, 0, 5, 'x')
		want[27] = byte(len(want))
		want[28], want[28+13+3] = byte(ikemsg.PayloadEncrypted), 9
		if got := m.IntermediateAuth(); !bytes.Equal(got, want) {
			t.Errorf("%s: signed\n%x, want\n%x", name, got, want)
		}
	}
}

// TestSealedTwice: SK inside of SK.
func TestSealedTwice(t *testing.T) {
	p := newBare()
	d := (&ikemsg.Message{Header: header(ikemsg.IKEAuth), Payloads: []ikemsg.Payload{
		&ikemsg.Encrypted{First: ikemsg.PayloadEncrypted, Body: []byte{0, 0, 0, 5, 0, 0}},
	}}).Marshal()
	m, err := ikemsg.Parse(d)
	if err != nil {
		t.Fatal(err)
	}
	if e := refused(t, ikemsg.Open(m, d, p), ikemsg.Malformed); !e.Protected {
		t.Errorf("%+v", e)
	}
}

// TestFlippedBits: no bit of a protected datagram can be changed.
func TestFlippedBits(t *testing.T) {
	for name, p := range protections(t) {
		for _, most := range []int{0, 120} {
			datagrams, _ := divided(t, header(ikemsg.IKEAuth), 100, most, p)
			d := datagrams[0]
			for bit := range len(d) * 8 {
				b := bytes.Clone(d)
				b[bit/8] ^= 1 << (bit % 8)
				m, err := ikemsg.Parse(b)
				if err != nil {
					continue // it is no longer what opens
				}
				if last := m.Payloads[len(m.Payloads)-1].Type(); last != ikemsg.PayloadEncrypted && last != ikemsg.PayloadFragment {
					continue
				}
				err = ikemsg.Open(m, b, p)
				if e, ok := errors.AsType[*ikemsg.Error](err); !ok || e.Protected || e.Kind != ikemsg.NotAuthentic {
					t.Fatalf("%s, bit %d: %v", name, bit, err)
				}
			}
			// And none of its beginnings opens.
			for n := range d {
				b := bytes.Clone(d[:n])
				if n >= 32 {
					b[26], b[27] = byte(n>>8), byte(n)
					b[30], b[31] = byte((n-28)>>8), byte(n-28)
				}
				m, err := ikemsg.Parse(b)
				if err == nil {
					refused(t, ikemsg.Open(m, b, p), ikemsg.NotAuthentic)
				}
			}
		}
	}
}

// TestSealFills: fragments are as large as they may be.
func TestSealFills(t *testing.T) {
	for name, p := range protections(t) {
		for most := 576; most < 576+40; most++ {
			datagrams, _ := divided(t, header(ikemsg.IKEAuth), 4000, most, p)
			for i, d := range datagrams {
				if len(d) > most || i < len(datagrams)-1 && len(d) <= most-p.BlockSize() {
					t.Errorf("%s: fragment %d of %d has %d bytes of %d", name, i+1, len(datagrams), len(d), most)
				}
			}
		}
		for _, most := range []int{1, 28, 40} {
			_, err := ikemsg.Seal(header(ikemsg.IKEAuth), nil, p, counter(), most)
			refused(t, err, ikemsg.TooLarge)
		}
		large := []ikemsg.Payload{&ikemsg.Cert{Data: make([]byte, 65000)}, &ikemsg.Cert{Data: make([]byte, 65000)}}
		for _, most := range []int{0, 100} { // one datagram, or 3,000
			_, err := ikemsg.Seal(header(ikemsg.IKEAuth), large, p, counter(), most)
			refused(t, err, ikemsg.TooLarge)
		}
	}
}

// TestOpenNothing: what is not there is not opened.
func TestOpenNothing(t *testing.T) {
	p := newBare()
	for _, payloads := range [][]ikemsg.Payload{nil, {&ikemsg.VendorID{}}} {
		d := (&ikemsg.Message{Header: header(ikemsg.IKEAuth), Payloads: payloads}).Marshal()
		m, err := ikemsg.Parse(d)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, ikemsg.Open(m, d, p), ikemsg.Malformed)
		if m.IntermediateAuth() != nil {
			t.Error("something of it is signed")
		}
	}
	d, _ := divided(t, header(ikemsg.IKEAuth), 10, 0, p)
	m, err := ikemsg.Parse(d[0])
	if err != nil {
		t.Fatal(err)
	}
	refused(t, ikemsg.Open(m, d[0][:40], p), ikemsg.Malformed)
	if err := ikemsg.Open(m, d[0], p); err != nil {
		t.Fatal(err)
	}
	refused(t, ikemsg.Open(m, d[0], p), ikemsg.Malformed) // a second time
}
