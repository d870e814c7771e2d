package plot

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestScale(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		about  int
		want   string
	}{
		{0, 47, 5, "0 10 20 30 40 50"},
		{0, 50, 5, "0 10 20 30 40 50"},
		{40.2, 46.9, 6, "40 42 44 46 48"},
		{0, 0.3, 3, "0.0 0.1 0.2 0.3"},
		{0, 0, 4, "0.0 0.5 1.0"},
		{576, 1500, 5, "400 600 800 1,000 1,200 1,400 1,600"},
		{-3, 3, 3, "\u22124 \u22122 0 2 4"},
		{9, 2, 3, "0 5 10"},
	} {
		s := NewScale(c.lo, c.hi, c.about)
		var got []string
		for _, v := range s.Ticks {
			got = append(got, s.Label(v))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%g to %g: got %q, want %q", c.lo, c.hi, strings.Join(got, " "), c.want)
		}
		if s.At(s.Lo) != 0 || s.At(s.Hi) != 1 || s.At(s.Hi+1) != 1 || s.At(s.Lo-1) != 0 || s.At(math.NaN()) < 0 {
			t.Errorf("%g to %g: places are wrong: %+v", c.lo, c.hi, s)
		}
	}
}

// TestScaleCovers: whatever the ends are, the axis covers them, with few ticks.
func TestScaleCovers(t *testing.T) {
	ends := []float64{0, 1e-9, 0.1, 0.3, 0.7, 1, 41.2, 999, 1e6, 7.3e12, 1e300, math.Inf(1), math.NaN(), -5}
	for _, lo := range ends {
		for _, hi := range ends {
			s := NewScale(lo, hi, 5)
			least, most := min(Finite(lo), Finite(hi)), max(Finite(lo), Finite(hi))
			n := len(s.Ticks)
			if n < 2 || n > maxTicks || !(s.Hi > s.Lo) {
				t.Fatalf("%g to %g: %+v", lo, hi, s)
			}
			if hair := (s.Ticks[1] - s.Ticks[0]) / 1e6; s.Lo > least+hair || s.Hi < most-hair {
				t.Errorf("%g to %g: %+v", lo, hi, s)
			}
		}
	}
}

func TestTimeScale(t *testing.T) {
	for _, c := range []struct {
		ms   float64
		want string
	}{
		{450, "0, 100 ms, 200 ms, 300 ms, 400 ms, 500 ms"},
		{900, "0, 0.2 s, 0.4 s, 0.6 s, 0.8 s, 1.0 s"},
		{1800, "0, 0.5 s, 1.0 s, 1.5 s, 2.0 s"},
		{9_000, "0, 2 s, 4 s, 6 s, 8 s, 10 s"},
		{60_000, "0, 15 s, 30 s, 45 s, 60 s"},
		{280_000, "0, 1 min, 2 min, 3 min, 4 min, 5 min"},
		{140_000, "0, 0:30, 1 min, 1:30, 2 min, 2:30"},
		{6 * 3600_000, "0, 2 h, 4 h, 6 h"},
	} {
		s := TimeScale(c.ms, 5)
		var got []string
		for _, v := range s.Ticks {
			got = append(got, s.TimeLabel(v))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%g ms: got %q, want %q", c.ms, strings.Join(got, ", "), c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{MS(0), "0"}, {MS(0.042), "0.042"}, {MS(4.214), "4.21"}, {MS(9.999), "10.0"}, {MS(41.25), "41.2"}, {MS(99.96), "100"}, {MS(4120), "4,120"}, {MS(math.Inf(1)), "0"},
		{Percent(0), "0%"}, {Percent(0.008), "0.8%"}, {Percent(0.05), "5%"}, {Percent(0.125), "12.5%"}, {Percent(1), "100%"}, {Percent(0.0001), "<0.1%"}, {Percent(0.9999), ">99.9%"}, {Percent(0.99), "99%"}, {Percent(1.0 / 3), "33.3%"},
		{Rate(999), "999 B/s"}, {Rate(8.14e6), "8.14 MB/s"}, {Rate(2.5e9), "2.50 GB/s"},
		{Bytes(1023), "1,023 B"}, {Bytes(1024), "1.0 KiB"}, {Bytes(1<<20 - 1), "1.0 MiB"}, {Bytes(math.MaxInt64), "8,192.0 PiB"},
		{Grouped(-1234567.891, 2), "\u22121,234,567.89"}, {Grouped(-0.001, 1), "0.0"}, {Grouped(123, 0), "123"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestBins(t *testing.T) {
	values := []float64{41.0, 41.1, 41.4, 42.0, 44.9, 46.1, 300}
	h := Bins(values, 41, 46.1, 6)
	if h.From != 41 || h.Width != 1 || !slices.Equal(h.Counts, []int{3, 1, 0, 1, 0, 1}) || h.Over != 1 || h.Most() != 3 || h.To() != 47 {
		t.Errorf("got %+v", h)
	}
	same := Bins([]float64{5, 5, 5}, 5, 5, 20)
	sum := same.Over
	for _, n := range same.Counts {
		sum += n
	}
	if sum != 3 || len(same.Counts) > maxBins {
		t.Errorf("equal values: got %+v", same)
	}
}

func TestCap(t *testing.T) {
	usual := slices.Repeat([]float64{40}, 40)
	if got := Cap(append(usual, 900)); got != 80 {
		t.Errorf("one outlier: the plot reaches to %g, want 80", got)
	}
	if got := Cap(append(usual, 120)); got != 120 {
		t.Errorf("no outlier: the plot reaches to %g, want 120", got)
	}
	if got := Cap([]float64{1, 500}); got != 500 {
		t.Errorf("too few to tell: the plot reaches to %g, want 500", got)
	}
}

func TestSpark(t *testing.T) {
	for _, c := range []struct {
		values []float64
		width  int
		ascii  bool
		want   string
	}{
		{[]float64{0, 1, 2, 4, 8}, 10, false, "▁▂▃▅█"},
		{[]float64{8, Lost, 8}, 10, false, "█×█"},
		{[]float64{8, Lost, 8}, 10, true, "#x#"},
		{[]float64{1, 1, 1, 8, 1, Lost}, 3, false, "▂█×"},
		{[]float64{0, 0}, 10, false, "▁▁"},
		{nil, 10, false, ""},
	} {
		if got := Spark(c.values, c.width, c.ascii); got != c.want {
			t.Errorf("%v: got %q, want %q", c.values, got, c.want)
		}
	}
	if got := Spark(make([]float64, 100_000), 60, false); utf8.RuneCountInString(got) != 60 {
		t.Errorf("got %d characters, want 60", utf8.RuneCountInString(got))
	}
}
