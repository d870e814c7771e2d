package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	t.Parallel()
	lab.Need(t, "sftp", "ping")
	g := gateway.Start(t, gateway.Options{Client: true, Capture: true})
	unreachable(t, g)
	for name, row := range map[string]gateway.Row{
		"psk":              {},
		"site to site":     {SiteToSite: true},
		"rsa":              {Auth: gateway.AuthRSA},
		"ecdsa":            {Auth: gateway.AuthECDSA},
		"ecdsa 384":        {Auth: gateway.AuthECDSA384, IKE: "aes256gcm16-prfsha384-ecp384", ESP: "aes256gcm16"},
		"ecdsa 521":        {Auth: gateway.AuthECDSA521},
		"ed25519":          {Auth: gateway.AuthEd25519},
		"chain":            {Auth: gateway.AuthChain},
		"rsa-pss":          {Auth: gateway.AuthRSA, Sign: "ike:rsa/pss-sha384"},
		"psk then eap":     {Auth: gateway.AuthPSKThenEAP},
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
			through(t, g, row)
		})
	}
	onlyTunnel(t, g)
}

// TestNAT is the same behind a router that changes ports.
func TestNAT(t *testing.T) {
	t.Parallel()
	lab.Need(t, "sftp", "ping")
	g := gateway.Start(t, gateway.Options{Client: true, Capture: true, NAT: true, SSHD: lab.SSHD{Tester: true}})
	through(t, g, gateway.Row{})
	onlyTunnel(t, g)
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

// onlyTunnel looks through the capture: there are IKE and ESP, and nothing
// else that carries anything.
func onlyTunnel(t *testing.T, g *gateway.Gateway) {
	t.Helper()
	ike, esp := 0, 0
	for _, p := range g.Packets() {
		if _, ok := p.IKE(); ok {
			ike++
		} else if _, ok := p.Encapsulated(); ok {
			esp++
		} else if p.Protocol == gateway.TCP || p.To.Addr().String() == gateway.Road && p.Protocol == gateway.ICMP {
			t.Errorf("in clear: %v", p)
		}
		if p.From.Addr().String() == gateway.RoadNAT {
			t.Error("the client's own address was seen behind the router")
		}
	}
	if ike < 6 || esp < 100 {
		t.Errorf("%d packets of IKE and %d of ESP were captured", ike, esp)
	}
}

// TestDecrypted holds the lab's oracle against what is known of the traffic:
// after rekeying from both ends, tshark still reads all of it.
func TestDecrypted(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping", "tshark")
	for name, row := range map[string]gateway.Row{
		"cbc":   {},
		"gcm":   {IKE: "aes256gcm16-prfsha384-ecp384", ESP: "aes256gcm16"},
		"ikev1": {Version: 1, IKE: "3des-sha1-modp1024", ESP: "aes256-sha1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := gateway.Start(t, gateway.Options{Client: true, Capture: true, Row: row})
			if err := g.Client.Initiate(); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*gateway.Swan{g.Swan, g.Client} {
				g.RoadHost.Run("ping", "-q", "-c3", "-i0.2", "-W2", gateway.Lan)
				before := spi(g.SAs())
				if out, err := s.Swanctl("--rekey", "--child", "net"); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				g.Await("a new child", func() bool { now := spi(g.SAs()); return now != "" && now != before })
			}
			g.RoadHost.Run("ping", "-q", "-c3", "-i0.2", "-W2", gateway.Lan)
			out := g.Decrypted("-Y", "icmp.type==8 || icmp.type==0 || isakmp", "-T", "fields", "-e", "icmp.type", "-e", "esp.icv_good", "-e", "esp.spi", "-e", "isakmp.typepayload")
			spis, echoes := map[string]bool{}, 0
			asked := false
			for line := range strings.Lines(out) {
				f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
				if f[0] == "8" || f[0] == "0" {
					echoes++
					spis[f[2]] = true
					if f[1] != "1" && f[1] != "True" && row.ESP == "" {
						t.Errorf("the ICV of a packet is not good: %q", f)
					}
				}
				// The identity is only seen in what was decrypted (RFC 7296 3.5: 36 is IDr; RFC 2408 3.1: 5 is ID).
				asked = asked || strings.Contains(","+f[3]+",", ",36,") || strings.Contains(","+f[3]+",", ",5,")
			}
			if echoes != 18 || len(spis) != 6 {
				t.Errorf("tshark read %d packets of 18, by %d SAs of 6:\n%s", echoes, len(spis), out)
			}
			if !asked {
				t.Errorf("tshark did not read an identity:\n%s", out)
			}
		})
	}
}

// spi is the inbound SPI of the child that is installed.
func spi(sas string) string {
	_, after, _ := strings.Cut(sas, " INSTALLED,")
	_, after, _ = strings.Cut(after, "\n    in  ")
	spi, _, _ := strings.Cut(after, ",")
	return spi
}

// TestLife takes the gateway and the line away in each way and brings them
// back.
func TestLife(t *testing.T) {
	t.Parallel()
	lab.Need(t, "ping")
	g := gateway.Start(t, gateway.Options{Client: true})
	answers := func() bool {
		_, err := g.RoadHost.Try("ping", "-c1", "-W1", "-I", "ipsec0", gateway.Lan)
		return err == nil
	}
	up := func() {
		t.Helper()
		if err := g.Client.Initiate(); err != nil {
			t.Fatal(err)
		}
		g.Await("an answer", answers)
	}
	up()
	g.Cut()
	if answers() {
		t.Error("there is an answer though the line is cut")
	}
	g.Mend()
	g.Await("an answer after the line is mended", answers)

	g.Kill()
	if answers() || !strings.Contains(g.Client.SAs(), "ESTABLISHED") {
		t.Errorf("after the gateway was killed the client has\n%s", g.Client.SAs())
	}
	g.Restart()
	if sas := g.SAs(); sas != "" {
		t.Errorf("a gateway that was killed came back with\n%s", sas)
	}
	g.Client.Terminate()
	up()

	g.Stop()
	g.Await("the client is told that the gateway goes", func() bool { return g.Client.SAs() == "" })
	g.Restart()
	up()
	if n := strings.Count(g.Log(), "state change: CONNECTING => ESTABLISHED"); n != 3 {
		t.Errorf("the gateway's log has %d logins of 3", n)
	}
}

// TestNames asks the lan's DNS server with Go's own resolver.
func TestNames(t *testing.T) {
	t.Parallel()
	g := gateway.Start(t, gateway.Options{})
	for _, server := range []string{gateway.Lan, gateway.Lan6} {
		r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (c net.Conn, err error) {
			err = g.LanHost.Do(func() error { c, err = net.Dial("udp", net.JoinHostPort(server, "53")); return err })
			return c, err
		}}
		got, err := r.LookupHost(t.Context(), gateway.LanName)
		slices.Sort(got)
		if want := []string{gateway.Lan, gateway.Lan6}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%s at %s is %v: %v", gateway.LanName, server, got, err)
		}
		var none *net.DNSError
		if got, err := r.LookupHost(t.Context(), "other.lab.test"); !errors.As(err, &none) || !none.IsNotFound {
			t.Errorf("a name that there is not is %v: %v", got, err)
		}
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

// TestKilled kills a test that has a lab: all of the lab dies with it.
func TestKilled(t *testing.T) {
	if os.Getenv("LAB_TO_DIE") != "" {
		g := gateway.Start(t, gateway.Options{Client: true, Capture: true})
		fmt.Println("lab: " + g.Dir)
		select {} // until the test's timeout, if nobody kills it
	}
	lab.NeedRoot(t)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$", "-test.timeout", "1m")
	cmd.Env = append(os.Environ(), "LAB_TO_DIE=1", "TMPDIR="+lab.Folder(t)) // its files are all that it leaves
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(out)
	var dir string
	for found := false; !found && lines.Scan(); {
		dir, found = strings.CutPrefix(lines.Text(), "lab: ")
	}
	if dir == "" {
		t.Fatal("no lab was started")
	}
	if n := len(programs(dir)); n < 3 {
		t.Fatalf("%d programs of the lab were seen: two charons and tcpdump are to be there", n)
	}
	cmd.Process.Kill()
	deadline := time.Now().Add(10 * time.Second)
	for len(programs(dir)) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %q", programs(dir))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// programs lists the command lines that name a folder.
func programs(dir string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(dir)) {
			found = append(found, string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
		}
	}
	return found
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
	t.Parallel()
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
