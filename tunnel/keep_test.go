//go:build linux

package tunnel_test

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab/gateway"
	"linehaul/tunnel"
)

// TestKeep restarts the gateway under a tunnel that is kept up: the end says
// which layer failed, and the next login comes without a person.
func TestKeep(t *testing.T) {
	if gateway.Inside() {
		c := labConfig(t, "", "")
		c.IKE.Probe, c.IKE.Patience = time.Second, 3*time.Second
		s := tunnel.NewShared("lab", func(context.Context) (tunnel.Config, error) { return c, nil })
		defer s.Close()
		ctx, stop := context.WithCancel(t.Context())
		ends := make(chan error, 16)
		kept := make(chan error)
		go func() {
			kept <- s.Keep(ctx, func(int) time.Duration { return 200 * time.Millisecond }, func(err error, _ time.Duration) {
				select {
				case ends <- err:
				default:
				}
			})
		}()
		banner(t, s)
		if err := os.WriteFile(os.Getenv("READY"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ends:
			if !fault.Is(err, fault.IKE) {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it did not end")
		}
		var err error
		for began := time.Now(); time.Since(began) < 20*time.Second; {
			var conn net.Conn
			if conn, err = s.DialContext(ctx, "tcp", gateway.Lan+":22"); err == nil {
				conn.Close()
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		banner(t, s)
		stop()
		if err := <-kept; err != nil {
			t.Error(err)
		}
		return
	}
	t.Parallel()
	g := gateway.Start(t, gateway.Options{Row: gateway.Row{IKE: "aes256gcm16-prfsha256-x25519", ESP: "aes256gcm16"}})
	ready := g.Home + "/ready"
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Await("the client to be up", func() bool { _, err := os.Stat(ready); return err == nil })
		g.Kill()
		time.Sleep(4 * time.Second)
		g.Restart()
	}()
	g.Again(t, "READY="+ready)
	<-done
}
