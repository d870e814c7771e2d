package pmtu

import (
	"errors"
	"net/netip"
	"testing"

	"linehaul/preflight/echo"
)

// TestFind looks for the MTU to this machine itself.
func TestFind(t *testing.T) {
	r, err := Find(t.Context(), Options{To: netip.MustParseAddr("127.0.0.1"), Most: 9000})
	if err != nil || r.Way != echo.System || r.MTU != 9000 || r.BlackHole || r.Unsure {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := Find(t.Context(), Options{To: netip.IPv6Loopback()}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of IPv6, which Windows cannot be asked for: %+v, %v", r, err)
	}
}
