// Package plot prepares numbers for drawing, and draws them in plain text: axes
// with round ticks, histograms, values as people read them, sparklines, and the
// runs of many nights for a terminal.
//
// It leaves out graphics: package page makes SVG from the same scales.
package plot

import (
	"math"
	"strconv"
	"time"
)

// A Scale is an axis from one round value to another.
type Scale struct {
	Lo, Hi float64
	Ticks  []float64 // Lo and Hi are the first and the last
	digits int       // after the point, in labels
}

// maxTicks bounds the ticks of an axis, whatever it is asked to span.
const maxTicks = 40

// NewScale returns a scale that covers lo to hi, with about as many steps as
// asked for, each 1, 2 or 5 times a power of ten.
func NewScale(lo, hi float64, about int) Scale {
	lo, hi = Finite(lo), Finite(hi)
	if lo > hi {
		lo, hi = hi, lo
	}
	if hi-lo < 1e-9*max(1, math.Abs(hi)) { // nothing to tell apart
		hi = lo + max(1, math.Abs(lo)/2)
	}
	step := RoundStep((hi - lo) / float64(max(about, 1)))
	first, last := math.Floor(lo/step+1e-9), math.Ceil(hi/step-1e-9)
	s := Scale{Lo: first * step, Hi: last * step, digits: max(0, -int(math.Floor(math.Log10(step)+1e-9)))}
	for i := first; i <= last && len(s.Ticks) < maxTicks; i++ {
		s.Ticks = append(s.Ticks, i*step)
	}
	return s
}

// RoundStep returns the smallest of 1, 2 and 5 times a power of ten that is at
// least v, which must be positive.
func RoundStep(v float64) float64 {
	if !(v > 1e-12) {
		return 1e-12
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// At returns where a value stands: 0 at Lo, 1 at Hi, and neither below nor above.
func (s Scale) At(v float64) float64 {
	if s.Hi <= s.Lo {
		return 0
	}
	return min(1, max(0, (Finite(v)-s.Lo)/(s.Hi-s.Lo)))
}

// Label writes the value of a tick, with as many digits as its neighbours.
func (s Scale) Label(v float64) string {
	return Grouped(v, s.digits)
}

// Finite returns v, or 0 for what cannot be drawn.
func Finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return min(1e15, max(-1e15, v))
}

// Grouped writes a number with so many digits after the point, and a comma
// between thousands.
func Grouped(v float64, digits int) string {
	s := strconv.FormatFloat(math.Abs(Finite(v)), 'f', digits, 64)
	whole := len(s)
	if digits > 0 {
		whole -= digits + 1
	}
	out := make([]byte, 0, len(s)+8)
	nothing := true
	for i := range len(s) {
		if i > 0 && i < whole && (whole-i)%3 == 0 {
			out = append(out, ',')
		}
		nothing = nothing && (s[i] == '0' || s[i] == '.')
		out = append(out, s[i])
	}
	if v < 0 && !nothing {
		return "\u2212" + string(out) // the minus sign, which is as wide as a plus
	}
	return string(out)
}

// MS writes milliseconds without their unit, to three figures or so: 0.042,
// 0.42, 4.21, 41.2, 412, 4,120.
func MS(v float64) string {
	switch a := math.Abs(Finite(v)); {
	case a == 0:
		return "0"
	case a < 0.0995:
		return Grouped(v, 3)
	case a < 9.995:
		return Grouped(v, 2)
	case a < 99.95:
		return Grouped(v, 1)
	}
	return Grouped(v, 0)
}

// Percent writes a share of 1: 0%, 0.8%, 5%, 12.5%, 100%. What is not nothing
// is not written as if it were, and what is not all is not written as all.
func Percent(share float64) string {
	v := Finite(share) * 100
	digits := 1
	switch a := math.Abs(v); {
	case a == math.Trunc(a):
		digits = 0
	case a > 0 && a < 0.05:
		return "<0.1%"
	case a < 100 && a >= 99.95:
		return ">99.9%"
	}
	s := Grouped(v, digits)
	if n := len(s); digits == 1 && s[n-1] == '0' {
		s = s[:n-2]
	}
	return s + "%"
}

// A Unit is what values are divided by before they are written, and the word
// for that.
type Unit struct {
	Size float64
	Name string
}

// RateUnit returns the unit for rates of up to so many bytes per second, in
// powers of 1000.
func RateUnit(most float64) Unit {
	for _, u := range []Unit{{1e9, "GB/s"}, {1e6, "MB/s"}, {1e3, "kB/s"}} {
		if Finite(most) >= u.Size {
			return u
		}
	}
	return Unit{1, "B/s"}
}

// Rate writes bytes per second with their unit.
func Rate(v float64) string {
	u := RateUnit(v)
	if u.Size == 1 {
		return Grouped(v, 0) + " B/s"
	}
	return MS(v/u.Size) + " " + u.Name
}

// Bytes writes a size in powers of 1024.
func Bytes(n int64) string {
	if n < 1024 {
		return Grouped(float64(n), 0) + " B"
	}
	v, units := float64(n)/1024, []string{"KiB", "MiB", "GiB", "TiB", "PiB"}
	for v >= 1023.95 && len(units) > 1 {
		v, units = v/1024, units[1:]
	}
	return Grouped(v, 1) + " " + units[0]
}

// TimeScale returns a scale over a time from 0 on, in milliseconds, with ticks
// at round seconds, minutes or hours, which TimeLabel writes.
func TimeScale(ms float64, about int) Scale {
	ms = max(Finite(ms), 1)
	want := ms / float64(max(about, 1))
	if want <= 500 {
		return NewScale(0, ms, about)
	}
	step := float64(time.Hour.Milliseconds()) * RoundStep(want/float64(time.Hour.Milliseconds()))
	for _, seconds := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400} {
		if seconds*1000 >= want {
			step = seconds * 1000
			break
		}
	}
	s := Scale{Hi: math.Ceil(ms/step-1e-9) * step}
	for i := 0.0; i*step <= s.Hi && len(s.Ticks) < maxTicks; i++ {
		s.Ticks = append(s.Ticks, i*step)
	}
	return s
}

// TimeLabel writes a tick of a TimeScale: 250 ms, 10 s, 2 min, 2:30, 3 h.
func (s Scale) TimeLabel(ms float64) string {
	d := time.Duration(Finite(ms)) * time.Millisecond
	switch {
	case d == 0:
		return "0"
	case s.Hi < 1000:
		return s.Label(ms) + " ms"
	case s.Hi < 90_000 && len(s.Ticks) > 1 && s.Ticks[1] < 1000:
		return Grouped(ms/1000, 1) + " s"
	case s.Hi < 90_000:
		return Grouped(d.Seconds(), 0) + " s"
	case s.Hi < 3*3600_000 && d%time.Minute == 0:
		return Grouped(d.Minutes(), 0) + " min"
	case s.Hi < 3*3600_000:
		return strconv.Itoa(int(d.Minutes())) + ":" + pad2(int(d.Seconds())%60)
	case d%time.Hour == 0:
		return Grouped(d.Hours(), 0) + " h"
	}
	return strconv.Itoa(int(d.Hours())) + " h " + pad2(int(d.Minutes())%60)
}

func pad2(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}
