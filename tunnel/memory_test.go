package tunnel

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"linehaul/tunnel/tunneltest"
)

// TestRekeysLoseNothing pings through the tunnel all the time while both sides
// replace everything several times a second, over real sockets: no ping is lost.
func TestRekeysLoseNothing(t *testing.T) {
	s := memoryGateway(t, tunneltest.ServerOptions{Options: tunneltest.Options{ChildLifetime: 110 * time.Millisecond, IKELifetime: 270 * time.Millisecond}})
	c := roadConfig(s.Addr())
	c.IKE.ChildLifetime, c.IKE.IKELifetime = 2*time.Second, 3*time.Second
	up, err := Up(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	to := netip.MustParseAddr("10.77.0.1")
	var work sync.WaitGroup
	var mu sync.Mutex
	lost, total := 0, 0
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); <-tick.C {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := up.Ping(ctx, to, 100)
			mu.Lock()
			defer mu.Unlock()
			total++
			if err != nil {
				lost++
			}
		})
	}
	work.Wait()
	st := s.Stats()
	t.Logf("%d pings, %d lost, %+v", total, lost, st)
	if lost > 0 || total < 100 || st.ChildRekeys < 5 || st.IKERekeys < 3 {
		t.Errorf("%d of %d pings are lost; %+v", lost, total, st)
	}
}
