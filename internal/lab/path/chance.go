package path

import "math"

// rare is how seldom a test may fail by chance, for each of two sides. Some fifty
// comparisons of a run of all tests then fail by chance once in 100,000 runs.
const rare = 1e-7

// Likely reports whether it may come by chance that so many of n packets are
// lost, each with the probability share and on its own, or a number as far off to
// that side. Once in ten million times it is wrong about each side.
func Likely(lost, n int, share float64) bool {
	if share <= 0 || share >= 1 {
		return lost == int(share)*n
	}
	atMost, atLeast := 0.0, 0.0
	for k := range n + 1 {
		p := math.Exp(choose(n, k) + float64(k)*math.Log(share) + float64(n-k)*math.Log1p(-share))
		if k <= lost {
			atMost += p
		}
		if k >= lost {
			atLeast += p
		}
	}
	return n > 0 && atMost > rare && atLeast > rare
}

// choose is the logarithm of a binomial coefficient.
func choose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
