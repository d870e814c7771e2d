package esp

import "math/bits"

const (
	// minWindow is what the least window holds; RFC 4303 section 3.4.3 asks for 32
	// and recommends 64, which a busy path with several queues outruns at once.
	minWindow = 1024
	// defaultWindow is 4 MiB of full packets, and 512 bytes of memory.
	defaultWindow = 4096
	maxWindow     = 1 << 16
)

// A window remembers which sequence numbers came in, as RFC 6479 does it: a
// ring of words in which each number has its fixed place, so that moving on
// clears words and never shifts bits. One word is always between the newest
// and the oldest number. The zero value is not usable: see newWindow.
type window struct {
	top   uint64 // the highest number so far
	words []uint64
}

func newWindow(size int) window {
	if size == 0 {
		size = defaultWindow
	}
	size = min(max(size, minWindow), maxWindow)
	words := 1 << bits.Len(uint((size+63)/64)) // a power of two above that many
	return window{words: make([]uint64, words)}
}

// size returns how many numbers the window holds, its highest one included.
func (w *window) size() uint64 { return uint64(len(w.words)-1) * 64 }

// fresh reports whether a packet of this number may still come in. No packet
// has the number 0: the first one has 1, RFC 4303 section 3.3.3.
func (w *window) fresh(seq uint64) bool {
	switch {
	case seq == 0:
		return false
	case seq > w.top:
		return true
	case w.top-seq >= w.size():
		return false
	}
	return *w.word(seq / 64)&(1<<(seq%64)) == 0
}

// mark notes that a packet of this number, which was fresh, came in.
func (w *window) mark(seq uint64) {
	if seq > w.top {
		steps := min(seq/64-w.top/64, uint64(len(w.words)))
		for i := range steps {
			*w.word(w.top/64 + 1 + i) = 0
		}
		w.top = seq
	}
	*w.word(seq / 64) |= 1 << (seq % 64)
}

// word returns the place of the numbers from 64*n on.
func (w *window) word(n uint64) *uint64 { return &w.words[n&uint64(len(w.words)-1)] }

// extend finds the 64 bits of a sequence number of which the packet says the
// lower 32, RFC 4303 appendix A2: of all numbers that end in them, the one that
// is not before the window and closest to it. There is none if that would be a
// number below 0.
func (w *window) extend(low uint32) (seq uint64, ok bool) {
	const turn = 1 << 32
	oldest := uint32(w.top) - uint32(w.size()-1) // wraps around, as it is meant to
	high := w.top / turn
	switch within := uint32(w.top) >= uint32(w.size()-1); {
	case within && low < oldest: // the whole window is in one turn, and this is behind it
		high++
		if high == turn {
			return 0, false
		}
	case !within && low >= oldest: // the window began in the turn before
		if high == 0 {
			return 0, false
		}
		high--
	}
	return high*turn | uint64(low), true
}
