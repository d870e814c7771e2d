package port_test

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"linehaul/internal/lab/gateway"
	"linehaul/preflight/port"
	"linehaul/tunnel"
	"linehaul/tunnel/ikev2"
)

// TestGateway asks strongSwan's ports, and through a tunnel to it the ports of
// the host behind it, as an ordinary user.
func TestGateway(t *testing.T) {
	t.Parallel()
	if !gateway.Inside() {
		// Each answer that a gateway has to the question.
		g := gateway.Start(t, gateway.Options{Row: gateway.Row{IKE: "chacha20poly1305-prfsha512-x448"}})
		g.Again(t, "ANSWER=accepts none of what was offered")
		g.Use(gateway.Row{IKE: "aes256-sha256-modp2048"})
		g.Again(t, "ANSWER=wants another key exchange")
		g.Use(gateway.Row{IKE: "aes128-sha256-x25519"})
		g.Again(t, "ANSWER=accepts what was offered", "TUNNEL=yes")
		return
	}
	at := func(host string, n uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(host), n) }
	for _, n := range []uint16{500, 4500} {
		r := port.UDP(t.Context(), at(gateway.Gate, n), port.Options{})
		t.Logf("%+v", r)
		if r.State != port.Open || r.Payload != "IKE" || r.Mismatch || r.ConnectMS <= 0 {
			t.Errorf("%+v", r)
		}
		if want := "IKEv2, " + os.Getenv("ANSWER"); r.Answer != want {
			t.Errorf("port %d answers %q, want %q", n, r.Answer, want)
		}
	}
	if os.Getenv("TUNNEL") == "" {
		return
	}
	tun := up(t)
	for _, tt := range []struct {
		network string
		to      netip.AddrPort
		state   port.State
		answer  string
	}{
		{"tcp", at(gateway.Lan, 22), port.Open, ""},
		{"tcp", at(gateway.Lan, 23), port.Refused, ""},
		{"udp", at(gateway.Lan, 53), port.Open, "DNS, nameerror"},
		{"udp", at(gateway.Lan, 123), port.Closed, ""},
		{"tcp", at("198.51.100.1", 22), port.NoRoute, ""}, // not behind the gateway
		{"udp", at("198.51.100.1", 53), port.NoRoute, ""},
	} {
		r := port.All(t.Context(), []port.Target{{Network: tt.network, At: tt.to}}, port.Options{Dialer: tun})[0]
		if r.State != tt.state || r.Answer != tt.answer {
			t.Errorf("through the tunnel: %+v, want %s %q", r, tt.state, tt.answer)
		}
	}
}

func up(t *testing.T) *tunnel.Tunnel {
	t.Helper()
	local, err := ikev2.ParseIdentity(gateway.RoadID)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := ikev2.ParseIdentity(gateway.GateID)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tun, err := tunnel.Up(ctx, tunnel.Config{Gateway: gateway.Gate, IKE: ikev2.Config{
		Local: local, Remote: &remote, PSK: []byte(gateway.PSK), Networks: []netip.Prefix{netip.MustParsePrefix(gateway.LanNet)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tun.Close() })
	return tun
}
