//go:build linux

package tunnel_test

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"linehaul/internal/lab/gateway"
	"linehaul/preflight/ping"
	"linehaul/preflight/pmtu"
	"linehaul/preflight/tcpinfo"
)

// TestProbes measures through a tunnel: a series of pings, the figures of a
// connection, and the path's MTU, where a router behind the gateway takes less
// and says so, where it does not, and where the tunnel's own packets get lost
// by their length.
func TestProbes(t *testing.T) {
	if gateway.Inside() {
		tun := up(t, labConfig(t, "", ""))
		to := netip.MustParseAddr(gateway.Lan)
		s, err := ping.MeasureThrough(t.Context(), tun, ping.Options{To: to, Count: 50, Interval: 10 * time.Millisecond})
		if err != nil || s.Received != 50 || s.Way != "the tunnel" || s.MedianMS <= 0 {
			t.Errorf("%+v, %v", s, err)
		}
		banner(t, tun)
		c, err := tun.DialContext(t.Context(), "tcp", gateway.Lan+":22")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("SSH-2.0-probe\r\n"))
		c.Read(make([]byte, 100))
		if i, err := tcpinfo.Read(c); err != nil || i.Sent == 0 || i.SentBytes < 15 || i.Received == 0 || i.RTTMS <= 0 || i.MSS == 0 {
			t.Errorf("%+v, %v", i, err)
		}
		r, err := pmtu.FindThrough(t.Context(), tun, pmtu.Options{To: to, Most: tun.MTU()})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", os.Getenv("STANDS"), *r)
		router := netip.MustParseAddr("10.77.0.1")
		good := false
		switch os.Getenv("STANDS") {
		case "nothing":
			good = r.MTU == tun.MTU() && !r.BlackHole && r.Said == 0
		case "a router":
			good = r.MTU == 1200 && !r.BlackHole && r.Said == 1200 && r.By == router
		case "a silent router":
			good = r.MTU == 1200 && r.BlackHole && r.Said == 0
		case "outside":
			// IPv4, UDP and ESP around it, with IV, padding and ICV.
			good = r.BlackHole && r.MTU > 1200-100 && r.MTU < 1200-40
		}
		if !good || r.Unsure {
			t.Errorf("where %s stands in the way: %+v", os.Getenv("STANDS"), r)
		}
		return
	}
	t.Parallel()
	g := gateway.Start(t, gateway.Options{})
	g.Use(gateway.Row{})
	g.Again(t, "STANDS=nothing")
	g.GateHost.IP("link set lan mtu 1200\n")
	g.Again(t, "STANDS=a router")
	g.GateHost.IP("link set lan mtu 1500\n")
	g.GateHost.Drop("ip daddr 10.77.0.0/24 meta length > 1200")
	g.Again(t, "STANDS=a silent router")
	g.GateHost.Allow()
	g.GateHost.Drop("udp dport 4500 meta length > 1200")
	g.Again(t, "STANDS=outside")
}
