package route_test

import (
	"net"
	"net/netip"
	"testing"

	"linehaul/tunnel/route"
)

// TestLoopback: wherever this runs, this machine is reached by its loopback.
func TestLoopback(t *testing.T) {
	r, err := route.Find(netip.MustParseAddr("127.0.0.1"), netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := net.InterfaceByIndex(r.Index)
	if err != nil || i.Flags&net.FlagLoopback == 0 || i.Name != r.Interface {
		t.Errorf("by %+v: %v", r, err)
	}
	if !r.Source.IsLoopback() {
		t.Errorf("from %s", r.Source)
	}
}
