package tcpinfo

import (
	"encoding/binary"
	"fmt"
)

// The structures that no library has for us, as they stand in memory. All
// machines that we build for are little-endian.

// windowsLen is the length of TCP_INFO_v0 of mstcpip.h:
//
//	state 4 | mss 4 | age ms 8 | time stamps 1, - 3 | rtt us 4 | least rtt us 4 | in flight 4 | cwnd 4
//	| send window 4 | receive window 4 | receive buffer 4 | bytes out 8 | bytes in 8 | reordered bytes 4
//	| bytes sent again 4 | fast ones 4 | doubled ACKs 4 | time-outs 4 | SYNs sent again 1, - 3
const windowsLen = 88

// fromWindows reads a TCP_INFO_v0. Windows counts bytes; segments are made of
// them.
func fromWindows(b []byte) (Sample, error) {
	if len(b) < windowsLen {
		return Sample{}, fmt.Errorf("the system told %d bytes of %d", len(b), windowsLen)
	}
	u32, u64 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }, func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	s := Sample{
		RTTMS: us(u32(20)), MinRTTMS: us(u32(24)), MSS: u32(4), Window: u32(32),
		SentBytes: u64(48), Received: u64(56), ResentB: uint64(u32(68)),
	}
	if u32(24) == ^uint32(0) {
		s.MinRTTMS = 0 // there was none yet
	}
	s.Sent, s.Resent = segments(s.SentBytes, s.MSS), segments(s.ResentB, s.MSS)
	s.OutOfOrder = segments(uint64(u32(64)), s.MSS)
	return s, nil
}

// freebsdLen is how much of struct tcp_info of netinet/tcp.h is read: what is
// behind was added later. Times are in microseconds.
const freebsdLen = 128

// fromFreeBSD reads a struct tcp_info, all of whose fields from the ninth byte
// on have 4 bytes.
func fromFreeBSD(b []byte) (Sample, error) {
	if len(b) < freebsdLen {
		return Sample{}, fmt.Errorf("the system told %d bytes of %d", len(b), freebsdLen)
	}
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	return Sample{
		RTTMS: us(u32(68)), RTTVarMS: us(u32(72)), Window: u32(80), MSS: u32(16),
		Resent: uint64(u32(120)), OutOfOrder: uint64(u32(124)),
	}, nil
}
