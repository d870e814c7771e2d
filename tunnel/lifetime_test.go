//go:build linux

package tunnel_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab/gateway"
	"linehaul/tunnel"
)

// TestBytes has the keys replaced after what they have carried.
func TestBytes(t *testing.T) {
	const limit, size = 100_000, 1200
	if gateway.Inside() {
		c := labConfig(t, "aes128-sha256-x25519", "3des-sha1")
		c.Bytes = limit
		tun := up(t, c)
		for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if _, err := tun.Ping(ctx, netip.MustParseAddr(gateway.Lan), size); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		return
	}
	t.Parallel()
	g := gateway.Start(t, gateway.Options{})
	g.Use(gateway.Row{IKE: "aes128-sha256-x25519", ESP: "3des-sha1"})
	out := g.Again(t)
	if n := strings.Count(out, "ESP is agreed") - 1; n < 2 || n > 4 {
		t.Errorf("%d rekeys of ESP in three looks:\n%s", n, out)
	}
}

// TestAddresses passes over the addresses of a gateway that do not answer, and
// over none that does.
func TestAddresses(t *testing.T) {
	if gateway.Inside() {
		c := labConfig(t, "", "")
		c.Gateway = "gw.example"
		var asked []string
		c.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
			asked = append(asked, host)
			return []netip.Addr{netip.MustParseAddr("2001:db8:ffff::1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr(gateway.Gate), netip.MustParseAddr("192.0.2.77")}, nil
		}
		banner(t, up(t, c))
		if len(asked) != 1 || asked[0] != "gw.example" {
			t.Errorf("asked for %q", asked)
		}
		c.IKE.PSK = []byte("another one")
		began := time.Now()
		if tun, err := tunnel.Up(t.Context(), c); err == nil || !fault.Is(err, fault.GatewayLogin) {
			t.Errorf("%v, %v", tun, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the wrong key took %v: the address after the one that answered was tried", took)
		}
		c.Lookup = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
		if _, err := tunnel.Up(t.Context(), c); !fault.Is(err, fault.Name) {
			t.Error(err)
		}
		return
	}
	t.Parallel()
	g := gateway.Start(t, gateway.Options{Row: gateway.Row{IKE: "aes256gcm16-prfsha256-x25519", ESP: "aes256gcm16"}})
	g.Again(t)
}
