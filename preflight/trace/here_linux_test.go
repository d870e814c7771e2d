package trace_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"linehaul/preflight/trace"
)

// TestHere: this machine is one hop away, and answers before the system call
// returns.
func TestHere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, tt := range []struct {
		method trace.Method
		port   int
		said   string
	}{
		{trace.TCP, l.Addr().(*net.TCPAddr).Port, ""},
		{trace.TCP, closed.Addr().(*net.TCPAddr).Port, "connection refused"},
		{trace.UDP, closed.Addr().(*net.TCPAddr).Port, "port unreachable"},
	} {
		got, err := trace.Run(t.Context(), trace.Options{To: netip.MustParseAddr("127.0.0.1"), Method: tt.method, Port: tt.port, Probes: 3, Interval: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Hops) != 1 || !got.Reached || got.Hops[0].Recv < 3 || got.Hops[0].Loss != 0 || got.Hops[0].Routers[0].Said != tt.said || got.Error != "" {
			t.Errorf("%s to port %d: %+v, want %q", tt.method, tt.port, got, tt.said)
		}
	}
	// By ICMP it depends on rights, which are missed or there.
	got, err := trace.Run(t.Context(), trace.Options{To: netip.MustParseAddr("127.0.0.1"), Method: trace.ICMP, Probes: 2, Interval: 20 * time.Millisecond})
	if err != nil || got.Reached == (got.Missing != "") {
		t.Errorf("%+v, %v", got, err)
	}
}
