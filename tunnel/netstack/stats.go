package netstack

import (
	"cmp"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"linehaul/preflight/tcpinfo"
)

// Stats are what a stack has done since it was made.
type Stats struct {
	PacketsIn, BytesIn   uint64 // what Deliver was given
	PacketsOut, BytesOut uint64 // what Send took
	Unsent               uint64 // packets that Send returned an error for
	BadChecksum          uint64 // packets that arrived damaged
	Malformed            uint64 // packets that arrived and were none

	Retransmits     uint64 // TCP segments that were sent again
	FastRetransmits uint64 // of them, those that did not wait for a timer
	Timeouts        uint64 // times that such a timer ran out
	Recoveries      uint64 // times that losses were repaired by selective acknowledgements
	Opened          uint64 // connections that we began
	Refused         uint64 // connections that came to nothing
	Resets          uint64 // connections that a reset ended

	Conns []ConnStats // those that are open, the oldest ports first
}

// ConnStats are one TCP connection's.
type ConnStats struct {
	Local, Remote netip.AddrPort
	State         string
	RTT           time.Duration // smoothed, RFC 6298
	RTTVar        time.Duration
	RTO           time.Duration // how long the next answer is waited for
	Window        uint32        // how many packets may be under way to the peer
	Received      uint64        // segments
	Sent          uint64
	Retransmits   uint64
}

// Stats returns what the stack has done.
func (s *Stack) Stats() Stats {
	c, t := &s.link.counts, s.ip.Stats().TCP
	all := Stats{
		PacketsIn: c.packetsIn.Load(), BytesIn: c.bytesIn.Load(),
		PacketsOut: c.packetsOut.Load(), BytesOut: c.bytesOut.Load(),
		Unsent: c.unsent.Load(), BadChecksum: c.badChecksum.Load(), Malformed: c.malformed.Load(),
		Retransmits: t.Retransmits.Value(), FastRetransmits: t.FastRetransmit.Value(), Timeouts: t.Timeouts.Value(),
		Recoveries: t.SACKRecovery.Value(), Opened: t.ActiveConnectionOpenings.Value(),
		Refused: t.FailedConnectionAttempts.Value(), Resets: t.EstablishedResets.Value(),
	}
	s.mu.Lock()
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		all.Conns = append(all.Conns, c.Stats())
	}
	slices.SortFunc(all.Conns, func(a, b ConnStats) int {
		return cmp.Or(a.Local.Compare(b.Local), a.Remote.Compare(b.Remote))
	})
	return all
}

// Stats returns what the connection has done.
func (c *Conn) Stats() ConnStats {
	var info tcpip.TCPInfoOption
	one := ConnStats{
		Local: addrPort(c.LocalAddr()), Remote: addrPort(c.RemoteAddr()),
		State: strings.ToLower(tcp.EndpointState(c.ep.State()).String()),
	}
	if err := c.ep.GetSockOpt(&info); err == nil {
		one.RTT, one.RTTVar, one.RTO, one.Window = info.RTT, info.RTTVar, info.RTO, info.SndCwnd
	}
	if t, ok := c.ep.Stats().(*tcp.Stats); ok {
		one.Received, one.Sent, one.Retransmits = t.SegmentsReceived.Value(), t.SegmentsSent.Value(), t.SendErrors.Retransmits.Value()
	}
	return one
}

// TCPInfo returns what package tcpinfo reads of other connections. gVisor counts
// what it hands down, which is cut later, and ACKs among it; so segments are
// made of the bytes that were written, with the largest payload, and what is
// written but not sent yet is among them.
func (c *Conn) TCPInfo() (tcpinfo.Sample, error) {
	if c.closed.Load() {
		return tcpinfo.Sample{}, c.failed("read the figures", net.ErrClosed)
	}
	one := c.Stats()
	head := header.IPv4MinimumSize
	if one.Remote.Addr().Is6() {
		head = header.IPv6MinimumSize
	}
	const options = 40 // gVisor keeps room for all that a header can have
	mss := uint64(c.s.link.mtuNow() - head - header.TCPMinimumSize - options)
	written := c.out.Load()
	return tcpinfo.Sample{
		RTTMS: float64(one.RTT) / float64(time.Millisecond), RTTVarMS: float64(one.RTTVar) / float64(time.Millisecond),
		Sent: (written+mss-1)/mss + one.Retransmits, Resent: one.Retransmits,
		SentBytes: written + one.Retransmits*mss, ResentB: one.Retransmits * mss, Received: c.in.Load(),
		Window: uint32(min(uint64(one.Window)*mss, math.MaxUint32)), MSS: uint32(mss),
	}, nil
}

var _ tcpinfo.Teller = (*Conn)(nil)

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return netip.AddrPortFrom(t.AddrPort().Addr().Unmap(), t.AddrPort().Port())
	}
	return netip.AddrPort{}
}
