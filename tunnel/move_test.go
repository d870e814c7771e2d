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
		lost, seen := 0, os.ErrNotExist
		for began := time.Now(); seen != nil; time.Sleep(50 * time.Millisecond) {
			err := ping()
			if err != nil {
				lost++
			}
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%d pings lost, the last one: %v", lost, err)
			}
			_, seen = os.Stat(os.Getenv("READY") + ".seen")
		}
		if lost == 0 {
			t.Error("no ping was lost: nothing has moved")
		}
		for range 10 {
			if err := ping(); err != nil {
				t.Error(err)
			}
		}
		t.Logf("%d pings lost in between", lost)
		return
	}
	t.Parallel()
	g := gateway.Start(t, gateway.Options{})
	row := gateway.Row{IKE: "aes256gcm16-prfsha256-x25519", ESP: "aes256gcm16"}
	here, there := gateway.Road, "192.0.2.3"
	for _, mobike := range []string{"yes", "no"} {
		row.Gate = "mobike = " + mobike
		g.Use(row)
		ready := g.Home + "/" + mobike
		moved := make(chan struct{})
		go func() {
			defer close(moved)
			g.Await("the client to be up", func() bool { _, err := os.Stat(ready); return err == nil })
			for _, args := range [][]string{{"add", there + "/25"}, {"del", here + "/24"}} {
				if out, err := g.RoadHost.Try("ip", append([]string{"addr"}, append(args, "dev", "wan")...)...); err != nil {
					out += err.Error()
					t.Error(out)
				}
			}
			g.Await("the gateway to see the new address", func() bool { return strings.Contains(g.SAs(), there) })
			if err := os.WriteFile(ready+".seen", nil, 0o644); err != nil { //nolint:gosec // the user on the road looks at it
				t.Error(err)
			}
		}()
		g.Again(t, "READY="+ready)
		<-moved
		g.RoadHost.Run("ip", "addr", "add", here+"/24", "dev", "wan")
		g.RoadHost.Run("ip", "addr", "del", there+"/25", "dev", "wan")
	}
}
