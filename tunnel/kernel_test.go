//go:build linux && kernelgateway

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

// TestKernel logs in to a gateway whose ESP is the Linux kernel's: what
// strongSwan's own cannot do, which is extended sequence numbers and selectors
// of any width, and the suites that both have.
func TestKernel(t *testing.T) {
	if gateway.Inside() {
		c := labConfig(t, "aes256gcm16-prfsha384-x25519", os.Getenv("ESP"))
		if v := os.Getenv("NETWORK"); v != "" {
			c.IKE.Networks = []netip.Prefix{netip.MustParsePrefix(v)}
		}
		if os.Getenv("OUTER6") != "" {
			c.Gateway = gateway.Gate6
		}
		tun := up(t, c)
		banner(t, tun)
		sent, lost := 0, 0
		for began := time.Now(); time.Since(began) < 3*time.Second; sent++ {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if _, err := tun.Ping(ctx, netip.MustParseAddr(gateway.Lan), 1200); err != nil {
				t.Logf("ping %d: %v", sent, err)
				lost++
			}
			cancel()
			time.Sleep(10 * time.Millisecond)
		}
		// This kernel is a slow one, and may lose a packet while it takes keys.
		if t.Logf("PINGS %d of %d", sent-lost, sent); lost > 3 || sent < 10 {
			t.Errorf("%d of %d pings lost", lost, sent)
		}
		return
	}
	for _, nat := range []bool{false, true} {
		g := gateway.Start(t, gateway.Options{Kernel: true, NAT: nat})
		for _, one := range []struct {
			esp, network, sees string
			outer6             bool
		}{
			{esp: "aes256gcm16-esn", sees: "AES_GCM_16-256/ESN"},
			{esp: "aes256-sha256-esn", sees: "AES_CBC-256/HMAC_SHA2_256_128/ESN"},
			{esp: "chacha20poly1305-esn", sees: "CHACHA20_POLY1305/ESN"},
			{esp: "aes128gcm16-noesn", sees: "AES_GCM_16-128"},
			{esp: "aes256gcm16-esn-noesn", sees: "AES_GCM_16-256/ESN"},
			{esp: "aes128-sha512", sees: "HMAC_SHA2_512_256"},
			{esp: "3des-sha1", sees: "3DES_CBC/HMAC_SHA1_96"},
			{esp: "aes128ctr-aesxcbc", sees: "AES_CTR-128/AES_XCBC_96"},
			{esp: "aes128ccm16", sees: "AES_CCM_16-128"},
			{esp: "aes128gcm8", sees: "AES_GCM_8-128"},
			{esp: "aes128-aescmac", sees: "AES_CMAC_96"},
			{esp: "aes256gcm16-x25519-esn", sees: "CURVE_25519"},
			{esp: "aes256gcm16", network: gateway.Lan + "/32", sees: gateway.Lan + "/32"},
			{esp: "aes256gcm16-esn", outer6: true, sees: gateway.Road6},
		} {
			if one.outer6 && nat {
				continue // the router has no IPv6
			}
			row := gateway.Row{IKE: "aes256gcm16-prfsha384-x25519", ESP: one.esp, Outer6: one.outer6, GateChild: "rekey_time = 1s\nlife_time = 30s\nrand_time = 0\n"}
			env := []string{"ESP=" + one.esp, "NETWORK=" + one.network, "OUTER6="}
			if one.network != "" {
				row.GateChild += "local_ts = " + one.network
			}
			if one.outer6 {
				env[2] = "OUTER6=1"
			}
			g.Use(row)
			done := make(chan string, 1)
			seen := make(chan string, 1)
			go func() {
				for {
					select {
					case <-done:
						seen <- ""
						return
					default:
					}
					if sas := g.SAs(); strings.Contains(sas, one.sees) {
						seen <- sas
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
			}()
			out := g.Again(t, env...)
			done <- ""
			sas := <-seen
			if rekeys := strings.Count(out, "ESP is agreed") - 1; rekeys < 1 || sas == "" {
				t.Errorf("%s: %d rekeys, and the gateway never said %q:\n%s", one.esp, rekeys, one.sees, out)
				continue
			}
			_, pings, _ := strings.Cut(out, "PINGS ")
			pings, _, _ = strings.Cut(pings, "\n")
			t.Logf("nat=%-5v outer6=%-5v %-24s %-14s %d rekeys, pings %s", nat, one.outer6, one.esp, one.network, strings.Count(out, "ESP is agreed")-1, pings)
		}
	}
}
