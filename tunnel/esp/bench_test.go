package esp

import (
	"fmt"
	"testing"
)

func sizes() []int { return []int{64, 576, 1400, 9000} }

func BenchmarkSeal(b *testing.B) {
	for _, name := range []string{"aes256gcm16", "aes128-sha256"} {
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				o := NewOutbound(testSPI, kinds()[name](b), Options{ESN: true})
				packet := ipPacket(4, n)
				buf := make([]byte, 0, SealedSize(o.Sizes(), n))
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := o.Seal(buf, packet); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSealAndOpen does both, as a packet cannot be opened twice; what it
// takes more than BenchmarkSeal is the opening.
func BenchmarkSealAndOpen(b *testing.B) {
	for _, name := range []string{"aes256gcm16", "aes128-sha256"} {
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				o := NewOutbound(testSPI, kinds()[name](b), Options{ESN: true})
				var table Table
				table.Add(NewInbound(testSPI, kinds()[name](b), Options{ESN: true}))
				packet := ipPacket(4, n)
				buf := make([]byte, 0, SealedSize(o.Sizes(), n))
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					sealed, err := o.Seal(buf, packet)
					if err != nil {
						b.Fatal(err)
					}
					if _, _, err := table.Open(sealed); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkWindow is what the replay window takes of that.
func BenchmarkWindow(b *testing.B) {
	w := newWindow(0)
	for seq := uint64(1); b.Loop(); seq++ {
		if !w.fresh(seq) {
			b.Fatal("not fresh")
		}
		w.mark(seq)
	}
}
