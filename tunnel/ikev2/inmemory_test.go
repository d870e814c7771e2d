package ikev2_test

import (
	"testing"
	"time"

	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/suite"
	"linehaul/tunnel/tunneltest"
)

// TestInMemory logs in to the gateway in memory, and out again.
func TestInMemory(t *testing.T) {
	for name, c := range map[string]struct {
		config  ikev2.Config
		options tunneltest.Options
	}{
		"defaults": {ikev2.Config{IKE: suite.Default(suite.IKE)}, tunneltest.Options{IKE: suite.Default(suite.IKE)}},
		"another group is wanted": {ikev2.Config{IKE: suite.Default(suite.IKE)},
			tunneltest.Options{IKE: proposals(t, suite.IKE, "aes256-sha256-ecp384")}},
		"two more key exchanges": {ikev2.Config{IKE: proposals(t, suite.IKE, "aes128gcm16-prfsha256-x25519-ke1_mlkem768-ke2_ecp256")},
			tunneltest.Options{IKE: proposals(t, suite.IKE, "aes128gcm16-prfsha256-x25519-ke1_mlkem768-ke2_ecp256")}},
		"cookies":   {ikev2.Config{}, tunneltest.Options{Faults: tunneltest.Faults{Cookies: 2}}},
		"fragments": {ikev2.Config{MaxDatagram: 200}, tunneltest.Options{MaxDatagram: 150}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoad(t, 1, c.config, c.options)
			r.login()
			r.talking(time.Second, 10*time.Millisecond)
			r.settle()
			r.whole()
			r.agree()
			r.do(r.m.Close(r.now))
			r.after(10 * time.Second)
			if !r.ended || r.end != nil || r.g.Up() {
				t.Errorf("closed: %v %v, the gateway is up: %v", r.ended, r.end, r.g.Up())
			}
		})
	}
}
