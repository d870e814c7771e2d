// Package port asks whether a TCP or UDP port of a host is open, and if it is
// not, what stands in the way.
package port

import "net/netip"

// A State is what is known of a port.
type State string

// The states. Open is said only if the host's end answered.
const (
	Open           State = "open"
	Refused        State = "refused"          // TCP: a reset
	Closed         State = "closed"           // UDP: ICMP says that the port is unreachable
	Filtered       State = "filtered"         // TCP: nothing came back in time
	Prohibited     State = "prohibited"       // ICMP says that a firewall forbids it
	NoRoute        State = "no route"         // this machine or a router knows no way to the host
	OpenOrFiltered State = "open or filtered" // UDP: nothing came back
)

// A Result is what was found of one port.
type Result struct {
	Addr      netip.Addr `json:"addr"`
	Port      int        `json:"port"`
	Network   string     `json:"network"` // "tcp" or "udp"
	State     State      `json:"state"`
	ConnectMS float64    `json:"connect_ms,omitempty"` // until the answer came
	From      netip.Addr `json:"from,omitzero"`        // who said so, if it was not the host
	Payload   string     `json:"payload,omitempty"`    // UDP: what was asked, as in "DNS"
	Answer    string     `json:"answer,omitempty"`     // UDP: what the answer was, as in "NTP, stratum 2"
	Error     string     `json:"error,omitempty"`      // the system's words
}
