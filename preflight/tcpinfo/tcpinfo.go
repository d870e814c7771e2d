// Package tcpinfo reads what the system knows of a TCP connection: its round
// trip times, and what it had to send again.
package tcpinfo

// A Sample is the state of one connection. What a system does not tell is 0.
type Sample struct {
	AtMS       float64 `json:"at_ms"` // since the connection was made
	RTTMS      float64 `json:"rtt_ms"`
	RTTVarMS   float64 `json:"rttvar_ms"`
	MinRTTMS   float64 `json:"min_rtt_ms,omitempty"`
	Sent       uint64  `json:"sent"`           // segments with data, from the beginning on
	Resent     uint64  `json:"resent"`         // of these, those that were sent again
	SentBytes  uint64  `json:"sent_bytes"`     // with what was sent again
	ResentB    uint64  `json:"resent_bytes"`   // what was sent again
	Received   uint64  `json:"received_bytes"` // in order
	OutOfOrder uint64  `json:"out_of_order"`   // segments that came out of order: what the far end sends again, or what overtakes
	Window     uint32  `json:"window"`         // bytes that may be under way to the peer
	MSS        uint32  `json:"mss"`
}
