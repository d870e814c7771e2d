//go:build linux && newstrongswan

package tunnel_test

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab/gateway"
	"linehaul/tunnel"
	"linehaul/tunnel/suite"
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

// TestFurtherLogin proves both sides by certificate, by EAP and by pre-shared key
// after IKE_INTERMEDIATE with ML-KEM, which the proofs cover (RFC 9242). With
// another pre-shared key neither is let in.
func TestFurtherLogin(t *testing.T) {
	const ike, esp = "aes256gcm16-prfsha384-x25519-ke1_mlkem768", "aes256gcm16-x25519-ke1_mlkem768"
	if gateway.Inside() {
		c := loginConfig(t, os.Getenv("WAY"), os.Getenv("KEYS"))
		c.IKE.IKE, c.IKE.ESP = []suite.Proposal{proposal(t, suite.IKE, ike)}, []suite.Proposal{proposal(t, suite.ESP, esp)}
		c.IKE.Childless = os.Getenv("CHILDLESS") != ""
		if os.Getenv("WRONG") == "" {
			pings(t, up(t, c), gateway.Lan)
			return
		}
		c.IKE.PSK = []byte("another one")
		tun, err := tunnel.Up(t.Context(), c)
		if err == nil {
			tun.Close()
			t.Fatal("it is up")
		}
		if !fault.Is(err, fault.GatewayLogin) || fault.Transient(err) {
			t.Errorf("%v is of kind %v", err, fault.KindOf(err))
		}
		t.Log(err)
		return
	}
	root := os.Getenv("LINEHAUL_STRONGSWAN")
	if root == "" {
		t.Fatal("LINEHAUL_STRONGSWAN is not set: run this by `make interop-new`")
	}
	g := gateway.Start(t, gateway.Options{Root: root})
	use := func(name, lines string) (before int) {
		row := ways()[name].row
		row.IKE, row.ESP, row.Gate = ike, esp, lines
		g.Use(row)
		return len(g.Log())
	}
	for _, name := range []string{"rsa", "rsa-pss", "ecdsa384", "ed25519", "mschapv2", "rsa-then-mschapv2", "tls", "psk"} {
		before := use(name, "")
		g.Again(t, "WAY="+name, "KEYS="+g.Keys())
		said := g.Log()[before:]
		if !strings.Contains(said, "IKE_INTERMEDIATE request") || !strings.Contains(said, ways()[name].says) {
			t.Errorf("%s: the gateway's log has no IKE_INTERMEDIATE, or no %q:\n%s", name, ways()[name].says, said)
			continue
		}
		t.Logf("%s: %s", name, ways()[name].says)
	}
	// The first child has ML-KEM of its own, where it is made by itself.
	before := use("ecdsa", "childless = force")
	g.Again(t, "WAY=ecdsa", "KEYS="+g.Keys(), "CHILDLESS=1")
	if said := g.Log()[before:]; !strings.Contains(said, "IKE_FOLLOWUP_KE request") {
		t.Errorf("childless: no IKE_FOLLOWUP_KE:\n%s", said)
	}
	before = use("psk", "")
	g.Again(t, "WAY=psk", "KEYS="+g.Keys(), "WRONG=1")
	if said := g.Log()[before:]; !strings.Contains(said, "IKE_INTERMEDIATE request") || strings.Contains(said, "successful") {
		t.Errorf("a wrong key:\n%s", said)
	}
}
