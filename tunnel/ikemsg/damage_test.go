package ikemsg_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"linehaul/tunnel/ikemsg"
)

// TestDamagedCaptures: what the strongSwans said, cut at each
// length and with a bit of each byte turned over: outside, where anybody may
// do that, and inside, where a peer who has the keys may. It is read or refused;
// what is read can be written.
func TestDamagedCaptures(t *testing.T) {
	tried, read := 0, 0
	bare := newBare()
	outside := func(b []byte) {
		tried++
		m, err := ikemsg.Parse(b)
		if !orError(t, err) {
			return
		}
		read++
		if _, err := ikemsg.Parse(m.Marshal()); err != nil {
			t.Fatalf("%x: written as %x: %v", b, m.Marshal(), err)
		}
	}
	inside := func(first ikemsg.PayloadType, chain []byte) {
		tried++
		d := (&ikemsg.Message{Header: header(ikemsg.IKEAuth), Payloads: []ikemsg.Payload{
			&ikemsg.Encrypted{First: first, Body: append(bytes.Clone(chain), 0)},
		}}).Marshal()
		m, err := ikemsg.Parse(d)
		if err != nil {
			t.Fatal(err)
		}
		if !orError(t, ikemsg.Open(m, d, bare)) {
			return
		}
		read++
		if _, err := ikemsg.Seal(m.Header, m.Payloads, bare, counter(), 500); err != nil {
			t.Fatalf("%x: %v", chain, err)
		}
	}
	for _, name := range []string{"psk", "rsa", "mschapv2", "v6"} { // all payloads are in these
		c := readCapture(t, "testdata/"+name+".txt")
		c.open(t, func(s said, m *ikemsg.Message, p ikemsg.Protection) {
			for n := range s.b {
				b := bytes.Clone(s.b)
				b[n] ^= 1 << (n % 8)
				outside(b)
				b = bytes.Clone(s.b[:n])
				if n >= 28 {
					binary.BigEndian.PutUint32(b[24:], uint32(n))
				}
				if _, err := ikemsg.Parse(b); err == nil {
					t.Fatalf("%s: %d bytes of %v were read", c.name, n, m)
				}
			}
			if p == nil || len(m.Payloads) == 0 {
				return
			}
			first := m.Payloads[0].Type()
			for n := range m.Inner {
				b := bytes.Clone(m.Inner)
				b[n] ^= 1 << (n % 8)
				inside(first, b)
				inside(first, m.Inner[:n])
			}
		})
	}
	t.Logf("%d damaged messages, %d of them read", tried, read)
	if tried < 10000 || read == 0 || read == tried {
		t.Errorf("%d tried, %d read: this damages nothing, or everything", tried, read)
	}
}
