package tunnel

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// TestFrames: Wireshark finds nothing wrong with the headers that are made up,
// of both versions of IP and datagrams of all lengths.
func TestFrames(t *testing.T) {
	lab.Need(t, "tshark")
	file := filepath.Join(t.TempDir(), "a.pcapng")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewCapture(f, "test")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for n := range 70 {
		datagram := make([]byte, n*n)
		for i := range datagram {
			datagram[i] = byte(i*n + 7)
		}
		from, to := netip.MustParseAddrPort("192.0.2.2:40000"), netip.MustParseAddrPort("192.0.2.1:9999")
		status := "1\t\t"
		if n%2 == 1 {
			from, to = netip.MustParseAddrPort("[2001:db8:1::2]:40000"), netip.MustParseAddrPort("[2001:db8:1::1]:9999")
			status = "\t1\t"
		}
		w.Write(time.Unix(1, 0), outerSide, true, frame(from, to, datagram))
		fmt.Fprintf(&want, "%d\t%s%d\n", 9999, status, n*n+headUDP)
	}
	if err := f.Close(); err != nil || w.Err() != nil {
		t.Fatal(err, w.Err())
	}
	out := lab.RunWith(t, []string{"HOME=" + t.TempDir()}, "tshark", "-r", file, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
		"-T", "fields", "-e", "udp.dstport", "-e", "ip.checksum.status", "-e", "udp.checksum.status", "-e", "udp.length")
	var got strings.Builder
	for line := range strings.Lines(out) {
		line = strings.Replace(line, "\t1\t3\t", "\t1\t\t", 1) // IPv4 may do without one of UDP
		if strings.HasPrefix(line, "9999\t") {
			got.WriteString(line)
		}
	}
	if got.String() != want.String() {
		t.Errorf("tshark sees\n%s\nwant\n%s", out, want.String())
	}
}
