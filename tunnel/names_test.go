//go:build linux

package tunnel_test

import (
	"net/netip"
	"strings"
	"testing"

	"linehaul/fault"
	"linehaul/internal/lab/gateway"
)

// TestNames asks the name server behind the gateway for the names of its
// domains, and the system for others.
func TestNames(t *testing.T) {
	if gateway.Inside() {
		c := labConfig(t, "", "")
		dial := func(host string) error {
			tun := up(t, c)
			defer tun.Close()
			conn, err := tun.DialContext(t.Context(), "tcp", host+":22")
			if err == nil {
				err = conn.Close()
			}
			return err
		}
		if err := dial(gateway.LanName); err != nil {
			t.Errorf("by the gateway's name server: %v", err)
		}
		if err := dial("localhost"); !fault.Is(err, fault.Name) {
			t.Errorf("a name that nobody knows behind the gateway: %v", err)
		}
		c.Domains = []string{"lab.test"}
		if err := dial(gateway.LanName); err != nil {
			t.Errorf("a name of the domain: %v", err)
		}
		// The system knows this one, and what it is does not lie behind the gateway.
		if err := dial("localhost"); err == nil || !strings.Contains(err.Error(), "127.0.0.1") && !strings.Contains(err.Error(), "::1") {
			t.Errorf("a name outside of the domain: %v", err)
		}
		c.DNS = []netip.Addr{netip.MustParseAddr("10.77.0.99")}
		if err := dial(gateway.LanName); !fault.Is(err, fault.Name) {
			t.Errorf("by a name server that is not there: %v", err)
		}
		return
	}
	t.Parallel()
	g := gateway.Start(t, gateway.Options{Row: gateway.Row{IKE: "aes256gcm16-prfsha256-x25519", ESP: "aes256gcm16"}})
	g.Again(t)
}
