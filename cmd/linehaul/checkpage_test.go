package main

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/port"
)

// TestChecksPageExample: what docs/CHECKS.md shows of a look at a host is what
// the program says of such a line.
func TestChecksPageExample(t *testing.T) {
	host, gate := netip.MustParseAddr("10.20.0.5"), netip.MustParseAddr("10.0.0.1")
	s := preflight.Subject{Name: "hk1", Address: "hk1.example.net", Port: 22, Way: preflight.Way{
		Kind: "direct",
		Resolve: func(context.Context, string) (preflight.Name, error) {
			return preflight.Name{Addresses: []netip.Addr{host}, Server: "10.0.0.53:53"}, nil
		},
		Link: func(context.Context, netip.Addr) (preflight.Link, error) {
			return preflight.Link{Kind: "direct", Interface: "eth0", Source: netip.MustParseAddr("10.0.0.7"), Via: gate}, nil
		},
		Ping: func(context.Context, ping.Options) (*ping.Series, error) {
			return &ping.Series{
				To: host, Way: "unprivileged ICMP", Size: 56, Sent: 10, Received: 10, MinMS: 80.31, MedianMS: 81.2, P95MS: 83.02,
				MaxMS: 83.4, StdDevMS: 0.88, JitterMS: 0.612,
			}, nil
		},
		Port: func(context.Context, string, netip.AddrPort) port.Result {
			return port.Result{Addr: host, Port: 22, Network: "tcp", State: port.Filtered}
		},
	}}
	s.SSH = func(context.Context) (preflight.SSH, error) {
		t.Error("the server was asked")
		return preflight.SSH{}, nil
	}
	s.Clock = func(context.Context) (preflight.Clock, error) {
		t.Error("the clock was asked")
		return preflight.Clock{}, nil
	}
	r := preflight.Look(t.Context(), s, preflight.ForPerson(), time.Now, nil)
	for i := range r.Findings { // how long the fake took
		if f := &r.Findings[i]; f.Check == preflight.CheckName {
			text, _, _ := strings.Cut(f.Text, " after ")
			f.Text = text + " after 2ms"
		}
	}
	var out bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, env: func(string) string { return "" }, now: time.Now}
	a.newCheckLines(checkSubject{name: "hk1"}, preflight.ForPerson()).verdict(r)
	page, err := os.ReadFile("../../docs/CHECKS.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "```\n" + out.String() + "```\n"; !strings.Contains(string(page), want) {
		t.Errorf("the page does not show what the program says:\n%s", want)
	}
}
