package tcpinfo

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

func read(fd uintptr) (Sample, error) {
	// Of a kernel whose structure is shorter, the rest stays 0.
	i, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
	if err != nil {
		return Sample{}, os.NewSyscallError("getsockopt", err)
	}
	return sample(i), nil
}

// sample puts the kernel's words into ours (include/uapi/linux/tcp.h).
func sample(i *unix.TCPInfo) Sample {
	s := Sample{
		RTTMS: us(i.Rtt), RTTVarMS: us(i.Rttvar), MinRTTMS: us(i.Min_rtt),
		Sent: uint64(i.Data_segs_out), Resent: uint64(i.Total_retrans),
		SentBytes: i.Bytes_sent, ResentB: i.Bytes_retrans,
		Received: i.Bytes_received, OutOfOrder: uint64(i.Rcv_ooopack),
		Window: uint32(min(uint64(i.Snd_cwnd)*uint64(i.Snd_mss), math.MaxUint32)), MSS: i.Snd_mss,
	}
	if i.Min_rtt == math.MaxUint32 {
		s.MinRTTMS = 0 // there was none yet
	}
	if s.SentBytes == 0 && i.Bytes_acked > 0 {
		// Before 4.19 nothing but segments was counted.
		s.ResentB = s.Resent * uint64(i.Snd_mss)
		s.SentBytes = i.Bytes_acked + s.ResentB
	}
	return s
}
