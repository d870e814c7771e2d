package esp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linehaul/internal/lab"
)

// TestTshark has Wireshark's dissector read what we sealed: it finds every ICV
// right, decrypts, and sees the packets that went in. It was not written by us.
func TestTshark(t *testing.T) {
	lab.Need(t, "tshark")
	for name, tc := range map[string]struct {
		cipher, key, integrity, integrityKey string
	}{
		"aes256gcm16":   {"AES-GCM with 16 octet ICV [RFC4106]", fmt.Sprintf("0x%x", append(bytes.Repeat([]byte{7}, 32), "salt"...)), "NULL", ""},
		"aes128-sha256": {"AES-CBC [RFC3602]", fmt.Sprintf("0x%x", bytes.Repeat([]byte{7}, 16)), "HMAC-SHA-256-128 [RFC4868]", fmt.Sprintf("0x%x", bytes.Repeat([]byte{8}, 32))},
	} {
		t.Run(name, func(t *testing.T) {
			out := NewOutbound(testSPI, kinds()[name](t), Options{})
			capture := captureHead()
			var want []string
			for n := 60; n < 100; n++ {
				sealed := mustSeal(t, out, echo(n))
				capture = appendFrame(capture, sealed)
				want = append(want, fmt.Sprintf("%d\t1\t%d\t192.0.2.2,10.88.0.1\t192.0.2.1,10.77.0.2\t1", n-59, n))
			}
			file := filepath.Join(t.TempDir(), "esp.pcap")
			if err := os.WriteFile(file, capture, 0o600); err != nil {
				t.Fatal(err)
			}
			association := fmt.Sprintf(`uat:esp_sa:"IPv4","192.0.2.2","192.0.2.1","0x%08x","%s","%s","%s","%s"`,
				testSPI, tc.cipher, tc.key, tc.integrity, tc.integrityKey)
			printed := lab.RunWith(t, []string{"HOME=" + t.TempDir()}, "tshark", "-r", file, "-o", association,
				"-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", "-Y", "icmp", "-T", "fields",
				"-e", "esp.sequence", "-e", "esp.icv_good", "-e", "ip.len", "-e", "ip.src", "-e", "ip.dst", "-e", "icmp.checksum.status")
			var got []string
			for line := range strings.Lines(printed) {
				if fields := strings.Split(strings.TrimSpace(line), "\t"); len(fields) == 6 { // not what it says of itself
					_, fields[2], _ = strings.Cut(fields[2], ",") // the outer length comes before the inner one
					got = append(got, strings.Join(fields, "\t"))
				}
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("tshark sees\n%s\nwant\n%s", printed, strings.Join(want, "\n"))
			}
		})
	}
}

// captureHead is that of a pcap file whose frames are IP packets.
func captureHead() []byte {
	const magic, major, minor, snap, rawIP = 0xa1b2c3d4, 2, 4, 65535, 101
	b := binary.LittleEndian.AppendUint32(nil, magic)
	b = binary.LittleEndian.AppendUint16(b, major)
	b = binary.LittleEndian.AppendUint16(b, minor)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, snap)
	return binary.LittleEndian.AppendUint32(b, rawIP)
}

// appendFrame adds an ESP packet in UDP in IPv4, from 192.0.2.2 to 192.0.2.1.
func appendFrame(capture, packet []byte) []byte {
	udp := binary.BigEndian.AppendUint16(nil, 4500)
	udp = binary.BigEndian.AppendUint16(udp, 4500)
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(packet)))
	udp = append(udp, 0, 0)
	frame := withIPv4(17, [4]byte{192, 0, 2, 2}, [4]byte{192, 0, 2, 1}, append(udp, packet...))
	capture = append(capture, make([]byte, 8)...)
	capture = binary.LittleEndian.AppendUint32(capture, uint32(len(frame)))
	capture = binary.LittleEndian.AppendUint32(capture, uint32(len(frame)))
	return append(capture, frame...)
}

// echo is an echo request of n bytes in all.
func echo(n int) []byte {
	m := make([]byte, n-ipv4Header)
	m[0] = 8
	binary.BigEndian.PutUint16(m[2:], ^onesSum(m))
	return withIPv4(1, [4]byte{10, 88, 0, 1}, [4]byte{10, 77, 0, 2}, m)
}

func withIPv4(protocol byte, source, target [4]byte, payload []byte) []byte {
	h := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}
	h = append(append(h, source[:]...), target[:]...)
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(payload)))
	binary.BigEndian.PutUint16(h[10:], ^onesSum(h))
	return append(h, payload...)
}

// onesSum adds as RFC 1071 does.
func onesSum(b []byte) uint16 {
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
