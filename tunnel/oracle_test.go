//go:build linux

package tunnel_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/gateway"
	"linehaul/tunnel"
	"linehaul/tunnel/keylog"
)

const oraclePings = 20

// captured is what is to be seen on the wire by the keys: pings and the SSH
// server's greeting, with a rekey of each kind in between.
func captured(t *testing.T, dir string) {
	ike, esp, _ := strings.Cut(os.Getenv("PROPOSALS"), " ")
	c := labConfig(t, ike, esp)
	c.IKE.ChildLifetime, c.IKE.IKELifetime = 2*time.Second, 3*time.Second
	events := map[tunnel.Event]int{}
	heard := make(chan tunnel.Event, 100)
	c.Event = func(e tunnel.Event, _ tunnel.Status) { heard <- e }
	f, err := os.Create(filepath.Join(dir, "capture.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c.Capture, err = tunnel.NewCapture(f, "linehaul"); err != nil {
		t.Fatal(err)
	}
	if c.Keys, err = keylog.Open(dir); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	tun := up(t, c)
	banner(t, tun)
	for i := range oraclePings {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := tun.Ping(ctx, netip.MustParseAddr(gateway.Lan), 500); err != nil {
			t.Errorf("ping %d: %v", i, err)
		}
		cancel()
		time.Sleep(200 * time.Millisecond)
	}
	checkStatus(t, tun.Status(), esp)
	tun.Close()
	if s := tun.Status(); s.State != "ended" || len(s.Children) != 0 || s.In.Packets < oraclePings {
		t.Errorf("at the end: %+v", s)
	}
	close(heard)
	for e := range heard {
		events[e]++
	}
	if pairs := tun.Carried(began); len(pairs) != events[tunnel.RekeyedESP]+1 || len(tun.Carried(time.Now())) != 1 {
		t.Errorf("carried by %v", pairs)
	}
	if events[tunnel.RekeyedESP] < 1 || events[tunnel.RekeyedIKE] < 1 || events[tunnel.CameUp] != 1 || events[tunnel.WentDown] != 1 {
		t.Errorf("events: %v", events)
	}
	if err := c.Capture.Err(); err != nil {
		t.Error(err)
	}
	if err := c.Keys.Close(); err != nil {
		t.Error(err)
	}
}

// checkStatus holds the status of a tunnel against what the test did.
func checkStatus(t *testing.T, s tunnel.Status, esp string) {
	t.Helper()
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	again := tunnel.Status{}
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if same, err := json.MarshalIndent(again, "", " "); err != nil || string(same) != string(text) {
		t.Errorf("not the same from JSON: %v", err)
	}
	ok := s.State == "up" && !s.NATHere && s.RemoteID == gateway.GateID && s.LocalID == gateway.RoadID && !s.Since.IsZero() &&
		s.Remote == netip.MustParseAddrPort(gateway.Gate+":4500") && len(s.Addresses) > 0 && len(s.IKE) > 0 && len(s.Children) > 0 &&
		s.In.Packets >= oraclePings && s.Out.Bytes >= oraclePings*500 && !s.Dropped.Any() && s.TCP.Opened == 1 && time.Since(s.DPD.Heard) < 5*time.Second
	used := 0
	for _, c := range s.Children {
		if c.InUse {
			used++
		}
		ok = ok && len(c.InSPI) == 8 && strings.HasPrefix(c.Suite, esp) && len(c.Remote) == 1 && c.Rekey.After(c.Made) && c.Expires.After(c.Rekey)
	}
	if !ok || used != 1 {
		t.Errorf("%d in use\n%s", used, text)
	}
}

// TestOracle: tshark, which we did not write, reads what we captured by the
// keys that we wrote: the login, every ICV, and each packet inside.
func TestOracle(t *testing.T) {
	if gateway.Inside() {
		captured(t, os.Getenv("KEYS"))
		return
	}
	lab.Need(t, "tshark")
	for _, row := range [][2]string{
		{"aes128-sha256-modp2048", "aes128-sha256"},
		{"aes256gcm16-prfsha384-ecp384", "aes256gcm16"},
	} {
		g := gateway.Start(t, gateway.Options{Capture: true, Row: gateway.Row{IKE: row[0], ESP: row[1]}})
		dir := filepath.Join(g.Home, "keys")
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil { // the ordinary user writes there
			t.Fatal(err)
		}
		g.Again(t, "PROPOSALS="+row[0]+" "+row[1], "KEYS="+dir)
		for name, file := range map[string]string{"ours": filepath.Join(dir, "capture.pcapng"), "tcpdump's": g.Wire()} {
			dissect(t, row[1]+", "+name, file, dir)
		}
	}
}

// dissect has tshark read a capture with a profile that holds our tables.
func dissect(t *testing.T, name, file, keys string) {
	t.Helper()
	home := t.TempDir()
	profile := filepath.Join(home, ".config", "wireshark", "profiles", "keys")
	if err := os.MkdirAll(profile, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"ikev2_decryption_table", "esp_sa"} {
		b, err := os.ReadFile(filepath.Join(keys, table))
		if err == nil {
			err = os.WriteFile(filepath.Join(profile, table), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	fields := []string{"isakmp.exchangetype", "isakmp.enc.decrypted", "isakmp.id.data.fqdn", "esp.spi", "esp.icv_good", "icmp.type", "ssh.protocol", "ip.checksum.status", "_ws.malformed"}
	args := []string{"-C", "keys", "-r", file, "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields", "-e", "frame.number"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	messages, open := map[string]int{}, map[string]int{}
	var identities, greeting strings.Builder
	spis := map[string]bool{}
	esp, good, inner := 0, 0, 0
	pings := map[string]int{}
	for line := range strings.Lines(lab.RunWith(t, []string{"HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, ".config")}, "tshark", args...)) {
		v := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if _, err := strconv.Atoi(v[0]); err != nil || len(v) != len(fields)+1 {
			continue // what it says of itself
		}
		exchange, decrypted, id, spi, icv, icmp, ssh, checksum, malformed := v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9]
		if strings.Contains(checksum, "0") || malformed != "" {
			t.Errorf("%s: malformed: %q", name, v)
		}
		identities.WriteString(id + " ")
		switch {
		case exchange != "":
			messages[exchange]++
			if decrypted != "" {
				open[exchange]++
			}
		case spi != "":
			esp++
			spis[spi] = true
			if icv == "1" {
				good++
			}
			pings[icmp]++
			greeting.WriteString(ssh)
		case icmp != "":
			inner++
		}
	}
	for _, exchange := range []string{"35", "36", "37"} { // the login, rekeys, and deletions
		if messages[exchange] < 2 || open[exchange] != messages[exchange] {
			t.Errorf("%s: %d of %d messages of exchange %s are decrypted", name, open[exchange], messages[exchange], exchange)
		}
	}
	if ids := identities.String(); !strings.Contains(ids, gateway.RoadID) || !strings.Contains(ids, gateway.GateID) {
		t.Errorf("%s: identities %q", name, ids)
	}
	if esp < 2*oraclePings || good != esp {
		t.Errorf("%s: %d of %d ICVs are good", name, good, esp)
	}
	if pings["8"] != oraclePings || pings["0"] != oraclePings || len(spis) < 4 {
		t.Errorf("%s: %v pings and answers under %d SPIs, of %d", name, pings, len(spis), oraclePings)
	}
	if !strings.Contains(greeting.String(), "SSH-2.0-OpenSSH") {
		t.Errorf("%s: the SSH server's greeting is %q", name, greeting.String())
	}
	if strings.HasSuffix(name, "ours") && inner != 2*oraclePings {
		t.Errorf("%d pings in clear, of %d", inner, 2*oraclePings)
	}
	t.Logf("%s: %d of %d ICVs good, %d pings, %d SPIs", name, good, esp, pings["8"], len(spis))
}
