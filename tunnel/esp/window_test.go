package esp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// model is the window as one would say it: what came in, and how far back.
type model struct {
	top, size uint64
	seen      map[uint64]bool
}

func (m *model) fresh(seq uint64) bool {
	return seq != 0 && !m.seen[seq] && (seq > m.top || m.top-seq < m.size)
}

func (m *model) mark(seq uint64) {
	m.seen[seq] = true
	m.top = max(m.top, seq)
}

// extend tries the number in the turn of the top, and in those beside it, and
// takes the one that RFC 4303 appendix A2 means: at or above the lower edge of
// the window, and no more than a turn above it.
func (m *model) extend(low uint32) (uint64, bool) {
	const turn = 1 << 32
	for _, high := range []uint64{m.top/turn - 1, m.top / turn, m.top/turn + 1} {
		if high >= turn { // below 0, or above all
			continue
		}
		seq := high*turn | uint64(low)
		// The edge may be below 0, where differences wrap around alike.
		if edge := m.top - (m.size - 1); seq-edge < turn {
			return seq, true
		}
	}
	return 0, false
}

func TestWindowModel(t *testing.T) {
	for _, size := range []int{0, 1, 1024, 1025, 8128, 1 << 20} {
		for _, start := range []uint64{0, 1 << 32, 1<<32 - 3, math.MaxUint64 - 5000} {
			t.Run(fmt.Sprintf("%d from %d", size, start), func(t *testing.T) {
				w := newWindow(size)
				if w.size() < minWindow || w.size() < uint64(min(size, maxWindow)) || w.size() > 2*maxWindow {
					t.Fatalf("asked for %d, holds %d", size, w.size())
				}
				m := &model{size: w.size(), seen: map[uint64]bool{}}
				if start != 0 {
					w.mark(start)
					m.mark(start)
				}
				rnd := rand.New(rand.NewPCG(uint64(size), start))
				for range 20000 {
					seq := w.top
					switch rnd.IntN(8) {
					case 0: // a jump, at times over the whole ring
						seq += rnd.Uint64N(3 * w.size())
					case 1:
						seq -= min(seq, rnd.Uint64N(2*w.size()))
					case 2: // the edge
						seq -= min(seq, w.size()-1+rnd.Uint64N(3)-1)
					default:
						seq += rnd.Uint64N(70) - min(seq, 60)
					}
					if seq-w.top < 1<<63 && seq < w.top { // past the last number
						seq = math.MaxUint64
					}
					got, want := w.fresh(seq), m.fresh(seq)
					if got != want {
						t.Fatalf("number %d, top %d: fresh is %v, want %v", seq, w.top, got, want)
					}
					if got {
						w.mark(seq)
						m.mark(seq)
					}
				}
			})
		}
	}
}

func TestExtend(t *testing.T) {
	tops := []uint64{0, 1, 1023, 1024, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 1023, 1<<32 + 5000, 5<<32 - 1, math.MaxUint64 - 1<<32, math.MaxUint64 - 5000, math.MaxUint64}
	w := newWindow(1024)
	size := w.size()
	for _, top := range tops {
		w.top = top
		m := &model{top: top, size: size}
		lows := []uint32{0, 1, 1 << 31, math.MaxUint32}
		for d := -3; d <= 3; d++ {
			lows = append(lows, uint32(top)+uint32(d), uint32(top)-uint32(size)+uint32(d), uint32(top)+uint32(size)+uint32(d))
		}
		for _, low := range lows {
			got, ok := w.extend(low)
			want, wantOK := m.extend(low)
			if ok != wantOK || ok && got != want {
				t.Errorf("top %#x, low %#x: %#x, %v, want %#x, %v", top, low, got, ok, want, wantOK)
			}
		}
	}
}

// FuzzWindow reads numbers from bytes: steps from the top, forward and back.
func FuzzWindow(f *testing.F) {
	f.Add(uint64(0), []byte{0, 1, 0, 1, 0, 2, 0xff, 0xff, 4, 0, 0x7b, 0xff})
	f.Add(uint64(1<<32-10), []byte{0, 1, 0, 9, 0, 2, 0x80, 1, 0x7f, 0xff, 0xff, 0x38})
	f.Add(uint64(math.MaxUint64-3), []byte{0, 1, 0, 1, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, start uint64, steps []byte) {
		w := newWindow(minWindow)
		m := &model{size: w.size(), seen: map[uint64]bool{}}
		w.top, m.top = start, start
		for ; len(steps) >= 2; steps = steps[2:] {
			step := int16(uint16(steps[0])<<8 | uint16(steps[1]))
			seq := w.top + uint64(step)
			if (step > 0) != (seq > w.top) { // past one of the ends
				continue
			}
			got, want := w.fresh(seq), m.fresh(seq)
			if got != want {
				t.Fatalf("number %d, top %d: fresh is %v, want %v", seq, w.top, got, want)
			}
			if got {
				w.mark(seq)
				m.mark(seq)
			}
			if ext, ok := w.extend(uint32(seq)); m.fresh(seq) && (!ok || ext != seq) {
				t.Fatalf("number %d, top %d: extended to %d, %v", seq, w.top, ext, ok)
			}
			if ext, ok := w.extend(uint32(seq)); ok {
				if want, _ := m.extend(uint32(seq)); ext != want {
					t.Fatalf("number %d, top %d: extended to %d, want %d", seq, w.top, ext, want)
				}
			}
		}
	})
}
