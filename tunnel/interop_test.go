//go:build linux

package tunnel_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab/gateway"
	"linehaul/tunnel"
	"linehaul/tunnel/suite"
)

// A peering is a row of the matrix: how the gateway and its clients are set up.
type peering struct {
	name   string
	row    gateway.Row
	way    string               // to log in; default: psk
	change func(*tunnel.Config) // what linehaul's config has besides
	nat    bool                 // behind a router that changes ports
	always bool                 // in each run of the tests
	missed string               // why linehaul does not do it
}

// peerings are the rows of IKEv2.
func peerings() []peering {
	both := func(lines string) gateway.Row { return gateway.Row{Gate: lines, Road: lines} }
	frag := func(how string) gateway.Row {
		r := both("fragmentation = " + how)
		r.Auth = gateway.AuthRSA
		return r
	}
	fixed := func(c *tunnel.Config) { c.IKE.Address = netip.MustParseAddr(gateway.Inner) }
	natt := func(c *tunnel.Config) { c.IKE.Port4500 = true }
	outer6 := func(c *tunnel.Config) { c.Gateway = gateway.Gate6 }
	inner6 := func(c *tunnel.Config) {
		c.IKE.Networks = append(c.IKE.Networks, netip.MustParsePrefix(gateway.LanNet6))
	}
	childless := func(c *tunnel.Config) { c.IKE.Childless = true }
	childlessPFS := both("childless = force")
	childlessPFS.ESP = "aes128-sha256-ecp256"
	const gone = "no Go library of it is looked after"
	all := []peering{
		{name: "psk"},
		{name: "site to site", row: gateway.Row{SiteToSite: true}, change: fixed, always: true},
		{name: "encap", row: both("encap = yes")},
		{name: "from port 4500", row: gateway.Row{Road: "remote_port = 4500"}, change: natt, always: true},
		{name: "fragments forced", row: frag("force"), way: "rsa", always: true},
		{name: "fragments refused", row: frag("no"), way: "rsa", always: true},
		{name: "ipv6 outside", row: gateway.Row{Outer6: true}, change: outer6, always: true},
		{name: "ipv6 inside", row: gateway.Row{Inner6: true}, change: inner6, always: true},
		{name: "ipv6 both", row: gateway.Row{Outer6: true, Inner6: true}, change: func(c *tunnel.Config) { outer6(c); inner6(c) }},
		{name: "no mobike", row: both("mobike = no")},
		{name: "pfs", row: gateway.Row{ESP: "aes128-sha256-modp2048"}},
		{name: "nat", nat: true},
		{name: "nat from port 4500", nat: true, row: gateway.Row{Road: "remote_port = 4500"}, change: natt},
		{name: "nat with certificates", nat: true, row: gateway.Row{Auth: gateway.AuthRSA}, way: "rsa"},
		{name: "gtc", missed: "the lab's gateway has no PAM to ask"},
		{name: "childless = force", row: both("childless = force"), change: childless, always: true},
		{name: "childless = force, pfs", row: childlessPFS, change: childless},
		{name: "ike camellia128-sha256-modp2048", missed: gone},
		{name: "ike aes128-sha256-ecp256bp", missed: gone},
		{name: "esp camellia128-sha256", missed: gone},
	}
	for _, name := range slices.Sorted(maps.Keys(ways())) {
		if name != "psk" {
			all = append(all, peering{name: name, row: ways()[name].row, way: name})
		}
	}
	for _, p := range strings.Fields(`aes128-sha1-modp1024 aes256-sha1-modp1536 aes256-sha512-modp3072 aes256-sha384-modp4096
		aes256gcm16-prfsha384-ecp384 aes128gcm16-prfsha256-ecp256 chacha20poly1305-prfsha256-x25519 aes128-sha256-x25519
		3des-sha1-modp1024 3des-md5-modp1024 blowfish128-sha1-modp2048 blowfish256-sha256-modp2048 cast128-sha1-modp2048
		des-sha1-modp1024 des-md5-modp768 aes128ctr-sha256-modp2048 aes128ccm16-prfsha256-modp2048 aes128-aesxcbc-modp2048
		aes128-sha256-ecp521 aes128-sha256-modp8192 aes128-sha256-curve448`) {
		all = append(all, peering{name: "ike " + p, row: gateway.Row{IKE: p}})
	}
	for _, p := range strings.Fields(`aes128-sha1 aes256-sha1 aes128-sha256 aes256-sha256 aes256-sha384 aes256-sha512 aes192-sha256
		aes128gcm16 aes256gcm16 aes128gcm8 chacha20poly1305 3des-sha1 3des-md5 des-md5 des-sha1 blowfish128-sha1 blowfish256-sha256
		cast128-sha1 null-sha256 null-sha1 aes128ctr-sha256 aes128ccm16 aes128-aesxcbc aes128-aescmac aes128-md5`) {
		all = append(all, peering{name: "esp " + p, row: gateway.Row{ESP: p}})
	}
	return all
}

// config is linehaul's side of a row.
func (p peering) config(t *testing.T, keys string) tunnel.Config {
	t.Helper()
	way := p.way
	if way == "" {
		way = "psk"
	}
	c := loginConfig(t, way, keys)
	if p.row.IKE != "" {
		c.IKE.IKE = []suite.Proposal{proposal(t, suite.IKE, p.row.IKE)}
	}
	if p.row.ESP != "" {
		c.IKE.ESP = []suite.Proposal{proposal(t, suite.ESP, p.row.ESP)}
	}
	if p.change != nil {
		p.change(&c)
	}
	return c
}

func natName(nat bool) string { return fmt.Sprintf("nat=%v", nat) }

// TestChildless logs in to a gateway that makes no child in the login, with a key
// exchange for the first one, and is told how when it does not know that.
func TestChildless(t *testing.T) {
	const esp = "aes128gcm16-x25519"
	if gateway.Inside() {
		c := labConfig(t, "aes128gcm16-prfsha256-x25519", esp)
		tun, err := tunnel.Up(t.Context(), c)
		if err == nil {
			tun.Close()
			t.Error("it is up without a word of `childless`")
		} else if !fault.Is(err, fault.IKE) || !strings.Contains(fault.HintOf(err), "childless: true") {
			t.Errorf("%v (%s)", err, fault.HintOf(err))
		}
		c.IKE.Childless = true
		tun = up(t, c)
		pings(t, tun, gateway.Lan)
		return
	}
	g := gateway.Start(t, gateway.Options{Row: gateway.Row{IKE: "aes128gcm16-prfsha256-x25519", ESP: esp, Gate: "childless = force"}})
	g.Again(t)
	if log := g.Log(); !strings.Contains(log, "CREATE_CHILD_SA request 2 [ SA No KE TSi TSr ]") {
		t.Errorf("no CREATE_CHILD_SA with a key exchange:\n%s", log)
	}
}

// through logs in by a row, and pings.
func (p peering) through(t *testing.T) {
	tun := up(t, p.config(t, os.Getenv("KEYS")))
	pings(t, tun, gateway.Lan)
	if p.row.Inner6 {
		pings(t, tun, gateway.Lan6)
	}
}

// interopVariable asks for the whole matrix.
const interopVariable = "LINEHAUL_INTEROP"

// TestInterop goes through the matrix with linehaul as the client: a handshake,
// and two pings of 1,200 bytes to each host behind the gateway. With the variable
// (make interop) it takes all rows, with strongSwan as the client of each first:
// what that passes linehaul must pass. Without it, it takes a few.
func TestInterop(t *testing.T) {
	if gateway.Inside() {
		for _, p := range peerings() {
			if p.name == os.Getenv("ROW") {
				t.Run(natName(p.nat), func(t *testing.T) { t.Run(p.name, p.through) })
				return
			}
		}
		t.Fatalf("no row is named %q", os.Getenv("ROW"))
	}
	whole := os.Getenv(interopVariable) != ""
	var rows []peering
	for _, p := range peerings() {
		if whole || p.always {
			rows = append(rows, p)
		}
	}
	var table strings.Builder
	passed, wanted, missed := 0, 0, 0
	for _, nat := range []bool{false, true} {
		mine := slices.DeleteFunc(slices.Clone(rows), func(p peering) bool { return p.nat != nat })
		if len(mine) == 0 {
			continue
		}
		t.Run(natName(nat), func(t *testing.T) {
			g := gateway.Start(t, gateway.Options{NAT: nat, Client: whole})
			for _, p := range mine {
				if p.missed != "" {
					missed++
					fmt.Fprintf(&table, "%-48s %-12s %-12s %s\n", p.name, "", "not done", p.missed)
					continue
				}
				g.Use(p.row)
				reference := "not asked"
				if whole {
					reference = throughSwan(g, p.row)
				}
				began := time.Now()
				ok := t.Run(p.name, func(t *testing.T) { g.Again(t, "ROW="+p.name, "KEYS="+g.Keys()) })
				if reference == "ok" || !whole {
					wanted++
				}
				verdict := "FAILED"
				if ok {
					verdict = "ok"
					passed++
				}
				fmt.Fprintf(&table, "%-48s %-12s %-12s %v\n", p.name, reference, verdict, time.Since(began).Round(time.Millisecond))
			}
		})
	}
	t.Logf("\n%-48s %-12s %-12s\n%s%d of %d rows pass, %d are not done; strongSwan's own client passes %d of the others", "row", "strongSwan", "linehaul", &table, passed, len(rows), missed, wanted)
	if passed < wanted || wanted < 6 || whole && wanted < 60 {
		t.Errorf("%d rows pass of %d", passed, wanted)
	}
}

// throughSwan does the same with strongSwan as the client.
func throughSwan(g *gateway.Gateway, row gateway.Row) string {
	defer g.Client.Terminate()
	if err := g.Client.Initiate(); err != nil {
		return "no login"
	}
	to := []string{gateway.Lan}
	if row.Inner6 {
		to = append(to, gateway.Lan6)
	}
	for _, host := range to {
		args := []string{"-q", "-c2", "-i0.2", "-W2", "-s1200", host}
		if row.SiteToSite {
			args = append([]string{"-I", gateway.Inner}, args...)
		}
		if _, err := g.RoadHost.Try("ping", args...); err != nil {
			return "no ping"
		}
	}
	return "ok"
}
