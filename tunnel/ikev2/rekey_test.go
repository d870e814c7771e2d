package ikev2_test

import (
	"fmt"
	"testing"
	"time"

	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/suite"
	"linehaul/tunnel/tunneltest"
)

const never = 1000 * time.Hour

// lives are a client's lifetimes, of which those that are not given are long.
func lives(child, ike time.Duration) ikev2.Config {
	c := ikev2.Config{ChildLifetime: never, IKELifetime: never}
	if child > 0 {
		c.ChildLifetime = child
	}
	if ike > 0 {
		c.IKELifetime = ike
	}
	return c
}

// TestRekey replaces child SAs and IKE SAs by each side, with key exchanges and
// without, while packets go both ways: each of them arrives.
func TestRekey(t *testing.T) {
	plain := proposals(t, suite.ESP, "aes128gcm16-noesn")
	esn := proposals(t, suite.ESP, "aes128-sha256-esn")
	forward := proposals(t, suite.ESP, "aes128gcm16-x25519-ecp256-esn")
	further := proposals(t, suite.ESP, "aes128gcm16-x25519-ke1_mlkem512-esn")
	other := proposals(t, suite.ESP, "aes128gcm16-ecp256-esn")
	for _, c := range []struct {
		name          string
		client        ikev2.Config
		gateway       tunneltest.Options
		children, ike int // at least
	}{
		{"child by the client", lives(10*time.Second, 0), tunneltest.Options{}, 3, 0},
		{"child by the gateway", lives(0, 0), tunneltest.Options{ChildLifetime: 10 * time.Second}, 3, 0},
		{"IKE by the client", lives(0, 10*time.Second), tunneltest.Options{}, 0, 3},
		{"IKE by the gateway", lives(0, 0), tunneltest.Options{IKELifetime: 10 * time.Second}, 0, 3},
		{"all by the client", lives(7*time.Second, 11*time.Second), tunneltest.Options{}, 4, 3},
		{"all by the gateway", lives(0, 0), tunneltest.Options{ChildLifetime: 7 * time.Second, IKELifetime: 11 * time.Second}, 4, 3},
		{"all by both", lives(7*time.Second, 11*time.Second), tunneltest.Options{ChildLifetime: 6 * time.Second, IKELifetime: 10 * time.Second}, 4, 3},
		{"the gateway every second", lives(0, 0), tunneltest.Options{ChildLifetime: time.Second}, 25, 0},
		{"the gateway all every second", lives(0, 0), tunneltest.Options{ChildLifetime: time.Second, IKELifetime: time.Second}, 13, 13},
	} {
		for _, e := range []struct {
			name            string
			client, gateway []suite.Proposal
		}{
			{"without a key exchange", plain, plain},
			{"ESN", esn, esn},
			{"with a key exchange", forward, forward},
			{"with a key exchange that the other side wants", forward, other},
			{"with two key exchanges", further, further},
		} {
			t.Run(c.name+" "+e.name, func(t *testing.T) {
				c.client.ESP, c.gateway.ESP = e.client, e.gateway
				if e.name == "with two key exchanges" {
					ike := proposals(t, suite.IKE, "aes128gcm16-prfsha256-x25519-ke1_mlkem512")
					c.client.IKE, c.gateway.IKE = ike, ike
				}
				r := newRoad(t, 2, c.client, c.gateway)
				r.login()
				r.talking(40*time.Second, 10*time.Millisecond)
				r.after(2 * delay)
				if s := r.g.Stats(); s.ChildRekeys < c.children || s.IKERekeys < c.ike {
					t.Errorf("too few rekeys: %+v", s)
				}
				r.whole()
				if r.ended {
					t.Errorf("it has ended: %v", r.end)
				}
			})
		}
	}
}

// exchangeOf is the exchange of a datagram of IKE, and whether it is a request.
func exchangeOf(t *testing.T, p parcel) (ikemsg.ExchangeType, bool) {
	t.Helper()
	h, err := ikemsg.ParseHeader(p.data)
	if err != nil {
		t.Fatal(err)
	}
	return h.Exchange, !h.Response()
}

// clientBegins runs until the client has put its next CREATE_CHILD_SA on the
// line, and no further.
func (r *road) clientBegins(t *testing.T) {
	t.Helper()
	seen := map[int]bool{}
	for _, p := range r.line {
		seen[p.order] = true
	}
	for range 100_000 {
		at, _ := r.next()
		if at.IsZero() {
			break
		}
		r.until(at)
		for _, p := range r.line {
			if !p.esp && !p.toClient && !seen[p.order] {
				if x, request := exchangeOf(t, p); request && x == ikemsg.CreateChildSA {
					return
				}
			}
		}
	}
	t.Fatal("the client begins nothing")
}

// further has a second key exchange in each rekey (RFC 9370).
func further(c ikev2.Config) ikev2.Config {
	second := suite.Transform{Type: suite.TypeAdditionalKE1, ID: suite.ECP256}
	c.IKE, c.ESP = quick(suite.IKE), quick(suite.ESP)
	c.IKE[0].Transforms = append(c.IKE[0].Transforms, second)
	c.ESP[0].Transforms = append(c.ESP[0].Transforms, suite.Transform{Type: suite.TypeKeyExchange, ID: suite.Curve25519}, second)
	return c
}

// TestBothAtOnce has both sides begin to replace things at the same time, each
// with each (RFC 7296 sections 2.8.1 and 2.25), with none of the messages lost
// and with each of them lost once: both sides end with the same SAs, and no packet
// is lost.
func TestBothAtOnce(t *testing.T) {
	type begin func(*tunneltest.Gateway, time.Time) [][]byte
	child, ike := begin((*tunneltest.Gateway).RekeyChild), begin((*tunneltest.Gateway).RekeyIKE)
	for _, c := range []struct {
		name      string
		client    ikev2.Config
		gateway   begin
		collision bool
		whole     bool
	}{
		{"child, child", lives(100*time.Second, 0), child, true, true},
		{"IKE, IKE", lives(0, 100*time.Second), ike, true, true},
		{"child, IKE", lives(100*time.Second, 0), ike, false, true},
		{"IKE, child", lives(0, 100*time.Second), child, false, true},
		// Packets are lost where there is no child for a while.
		{"child, child deleted", lives(100*time.Second, 0), (*tunneltest.Gateway).DeleteChild, false, false},
		{"IKE, child deleted", lives(0, 100*time.Second), (*tunneltest.Gateway).DeleteChild, false, false},
		{"child, probe", lives(100*time.Second, 0), (*tunneltest.Gateway).Probe, false, true},
		{"child, child with two key exchanges", further(lives(100*time.Second, 0)), child, true, true},
		{"IKE, IKE with two key exchanges", further(lives(0, 100*time.Second)), ike, true, true},
		{"child, IKE with two key exchanges", further(lives(100*time.Second, 0)), ike, false, true},
		{"IKE, child with two key exchanges", further(lives(0, 100*time.Second)), child, false, true},
		{"child, child deleted with two key exchanges", further(lives(100*time.Second, 0)), (*tunneltest.Gateway).DeleteChild, false, false},
	} {
		// What the gateway begins meets the client's request on the line, or
		// comes just before it, or just after.
		for _, ahead := range []time.Duration{0, delay / 2, delay, 3*delay + 1} {
			t.Run(fmt.Sprintf("%s after %v", c.name, ahead), func(t *testing.T) {
				collisions, won, runs := 0, 0, 0
				seeds := uint64(1)
				if c.collision {
					seeds = 3 // both orders of nonces
				}
				for seed := range seeds {
					for lost := -1; lost < 16; lost++ {
						r := newRoad(t, seed, c.client, tunneltest.Options{IKE: c.client.IKE, ESP: c.client.ESP, Patience: 20 * time.Second})
						r.login()
						r.clientBegins(t)
						if lost == 0 { // the client's request, which is on the line
							r.line = r.line[:len(r.line)-1]
						}
						n := 0
						r.lose = func(_ int, p parcel) bool {
							if p.esp {
								return false
							}
							n++
							return n == lost
						}
						r.talking(ahead, delay/2)
						r.fromGateway(c.gateway(r.g, r.now))
						r.talking(time.Second, delay/2)
						r.settle()
						if c.whole {
							r.whole()
						}
						r.agree()
						collisions += r.g.Stats().Collisions
						won += r.g.Stats().Won
						runs++
						if t.Failed() {
							t.Fatalf("seed %d, message %d lost: %+v\n%v", seed, lost, r.g.Stats(), r.notes)
						}
					}
				}
				if c.collision && ahead == 0 && (collisions < runs/2 || won == 0 || won == collisions) {
					t.Errorf("%d collisions in %d runs, of which the gateway won %d", collisions, runs, won)
				}
			})
		}
	}
}
