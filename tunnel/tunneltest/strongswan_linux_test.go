package tunneltest_test

import (
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/gateway"
	"linehaul/tunnel/ikemsg"
	"linehaul/tunnel/suite"
	"linehaul/tunnel/tunneltest"
)

// TestStrongSwan has strongSwan as the client of this gateway, which takes the
// place of the lab's own: it logs in, and one side or the other rekeys everything
// while pings go through. So the gateway that linehaul's client is tested with is not
// right in linehaul's eyes only.
func TestStrongSwan(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping")
	g := gateway.Start(t, gateway.Options{Client: true})
	const floated = "local_port = 4500\nremote_port = 4500\n"
	for name, c := range map[string]struct {
		row        gateway.Row
		child, ike time.Duration // after which the gateway rekeys
	}{
		"rekeys by the gateway, AES-CBC":                   {gateway.Row{Road: floated}, 2 * time.Second, 5 * time.Second},
		"rekeys by strongSwan, AES-GCM with key exchanges": {gateway.Row{IKE: "aes256gcm16-prfsha384-ecp384", ESP: "aes256gcm16-ecp256", RoadChild: "rekey_time = 2s\nlife_time = 60s\nrand_time = 0", Road: floated + "rekey_time = 5s\nover_time = 60s\nrand_time = 0"}, 0, 0},
	} {
		row := c.row
		t.Run(name, func(t *testing.T) {
			g.Use(row)
			g.Stop()
			defer g.Restart()
			conn, err := g.GateHost.ListenPacket(t.Context(), "udp4", net.JoinHostPort(gateway.Gate, "4500"))
			if err != nil {
				t.Fatal(err)
			}
			o := tunneltest.Options{
				PSK: []byte(gateway.PSK), ID: ikemsg.Identity{Kind: ikemsg.IDFQDN, Data: []byte(gateway.GateID)},
				Networks:      []netip.Prefix{netip.MustParsePrefix(gateway.LanNet)},
				ChildLifetime: c.child, IKELifetime: c.ike,
			}
			if row.ESP != "" {
				p, err := suite.Parse(suite.ESP, row.ESP)
				if err != nil {
					t.Fatal(err)
				}
				o.ESP = []suite.Proposal{p}
			}
			s, err := tunneltest.Start(tunneltest.ServerOptions{
				Options: o, Conn: conn.(*net.UDPConn), Pool: netip.MustParsePrefix(gateway.Pool), Inside: []netip.Addr{netip.MustParseAddr(gateway.Lan)},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := g.Client.Initiate(); err != nil {
				t.Fatalf("%v\n%s", err, g.Client.Log())
			}
			defer g.Client.Terminate()
			out, err := g.Road(exec.CommandContext(t.Context(), "ping", "-i", "0.02", "-c", "350", "-W", "3", gateway.Lan)).CombinedOutput()
			m := regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`).FindStringSubmatch(string(out))
			if m == nil {
				t.Fatalf("%v\n%s", err, out)
			}
			sent, _ := strconv.Atoi(m[1])
			came, _ := strconv.Atoi(m[2])
			st := s.Stats()
			t.Logf("%d pings, %d lost; %+v", sent, sent-came, st)
			if came < sent || st.Logins != 1 || st.ChildRekeys < 3 || st.IKERekeys < 1 {
				t.Errorf("%d of %d pings came back; %+v\n%s", came, sent, st, g.Client.Log())
			}
		})
	}
}
