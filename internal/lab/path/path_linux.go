package path

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
)

// Names that the server's DNS server knows. Router i is "r" + i + Domain.
const (
	Domain     = ".path.test"
	ServerName = "server" + Domain
)

// maxHops keeps the links' numbers within one byte of their addresses.
const maxHops = 200

// Options say what path to make. The zero value is a client and a server with
// a wire between them.
type Options struct {
	Hops  int    // routers
	Lines []int  // the links that are Lines, from 0 to Hops
	Seed  uint64 // of what the Lines do by chance
	// SSHD is an SSH server at the server's addresses, port 22, in which
	// Path.Key may log in. Nil: there is none. Its address and network are the
	// path's.
	SSHD *lab.SSHD
}

// A Path is a client, routers and a server.
type Path struct {
	Client, Server   *netns.Host
	Server4, Server6 netip.Addr   // the server's addresses
	Names            *netns.Names // the DNS server there, which the client's programs ask
	SSH              *lab.Server  // with Options.SSHD

	Home string // a folder of the client's ordinary user
	Key  string // with Options.SSHD: that user's private key
	Dir  string // open to all: what that user is to read may be put here

	t     testing.TB
	hosts []*netns.Host // from the client to the server
	lines map[int]*Line
}

// Start makes a path, which ends with the test.
func Start(t testing.TB, o Options) *Path {
	t.Helper()
	lab.NeedRoot(t)
	lab.Need(t, "ip", "nsenter", "nft")
	if o.Hops < 0 || o.Hops > maxHops {
		t.Fatalf("%d hops", o.Hops)
	}
	p := &Path{t: t, Dir: lab.Folder(t), lines: map[int]*Line{}}
	p.Home = filepath.Join(p.Dir, "home")
	if err := os.Mkdir(p.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	p.own(p.Home)
	for i := range o.Hops + 2 {
		name, with := fmt.Sprintf("r%d", i), netns.Options{}
		switch i {
		case 0:
			name, with.Files = "client", true
		case o.Hops + 1:
			name = "server"
		}
		if i > 0 {
			with.With = p.hosts[0]
		}
		p.hosts = append(p.hosts, netns.New(t, name, with))
	}
	p.Client, p.Server = p.hosts[0], p.hosts[o.Hops+1]
	p.Server4, p.Server6 = p.Addr(o.Hops+1), p.Addr6(o.Hops+1)
	for _, i := range o.Lines {
		if i < 0 || i > o.Hops {
			t.Fatalf("no link %d on a path of %d hops", i, o.Hops)
		}
		p.lines[i] = newLine(p, i, o.Seed)
	}
	p.lay()
	p.serve(o)
	return p
}

func (p *Path) own(paths ...string) {
	p.t.Helper()
	for _, path := range paths {
		if err := os.Chown(path, netns.UserID, netns.UserID); err != nil {
			p.t.Fatal(err)
		}
	}
}

// near is the address of a link's end on the client's side, far that of the
// other one.
func near(link int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(link), 1}) }
func far(link int) netip.Addr  { return netip.AddrFrom4([4]byte{198, 18, byte(link), 2}) }

func near6(link int) netip.Addr { return end6(link, 1) }
func far6(link int) netip.Addr  { return end6(link, 2) }

func end6(link int, end byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x12, 0, byte(link), 15: end})
}

// Addr is the IPv4 address of a host as the client knows it: 0 is the client
// itself, 1 the first router.
func (p *Path) Addr(host int) netip.Addr {
	if host == 0 {
		return near(0)
	}
	return far(host - 1)
}

// Addr6 is its IPv6 address.
func (p *Path) Addr6(host int) netip.Addr {
	if host == 0 {
		return near6(0)
	}
	return far6(host - 1)
}

// Host is one of the hosts: 0 is the client, 1 the first router.
func (p *Path) Host(i int) *netns.Host { return p.hosts[i] }

// Hops is how many routers there are.
func (p *Path) Hops() int { return len(p.hosts) - 2 }

// Line is the link after host i, which is one of Options.Lines.
func (p *Path) Line(i int) *Line {
	p.t.Helper()
	l, ok := p.lines[i]
	if !ok {
		p.t.Fatalf("link %d is the kernel's, not a Line", i)
	}
	return l
}

// lay connects the hosts. A few processes at a time: most of it is the
// kernel's waiting.
func (p *Path) lay() {
	p.t.Helper()
	var wg sync.WaitGroup
	turns := make(chan struct{}, 4)
	each := func(f func(i int)) {
		for i := range p.hosts {
			turns <- struct{}{}
			wg.Go(func() { defer func() { <-turns }(); f(i) })
		}
		wg.Wait()
	}
	errs := make([]error, len(p.hosts))
	each(func(i int) { errs[i] = p.join(i) })
	p.check(errs)
	each(func(i int) { errs[i] = p.hosts[i].TryIP(p.config(i)) })
	p.check(errs)
}

func (p *Path) check(errs []error) {
	p.t.Helper()
	for _, err := range errs {
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// join makes the link after a host, and sets what a router needs. Forwarding
// comes first: it resets the interfaces' own settings.
func (p *Path) join(i int) error {
	h := p.hosts[i]
	err := h.TrySet(map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0",
		"ipv4/icmp_ratelimit": "0", "ipv6/icmp/ratelimit": "0",
		// A link that comes back is not to wait until it is sure of its address.
		"ipv6/conf/all/keep_addr_on_down": "1", "ipv6/conf/default/accept_dad": "0",
	})
	if err != nil {
		return err
	}
	// The namespace's own limit on all ICMP errors, which older kernels have
	// once for the machine: there it is out of reach.
	_ = h.TrySet(map[string]string{"ipv4/icmp_msgs_per_sec": "1000000", "ipv4/icmp_msgs_burst": "1000000"})
	if i == len(p.hosts)-1 || p.lines[i] != nil {
		return nil
	}
	return h.TryIP(fmt.Sprintf("link add next type veth peer name prev netns %d\n", p.hosts[i+1].PID()))
}

// config is what ip(8) is told of a host's addresses and routes. It may be
// told again.
//
// There are no link-local addresses but one on each side, from which a router
// asks for its neighbours (RFC 4861 7.2.2).
func (p *Path) config(i int) string {
	last := len(p.hosts) - 1
	var b strings.Builder
	b.WriteString("link set lo up\n")
	side := func(name string, four, six, local netip.Addr) {
		fmt.Fprintf(&b, "link set %[1]s addrgenmode none\naddr replace %[2]s/24 dev %[1]s\naddr replace %[3]s/64 dev %[1]s nodad\n"+
			"addr replace %[4]s/64 dev %[1]s nodad\nlink set %[1]s up\n", name, four, six, local)
	}
	if i > 0 {
		side("prev", far(i-1), far6(i-1), netip.MustParseAddr("fe80::2"))
	}
	if i < last {
		side("next", near(i), near6(i), netip.MustParseAddr("fe80::1"))
	}
	for link := range last {
		switch {
		case link < i-1:
			p.route(&b, link, near(i-1), near6(i-1))
		case link > i:
			p.route(&b, link, far(i), far6(i))
		}
	}
	return b.String()
}

// route is the way to the addresses of a link.
func (p *Path) route(b *strings.Builder, link int, via, via6 netip.Addr) {
	fmt.Fprintf(b, "route replace %s via %s\n", netip.PrefixFrom(near(link), 24).Masked(), via)
	fmt.Fprintf(b, "route replace %s via %s\n", netip.PrefixFrom(near6(link), 64).Masked(), via6)
}

// serve starts what there is at the server, and has the client ask it for names.
func (p *Path) serve(o Options) {
	p.t.Helper()
	p.Names = p.Server.ServeNames(p.t, p.Server4.String(), p.Server6.String())
	p.Names.Set(ServerName, p.Server4, p.Server6)
	for i := range p.hosts {
		name := p.hosts[i].Name() + Domain
		p.Names.Set(name, p.Addr(i), p.Addr6(i))
		p.Names.SetPointer(p.Addr(i), name)
		p.Names.SetPointer(p.Addr6(i), name)
	}
	p.Client.Cover("/etc/resolv.conf", "nameserver "+p.Server4.String()+"\n")
	p.Client.AllowPing(true)
	if o.SSHD == nil {
		return
	}
	p.Key = lab.Keygen(p.t, filepath.Join(p.Home, "id"), "ed25519")
	p.own(p.Key, p.Key+".pub")
	server := *o.SSHD
	server.Addr, server.Within = net.JoinHostPort(p.Server4.String(), "22"), p.Server.Within()
	server.AuthorizedKeys = append(slices.Clone(server.AuthorizedKeys), p.Key+".pub")
	server.Config += "\nListenAddress [" + p.Server6.String() + "]:22"
	if len(server.HostKeys) == 0 {
		server.HostKeys = []string{"ed25519"}
	}
	p.SSH = lab.StartSSHD(p.t, server)
}

// User makes a command run at the client as an ordinary user, with Home as its
// home.
func (p *Path) User(cmd *exec.Cmd) *exec.Cmd { return p.Client.UserCommand(cmd, p.Home) }

// Again runs the test once more at the client, as an ordinary user. See
// netns.Host.Again.
func (p *Path) Again(t testing.TB, env ...string) string {
	t.Helper()
	return p.Client.Again(t, p.Dir, p.Home, env...)
}
