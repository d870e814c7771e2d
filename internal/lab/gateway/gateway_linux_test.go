package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/gateway"
	"linehaul/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// TestRows sets two strongSwans up against each other in all the ways that the
// lab has, and goes through the tunnel with ping and with OpenSSH. What the
// lab tells of a client of ours is worth as much as this.
func TestRows(t *testing.T) {
	lab.Need(t, "sftp", "ping", "tshark")
	g := gateway.Start(t, gateway.Options{Client: true, Capture: true})
	for name, row := range map[string]gateway.Row{
		"psk":              {},
		"site to site":     {SiteToSite: true},
		"rsa":              {Auth: gateway.AuthRSA},
		"ecdsa":            {Auth: gateway.AuthECDSA},
		"ecdsa 384":        {Auth: gateway.AuthECDSA384, IKE: "aes256gcm16-prfsha384-ecp384", ESP: "aes256gcm16"},
		"eap-mschapv2":     {Auth: gateway.AuthEAPMSCHAPv2},
		"eap-md5":          {Auth: gateway.AuthEAPMD5},
		"eap-tls":          {Auth: gateway.AuthEAPTLS},
		"psk and eap":      {Auth: gateway.AuthPSKAndEAP},
		"rsa then eap":     {Auth: gateway.AuthRSAThenEAP},
		"ipv6 outside":     {Outer6: true},
		"ipv6 inside":      {Inner6: true},
		"ikev1 main":       {Version: 1},
		"ikev1 aggressive": {Version: 1, Aggressive: true, SiteToSite: true},
		"ikev1 xauth":      {Version: 1, Auth: gateway.AuthXAuthPSK},
		"ikev1 hybrid":     {Version: 1, Auth: gateway.AuthXAuthHybrid},
	} {
		t.Run(name, func(t *testing.T) {
			g.Use(row)
			unreachable(t, g)
			through(t, g, row)
		})
	}
	onlyTunnel(t, g)
}

// TestNAT is the same behind a router that changes ports.
func TestNAT(t *testing.T) {
	lab.Need(t, "sftp", "ping", "tshark")
	g := gateway.Start(t, gateway.Options{Client: true, Capture: true, NAT: true})
	through(t, g, gateway.Row{})
	onlyTunnel(t, g)
	if sources := tshark(t, g, "-Y", "ip.dst=="+gateway.Gate, "-T", "fields", "-e", "ip.src"); strings.Contains(sources, gateway.RoadNAT) {
		t.Errorf("the client's own address was seen behind the router")
	}
}

// unreachable: without a tunnel nothing comes through the gateway, though
// there is a route.
func unreachable(t *testing.T, g *gateway.Gateway) {
	t.Helper()
	g.RoadHost.Run("ip", "route", "replace", gateway.LanNet, "via", gateway.Gate)
	defer g.RoadHost.Run("ip", "route", "del", gateway.LanNet, "via", gateway.Gate)
	if out, err := g.RoadHost.Try("ping", "-c1", "-W1", gateway.Lan); err == nil {
		t.Fatalf("the protected host answers without a tunnel:\n%s", out)
	}
}

// through sets the tunnel up and uses it.
func through(t *testing.T, g *gateway.Gateway, row gateway.Row) {
	t.Helper()
	defer g.Client.Terminate()
	if err := g.Client.Initiate(); err != nil {
		t.Fatalf("the tunnel is not up: %v\n%s", err, g.Log())
	}
	if sas := g.SAs(); !strings.Contains(sas, "ESTABLISHED") || !strings.Contains(sas, "INSTALLED") {
		t.Errorf("the gateway has no SAs:\n%s", sas)
	}
	from := []string{}
	bind := []string{}
	if row.SiteToSite {
		from, bind = []string{"-I", gateway.Inner}, []string{"-o", "BindAddress=" + gateway.Inner}
	}
	g.RoadHost.Run("ping", append(from, "-q", "-c2", "-i0.2", "-W2", "-s1200", gateway.Lan)...)
	if row.Inner6 {
		g.RoadHost.Run("ping", "-q", "-c2", "-i0.2", "-W2", "-s1200", gateway.Lan6)
	}
	want := make([]byte, 300_000)
	rand.Read(want)
	for name, b := range map[string][]byte{"known_hosts": []byte(g.SSH.KnownHosts()), "content": want} {
		if err := os.WriteFile(filepath.Join(g.Dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := filepath.Join(g.Home, "got")
	os.Remove(got)
	args := append(bind, "-q", "-F", "none", "-i", g.Key, "-o", "BatchMode=yes", "-o", "UserKnownHostsFile="+filepath.Join(g.Dir, "known_hosts"), "-b", "-", g.SSH.User+"@"+gateway.Lan)
	cmd := g.RoadUser(exec.Command(lab.Path("sftp"), args...))
	cmd.Stdin = strings.NewReader("get " + filepath.Join(g.Dir, "content") + " " + got + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sftp as an ordinary user: %v\n%s\n%s", err, out, g.SSH.Log())
	}
	if b, err := os.ReadFile(got); err != nil || !bytes.Equal(b, want) {
		t.Errorf("the file came through with %d bytes: %v", len(b), err)
	}
}

func tshark(t *testing.T, g *gateway.Gateway, args ...string) string {
	t.Helper()
	out, err := exec.Command("tshark", append([]string{"-r", g.Wire()}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// onlyTunnel looks through the capture: there are IKE and ESP, and nothing
// that got as far as the lan in clear.
func onlyTunnel(t *testing.T, g *gateway.Gateway) {
	t.Helper()
	if n := strings.Count(tshark(t, g, "-Y", "esp && udp.port==4500"), "\n"); n < 10 {
		t.Errorf("%d packets of ESP in UDP were captured", n)
	}
	if n := strings.Count(tshark(t, g, "-Y", "isakmp && udp.port==500"), "\n"); n < 2 {
		t.Errorf("%d packets of IKE on port 500 were captured", n)
	}
	if clear := tshark(t, g, "-Y", "tcp || (icmp.type==0) || (icmpv6.type==129)"); clear != "" {
		t.Errorf("in clear:\n%s", clear)
	}
}

// TestAgain runs this test on the road, where an ordinary user talks to a
// server of the test in the lan.
func TestAgain(t *testing.T) {
	if gateway.Inside() {
		if os.Getuid() == 0 {
			t.Error("root")
		}
		interfaces, err := net.InterfaceAddrs()
		if err != nil || !strings.Contains(addresses(interfaces), gateway.Road+"/24") {
			t.Errorf("the addresses are %v: %v", interfaces, err)
		}
		if os.Getenv("SAID") != "so" {
			t.Errorf("SAID is %q", os.Getenv("SAID"))
		}
		if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), "was here"), nil, 0o600); err != nil {
			t.Error(err)
		}
		return
	}
	g := gateway.Start(t, gateway.Options{})
	g.Again(t, "SAID=so")
	if _, err := os.Stat(filepath.Join(g.Home, "was here")); err != nil {
		t.Error(err)
	}
}

func addresses(all []net.Addr) string {
	var b strings.Builder
	for _, a := range all {
		b.WriteString(a.String() + " ")
	}
	return b.String()
}

// TestSockets: this process has sockets on the hosts.
func TestSockets(t *testing.T) {
	g := gateway.Start(t, gateway.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	gate, err := g.GateHost.ListenPacket(ctx, "udp", gateway.Gate+":7000")
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	road, err := g.RoadHost.ListenPacket(ctx, "udp", gateway.Road+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer road.Close()
	if _, err := road.WriteTo([]byte("hello"), gate.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	gate.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, from, err := gate.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" || from.String() != road.LocalAddr().String() {
		t.Errorf("got %q from %v: %v", buf[:n], from, err)
	}
	if _, err := net.ListenPacket("udp", gateway.Gate+":7000"); err == nil {
		t.Error("the test itself is in the network of the gateway")
	}
}
