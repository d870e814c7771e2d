//go:build linux

package tunnel_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab/gateway"
	"linehaul/tunnel"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/suite"
)

// labConfig is what the lab's gateway lets in.
func labConfig(t *testing.T, ike, esp string) tunnel.Config {
	t.Helper()
	local, err := ikev2.ParseIdentity(gateway.RoadID)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := ikev2.ParseIdentity(gateway.GateID)
	if err != nil {
		t.Fatal(err)
	}
	c := tunnel.Config{
		Gateway: gateway.Gate,
		IKE: ikev2.Config{
			Local: local, Remote: &remote, PSK: []byte(gateway.PSK), Networks: []netip.Prefix{netip.MustParsePrefix(gateway.LanNet)},
		},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if ike != "" {
		c.IKE.IKE, c.IKE.ESP = []suite.Proposal{proposal(t, suite.IKE, ike)}, []suite.Proposal{proposal(t, suite.ESP, esp)}
	}
	return c
}

func proposal(t *testing.T, p suite.Protocol, text string) suite.Proposal {
	t.Helper()
	one, err := suite.Parse(p, text)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func up(t *testing.T, c tunnel.Config) *tunnel.Tunnel {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tun, err := tunnel.Up(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tun.Close() })
	return tun
}

// banner asks the SSH server behind the gateway who it is.
func banner(t *testing.T, tun interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := tun.DialContext(ctx, "tcp", gateway.Lan+":22")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "SSH-2.0-OpenSSH") {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := tun.DialContext(ctx, "tcp", gateway.Gate+":22"); !fault.Is(err, fault.Route) {
		t.Errorf("an address that is not behind the gateway: %v", err)
	}
}

// TestLogin logs in to strongSwan as an ordinary user, with one proposal after
// another and with the default, and talks to the SSH server behind it.
func TestLogin(t *testing.T) {
	if gateway.Inside() {
		ike, esp, _ := strings.Cut(os.Getenv("PROPOSALS"), " ")
		banner(t, up(t, labConfig(t, ike, esp)))
		return
	}
	g := gateway.Start(t, gateway.Options{})
	for _, row := range [][2]string{
		{"aes128-sha256-modp2048", "aes128-sha256"},
		{"aes256gcm16-prfsha384-ecp384", "aes256gcm16"},
		{"chacha20poly1305-prfsha256-x25519", "chacha20poly1305"},
		{"aes256-sha512-modp4096", "aes256-sha512"},
		{"3des-sha1-modp1024", "3des-sha1"},
		{"aes128ctr-aesxcbc-ecp521", "aes128ctr-aesxcbc"},
		{"aes128ccm16-prfsha256-x448", "aes128ccm16"},
	} {
		g.Use(gateway.Row{IKE: row[0], ESP: row[1]})
		g.Again(t, "PROPOSALS="+row[0]+" "+row[1])
	}
	g.Use(gateway.Row{IKE: "aes256gcm16-prfsha384-ecp384", ESP: "aes256gcm16"}) // not the group that is tried first
	g.Again(t, "PROPOSALS=")
}

// TestRekey pings every fiftieth of a second while the keys are replaced all the
// time, by us, by the gateway, and by both, and loses nothing.
func TestRekey(t *testing.T) {
	const long, often = 8, 20 * time.Millisecond
	if gateway.Inside() {
		c := labConfig(t, "aes128gcm16-prfsha256-x25519", "aes128gcm16-x25519")
		if os.Getenv("OURS") != "" {
			c.IKE.ChildLifetime, c.IKE.IKELifetime = time.Second, 3*time.Second
		}
		tun := up(t, c)
		sent, lost := 0, 0
		for began := time.Now(); time.Since(began) < long*time.Second; sent++ {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if _, err := tun.Ping(ctx, netip.MustParseAddr(gateway.Lan), 1200); err != nil {
				t.Logf("ping %d: %v", sent, err)
				lost++
			}
			cancel()
			select {
			case <-tun.Done():
				t.Fatalf("it ended: %v", tun.Err())
			case <-time.After(often):
			}
		}
		if lost > 0 || sent < long*10 {
			t.Errorf("%d of %d pings lost", lost, sent)
		}
		return
	}
	g := gateway.Start(t, gateway.Options{})
	row := gateway.Row{IKE: "aes128gcm16-prfsha256-x25519", ESP: "aes128gcm16-x25519"}
	theirs := row
	theirs.Gate, theirs.GateChild = "rekey_time = 3s\nover_time = 10s\nrand_time = 0", "rekey_time = 1s\nlife_time = 10s\nrand_time = 0"
	for _, one := range []struct {
		row  gateway.Row
		ours string
	}{{row, "1"}, {theirs, ""}, {theirs, "1"}} {
		g.Use(one.row)
		out := g.Again(t, "OURS="+one.ours)
		children := strings.Count(out, "ESP is agreed") - 1
		if children < long/2 || !strings.Contains(out, "the IKE SA") {
			t.Errorf("%d rekeys of ESP, and of IKE:\n%s", children, out)
		}
		t.Logf("ours=%q: %d rekeys of ESP, %d of IKE", one.ours, children, strings.Count(out, "replaced"))
	}
}

// TestRefused says what is wrong.
func TestRefused(t *testing.T) {
	if gateway.Inside() {
		c := labConfig(t, "aes128-sha256-modp2048", "aes128-sha256")
		want, _ := strconv.Atoi(os.Getenv("WANT"))
		switch os.Getenv("WRONG") {
		case "key":
			c.IKE.PSK = []byte("another one")
		case "gateway":
			c.IKE.Remote.Data = []byte("other.lab.test")
		case "ike":
			c.IKE.IKE = []suite.Proposal{proposal(t, suite.IKE, "aes256-sha512-modp4096")}
		case "esp":
			c.IKE.ESP = []suite.Proposal{proposal(t, suite.ESP, "aes256-sha512")}
		case "networks":
			c.IKE.Networks = []netip.Prefix{netip.MustParsePrefix("172.20.0.0/16")}
		case "silence":
			c.Gateway, c.IKE.Patience = gateway.Road+":9", time.Second
		}
		tun, err := tunnel.Up(t.Context(), c)
		if err == nil {
			tun.Close()
			t.Fatal("it is up")
		}
		var e *fault.Error
		if fault.KindOf(err) != fault.Kind(want) || !errors.As(err, &e) {
			t.Errorf("%v is of kind %v", err, fault.KindOf(err))
		}
		t.Log(err)
		return
	}
	g := gateway.Start(t, gateway.Options{})
	for wrong, kind := range map[string]fault.Kind{
		"key": fault.GatewayLogin, "gateway": fault.GatewayLogin,
		"ike": fault.IKE, "esp": fault.IKE, "networks": fault.IKE, "silence": fault.IKE,
	} {
		out := g.Again(t, "WRONG="+wrong, "WANT="+strconv.Itoa(int(kind)))
		if i := strings.Index(out, "gateway_test.go"); i >= 0 {
			line, _, _ := strings.Cut(out[i:], "\n")
			t.Logf("%s: %s", wrong, line)
		}
	}
}

// TestDeadGateway kills the gateway in the middle: what goes through the tunnel
// ends with the tunnel's error within the time that was asked for.
func TestDeadGateway(t *testing.T) {
	if gateway.Inside() {
		c := labConfig(t, "", "")
		c.IKE.IKE, c.IKE.ESP = nil, nil
		c.IKE.Probe, c.IKE.Patience = time.Second, 4*time.Second
		tun := up(t, c)
		conn, err := tun.DialContext(t.Context(), "tcp", gateway.Lan+":22")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := os.WriteFile(os.Getenv("READY"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		r := bufio.NewReader(conn)
		for err == nil {
			_, err = r.ReadByte()
		}
		if took := time.Since(began); !fault.Is(err, fault.IKE) || took > 15*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		return
	}
	g := gateway.Start(t, gateway.Options{Row: gateway.Row{IKE: "aes256gcm16-prfsha256-x25519", ESP: "aes256gcm16"}})
	ready := g.Home + "/ready"
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for range 200 {
			if _, err := os.Stat(ready); err == nil {
				g.Kill()
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	g.Again(t, "READY="+ready)
	<-gone
}
