package ikemsg_test

import (
	"bytes"
	"testing"

	"linehaul/tunnel/ikemsg"
)

func header(exchange ikemsg.ExchangeType) ikemsg.Header {
	return ikemsg.Header{
		InitiatorSPI: ikemsg.SPI{1, 2, 3, 4, 5, 6, 7, 8}, ResponderSPI: ikemsg.SPI{9, 10, 11, 12, 13, 14, 15, 16},
		Exchange: exchange, Flags: ikemsg.FlagInitiator, MessageID: 1,
	}
}

func TestSealOpen(t *testing.T) {
	big := &ikemsg.Cert{Encoding: ikemsg.CertX509Signature, Data: bytes.Repeat([]byte("certificate "), 300)}
	contents := map[string][]ikemsg.Payload{
		"empty": nil,
		"small": {&ikemsg.Notify{Kind: ikemsg.InitialContact}},
		"large": {&ikemsg.IDi{Identity: ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("road.lab.test")}}, big},
	}
	for cipher, p := range protections(t) {
		for name, payloads := range contents {
			for _, most := range []int{0, 1280, 576, 100} {
				datagrams, err := ikemsg.Seal(header(ikemsg.IKEAuth), payloads, p, counter(), most)
				if err != nil {
					t.Fatalf("%s, %s, %d: %v", cipher, name, most, err)
				}
				var r ikemsg.Reassembly
				for i, d := range datagrams {
					if most > 0 && len(d) > most {
						t.Errorf("%s, %s: %d bytes in a datagram of %d", cipher, name, len(d), most)
					}
					m, err := ikemsg.Parse(d)
					if err != nil {
						t.Fatal(err)
					}
					before := bytes.Clone(d)
					m, err = r.Open(m, d, p)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(before, d) {
						t.Error("Open changed the datagram")
					}
					if (m != nil) != (i == len(datagrams)-1) {
						t.Fatalf("%s, %s, %d: message after fragment %d of %d: %v", cipher, name, most, i+1, len(datagrams), m)
					}
					if m != nil {
						same(t, m.Payloads, payloads)
						signed, err := ikemsg.IntermediateAuth(header(ikemsg.IKEAuth), payloads)
						if err != nil || !bytes.Equal(signed, m.IntermediateAuth()) {
							t.Errorf("signed %x, %v\n  not %x", m.IntermediateAuth(), err, signed)
						}
					}
				}
			}
		}
	}
}

// same compares by what would be sent.
func same(t testing.TB, got, want []ikemsg.Payload) {
	t.Helper()
	g := (&ikemsg.Message{Payloads: got}).Marshal()
	w := (&ikemsg.Message{Payloads: want}).Marshal()
	if !bytes.Equal(g, w) {
		t.Fatalf("payloads\n  %x, want\n  %x", g, w)
	}
}
