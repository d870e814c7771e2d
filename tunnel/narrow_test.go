package tunnel_test

import (
	"net/netip"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/tunnel"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/tunneltest"
)

// TestNarrowed: a gateway that carries less than it was asked for is not sent
// the rest, which it would drop without a word.
func TestNarrowed(t *testing.T) {
	psk := []byte("secret")
	s, err := tunneltest.Start(tunneltest.ServerOptions{Options: tunneltest.Options{PSK: psk, Networks: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l, err := s.Listen(7)
	if err != nil {
		t.Fatal(err)
	}
	tun, err := tunnel.Up(t.Context(), tunnel.Config{Gateway: s.Addr(), IKE: ikev2.Config{
		PSK: psk, Local: ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte("road.test")}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tun.Close() })
	c, err := tun.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, err = tun.DialContext(t.Context(), "tcp", "10.78.0.1:7")
	if !fault.Is(err, fault.Route) || fault.Transient(err) || !strings.Contains(err.Error(), "10.77.0.0/24") {
		t.Errorf("what the gateway does not carry: %v", err)
	}
}
