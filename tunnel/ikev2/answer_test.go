package ikev2_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/tunneltest"
)

// TestAnswers asks the client what a gateway may ask besides rekeys: for its
// cookie to come back (RFC 4555 section 3.7), for one more child, for changes to
// its addresses, and by an exchange that is for others.
func TestAnswers(t *testing.T) {
	cookie := &ikemsg.Notify{Kind: ikemsg.Cookie2, Data: []byte("12345678")}
	all := []ikemsg.Selector{ikemsg.SelectorOf(netip.MustParsePrefix("0.0.0.0/0"))}
	r := newRoad(t, 14, lives(0, 0), tunneltest.Options{})
	r.login()
	for name, c := range map[string]struct {
		exchange ikemsg.ExchangeType
		asks     []ikemsg.Payload
		want     ikemsg.NotifyType // 0: an empty answer
	}{
		"cookie": {ikemsg.Informational, []ikemsg.Payload{cookie}, ikemsg.Cookie2},
		"child": {ikemsg.CreateChildSA, []ikemsg.Payload{
			&ikemsg.SA{Proposals: []ikemsg.Proposal{{
				Number: 1, Protocol: ikemsg.ProtocolESP, SPI: []byte{1, 2, 3, 4},
				Transforms: []ikemsg.Transform{{Type: ikemsg.TransformEncryption, ID: 20, KeyBits: 128}},
			}}}, &ikemsg.Nonce{Data: make([]byte, 32)}, &ikemsg.TSi{Selectors: all}, &ikemsg.TSr{Selectors: all},
		}, ikemsg.NoAdditionalSAs},
		"new addresses":    {ikemsg.Informational, []ikemsg.Payload{&ikemsg.Config{Kind: ikemsg.ConfigSet}}, 0},
		"window":           {ikemsg.Informational, []ikemsg.Payload{&ikemsg.Notify{Kind: ikemsg.SetWindowSize, Data: []byte{0, 0, 0, 9}}}, 0},
		"a second login":   {ikemsg.IKEAuth, nil, ikemsg.InvalidSyntax},
		"nothing to go on": {ikemsg.IKEFollowupKE, nil, ikemsg.StateNotFound},
		"unknown":          {77, nil, ikemsg.InvalidSyntax},
	} {
		answered := false
		r.fromGateway(r.g.Request(r.now, c.exchange, c.asks, func(a *ikemsg.Message) {
			answered = true
			if c.want == 0 {
				if len(a.Payloads) > 0 {
					t.Errorf("%s: answered with %v", name, a)
				}
				return
			}
			if n, ok := ikemsg.FindNotify(a.Payloads, c.want); !ok || c.want == ikemsg.Cookie2 && !bytes.Equal(n.Data, cookie.Data) {
				t.Errorf("%s: answered with %v", name, a)
			}
		}))
		r.after(time.Second)
		if !answered {
			t.Errorf("%s: not answered", name)
		}
	}
	r.agree()
}

// TestNoAddress: a gateway that has no address for us says so, and is told that
// we leave (RFC 7296 section 3.15.4).
func TestNoAddress(t *testing.T) {
	r := newRoad(t, 15, lives(0, 0), tunneltest.Options{Addresses: []netip.Addr{}})
	r.do(r.m.Start(r.now))
	r.after(time.Second)
	if !r.ended || !fault.Is(r.end, fault.IKE) || !strings.Contains(r.end.Error(), "no inner address for us") || r.g.Up() {
		t.Errorf("ended %v: %v, the gateway is up: %v", r.ended, r.end, r.g.Up())
	}
}
