package gateway

import (
	"testing"

	"linehaul/internal/lab/netns"
)

// LanName is the name of the host behind the gateway. Only the DNS server
// there knows it, which the gateway names to its clients.
const LanName = "inner.lab.test"

// A Host is one network namespace.
type Host = netns.Host

// Inside reports whether this process is one that Again started.
func Inside() bool { return netns.Inside() }

// Again runs the test once more, in a process of its own on the road, as an
// ordinary user, and fails if it fails there. More variables for its
// environment are NAME=VALUE. See netns.Host.Again.
func (g *Gateway) Again(t testing.TB, env ...string) string {
	t.Helper()
	return g.RoadHost.Again(t, g.Dir, g.Home, env...)
}
