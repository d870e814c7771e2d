package ikev2

import (
	"crypto/sha1"
	"net/netip"
	"testing"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
)

// TestNATCheck: a NAT is where the gateway sees another address than we do.
func TestNATCheck(t *testing.T) {
	hash := func(bytes ...byte) []byte {
		h := sha1.Sum(append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}, bytes...))
		return h[:]
	}
	ours, gate := netip.MustParseAddrPort("192.0.2.2:40000"), netip.MustParseAddrPort("192.0.2.1:500")
	us, them, other := hash(192, 0, 2, 2, 0x9c, 0x40), hash(192, 0, 2, 1, 1, 0xf4), hash(192, 0, 2, 9, 1, 0xf4)
	for name, c := range map[string]struct {
		target      []byte
		source      [][]byte
		here, there bool
	}{
		"none":                      {us, [][]byte{them}, false, false},
		"here":                      {other, [][]byte{them}, true, false},
		"there":                     {us, [][]byte{other}, false, true},
		"both":                      {other, [][]byte{other}, true, true},
		"one of several addresses":  {us, [][]byte{other, them}, false, false},
		"the gateway does not tell": {nil, nil, false, false},
		"a hash of nothing":         {[]byte{1}, [][]byte{{}}, true, true},
	} {
		msg := &ikemsg.Message{Header: ikemsg.Header{InitiatorSPI: ikemsg.SPI{1}, ResponderSPI: ikemsg.SPI{2}}}
		for _, s := range c.source {
			msg.Payloads = append(msg.Payloads, &ikemsg.Notify{Kind: ikemsg.NATDetectionSourceIP, Data: s})
		}
		if c.target != nil {
			msg.Payloads = append(msg.Payloads, &ikemsg.Notify{Kind: ikemsg.NATDetectionDestinationIP, Data: c.target})
		}
		if here, there := natCheck(msg).NAT(ours, gate); here != c.here || there != c.there {
			t.Errorf("%s: here %v, there %v", name, here, there)
		}
	}
}

// TestExpose: keys are given away once, by who asked for them, and are not kept
// where nobody did.
func TestExpose(t *testing.T) {
	proposal, err := suite.Parse(suite.IKE, "aes128-sha256-modp2048")
	if err != nil {
		t.Fatal(err)
	}
	s, err := proposal.Choose(proposal.Transforms)
	if err != nil {
		t.Fatal(err)
	}
	for _, asked := range []bool{false, true} {
		m := &Machine{config: Config{ExposeSecrets: asked}, children: map[uint32]*Child{}}
		for _, initiator := range []bool{true, false} {
			sa := &association{initiator: initiator, own: ikemsg.SPI{1}, peer: ikemsg.SPI{2}, suite: s}
			if sa.keys, err = derive(s, initiator, []byte("seed"), []byte("ni"), []byte("nr"), ikemsg.SPI{1}, ikemsg.SPI{2}); err != nil {
				t.Fatal(err)
			}
			m.sas = []*association{sa}
			want := 0
			if asked {
				want = 1
			}
			actions := m.take()
			if len(actions) != want || len(m.take()) != 0 || sa.secret != nil {
				t.Fatalf("asked %v: %v", asked, actions)
			}
			if !asked {
				continue
			}
			given, ok := actions[0].(SecretIKE)
			first, second := ikemsg.SPI{1}, ikemsg.SPI{2}
			if !initiator {
				first, second = second, first
			}
			if !ok || given.InitiatorSPI != first || given.ResponderSPI != second || len(given.Initiator.Encryption) != 16 || len(given.Responder.Integrity) != 32 {
				t.Errorf("%+v", given)
			}
			// They are the keys: what one side seals by them, the other one opens.
			out, err := s.Protection(given.Initiator.Encryption, given.Initiator.Integrity)
			if !initiator {
				out, err = s.Protection(given.Responder.Encryption, given.Responder.Integrity)
			}
			packet, same := make([]byte, 64), make([]byte, 64)
			if err != nil {
				t.Fatal(err)
			}
			out.Seal(packet, 0, nil, 1)
			sa.outbound.Seal(same, 0, nil, 1)
			if string(packet) != string(same) {
				t.Error("other keys than those in use")
			}
		}
	}
}

// TestStatusOfRequest: a request that waits is seen, and since when.
func TestStatusOfRequest(t *testing.T) {
	m, err := New(Config{Local: ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("us")}, PSK: []byte("x"), Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := m.Status(); s.State != "idle" || s.Tries != 0 {
		t.Errorf("%+v", s)
	}
	now := time.Unix(1000, 0)
	m.Start(now)
	m.Expire(m.Deadline())
	if s := m.Status(); s.State != "asking" || s.Tries != 2 || !s.Unanswered.Equal(now) {
		t.Errorf("%+v", s)
	}
	m.Close(now)
	if s := m.Status(); s.State != "ended" || len(s.IKE)+len(s.Children) != 0 {
		t.Errorf("%+v", s)
	}
}
