package netstack

import (
	"fmt"
	"io"
	"net/netip"
	"testing"
)

// BenchmarkPipe moves bytes from one stack to another, with nothing between but
// a copy of each packet: what TCP and the link cost, on both ends together.
func BenchmarkPipe(b *testing.B) {
	for _, at := range []netip.Addr{theirs4, theirs6} {
		for _, mtu := range []int{1400, 9000} {
			b.Run(fmt.Sprintf("%v/%d", at, mtu), func(b *testing.B) {
				p := newPair(b, func(us, them *Options, _, _ *wire) { us.MTU, them.MTU = mtu, mtu })
				from, to := p.connect(b, at)
				const piece = 1 << 20
				done := make(chan error, 1)
				go func() {
					_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{to}, make([]byte, piece))
					done <- err
				}()
				data := make([]byte, piece)
				b.SetBytes(piece)
				b.ResetTimer()
				for b.Loop() {
					if _, err := from.Write(data); err != nil {
						b.Fatal(err)
					}
				}
				from.Close()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(p.us.Stats().PacketsOut)/float64(b.N), "packets/op")
			})
		}
	}
}

// BenchmarkSegment cuts what TCP hands down, 63 KiB at a time.
func BenchmarkSegment(b *testing.B) {
	var sent int
	l := newLink(1400, func(packets [][]byte) error {
		sent += len(packets)
		return nil
	})
	pkt := longPacket(gsoMaxSize - 100)
	defer pkt.DecRef()
	batch := newBatch(l)
	b.SetBytes(int64(pkt.Size()))
	b.ReportAllocs()
	for b.Loop() {
		batch.add(pkt)
		batch.flush()
	}
	if sent == 0 {
		b.Fatal("nothing was sent")
	}
}

// BenchmarkInspect checks the checksums of full packets.
func BenchmarkInspect(b *testing.B) {
	var packet []byte
	l := newLink(1400, func(packets [][]byte) error {
		packet = append([]byte(nil), packets[0]...)
		return nil
	})
	pkt := longPacket(1300)
	defer pkt.DecRef()
	batch := newBatch(l)
	batch.add(pkt)
	batch.flush()
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, v := inspect(packet); v != sound {
			b.Fatal(v)
		}
	}
}
