package preflight_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"linehaul/preflight"
	"linehaul/preflight/pmtu"
	"linehaul/preflight/port"
)

// TestOutside looks at sizes on the way to a gateway: to the address that the
// tunnel is at, else to what its name is. A hole there is none of the tunnel's
// where packets inside pass whole.
func TestOutside(t *testing.T) {
	other := netip.MustParseAddr("192.0.2.77")
	for name, tt := range map[string]struct {
		gateway string
		at      netip.AddrPort
		want    netip.Addr
	}{
		"where the tunnel is": {"vpn.example.net", netip.AddrPortFrom(other, 4500), other},
		"an address":          {"192.0.2.10", netip.AddrPort{}, hostAddr},
		"a name":              {"vpn.example.net", netip.AddrPort{}, hostAddr},
	} {
		t.Run(name, func(t *testing.T) {
			s := well()
			outside := s.Way
			asked := netip.Addr{}
			outside.MTU = func(_ context.Context, to netip.Addr) (*pmtu.Result, error) {
				asked = to
				return &pmtu.Result{MTU: 1490, BlackHole: true}, nil
			}
			s.Gateway, s.Outside = tt.gateway, &outside
			links(preflight.Link{Kind: "ipsec", Remote: tt.at, SAs: []string{"a/b"}}, nil)(s)
			mtus("ipsec", &pmtu.Result{MTU: 1400}, nil)(s)
			r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
			if f := r.Of(preflight.CheckMTU); asked != tt.want || len(f.MTU) != 2 || f.Code != "mtu-inside" || r.Verdict != preflight.OK {
				t.Errorf("asked %v, %s: %+v, %s", asked, f.Code, f.MTU, r.Summary)
			}
			mtus("ipsec", &pmtu.Result{}, nil)(s) // nobody answers inside
			r = preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
			if f := r.Of(preflight.CheckMTU); f.Code != "mtu-hole" {
				t.Errorf("%s: %s", f.Code, f.Text)
			}
		})
	}
}

// TestSizesFirst has the port and SSH asked after the tunnel was told what
// passes, whatever the level of that check is, and at once where nothing is to
// be told.
func TestSizesFirst(t *testing.T) {
	for _, inside := range []bool{true, false} {
		s := well()
		s.policy.Levels[preflight.CheckMTU] = preflight.Warning
		asked := make(chan struct{})
		told := 0
		if inside {
			links(preflight.Link{Kind: "ipsec", SAs: []string{"a/b"}}, nil)(s)
			s.Way.Shrink = func(mtu int) error { told = mtu; return nil }
		}
		s.Way.MTU = func(ctx context.Context, _ netip.Addr) (*pmtu.Result, error) {
			wait := time.After(200 * time.Millisecond)
			select {
			case <-asked:
				if inside {
					t.Error("the port is asked before the sizes are known")
				}
			case <-wait:
				if !inside {
					t.Error("the port waits for the sizes")
				}
			}
			return &pmtu.Result{MTU: 1200, BlackHole: true}, nil
		}
		s.Way.Port = func(context.Context, string, netip.AddrPort) port.Result {
			close(asked)
			return answer(port.Open)
		}
		r := preflight.Look(t.Context(), s.Subject, s.policy, time.Now, nil)
		if inside && (told != 1200 || r.Of(preflight.CheckMTU).Code != "mtu-hole-link") || s.Settles(preflight.CheckMTU) != inside {
			t.Errorf("told %d: %s", told, r.Summary)
		}
		if r.Verdict != preflight.Warn {
			t.Errorf("%s: %s", r.Verdict, r.Summary)
		}
	}
}
