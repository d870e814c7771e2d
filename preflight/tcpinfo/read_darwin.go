package tcpinfo

import (
	"os"

	"golang.org/x/sys/unix"
)

func read(fd uintptr) (Sample, error) {
	i, err := unix.GetsockoptTCPConnectionInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_CONNECTION_INFO)
	if err != nil {
		return Sample{}, os.NewSyscallError("getsockopt", err)
	}
	// Times are in milliseconds, what came out of order in bytes (netinet/tcp.h).
	return Sample{
		RTTMS: float64(i.Srtt), RTTVarMS: float64(i.Rttvar),
		Sent: i.Txpackets, Resent: i.Txretransmitpackets, SentBytes: i.Txbytes, ResentB: i.Txretransmitbytes,
		Received: i.Rxbytes, OutOfOrder: segments(i.Rxoutoforderbytes, i.Maxseg),
		Window: i.Snd_cwnd, MSS: i.Maxseg,
	}, nil
}
