package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
)

// Who is who, in each lab.
const (
	Gate     = "192.0.2.1" // the gateway's outer address
	Gate6    = "2001:db8:1::1"
	Road     = "192.0.2.2" // the client's outer address
	Road6    = "2001:db8:1::2"
	Router   = "192.0.2.9"    // with Options.NAT: what the gateway sees of the client
	RoadNAT  = "192.168.55.2" // with Options.NAT: the client's address
	Lan      = "10.77.0.2"    // the host behind the gateway
	Lan6     = "fd77::2"
	LanNet   = "10.77.0.0/24"
	LanNet6  = "fd77::/64"
	Pool     = "10.88.0.0/24" // where virtual addresses come from
	Pool6    = "fd88::/120"
	Inner    = "10.66.0.1" // the client's own inner address, without a virtual one
	InnerNet = "10.66.0.0/24"

	GateID   = "gw.lab.test"
	RoadID   = "road.lab.test"
	PSK      = "lab-psk-0123456789"
	User     = "alice" // of EAP and XAuth
	Password = "wonderland"
)

// Options say what lab to start. The zero value is an IKEv2 gateway that knows
// its clients by PSK and gives them a virtual address.
type Options struct {
	Row         Row      // what the gateway is set up for
	Connections string   // or the text of its swanctl.conf, where $KEYS stands for the folder of Keys
	NAT         bool     // a router between the client and the gateway, with source ports at random
	Client      bool     // start a strongSwan on the road too
	Capture     bool     // record the line before the gateway
	SSHD        lab.SSHD // the server behind the gateway; its address and its network are the lab's, and Gateway.Key may log in

	GateConf, RoadConf string // lines for the charon section of strongswan.conf

	// Root is a folder with another strongSwan in it, as scripts/strongswan makes
	// one. Empty: the machine's own.
	Root string
	// Kernel has a Linux kernel in user mode do the gateway's ESP: it knows
	// extended sequence numbers, and any selectors.
	Kernel bool
}

// A Gateway is a lab. Its Swan is the gateway itself.
type Gateway struct {
	*Swan
	Client *Swan       // with Options.Client: the reference
	SSH    *lab.Server // at Lan and Lan6, port 22; the login is the user that runs the test, or Options.SSHD's tester

	RoadHost, GateHost, LanHost *Host
	RouterHost                  *Host        // with Options.NAT
	Names                       *netns.Names // the name server on the LanHost, which knows LanName

	Home string // a folder of the ordinary user of the road
	Key  string // that user's private key, which may log in to SSH
	Dir  string // open to all: what a client of that user is to read may be put here

	t       testing.TB
	keys    *keyring
	capture *lab.Process
}

// Start starts a lab, which ends with the test.
func Start(t testing.TB, o Options) *Gateway {
	t.Helper()
	lab.NeedRoot(t)
	lab.Need(t, "ip", "nsenter", "charon-systemd", "swanctl", "sshd", "ssh-keygen")
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		lab.Missing(t, "the gateway wants TUN devices: "+err.Error())
	}
	g := &Gateway{t: t, Dir: lab.Folder(t)}
	g.Home = filepath.Join(g.Dir, "home")
	if err := os.Mkdir(g.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	g.Key = lab.Keygen(t, filepath.Join(g.Home, "id"), "ed25519")
	g.own(g.Home, g.Key, g.Key+".pub")
	g.keys = newKeyring(t, filepath.Join(g.Dir, "keys"))
	g.lay(o.NAT)
	if o.Capture {
		g.record()
	}
	o.SSHD.Addr, o.SSHD.Within = net.JoinHostPort(Lan, "22"), g.LanHost.Within()
	o.SSHD.AuthorizedKeys = append(slices.Clone(o.SSHD.AuthorizedKeys), g.Key+".pub")
	o.SSHD.Config += "\nListenAddress [" + Lan6 + "]:22"
	if len(o.SSHD.HostKeys) == 0 {
		o.SSHD.HostKeys = []string{"ed25519"}
	}
	g.SSH = lab.StartSSHD(t, o.SSHD)
	g.Names = g.LanHost.ServeNames(t, Lan, Lan6)
	g.Names.Set(LanName, netip.MustParseAddr(Lan), netip.MustParseAddr(Lan6))
	if o.Kernel {
		g.bridge()
	}
	g.Swan = startSwan(t, g.GateHost, g.Dir, whereabouts{o.Root, o.Kernel}, o.GateConf)
	if o.Client {
		g.Client = startSwan(t, g.RoadHost, g.Dir, whereabouts{root: o.Root}, o.RoadConf)
	}
	if o.Connections != "" {
		g.Reload(strings.ReplaceAll(o.Connections, "$KEYS", g.keys.dir))
	} else {
		g.Use(o.Row)
	}
	return g
}

// own gives files to the ordinary user of the road.
func (g *Gateway) own(paths ...string) {
	g.t.Helper()
	for _, p := range paths {
		if err := os.Chown(p, netns.UserID, netns.UserID); err != nil {
			g.t.Fatal(err)
		}
	}
}

// lay makes the hosts and the lines between them.
func (g *Gateway) lay(nat bool) {
	g.t.Helper()
	g.GateHost = netns.New(g.t, "gate", netns.Options{})
	g.RoadHost = netns.New(g.t, "road", netns.Options{With: g.GateHost})
	g.LanHost = netns.New(g.t, "lan", netns.Options{With: g.GateHost})
	peer := g.RoadHost
	if nat {
		g.RouterHost = netns.New(g.t, "router", netns.Options{With: g.GateHost})
		peer = g.RouterHost
	}
	// Forwarding first: it resets the interfaces' own settings.
	g.GateHost.Set(map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0",
	})
	g.RoadHost.AllowPing(true)
	// Without link-local addresses (addrgenmode none): charon would tell its
	// peer of each that comes up. A router asks for its neighbours from one
	// (RFC 4861 7.2.2), so there is one towards the lan.
	g.GateHost.IP(fmt.Sprintf(`link add wan type veth peer name wan netns %d
link add lan type veth peer name lan netns %d
link set lo up
link set wan addrgenmode none
link set lan addrgenmode none
addr add %s/24 dev wan
addr add %s/64 dev wan nodad
addr add 10.77.0.1/24 dev lan
addr add fd77::1/64 dev lan nodad
addr add fe80::1/64 dev lan nodad
link set wan up
link set lan up
rule add pref 10 iif wan to %s blackhole
`, peer.PID(), g.LanHost.PID(), Gate, Gate6, LanNet))
	g.GateHost.Run("ip", "-6", "rule", "add", "pref", "10", "iif", "wan", "to", LanNet6, "blackhole")
	g.LanHost.IP(fmt.Sprintf(`link set lo up
link set lan addrgenmode none
addr add %s/24 dev lan
addr add %s/64 dev lan nodad
link set lan up
route add default via 10.77.0.1
route add default via fd77::1
`, Lan, Lan6))
	if nat {
		g.layRouter()
	} else {
		g.RoadHost.IP(fmt.Sprintf("link set wan addrgenmode none\naddr add %s/24 dev wan\naddr add %s/64 dev wan nodad\nlink set wan up\n", Road, Road6))
	}
	g.RoadHost.IP("link set lo up\naddr add " + Inner + "/32 dev lo\n")
}

// layRouter puts the road behind a router that gives each flow another port.
func (g *Gateway) layRouter() {
	g.t.Helper()
	lab.Need(g.t, "nft")
	g.RouterHost.Set(map[string]string{"ipv4/ip_forward": "1"})
	g.RouterHost.IP(fmt.Sprintf(`link add inner type veth peer name wan netns %d
link set lo up
link set wan addrgenmode none
link set inner addrgenmode none
addr add %s/24 dev wan
addr add 192.168.55.1/24 dev inner
link set wan up
link set inner up
`, g.RoadHost.PID(), Router))
	g.RoadHost.IP(fmt.Sprintf("link set wan addrgenmode none\naddr add %s/24 dev wan\nlink set wan up\nroute add 192.0.2.0/24 via 192.168.55.1\n", RoadNAT))
	rules := filepath.Join(g.Dir, "router.nft")
	writeFile(g.t, rules, `table ip nat {
	chain out {
		type nat hook postrouting priority 100
		oifname "wan" masquerade random
	}
}
`)
	g.RouterHost.Run("nft", "-f", rules)
}

// record starts the capture before the gateway.
func (g *Gateway) record() {
	g.t.Helper()
	lab.Need(g.t, "tcpdump")
	in := g.GateHost.Within()
	args := append(in[1:], lab.Path("tcpdump"), "-i", "wan", "--immediate-mode", "-U", "-s", "0", "-Z", "root", "-w", g.wire())
	g.capture = lab.Start(g.t, filepath.Join(g.Dir, "tcpdump.log"), nil, in[0], args...)
	g.capture.Await(g.t, "listening on")
}

func (g *Gateway) wire() string { return filepath.Join(g.Dir, "wire.pcap") }

// Road makes a command run on the road, as root.
func (g *Gateway) Road(cmd *exec.Cmd) *exec.Cmd { return g.RoadHost.Command(cmd) }

// RoadUser makes a command run on the road as an ordinary user, with Home as
// its home.
func (g *Gateway) RoadUser(cmd *exec.Cmd) *exec.Cmd { return g.RoadHost.UserCommand(cmd, g.Home) }

// Cut takes the line before the gateway away, so that nothing comes through
// and nobody is told.
func (g *Gateway) Cut() { g.GateHost.IP("link set wan down\n") }

// Mend puts the line back.
func (g *Gateway) Mend() {
	g.GateHost.IP("link set wan up\naddr replace " + Gate6 + "/64 dev wan nodad\n")
}

// Keys is the folder of certificates and private keys, which all may read:
// KIND-ca.crt, KIND-gate.crt and .key, KIND-road.crt and .key, where KIND is
// rsa, ecdsa, ecdsa384, ecdsa521, ed25519 or chain. They are there once a row needs
// them.
func (g *Gateway) Keys() string { return g.keys.dir }

// Use sets the gateway up for a row, and the strongSwan on the road if there
// is one.
func (g *Gateway) Use(row Row) {
	g.t.Helper()
	g.keys.need(row.Auth.keys())
	g.keys.give(g.Swan, "gate")
	g.Reload(row.gateConf(g.keys))
	if g.Client != nil {
		g.keys.give(g.Client, "road")
		g.Client.Reload(row.roadConf(g.keys))
	}
}

// Await waits until a condition holds. The test fails if it does not.
func (g *Gateway) Await(what string, ok func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("not seen: %s\n%s", what, g.SAs())
		}
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // a test's, which others are to read
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o755) //nolint:gosec // a program
	}
	if err != nil {
		t.Fatal(err)
	}
}
