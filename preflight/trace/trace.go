// Package trace finds the routers on the way to a host, and how many of the
// probes that end at each of them are answered, as mtr and tcptraceroute do.
package trace

import "net/netip"

// A Method is what the probes are.
type Method string

// The methods. Each ends at a host that answers: an echo, an unreachable port,
// or a SYN+ACK or RST.
const (
	ICMP Method = "icmp"
	UDP  Method = "udp"
	TCP  Method = "tcp"
)

// A Trace is what was found. Times are in milliseconds.
type Trace struct {
	To     netip.Addr `json:"to"`
	Method Method     `json:"method"`
	Port   int        `json:"port,omitempty"` // of UDP and TCP
	Way    string     `json:"way"`            // how probes were sent and answers were heard

	Hops    []Hop `json:"hops"`
	Reached bool  `json:"reached"` // the last hop is the host
	// Missing is what the system does not let us do, and the right that
	// would; empty: nothing was missing.
	Missing string `json:"missing,omitempty"`
}

// A Hop is how far probes of one TTL came.
type Hop struct {
	TTL     int       `json:"ttl"`
	Routers []Router  `json:"routers,omitempty"` // who answered, the most often first
	Sent    int       `json:"sent"`
	Recv    int       `json:"received"`
	Loss    float64   `json:"loss"` // from 0 to 1
	BestMS  float64   `json:"best_ms"`
	MedMS   float64   `json:"median_ms"`
	WorstMS float64   `json:"worst_ms"`
	RTTsMS  []float64 `json:"rtts_ms,omitempty"` // in the order of sending
}

// A Router is somebody who answered for a TTL.
type Router struct {
	Addr     netip.Addr `json:"addr"`
	Name     string     `json:"name,omitempty"`  // by reverse DNS
	AS       string     `json:"as,omitempty"`    // as in "AS64500 EXAMPLE"
	Place    string     `json:"place,omitempty"` // as in "Singapore, SG": from the user's MaxMind file
	Answers  int        `json:"answers"`
	Said     string     `json:"said,omitempty"` // what it said if not that time was exceeded: "host unreachable"
	MPLSTTL  int        `json:"mpls_ttl,omitempty"`
	IsTarget bool       `json:"is_target,omitempty"`
}
