package ikev2_test

import (
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
	"linehaul/tunnel/tunneltest"
)

// TestChildless logs in without a child, and makes the first one by a key
// exchange of its own (RFC 6023).
func TestChildless(t *testing.T) {
	for _, text := range []string{"aes128gcm16-x25519-esn", "aes128gcm16-esn"} {
		t.Run(text, func(t *testing.T) {
			c := lives(0, 0)
			c.Childless = true
			c.ESP = proposals(t, suite.ESP, text)
			exchanges := map[ikemsg.ExchangeType]int{}
			withKE := false
			o := tunneltest.Options{ESP: proposals(t, suite.ESP, text), Faults: tunneltest.Faults{Answer: func(request *ikemsg.Message, all []ikemsg.Payload) []ikemsg.Payload {
				exchanges[request.Exchange]++
				_, sa := ikemsg.Get[*ikemsg.SA](request.Payloads)
				_, tsi := ikemsg.Get[*ikemsg.TSi](request.Payloads)
				_, tsr := ikemsg.Get[*ikemsg.TSr](request.Payloads)
				_, config := ikemsg.Get[*ikemsg.Config](request.Payloads)
				switch request.Exchange { //nolint:exhaustive // the others are not about children
				case ikemsg.IKEAuth:
					if _, mobike := ikemsg.FindNotify(request.Payloads, ikemsg.MOBIKESupported); sa || tsi || tsr || !config || !mobike {
						t.Errorf("IKE_AUTH has %v", request.Payloads)
					}
				case ikemsg.CreateChildSA:
					_, withKE = ikemsg.Get[*ikemsg.KE](request.Payloads)
					if _, rekey := ikemsg.FindNotify(request.Payloads, ikemsg.RekeySA); rekey || !sa || !tsi || !tsr {
						t.Errorf("CREATE_CHILD_SA has %v", request.Payloads)
					}
				}
				return all
			}}}
			r := newRoad(t, 11, c, o)
			r.login()
			r.talking(time.Second, 10*time.Millisecond)
			if exchanges[ikemsg.IKEAuth] != 1 || exchanges[ikemsg.CreateChildSA] != 1 || withKE != strings.Contains(text, "x25519") {
				t.Errorf("exchanges %v, a key exchange for the child: %v", exchanges, withKE)
			}
			r.settle()
			r.whole()
			r.agree()
		})
	}
}

// TestNotChildless: a gateway that does not know RFC 6023 is not logged in to,
// and one that makes no child then is told that we leave.
func TestNotChildless(t *testing.T) {
	c := lives(0, 0)
	c.Childless = true
	without := func(_ *ikemsg.Message, all []ikemsg.Payload) (kept []ikemsg.Payload) {
		for _, p := range all {
			if n, ok := p.(*ikemsg.Notify); !ok || n.Kind != ikemsg.ChildlessIKEv2Supported {
				kept = append(kept, p)
			}
		}
		return kept
	}
	for name, tt := range map[string]struct {
		faults tunneltest.Faults
		says   string
	}{
		"not known":        {tunneltest.Faults{Answer: without}, "does not make an IKE SA without ESP"},
		"no child":         {tunneltest.Faults{Refuse: ikemsg.TSUnacceptable}, "has no policy for the networks"},
		"put off for ever": {tunneltest.Faults{Refuse: ikemsg.TemporaryFailure}, "put it off"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoad(t, 12, c, tunneltest.Options{Faults: tt.faults})
			r.do(r.m.Start(r.now))
			r.after(time.Minute)
			if !r.ended || r.end == nil || !strings.Contains(r.end.Error(), tt.says) || r.up != nil {
				t.Errorf("ended %v: %v", r.ended, r.end)
			}
			if name == "not known" && (!fault.Is(r.end, fault.IKE) || fault.Transient(r.end)) {
				t.Errorf("it is tried again: %v", r.end)
			}
			if name == "no child" && r.g.Up() {
				t.Error("the gateway keeps the login")
			}
		})
	}
}

// TestPutOff: the gateway begins to replace the IKE SA at the moment at which we
// ask for the first child. Each puts the other off, and we ask again a little
// later (RFC 7296 section 2.25.2).
func TestPutOff(t *testing.T) {
	c := lives(0, 0)
	c.Childless = true
	r := newRoad(t, 13, c, tunneltest.Options{})
	r.do(r.m.Start(r.now))
	for !r.g.Up() && r.now.Sub(begin()) < time.Minute {
		r.after(time.Millisecond)
	}
	r.after(delay + delay/2) // the client has asked, and that is on the line
	r.fromGateway(r.g.RekeyIKE(r.now))
	r.after(20 * time.Second)
	if s := r.g.Stats(); s.PutOff != 2 || r.installed != 1 {
		t.Errorf("%+v\n%v", s, r.notes)
	}
	r.agree()
}
