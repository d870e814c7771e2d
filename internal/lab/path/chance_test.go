package path_test

import (
	"testing"

	"linehaul/internal/lab/path"
)

// TestLikely holds bounds against those of exact sums in whole numbers.
func TestLikely(t *testing.T) {
	for _, tt := range []struct {
		n        int
		share    float64
		low, top int // the first and the last that may be
	}{
		{1000, 0.05, 18, 89},
		{200, 0.36, 38, 108},
		{100, 0.05, 0, 20},
		{30, 0.05, 0, 11},
		{10, 0.05, 0, 6},
		{3000, 0.05, 92, 216},
		{20, 0, 0, 0},
		{20, 1, 20, 20},
	} {
		for _, c := range []struct {
			lost int
			want bool
		}{{tt.low - 1, false}, {tt.low, true}, {(tt.low + tt.top) / 2, true}, {tt.top, true}, {tt.top + 1, false}} {
			if got := path.Likely(c.lost, tt.n, tt.share); got != (c.want && c.lost <= tt.n) && c.lost >= 0 {
				t.Errorf("%d of %d lost, of which %v is the share: %v", c.lost, tt.n, tt.share, got)
			}
		}
	}
	if path.Likely(0, 0, 0.5) {
		t.Error("nothing was sent, and that is as it should be")
	}
}
