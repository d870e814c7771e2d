package job

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/preflight"
	"linehaul/preflight/port"
	"linehaul/transfer/remote"
)

// dialled is a dialer whose connections are pipes, and which notes what for.
type dialled struct {
	mu    sync.Mutex
	all   []string
	conns []net.Conn
}

func (d *dialled) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	near, far := net.Pipe()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, network+" "+address)
	d.conns = append(d.conns, near, far)
	return near, nil
}

func (d *dialled) close() {
	for _, c := range d.conns {
		c.Close()
	}
}

var _ remote.Dialer = (*dialled)(nil)

// TestHandover: a connection that was kept is for the same address only, and for
// a while; one that nobody takes is closed.
func TestHandover(t *testing.T) {
	for _, tt := range []struct {
		name, network, address string
		later                  time.Duration
		kept                   bool
	}{
		{"at once", "tcp", "hk1:22", 0, true},
		{"of a family", "tcp4", "hk1:22", keepTime - time.Second, true},
		{"another port", "tcp", "hk1:23", 0, false},
		{"UDP", "udp", "hk1:22", 0, false},
		{"too late", "tcp", "hk1:22", keepTime, false}, // sshd's LoginGraceTime goes on
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &dialled{}
			defer d.close()
			at := time.Unix(0, 0)
			h := &handover{Dialer: d, now: func() time.Time { return at }}
			p := probing{hand: h, network: "tcp4", target: "hk1:22"}
			c, err := p.DialContext(t.Context(), "tcp", "192.0.2.10:22")
			if err != nil {
				t.Fatal(err)
			}
			c.Close() // the check's own
			at = at.Add(tt.later)
			got, err := h.DialContext(t.Context(), tt.network, tt.address)
			if err != nil || (got == d.conns[0]) != tt.kept {
				t.Errorf("got the connection that was kept: %v, %v", got == d.conns[0], err)
			}
			if d.all[0] != "tcp4 hk1:22" {
				t.Errorf("the port was asked by %q, want the family of the host's connections", d.all[0])
			}
			if open := d.conns[0].SetDeadline(time.Time{}) == nil; open != tt.kept {
				t.Errorf("the one that was kept is open: %v", open)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		d := &dialled{}
		defer d.close()
		h := &handover{Dialer: d, now: time.Now}
		p := probing{hand: h, network: "tcp", target: "hk1:22"}
		if _, err := p.DialContext(t.Context(), "tcp", "192.0.2.10:22"); err != nil {
			t.Fatal(err)
		}
		h.close()
		if d.conns[0].SetDeadline(time.Time{}) == nil {
			t.Error("it was left open")
		}
	})
}

// TestOtherPorts: a port that is asked beside the host's own leaves the
// connection to that one alone.
func TestOtherPorts(t *testing.T) {
	d := &dialled{}
	defer d.close()
	h := &handover{Dialer: d, now: time.Now}
	s, done, err := (*Links)(nil).Subject(remote.Host{Name: "hk1", Address: "192.0.2.10", Port: 22}, h)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	to := netip.MustParseAddr("192.0.2.10")
	for _, n := range []uint16{22, 8022} {
		if r := s.Way.Port(t.Context(), "tcp", netip.AddrPortFrom(to, n)); r.State != port.Open {
			t.Errorf("%+v", r)
		}
	}
	if c, err := h.DialContext(t.Context(), "tcp", "192.0.2.10:22"); err != nil || c != d.conns[0] {
		t.Errorf("the connection to port 22 was not kept: %q, %v", d.all, err)
	}
	if want := []string{"tcp 192.0.2.10:22", "tcp 192.0.2.10:8022"}; !slices.Equal(d.all, want) {
		t.Errorf("dialled %q, want %q", d.all, want)
	}
}

// TestPortTime: the port has as long to answer as the run's connection would
// have.
func TestPortTime(t *testing.T) {
	h := &handover{Dialer: &dialled{}, now: time.Now}
	host := remote.Host{Name: "hk1", Address: "192.0.2.10", Port: 22, ConnectTimeout: 2 * time.Minute}
	s, done, err := (*Links)(nil).Subject(host, h)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if s.PortTime <= host.ConnectTimeout {
		t.Errorf("the port has %s, and connecting %s", s.PortTime, host.ConnectTimeout)
	}
}

// TestBindAddress: checks of a host with BindAddress start where its connections
// do, so that a firewall that lets those alone pass does not fail a run.
func TestBindAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	at := netip.MustParseAddrPort(ln.Addr().String())
	host := remote.Host{Name: "hk1", Address: at.Addr().String(), Port: int(at.Port()), BindAddress: "127.0.0.1"}
	for _, tt := range []struct{ name, from, want string }{
		{"an address", "127.0.0.1", "127.0.0.1"},
		{"none of ours", "192.0.2.1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host.BindAddress = tt.from
			s, done, err := (*Links)(nil).Subject(host, &handover{Dialer: &net.Dialer{}, now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			r := s.Way.Port(t.Context(), "tcp", at)
			if tt.want == "" {
				if r.State == port.Open {
					t.Errorf("open from an address that is none of ours: %+v", r)
				}
				return
			}
			if r.State != port.Open {
				t.Fatalf("%+v", r)
			}
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if !strings.HasPrefix(c.RemoteAddr().String(), tt.want+":") {
				t.Errorf("it came from %s", c.RemoteAddr())
			}
		})
	}
}

// TestAddressFamily: a host that has no address of the family that its OpenSSH
// configuration names is not said to be unknown.
func TestAddressFamily(t *testing.T) {
	resolve := only(func(context.Context, string) (preflight.Name, error) {
		return preflight.Name{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}}, nil
	}, true)
	n, err := resolve(t.Context(), "hk1")
	if !fault.Is(err, fault.Name) || !strings.Contains(err.Error(), "IPv4 alone") || len(n.Addresses) > 0 {
		t.Errorf("%+v, %v", n, err)
	}
}

// TestJumpSubject: the checks are about the outermost jump host, and say so.
func TestJumpSubject(t *testing.T) {
	host := remote.Host{Name: "hk1", Address: "10.0.0.5", Jump: &remote.Host{Name: "bastion", Address: "192.0.2.10", Port: 2222}}
	s, done, err := (*Links)(nil).Subject(host, &net.Dialer{})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if s.Jump != "bastion" || s.Address != "192.0.2.10" || s.Port != 2222 || s.Name != "hk1" {
		t.Errorf("%+v", s)
	}
}
