package tcpinfo

import (
	"io"
	"net"
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"linehaul/internal/lab"
	"linehaul/internal/lab/netns"
)

// carry sends n bytes over a connection in a network, and returns what the
// sender's and the receiver's end know when all have come. ss(8) has to know
// the same of the sender.
func carry(t *testing.T, network *netns.Host, n int64) (sender, receiver Sample) {
	t.Helper()
	var l net.Listener
	var c net.Conn
	err := network.Do(func() (err error) {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			c, err = net.Dial("tcp", l.Addr().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(c, zeros{}, n)
		done <- err
	}()
	if _, err := io.CopyN(io.Discard, s, n); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if sender, err = Read(c); err != nil {
		t.Fatal(err)
	}
	if receiver, err = Read(s); err != nil {
		t.Fatal(err)
	}
	said := network.Run("ss", "-tinH", "src", c.LocalAddr().String())
	number := func(pattern string) uint64 {
		m := regexp.MustCompile(`\s` + pattern + `\b`).FindStringSubmatch(said)
		if m == nil {
			return 0
		}
		n, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			t.Fatalf("%s in %s", pattern, said)
		}
		return n
	}
	mss, window := number(`mss:(\d+)`), number(`cwnd:(\d+)`)
	want := Sample{
		RTTMS: sender.RTTMS, RTTVarMS: sender.RTTVarMS, MinRTTMS: sender.MinRTTMS, OutOfOrder: sender.OutOfOrder,
		Sent: number(`data_segs_out:(\d+)`), Resent: number(`retrans:\d+/(\d+)`),
		SentBytes: number(`bytes_sent:(\d+)`), ResentB: number(`bytes_retrans:(\d+)`), Received: number(`bytes_received:(\d+)`),
		MSS: uint32(mss), Window: uint32(window * mss),
	}
	if sender != want {
		t.Errorf("got  %+v\nwant %+v, by %s", sender, want, said)
	}
	if m := regexp.MustCompile(`\srtt:([\d.]+)/`).FindStringSubmatch(said); m == nil || strconv.FormatFloat(sender.RTTMS, 'f', -1, 64) != m[1] {
		t.Errorf("round trips take %v ms; %s", sender.RTTMS, said)
	}
	return sender, receiver
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestLoss compares with what a firewall that drops by chance has dropped.
func TestLoss(t *testing.T) {
	lab.NeedRoot(t)
	lab.Need(t, "ip", "nsenter", "nft", "ss")
	network := netns.New(t, "loopback", netns.Options{})
	network.IP("link set lo mtu 1500 gso_max_segs 1 up") // what is dropped is one segment
	const bytes = 8 << 20
	clean, _ := carry(t, network, bytes)
	t.Logf("clean: %+v", clean)
	if share, known := clean.Share(); !known || share > 0.05 || clean.SentBytes < bytes || clean.RTTMS <= 0 || clean.MinRTTMS <= 0 || clean.Window == 0 || clean.MSS != 1448 {
		t.Errorf("without loss: %+v", clean)
	}
	network.Drop("meta length > 1000 numgen random mod 100 < 3 counter")
	sender, receiver := carry(t, network, bytes)
	dropped := 0
	for _, m := range regexp.MustCompile(`counter packets (\d+)`).FindAllStringSubmatch(network.Run("nft", "list", "ruleset"), -1) {
		n, _ := strconv.Atoi(m[1])
		dropped += n
	}
	t.Logf("dropped: %d\nsender: %+v\nreceiver: %+v", dropped, sender, receiver)
	share, known := sender.Share()
	// On a busy machine some are sent again that were only late.
	if !known || dropped < 100 || int(sender.Resent) < dropped || share < 0.015 {
		t.Errorf("%d were dropped, and %d, %v of all, were sent again", dropped, sender.Resent, share)
	}
	if sender.ResentB < uint64(dropped)*1000 || sender.SentBytes < bytes+sender.ResentB-uint64(sender.MSS) || sender.Sent < bytes/1448 {
		t.Errorf("sender: %+v", sender)
	}
	if receiver.Received != bytes && receiver.Received != bytes+1 || receiver.OutOfOrder == 0 {
		t.Errorf("receiver: %+v", receiver)
	}
}

func TestOldKernel(t *testing.T) {
	old := sample(&unix.TCPInfo{Rtt: 80_000, Rttvar: 500, Snd_mss: 1448, Snd_cwnd: 10, Total_retrans: 3})
	if want := (Sample{RTTMS: 80, RTTVarMS: 0.5, Resent: 3, Window: 14_480, MSS: 1448}); old != want {
		t.Errorf("of Linux 2.6: %+v", old)
	}
	middle := sample(&unix.TCPInfo{Snd_mss: 1000, Total_retrans: 3, Bytes_acked: 50_000, Data_segs_out: 53, Min_rtt: 1<<32 - 1})
	if want := (Sample{Sent: 53, Resent: 3, SentBytes: 53_000, ResentB: 3000, MSS: 1000}); middle != want {
		t.Errorf("of Linux 4.6: %+v", middle)
	}
}
