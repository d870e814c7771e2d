//go:build linux && newstrongswan

package tunnel_test

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab/gateway"
)

// TestFurther logs in to a strongSwan of version 6, with more key exchanges
// than one, and replaces all keys with them, begun by either side.
func TestFurther(t *testing.T) {
	const long = 6
	if gateway.Inside() {
		ike, esp, _ := strings.Cut(os.Getenv("PROPOSALS"), " ")
		c := labConfig(t, ike, esp)
		if os.Getenv("OURS") != "" {
			c.IKE.ChildLifetime, c.IKE.IKELifetime = time.Second, 2*time.Second
		}
		tun := up(t, c)
		banner(t, tun)
		sent, lost := 0, 0
		for began := time.Now(); time.Since(began) < long*time.Second; sent++ {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if _, err := tun.Ping(ctx, netip.MustParseAddr(gateway.Lan), 1200); err != nil {
				t.Logf("ping %d: %v", sent, err)
				lost++
			}
			cancel()
			time.Sleep(20 * time.Millisecond)
		}
		if lost > 0 || sent < 10 {
			t.Errorf("%d of %d pings lost", lost, sent)
		}
		return
	}
	root := os.Getenv("LINEHAUL_STRONGSWAN")
	if root == "" {
		t.Fatal("LINEHAUL_STRONGSWAN is not set: run this by `make interop-new`")
	}
	g := gateway.Start(t, gateway.Options{Root: root})
	for _, row := range []gateway.Row{
		{IKE: "aes256gcm16-prfsha384-x25519-ke1_mlkem768", ESP: "aes256gcm16-x25519-ke1_mlkem768"},
		{IKE: "aes256-sha512-ecp384-ke1_mlkem1024", ESP: "aes256gcm16-ecp384-ke1_mlkem1024"},
		{IKE: "aes128-sha256-x25519-ke1_mlkem512", ESP: "aes128gcm16-x25519-ke1_mlkem512"},
		{IKE: "aes256gcm16-prfsha256-x25519-ke1_ecp384-ke2_mlkem768-ke3_modp3072", ESP: "aes256gcm16-x25519-ke1_ecp256-ke2_mlkem768"},
		{IKE: "aes256gcm16-prfsha256-mlkem768", ESP: "aes256gcm16-mlkem768"},
	} {
		for _, ours := range []string{"1", ""} {
			if ours == "" {
				row.Gate, row.GateChild = "rekey_time = 2s\nover_time = 10s\nrand_time = 0", "rekey_time = 1s\nlife_time = 10s\nrand_time = 0"
			}
			g.Use(row)
			out := g.Again(t, "PROPOSALS="+row.IKE+" "+row.ESP, "OURS="+ours)
			children, ikes := strings.Count(out, "ESP is agreed")-1, strings.Count(out, "replaced")
			if children < long/2 || ikes == 0 {
				t.Errorf("%d rekeys of ESP, and %d of IKE:\n%s", children, ikes, out)
			}
			t.Logf("%-70s %-45s by us=%q: %d rekeys of ESP, %d of IKE", row.IKE, row.ESP, ours, children, ikes)
		}
	}
}
