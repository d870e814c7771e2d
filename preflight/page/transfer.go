package page

import (
	"fmt"
	"slices"

	"linehaul/preflight"
	"linehaul/preflight/plot"
)

// A step is what a transfer did between two of its samples.
type step struct {
	from, to float64 // milliseconds
	rate     float64 // bytes per second
	rtt      float64 // 0: not known
	resent   float64 // share of the segments; below 0: none was sent
	sent     uint64
}

// steps are the differences between samples. One that goes back in time or in
// bytes is left out.
func steps(t *preflight.Transfer) []step {
	var out []step
	var last preflight.Rate
	for _, r := range t.Rates {
		if d := r.AtMS - last.AtMS; d > 0 && r.Bytes >= last.Bytes {
			s := step{from: last.AtMS, to: r.AtMS, rate: float64(r.Bytes-last.Bytes) / d * 1000, rtt: r.RTTMS, resent: -1}
			if r.Sent > last.Sent && r.Resent >= last.Resent {
				s.sent = r.Sent - last.Sent
				s.resent = float64(r.Resent-last.Resent) / float64(s.sent)
			}
			out = append(out, s)
		}
		last = r
	}
	return out
}

// join makes no more than maxPoints of steps, each of so many in a row.
func join(all []step) ([]step, int) {
	if len(all) <= maxPoints {
		return all, 1
	}
	each := (len(all) + maxPoints - 1) / maxPoints
	var out []step
	for group := range slices.Chunk(all, each) {
		sum := step{from: group[0].from, to: group[len(group)-1].to, resent: -1}
		bytes, resent := 0.0, 0.0
		for _, s := range group {
			bytes += s.rate * (s.to - s.from)
			sum.rtt = max(sum.rtt, s.rtt)
			sum.sent += s.sent
			resent += max(s.resent, 0) * float64(s.sent)
		}
		sum.rate = bytes / (sum.to - sum.from)
		if sum.sent > 0 {
			sum.resent = resent / float64(sum.sent)
		}
		out = append(out, sum)
	}
	return out, each
}

// totals are a transfer's figures as a whole.
type totals struct {
	bytes  int64
	took   float64 // milliseconds
	rate   float64 // bytes per second
	rtt    float64 // median
	sent   uint64
	resent uint64
}

func total(t *preflight.Transfer) totals {
	var sum totals
	if t == nil || len(t.Rates) == 0 {
		return sum
	}
	last := t.Rates[len(t.Rates)-1]
	sum.bytes, sum.took, sum.sent, sum.resent = last.Bytes, last.AtMS, last.Sent, last.Resent
	if sum.took > 0 {
		sum.rate = float64(sum.bytes) / sum.took * 1000
	}
	var rtts []float64
	for _, r := range t.Rates {
		if r.RTTMS > 0 {
			rtts = append(rtts, r.RTTMS)
		}
	}
	slices.Sort(rtts)
	sum.rtt = plot.Quantile(rtts, 0.5)
	return sum
}

// share is that of what was sent again; false if it is not known.
func (t totals) share() (float64, bool) {
	return float64(t.resent) / float64(max(t.sent, 1)), t.sent > 0
}

// transferCharts draws speed, round trip and what was sent again, over one and
// the same time. Before may be nil.
func transferCharts(now, before *preflight.Transfer, when string) []chart {
	all, each := join(steps(now))
	if len(all) == 0 {
		return nil
	}
	var old []step
	if before != nil {
		old, _ = join(steps(before))
	}
	sum := total(now)
	end, fastest := 0.0, 1.0
	for _, s := range slices.Concat(all, old) {
		end, fastest = max(end, s.to), max(fastest, s.rate)
	}
	unit := plot.RateUnit(fastest)
	x := plot.TimeScale(end, 10)
	draw := func(id, name, unit, words string, height float64, value func(step) (float64, bool), least float64, mark func(*figure)) (chart, bool) {
		top, some := least, false
		for _, s := range slices.Concat(all, old) {
			if v, known := value(s); known {
				top = max(top, v)
			}
		}
		for _, s := range all {
			_, known := value(s)
			some = some || known
		}
		f := &figure{height: height, x: x, y: plot.NewScale(0, top, 4)}
		f.begin(id, "flow", name, words)
		f.upright(unit, f.y.Label)
		f.level(f.x.TimeLabel)
		if len(old) > 0 {
			f.steps("before", old, value)
		}
		f.steps("now", all, value)
		mark(f)
		c := chart{Name: name, Wide: true, Image: f.end()}
		if len(old) > 0 && height > small { // said once
			c.Note = "Paler: " + when + "."
		}
		if each > 1 && height > small {
			c.Note += fmt.Sprintf(" Thinned out: each point is the mean of %d samples.", each)
		}
		return c, some
	}
	var charts []chart
	add := func(c chart, some bool) {
		if some {
			charts = append(charts, c)
		}
	}
	add(draw("transfer-rate", "Speed", unit.Name, fmt.Sprintf("%s in %s s, %s on average.", plot.Bytes(sum.bytes), plot.Grouped(sum.took/1000, 1), plot.Rate(sum.rate)), tall*0.8,
		func(s step) (float64, bool) { return s.rate / unit.Size, true }, 0.1,
		func(f *figure) { f.across("median", sum.rate/unit.Size, "mean "+plot.Rate(sum.rate)) }))
	add(draw("transfer-rtt", "Round trip time, as TCP saw it", "ms", fmt.Sprintf("Median %s ms.", plot.MS(sum.rtt)), small,
		func(s step) (float64, bool) { return s.rtt, s.rtt > 0 }, 1,
		func(f *figure) { f.across("median", sum.rtt, "median "+plot.MS(sum.rtt)) }))
	share, _ := sum.share()
	add(draw("transfer-resent", "Sent again, of the segments", "%", fmt.Sprintf("%s of all segments were sent again.", plot.Percent(share)), small,
		func(s step) (float64, bool) { return s.resent * 100, s.resent >= 0 }, 1,
		func(f *figure) { f.across("median", share*100, "overall "+plot.Percent(share)) }))
	return charts
}

// steps draws a line of steps, the space below it, and a point for each.
func (f *figure) steps(class string, all []step, value func(step) (float64, bool)) {
	var runs [][]place
	var run []place
	var points []place
	for _, s := range all {
		v, known := value(s)
		if !known {
			runs, run = append(runs, run), nil
			continue
		}
		y := f.y.At(v)
		run = append(run, place{f.x.At(s.from), y}, place{f.x.At(s.to), y})
		points = append(points, place{f.x.At((s.from + s.to) / 2), y})
	}
	f.open("g", "class", "series "+class)
	f.path("stair", "below", append(runs, run))
	f.open("g", "class", "answers")
	for _, p := range points {
		f.leaf("circle", "cx", along(p.x), "cy", px(f.height*(1-p.y)), "r", "1.2")
	}
	f.close("g")
	f.close("g")
}
