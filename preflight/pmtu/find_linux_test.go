package pmtu

import (
	"net/netip"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// TestFind looks for the MTU of a path with a router in it, by both kinds of
// sockets and both protocols.
func TestFind(t *testing.T) {
	lab.Need(t, "nft")
	client, router, server := lab.NewNet(t), lab.NewNet(t), lab.NewNet(t)
	client.Join("east", "10.1.0.1/24", router, "west", "10.1.0.2/24")
	router.Join("east", "10.2.0.1/24", server, "west", "10.2.0.2/24")
	client.IP("address add fd01::1/64 dev east nodad")
	router.IP("address add fd01::2/64 dev west nodad", "address add fd02::1/64 dev east nodad")
	server.IP("address add fd02::2/64 dev west nodad")
	client.IP("route add default via 10.1.0.2", "route add default via fd01::2")
	server.IP("route add default via 10.2.0.1", "route add default via fd02::1")
	router.Set("ipv4/ip_forward", "1")
	router.Set("ipv6/conf/all/forwarding", "1")

	// rule drops what is longer, and says nothing of it.
	rule := func(longer string) {
		text := "flush ruleset\n"
		if longer != "" {
			text += "table inet f {\n chain c {\n type filter hook forward priority -10\n meta length > " + longer + " drop\n }\n}\n"
		}
		router.Run(text, "nft", "-f", "-")
	}
	mtu := func(n string) {
		router.IP("link set east mtu " + n)
		server.IP("link set west mtu " + n)
	}
	for _, groups := range []string{"1 0", "0 2147483647"} {
		client.Set("ipv4/ping_group_range", groups)
		for _, to := range []netip.Addr{netip.MustParseAddr("10.2.0.2"), netip.MustParseAddr("fd02::2")} {
			find := func() (*Result, time.Duration) {
				t.Helper()
				var r *Result
				began := time.Now()
				err := client.Do(func() (err error) {
					r, err = Find(t.Context(), Options{To: to})
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				t.Logf("%v: %+v", took, *r)
				return r, took
			}
			if r, _ := find(); r.MTU != 1500 || r.Interface != 1500 || r.Said != 0 || r.BlackHole || r.Unsure {
				t.Errorf("a clean path: %+v", r)
			}
			mtu("1300")
			if r, _ := find(); r.MTU != 1300 || r.Interface != 1500 || r.Said != 1300 || !r.By.IsValid() || r.BlackHole || r.Unsure {
				t.Errorf("a router that says so: %+v", r)
			}
			mtu("1500")
			rule("1400") // IPv6 wants 1,280, and so this is above it
			if r, took := find(); r.MTU != 1400 || r.Said != 0 || !r.BlackHole || took > 15*time.Second {
				t.Errorf("a black hole, after %v: %+v", took, r)
			}
			rule("40")
			if r, _ := find(); r.MTU != 0 || r.BlackHole || !r.Unsure {
				t.Errorf("nothing passes: %+v", r)
			}
			rule("")
		}
	}
}
