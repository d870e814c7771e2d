// Package pmtu finds the largest packet that passes to a host without being
// cut into fragments (RFC 1191, RFC 8201, RFC 8899).
package pmtu

import "net/netip"

// A Result is what was found. Sizes are of IP packets, in bytes.
type Result struct {
	To        netip.Addr `json:"to"`
	Way       string     `json:"way"`
	MTU       int        `json:"mtu"`            // the largest that came back; 0: none did
	Least     int        `json:"least"`          // the smallest that was tried
	Interface int        `json:"interface"`      // the MTU of the interface that it leaves by; 0: not known
	Said      int        `json:"said,omitempty"` // what a router said would pass; 0: none did
	By        netip.Addr `json:"by,omitzero"`    // that router; this machine's own address: its path MTU cache
	// BlackHole: smaller packets pass, larger ones do not, and nobody says so.
	BlackHole bool  `json:"black_hole,omitempty"`
	Tries     []Try `json:"tries,omitempty"`
}

// A Try is one size that was tried.
type Try struct {
	Size   int  `json:"size"`
	Probes int  `json:"probes"`
	Passed bool `json:"passed"`
}
