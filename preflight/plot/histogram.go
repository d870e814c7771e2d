package plot

import (
	"math"
	"slices"
)

// A Histogram is how many of some values fall into each of the bins, which are
// equally wide and begin at a round value.
type Histogram struct {
	From, Width float64
	Counts      []int
	Over        int // how many are above the last bin
}

// maxBins bounds the bins of a histogram.
const maxBins = 60

// Bins sorts values into about so many bins from lo to hi. What is below the
// first counts as being in it, what is above the last is over.
func Bins(values []float64, lo, hi float64, about int) Histogram {
	lo, hi = Finite(lo), Finite(hi)
	if hi <= lo {
		hi = lo + max(math.Abs(lo)/100, 0.01)
	}
	h := Histogram{Width: RoundStep((hi - lo) / float64(max(about, 1)))}
	h.From = math.Floor(lo/h.Width+1e-9) * h.Width
	n := int(math.Floor((hi-h.From)/h.Width+1e-9)) + 1
	h.Counts = make([]int, min(max(n, 1), maxBins))
	for _, v := range values {
		switch i := int(math.Floor((Finite(v)-h.From)/h.Width + 1e-9)); {
		case i >= len(h.Counts):
			h.Over++
		default:
			h.Counts[max(i, 0)]++
		}
	}
	return h
}

// To returns where the last bin ends.
func (h Histogram) To() float64 { return h.From + float64(len(h.Counts))*h.Width }

// Most returns the highest of the counts, that of what is over too.
func (h Histogram) Most() int { return max(slices.Max(h.Counts), h.Over) }

// Quantile returns the value that a share of sorted values does not exceed; 0
// if there are none.
func Quantile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(share*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// Cap returns the highest value that a plot of these should reach: the highest
// there is, unless that is far from almost all of them, so that a few would
// press all others flat. Those are then drawn at the edge.
func Cap(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	most, usual := sorted[len(sorted)-1], Quantile(sorted, 0.95)
	if len(sorted) >= 10 && most > 4*usual && usual > 0 {
		return 2 * usual
	}
	return most
}
