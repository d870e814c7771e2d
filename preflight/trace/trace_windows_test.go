package trace

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestSystemICMP: this machine is one hop away, by the API that needs no right.
func TestSystemICMP(t *testing.T) {
	got, err := Run(t.Context(), Options{To: netip.MustParseAddr("127.0.0.1"), Probes: 3, Interval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != ICMP || got.Way != "the system's ICMP" || !got.Reached || len(got.Hops) != 1 || got.Hops[0].Recv < 3 || got.Hops[0].Loss != 0 || got.Missing != "" {
		t.Errorf("%+v", got)
	}
}

// TestMissing: what Windows has no way for is said.
func TestMissing(t *testing.T) {
	for _, method := range []Method{UDP, TCP} {
		got, err := Run(t.Context(), Options{To: netip.MustParseAddr("127.0.0.1"), Method: method})
		if err != nil || len(got.Hops) != 0 || !strings.Contains(got.Missing, "ICMP probes need no right") || got.Method != method {
			t.Errorf("%s: %+v, %v", method, got, err)
		}
	}
}
