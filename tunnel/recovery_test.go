package tunnel

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/leak"
	"linehaul/tunnel/tunneltest"
)

// openSockets counts what this process has open, where the system tells.
func openSockets(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if runtime.GOOS != "linux" {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestRecovery brings 200 tunnels up and down, some of which fail on the way, are
// given up, or lose their gateway. In the end there is no goroutine and no socket
// more than at first, here and in the gateway.
func TestRecovery(t *testing.T) {
	s := memoryGateway(t, tunneltest.ServerOptions{})
	one := func(t *testing.T) {
		t.Helper()
		up, err := Up(t.Context(), roadConfig(s.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		echo(t, up, 10_000)
		up.Close()
	}
	one(t) // what is made once is there now
	runtime.GC()
	goroutines, open := settled(runtime.NumGoroutine()), openSockets(t)
	began := time.Now()
	for i := range 200 {
		c := roadConfig(s.Addr())
		switch i % 10 {
		case 7: // refused
			c.IKE.PSK = []byte("another")
			if _, err := Up(t.Context(), c); !fault.Is(err, fault.GatewayLogin) {
				t.Errorf("another key: %v", err)
			}
		case 8: // given up
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Microsecond)
			if up, err := Up(ctx, c); err == nil {
				up.Close()
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("given up: %v", err)
			}
			cancel()
		case 9: // ended by the gateway
			up, err := Up(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			s.Each((*tunneltest.Gateway).DeleteIKE)
			<-up.Done()
			if err := up.Err(); !fault.Is(err, fault.IKE) {
				t.Errorf("ended by the gateway: %v", err)
			}
		default:
			one(t)
		}
	}
	took := time.Since(began)
	if n := s.Logins(); n > 20 { // of those that were given up, whose end was not said
		t.Errorf("%d logins are left", n)
	}
	after, left := settled(goroutines), openSockets(t)
	t.Logf("200 tunnels in %v; goroutines %d before and %d after, files %d and %d", took.Round(time.Millisecond), goroutines, after, open, left)
	if after > goroutines || left > open {
		t.Errorf("goroutines: %d before, %d after; files: %d before, %d after\n%v", goroutines, after, open, left, leak.Left())
	}
	if took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// settled is how many goroutines there are once those had time to end that are
// about to.
func settled(want int) int {
	n := runtime.NumGoroutine()
	for end := time.Now().Add(3 * time.Second); n > want && time.Now().Before(end); n = runtime.NumGoroutine() {
		<-time.After(10 * time.Millisecond)
	}
	return n
}
