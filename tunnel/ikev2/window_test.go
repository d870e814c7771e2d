package ikev2_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/tunneltest"
)

// TestReplayedRequests hands the client each request of the gateway's again, at
// once and later: the last one is answered from memory byte for byte, and older
// ones not at all (RFC 7296 sections 2.1 and 2.3).
func TestReplayedRequests(t *testing.T) {
	r := newRoad(t, 3, lives(0, 0), tunneltest.Options{})
	r.login()
	ask := map[string]func(*tunneltest.Gateway, time.Time) [][]byte{
		"probe": (*tunneltest.Gateway).Probe, "child": (*tunneltest.Gateway).RekeyChild, "IKE": (*tunneltest.Gateway).RekeyIKE,
	}
	var before []byte
	for _, name := range []string{"probe", "child", "probe", "IKE", "probe", "child"} {
		request := ask[name](r.g, r.now)
		if len(request) != 1 {
			t.Fatalf("%s: %d datagrams", name, len(request))
		}
		actions := r.m.Handle(r.now, request[0])
		first, _, _ := sent(actions)
		if len(first) == 0 {
			t.Fatalf("%s: no answer", name)
		}
		first = first[:1]
		r.do(actions)
		for range 3 {
			r.now = r.now.Add(time.Second)
			again, _, _ := sent(r.m.Handle(r.now, request[0]))
			if len(again) != 1 || !bytes.Equal(again[0], first[0]) {
				t.Errorf("%s: not the same answer again: %d", name, len(again))
			}
		}
		if before != nil {
			if again, _, _ := sent(r.m.Handle(r.now, before)); len(again) != 0 && name != "child" {
				t.Errorf("%s: the request before it is answered again", name)
			}
		}
		before = request[0]
		r.after(10 * delay)
	}
	r.settle()
	r.agree()
}

// TestMessageWindow forges requests with every message id but the next one, with
// the wrong direction, and with SPIs of nobody: none is answered, and the next
// one is.
func TestMessageWindow(t *testing.T) {
	r := newRoad(t, 4, lives(0, 0), tunneltest.Options{})
	r.login()
	for range 3 {
		r.fromGateway(r.g.Probe(r.now))
		r.after(time.Second)
	}
	for name, change := range map[string]func(*ikemsg.Header){
		"one ahead":           func(h *ikemsg.Header) { h.MessageID++ },
		"far ahead":           func(h *ikemsg.Header) { h.MessageID += 1 << 31 },
		"two behind":          func(h *ikemsg.Header) { h.MessageID -= 2 },
		"the first":           func(h *ikemsg.Header) { h.MessageID = 0 },
		"the last":            func(h *ikemsg.Header) { h.MessageID = 1<<32 - 1 },
		"an answer":           func(h *ikemsg.Header) { h.Flags |= ikemsg.FlagResponse },
		"from the initiator":  func(h *ikemsg.Header) { h.Flags |= ikemsg.FlagInitiator },
		"another SPI":         func(h *ikemsg.Header) { h.InitiatorSPI[3]++ },
		"another SPI of ours": func(h *ikemsg.Header) { h.ResponderSPI[3]++ },
		"IKEv3":               func(h *ikemsg.Header) { h.Version = 0x30 },
	} {
		if answers, ended, err := sent(r.m.Handle(r.now, r.g.Forge(change, 0, nil))); len(answers) > 0 || ended {
			t.Errorf("%s: %d answers, %v", name, len(answers), err)
		}
	}
	r.agree()
}

// TestUnknownPayloads: one that is critical is refused and the tunnel goes on,
// one that is not is skipped, and what is authentic and no message is refused
// (RFC 7296 sections 2.5 and 2.21.3).
func TestUnknownPayloads(t *testing.T) {
	for name, c := range map[string]struct {
		first ikemsg.PayloadType
		chain []byte
		want  ikemsg.NotifyType
	}{
		"critical":          {200, []byte{0, 0x80, 0, 4}, ikemsg.UnsupportedCriticalPayload},
		"not critical":      {200, []byte{0, 0, 0, 4}, 0},
		"a length too long": {ikemsg.PayloadNotify, []byte{0, 0, 0x40, 0, 1, 2, 3, 4}, ikemsg.InvalidSyntax},
		"a length of zero":  {ikemsg.PayloadNotify, []byte{0, 0, 0, 0, 1, 2, 3, 4}, ikemsg.InvalidSyntax},
		"left over":         {0, []byte{1, 2, 3}, ikemsg.InvalidSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoad(t, 5, lives(0, 0), tunneltest.Options{})
			r.login()
			var got ikemsg.NotifyType
			answered := false
			// The gateway asks properly, and what is sent is forged under the same id.
			r.g.Request(r.now, ikemsg.Informational, nil, func(a *ikemsg.Message) {
				answered = true
				for _, n := range ikemsg.All[*ikemsg.Notify](a.Payloads) {
					got = n.Kind
				}
			})
			forged := r.g.Forge(func(h *ikemsg.Header) { h.MessageID-- }, c.first, c.chain)
			r.do(r.m.Handle(r.now, forged))
			r.after(time.Second)
			if !answered || got != c.want {
				t.Errorf("answered %v with %v, want %v", answered, got, c.want)
			}
			r.settle()
			r.agree()
		})
	}
}

// TestLiveness: a gateway that is there is asked in silence only, and one that is
// gone is found within the time that is set, whatever the client was doing.
func TestLiveness(t *testing.T) {
	c := lives(0, 0)
	c.Probe, c.Patience = 10*time.Second, 15*time.Second
	r := newRoad(t, 6, c, tunneltest.Options{})
	r.login()
	before := r.sent
	r.after(time.Minute)
	if n := r.sent - before; n < 8 || n > 14 {
		t.Errorf("%d messages in a minute of silence", n)
	}
	before = r.sent
	for range 60 {
		r.talk()
		r.after(time.Second)
	}
	if n := r.sent - before; n != 120 {
		t.Errorf("%d messages in a minute of packets, 120 of them ESP", n)
	}
	dead := r.now
	r.lose = func(int, parcel) bool { return true }
	for !r.ended && r.now.Sub(dead) < time.Hour {
		r.after(time.Second)
	}
	if d := r.now.Sub(dead); d > c.Probe+c.Patience+time.Second || !fault.Is(r.end, fault.IKE) {
		t.Errorf("found dead after %v: %v", d, r.end)
	}
	// The gateway for its part finds out as well.
	r = newRoad(t, 7, c, tunneltest.Options{Probe: 10 * time.Second, Patience: 30 * time.Second})
	r.login()
	r.lose = func(int, parcel) bool { return true }
	r.after(time.Minute)
	if r.g.Up() {
		t.Error("the gateway believes in a client that is gone")
	}
}

// TestLosses loses each single message of a login and of rekeys that follow, and
// each two in a row: everything comes to its end all the same.
func TestLosses(t *testing.T) {
	c := lives(50*time.Second, 90*time.Second)
	for _, inARow := range []int{1, 2, 3} {
		for at := range 40 {
			r := newRoad(t, uint64(at), c, tunneltest.Options{ChildLifetime: 45 * time.Second, IKELifetime: 80 * time.Second, Patience: 20 * time.Second})
			n := 0
			r.lose = func(_ int, p parcel) bool {
				if p.esp {
					return false
				}
				n++
				return n > at && n <= at+inARow
			}
			r.login()
			r.talking(4*time.Minute, 400*time.Millisecond)
			if r.ended {
				t.Fatalf("%d lost at %d: %v\n%v", inARow, at, r.end, r.notes)
			}
			r.after(2 * delay)
			r.whole()
			if t.Failed() {
				t.Fatalf("%d lost at %d\n%+v\n%v", inARow, at, r.g.Stats(), r.notes)
			}
		}
	}
}

// TestDays lets a day go by with rekeys by both sides, on lines that lose,
// double, delay and reorder: in the end both sides have the same SAs, and no
// more of them than at first, at any time.
func TestDays(t *testing.T) {
	for _, c := range []struct {
		loss float64 // of all datagrams
		late time.Duration
		hour time.Duration // how long it goes on
	}{{0, 0, 24 * time.Hour}, {0.01, 0, 24 * time.Hour}, {0.05, 30 * time.Millisecond, 24 * time.Hour}, {0.1, time.Second, 6 * time.Hour}, {0.2, 2 * time.Second, 6 * time.Hour}} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%v%% %v seed %d", c.loss*100, c.late, seed), func(t *testing.T) {
				cfg := lives(4*time.Minute, 11*time.Minute)
				cfg.Patience = 2 * time.Minute
				if c.loss == 0.05 {
					cfg = further(cfg)
				}
				o := tunneltest.Options{IKE: cfg.IKE, ESP: cfg.ESP, ChildLifetime: 4 * time.Minute, IKELifetime: 11 * time.Minute, Probe: time.Minute, Patience: 2 * time.Minute}
				if seed == 1 {
					o.ChildLifetime, o.IKELifetime = 200*time.Second, 9*time.Minute // the gateway is first
				}
				r := newRoad(t, seed, cfg, o)
				chance := r.chance(seed)
				r.lose = func(int, parcel) bool { return chance.Float64() < c.loss }
				if c.late > 0 {
					r.late = func(int) time.Duration { return time.Duration(chance.Int64N(int64(c.late))) }
				}
				r.twice = func(int) int {
					if chance.Float64() < c.loss {
						return 1
					}
					return 0
				}
				r.login()
				most := [4]int{}
				for end := r.now.Add(c.hour); r.now.Before(end) && !r.ended; {
					r.talk()
					r.after(7 * time.Second)
					sas, children, requests := ikev2.Sizes(r.m)
					for i, n := range []int{sas, children, requests, len(r.g.SPIs()) + len(r.g.Children())} {
						most[i] = max(most[i], n)
					}
				}
				s := r.g.Stats()
				t.Logf("%+v; at most %d IKE SAs, %d children, %d requests here, %d SAs there", s, most[0], most[1], most[2], most[3])
				if want := int(c.hour / (6 * time.Minute)); s.ChildRekeys < want || s.IKERekeys < want/3 {
					t.Error("too few rekeys")
				}
				if most[0] > 4 || most[1] > 8 || most[2] > 4 || most[3] > 12 {
					t.Error("too much at a time")
				}
				r.lose, r.late, r.twice = nil, nil, nil
				r.after(150 * time.Second)
				for range 20 { // between two rekeys
					if sas, children, requests := ikev2.Sizes(r.m); sas+children == 2 && requests == 0 && len(r.g.Children()) == 1 && len(r.g.SPIs()) == 1 {
						break
					}
					r.after(7 * time.Second)
				}
				r.agree()
				r.whole()
				if t.Failed() {
					t.Log(r.notes[max(0, len(r.notes)-40):])
				}
			})
		}
	}
}

// TestCloseAnywhere closes the client at each step of a conversation, also while
// the gateway closes: it ends without an error, in the time that there is for
// that, and the gateway knows.
func TestCloseAnywhere(t *testing.T) {
	for _, both := range []bool{false, true} {
		left := 0
		for step := range 60 {
			r := newRoad(t, 11, lives(3*time.Second, 4*time.Second), tunneltest.Options{ChildLifetime: 5 * time.Second, IKELifetime: 7 * time.Second, Patience: 20 * time.Second})
			r.do(r.m.Start(r.now))
			for range step {
				at, _ := r.next()
				r.until(at)
			}
			if r.ended {
				t.Fatalf("step %d: %v", step, r.end)
			}
			if both {
				r.fromGateway(r.g.DeleteIKE(r.now))
			}
			r.do(r.m.Close(r.now))
			r.after(3 * time.Second)
			if !r.ended || r.end != nil && !both {
				t.Fatalf("step %d: ended %v with %v\n%v", step, r.ended, r.end, r.notes)
			}
			if len(r.in) > 0 {
				t.Errorf("step %d: it ends with %d SAs that nobody removes", step, len(r.in))
			}
			if !r.m.Deadline().IsZero() || r.m.Expire(r.now.Add(time.Hour)) != nil {
				t.Errorf("step %d: it goes on after its end", step)
			}
			if r.g.Up() {
				left++
			}
		}
		// What was closed in the middle of the login the gateway has to find out
		// for itself.
		if left > 4 {
			t.Errorf("the gateway was not told %d times", left)
		}
	}
}
