package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	xproxy "golang.org/x/net/proxy"

	"linehaul/internal/lab"
	"linehaul/tunnel/ikev2"
	"linehaul/tunnel/tunneltest"
)

// holdSite is a gateway in this process, and a config that names it.
func holdSite(t *testing.T, psk string) (*tunneltest.Server, string) {
	t.Helper()
	id, err := ikev2.ParseIdentity("vpn.example.net")
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := tunneltest.Start(tunneltest.ServerOptions{
		Options: tunneltest.Options{PSK: []byte("secret"), ID: id, Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}},
		Inside:  []netip.Addr{netip.MustParseAddr("10.20.0.5")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gateway.Close() })
	dir := t.TempDir()
	config := filepath.Join(dir, "linehaul.yaml")
	text := fmt.Sprintf(`state: state
links:
  hk:
    ipsec:
      gateway: %s
      local: {id: branch@example.net, psk: "file:psk"}
      remote: {id: vpn.example.net}
      networks: [10.20.0.0/16]
`, gateway.Addr())
	for file, text := range map[string]string{config: text, filepath.Join(dir, "psk"): psk} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return gateway, config
}

// invocation is linehaul in this process.
type invocation struct {
	out, errs lab.Buffer
	stop      context.CancelFunc
	code      chan int
}

func invoke(t *testing.T, args ...string) *invocation {
	t.Helper()
	i := &invocation{code: make(chan int, 1)}
	ctx, stop := context.WithCancel(t.Context())
	i.stop = stop
	a := &app{stdin: strings.NewReader(""), stdout: &i.out, stderr: &i.errs, env: func(string) string { return "" }, now: time.Now}
	go func() { i.code <- a.main(ctx, args) }()
	return i
}

// await waits until its output has a text so many times.
func (i *invocation) await(t *testing.T, text string, times int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); strings.Count(i.out.String(), text) < times; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q:\n%s\n%s", text, &i.out, &i.errs)
		}
	}
}

// TestHoldUp: each event of a link that is held up has its line, on each
// system, while another invocation sees what it does and a program goes
// through it.
func TestHoldUp(t *testing.T) {
	gateway, config := holdSite(t, "secret")
	behind, err := gateway.Listen(7)
	if err != nil {
		t.Fatal(err)
	}
	var echo sync.WaitGroup
	defer echo.Wait()
	echo.Go(func() {
		for {
			c, err := behind.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}
	})
	defer behind.Close()
	i := invoke(t, "-c", config, "--json", "tunnel", "proxy", "hk", "--listen", "127.0.0.1:0")
	i.await(t, `"event":"up"`, 1)
	rows := func() []tunnelRow {
		status := invoke(t, "-c", config, "--json", "tunnel", "status")
		var rows []tunnelRow
		if code := <-status.code; code != 0 {
			t.Fatalf("exit code %d: %s", code, &status.errs)
		}
		if err := json.Unmarshal([]byte(status.out.String()), &rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	for deadline := time.Now().Add(10 * time.Second); len(rows()) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the tunnel is not seen")
		}
	}
	if r := rows()[0]; r.Link != "hk" || r.Verb != "tunnel proxy" || r.PID != os.Getpid() || r.State != "up" || len(r.Children) != 1 {
		t.Errorf("%+v", r)
	}

	at := regexp.MustCompile(`HTTP CONNECT at (\S+)`).FindStringSubmatch(i.errs.String())
	if at == nil {
		t.Fatalf("it does not say where: %s", &i.errs)
	}
	d, err := xproxy.SOCKS5("tcp", at[1], nil, xproxy.Direct)
	if err != nil {
		t.Fatal(err)
	}
	echoes := func() {
		t.Helper()
		c, err := d.Dial("tcp", "10.20.0.5:7")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "through")
		c.(interface{ CloseWrite() error }).CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != "through" {
			t.Errorf("%q, %v", got, err)
		}
	}
	echoes()

	// The gateway does nothing while an exchange of its own is under way.
	provoke := func(event string, do func(*tunneltest.Gateway, time.Time) [][]byte) {
		t.Helper()
		for tries := 0; !strings.Contains(i.out.String(), event); tries++ {
			if tries == 60 {
				t.Fatalf("no %s:\n%s\n%s", event, &i.out, &i.errs)
			}
			gateway.Each(do)
			time.Sleep(500 * time.Millisecond)
		}
	}
	provoke(`"event":"esp_rekeyed"`, (*tunneltest.Gateway).RekeyChild)
	provoke(`"event":"ike_rekeyed"`, (*tunneltest.Gateway).RekeyIKE)
	provoke(`"event":"lost"`, (*tunneltest.Gateway).DeleteIKE)
	i.await(t, `"event":"reconnecting"`, 1)
	i.await(t, `"event":"up"`, 2)
	echoes()

	i.stop()
	if code := <-i.code; code != 0 {
		t.Errorf("exit code %d: %s", code, &i.errs)
	}
	if n := gateway.Logins(); n != 0 {
		t.Errorf("the gateway has %d logins still", n)
	}
	var events []string
	for line := range strings.Lines(i.out.String()) {
		var e eventLine
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Link != "hk" || e.Time.IsZero() {
			t.Errorf("%s: %v", line, err)
		}
		events = append(events, e.Event)
	}
	events = slices.Compact(events) // on a slow machine it was provoked twice
	if got, want := strings.Join(events, " "), "connecting up esp_rekeyed ike_rekeyed lost reconnecting connecting up down"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
	if len(rows()) != 0 {
		t.Error("it is seen after its end")
	}
	if _, err := net.Dial("tcp", at[1]); err == nil {
		t.Error("the proxy is there still")
	}
}

// TestHoldUpRefused: what the gateway refuses at first is the end, with the
// tunnel's exit code; nothing is seen of it later.
func TestHoldUpRefused(t *testing.T) {
	_, config := holdSite(t, "another")
	i := invoke(t, "-c", config, "tunnel", "up", "hk")
	if code := <-i.code; code != 4 || !strings.Contains(i.errs.String(), "gateway login: ") || !strings.Contains(i.out.String(), "hk: connecting to 127.0.0.1:") {
		t.Errorf("exit code %d:\n%s%s", code, &i.out, &i.errs)
	}
	for args, want := range map[string]string{
		"tunnel up other":                                `no link "other"`,
		"tunnel status other":                            `no link "other"`,
		"tunnel status hk":                               `link "hk" is not up`,
		"tunnel proxy hk --listen :1080":                 "--anyone-may-connect",
		"tunnel proxy hk --listen here":                  "want ADDRESS:PORT",
		"tunnel proxy hk -L 80:host":                     "is no forward",
		"tunnel proxy hk -L 0.0.0.0:8080:10.20.0.5:80":   "--anyone-may-connect",
		"tunnel up hk --capture no/such/folder/a.pcapng": "--capture",
	} {
		i := invoke(t, append([]string{"-c", config}, strings.Fields(args)...)...)
		if code := <-i.code; code == 0 || !strings.Contains(i.errs.String(), want) {
			t.Errorf("%s: exit code %d, %s", args, code, &i.errs)
		}
	}
}
