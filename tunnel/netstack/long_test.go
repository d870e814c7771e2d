package netstack

import (
	"testing"
	"time"
)

// TestLong moves 256 MiB in each direction at once over IPv4, and an eighth of
// that over IPv6: far beyond where sequence numbers, buffers and identifiers of
// packets go round. With the race detector it is less.
func TestLong(t *testing.T) {
	const size = 256 << 20
	n := size
	if raced || testing.Short() {
		n = 16 << 20
	}
	began := time.Now()
	p := newPair(t)
	p.bothWays(t, theirs4, n)
	p.bothWays(t, theirs6, n/8)
	t.Logf("%d MiB both ways took %v", n>>20, time.Since(began).Round(time.Millisecond))
	for _, s := range []Stats{p.us.Stats(), p.them.Stats()} {
		if s.BytesIn < uint64(n) || s.Unsent+s.BadChecksum+s.Malformed != 0 {
			t.Errorf("stats %+v", s)
		}
		t.Logf("%d packets in, %d out, %d retransmits", s.PacketsIn, s.PacketsOut, s.Retransmits)
	}
}
