// Package ping measures a line by a series of ICMP echoes: how many come back,
// how long they take, and how evenly (RFC 792, RFC 4443).
package ping

import "net/netip"

// A Sample is one echo request, and its answer if one came.
type Sample struct {
	AtMS  float64 `json:"at_ms"`  // when it was sent, from the first one's sending on
	RTTMS float64 `json:"rtt_ms"` // of the first answer; 0 if none came in time
	Lost  bool    `json:"lost,omitempty"`
}

// A Series is what came of the echoes to one address. Times are in
// milliseconds, and of the answers that came; all are 0 if none did.
type Series struct {
	To   netip.Addr `json:"to"`
	Way  string     `json:"way"`  // how they were sent: "unprivileged ICMP", "raw ICMP", "the system's ICMP", "the tunnel"
	Size int        `json:"size"` // bytes of data in each

	Sent       int     `json:"sent"`
	Received   int     `json:"received"`
	Loss       float64 `json:"loss"` // of those sent: from 0 to 1
	Duplicates int     `json:"duplicates"`
	Reordered  int     `json:"reordered"` // answers that came after one to a later request

	MinMS    float64 `json:"min_ms"`
	MedianMS float64 `json:"median_ms"`
	P95MS    float64 `json:"p95_ms"` // 95th percentile
	MaxMS    float64 `json:"max_ms"`
	StdDevMS float64 `json:"stddev_ms"`
	JitterMS float64 `json:"jitter_ms"` // mean difference between one answer's time and the next one's

	// Said is what routers and the host answered instead, as in "10.0.0.1:
	// host unreachable", each once and at most 8 of them.
	Said []string `json:"said,omitempty"`

	Samples []Sample `json:"samples"`
}
