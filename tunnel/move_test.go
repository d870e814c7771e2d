//go:build linux

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

// TestMove takes the client's address away and gives it another one: the tunnel
// goes on from there, as the gateway is told by MOBIKE, or, without it, sees
// where our packets come from.
func TestMove(t *testing.T) {
	if gateway.Inside() {
		tun := up(t, labConfig(t, "", ""))
		ping := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := tun.Ping(ctx, netip.MustParseAddr(gateway.Lan), 1200)
			return err
		}
		if err := ping(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(os.Getenv("READY"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		gone := 0
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			err := ping()
			if err != nil {
				gone++
			} else if gone > 0 {
				break
			}
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%d pings lost, the last one: %v", gone, err)
			}
		}
		t.Logf("%d pings lost in between", gone)
		return
	}
	g := gateway.Start(t, gateway.Options{})
	row := gateway.Row{IKE: "aes256gcm16-prfsha256-x25519", ESP: "aes256gcm16"}
	here, there := gateway.Road, "192.0.2.3"
	for _, mobike := range []string{"yes", "no"} {
		row.Gate = "mobike = " + mobike
		g.Use(row)
		ready := g.Home + "/" + mobike
		moved := make(chan string, 1)
		go func() {
			g.Await("the client to be up", func() bool { _, err := os.Stat(ready); return err == nil })
			for _, args := range [][]string{{"add", there + "/25"}, {"del", here + "/24"}} {
				if out, err := g.RoadHost.Try("ip", append([]string{"addr"}, append(args, "dev", "wan")...)...); err != nil {
					out += err.Error()
					t.Error(out)
				}
			}
			g.Await("the gateway to see the new address", func() bool { return strings.Contains(g.SAs(), there) })
			moved <- g.SAs()
		}()
		g.Again(t, "READY="+ready)
		if sas := <-moved; !strings.Contains(sas, there) {
			t.Errorf("the gateway has not seen the new address:\n%s", sas)
		}
		g.RoadHost.Run("ip", "addr", "add", here+"/24", "dev", "wan")
		g.RoadHost.Run("ip", "addr", "del", there+"/25", "dev", "wan")
	}
}
