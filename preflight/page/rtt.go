package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"

	"linehaul/preflight/ping"
	"linehaul/preflight/plot"
)

// The heights of plots, in pixels.
const (
	tall  = 200
	small = 110
)

// A chart is one drawing with its caption.
type chart struct {
	Name  string // what is drawn, and in what
	Note  string // how to read it
	Wide  bool
	Image template.HTML
}

// thin returns samples of which no more than maxPoints stay, and of how many in
// a row each group is: of a group stay the fastest, the slowest, and one that
// was lost.
func thin(samples []ping.Sample) ([]ping.Sample, int) {
	if len(samples) <= maxPoints {
		return samples, 1
	}
	each := (3*len(samples) + maxPoints - 1) / maxPoints
	var kept []ping.Sample
	for group := range slices.Chunk(samples, each) {
		fast, slow, lost := -1, -1, -1
		for i, s := range group {
			switch {
			case s.Lost:
				lost = i
			case fast < 0:
				fast, slow = i, i
			case s.RTTMS < group[fast].RTTMS:
				fast = i
			case s.RTTMS > group[slow].RTTMS:
				slow = i
			}
		}
		order := []int{fast, slow, lost}
		slices.Sort(order)
		for _, i := range slices.Compact(order) {
			if i >= 0 {
				kept = append(kept, group[i])
			}
		}
	}
	return kept, each
}

// answers are the times of those that came back.
func answers(samples []ping.Sample) []float64 {
	var out []float64
	for _, s := range samples {
		if !s.Lost {
			out = append(out, s.RTTMS)
		}
	}
	return out
}

// roundTrips draws when each echo was sent and how long its answer took, those
// that were lost above, and how the times are distributed. Before may be nil.
func roundTrips(id string, now, before *ping.Series, when string) []chart {
	if len(now.Samples) == 0 {
		return nil
	}
	var old []ping.Sample
	if before != nil {
		old = before.Samples
	}
	charts := []chart{overTime(id+"-time", now, old, when)}
	if got := answers(now.Samples); len(got) > 1 {
		charts = append(charts, distribution(id+"-spread", now, got, answers(old), when))
	}
	return charts
}

func overTime(id string, now *ping.Series, old []ping.Sample, when string) chart {
	points, each := thin(now.Samples)
	pale, _ := thin(old)
	times := answers(now.Samples)
	end, top := 0.0, max(plot.Cap(times), plot.Cap(answers(old)), 0.1)
	for _, s := range slices.Concat(points, pale) {
		end = max(end, s.AtMS)
	}
	f := &figure{height: tall, x: plot.TimeScale(end, 10), y: plot.NewScale(0, top, 5)}
	silent := len(times)+len(answers(old)) == 0
	if silent {
		f.height = small / 3
	}
	c := chart{Name: "Round trip time of each echo, and which were lost", Wide: true}
	f.begin(id, "time", c.Name, describe(now))
	if !silent {
		f.upright("ms", f.y.Label)
	}
	f.level(f.x.TimeLabel)
	if len(pale) > 0 {
		f.samples("before", pale, 0)
	}
	f.lost(points)
	f.samples("now", points, each)
	if len(times) > 0 {
		f.across("median", now.MedianMS, "median "+plot.MS(now.MedianMS))
	}
	c.Image = f.end()
	if each > 1 {
		c.Note = fmt.Sprintf("Thinned out: of the %s echoes, %s are drawn. Of each %d in a row: the fastest, the slowest, and one that was lost. ", count(len(now.Samples)), count(len(points)), each)
	}
	if over := above(times, f.y.Hi); over > 0 {
		c.Note += fmt.Sprintf("Hollow at the upper edge: %s above %s ms, the slowest %s ms. ", count(over), f.y.Label(f.y.Hi), plot.MS(slices.Max(times)))
	}
	if len(pale) > 0 {
		c.Note += "Paler: " + when + "."
	}
	return c
}

func above(values []float64, limit float64) int {
	n := 0
	for _, v := range values {
		if v > limit {
			n++
		}
	}
	return n
}

// samples draws those that came back: a thin line through neighbours, and a
// point for each.
func (f *figure) samples(class string, samples []ping.Sample, each int) {
	var runs [][]place
	run := []place{}
	for _, s := range samples {
		if s.Lost {
			runs, run = append(runs, run), []place{}
			continue
		}
		run = append(run, place{f.x.At(s.AtMS), f.y.At(s.RTTMS)})
	}
	f.open("g", "class", "series "+class)
	if len(samples) <= maxPoints/5 {
		f.path("thread", "", append(runs, run))
	}
	f.open("g", "class", "answers")
	r := radius(len(samples))
	for _, s := range samples {
		if s.Lost {
			continue
		}
		a := []string{"cx", f.atX(s.AtMS), "cy", px(f.atY(s.RTTMS)), "r", r}
		if s.RTTMS > f.y.Hi {
			a = []string{"cx", f.atX(s.AtMS), "cy", "0", "r", radius(0), "class", "over"}
		}
		if each != 1 || len(samples) > maxTitled {
			f.leaf("circle", a...)
			continue
		}
		f.open("circle", a...)
		f.words("title", fmt.Sprintf("%s ms, sent at %s s", plot.MS(s.RTTMS), plot.Grouped(s.AtMS/1000, 1)))
		f.close("circle")
	}
	f.close("g")
	f.close("g")
}

// lost draws a cross above the plot, and a line down, for each that did not
// come back.
func (f *figure) lost(samples []ping.Sample) {
	gone := slices.DeleteFunc(slices.Clone(samples), func(s ping.Sample) bool { return !s.Lost })
	if len(gone) == 0 {
		return
	}
	f.open("g", "class", "drops")
	for _, s := range gone {
		f.leaf("line", "x1", f.atX(s.AtMS), "x2", f.atX(s.AtMS), "y1", "-4", "y2", px(f.height))
	}
	f.close("g")
	f.open("g", "class", "lost")
	for _, s := range gone {
		f.words("text", "×", "x", f.atX(s.AtMS), "y", "-7")
	}
	f.close("g")
	f.words("text", "lost ×", "class", "direct bad", "x", "100%", "y", "-22", "text-anchor", "end")
}

// distribution draws how many answers took how long.
func distribution(id string, now *ping.Series, got, old []float64, when string) chart {
	all := slices.Concat(got, old)
	lo, hi := slices.Min(all), plot.Cap(all)
	bins := min(24, int(3*math.Sqrt(float64(len(got))))) // of few answers, few bins
	h, was := plot.Bins(got, lo, hi, bins), plot.Bins(old, lo, hi, bins)
	share := func(h plot.Histogram, n int, total int) float64 { return float64(n) / float64(max(total, 1)) * 100 }
	unit, label := "%", "Share of the answers by ms"
	if len(old) == 0 {
		unit, label = "", "Answers by ms"
		share = func(_ plot.Histogram, n, _ int) float64 { return float64(n) }
	}
	columns := len(h.Counts)
	if h.Over+was.Over > 0 {
		columns++
	}
	most := max(share(h, h.Most(), len(got)), share(was, was.Most(), len(old)), 1)
	f := &figure{
		height: tall,
		x:      plot.Scale{Lo: h.From, Hi: h.From + float64(columns)*h.Width},
		y:      plot.NewScale(0, most, min(5, int(most))), // no half answers
	}
	axis := plot.NewScale(h.From, h.To(), 6)
	for _, v := range axis.Ticks {
		if v >= f.x.Lo-h.Width/100 && v <= h.To()+h.Width/100 {
			f.x.Ticks = append(f.x.Ticks, v)
		}
	}
	c := chart{Name: label}
	f.begin(id, "spread", c.Name, describe(now))
	f.upright(unit, f.y.Label)
	f.level(axis.Label)
	bars := func(class string, h plot.Histogram, total int, inset float64) {
		f.open("g", "class", "bars "+class)
		w := f.x.At(h.From + h.Width)
		for i, n := range append(slices.Clone(h.Counts), h.Over) {
			if n == 0 {
				continue
			}
			y := f.atY(share(h, n, total))
			f.open("rect", "x", along((float64(i)+inset)*w), "width", along(w*(1-2*inset)), "y", px(y), "height", px(f.height-y))
			from := plot.Grouped(h.From+float64(i)*h.Width, 2)
			if i < len(h.Counts) {
				f.words("title", fmt.Sprintf("%s to %s ms: %s", from, plot.Grouped(h.From+float64(i+1)*h.Width, 2), count(n)))
			} else {
				f.words("title", fmt.Sprintf("above %s ms: %s", from, count(n)))
			}
			f.close("rect")
		}
		f.close("g")
	}
	inset := 0.06
	if len(old) > 0 {
		bars("before", was, len(old), 0.02)
		inset = 0.22
	}
	bars("now", h, len(got), inset)
	f.upMark("median", now.MedianMS, "median "+plot.MS(now.MedianMS), -6, h)
	if now.P95MS > now.MedianMS {
		f.upMark("p95", now.P95MS, "95% within "+plot.MS(now.P95MS), -20, h)
	}
	if h.Over+was.Over > 0 {
		top := max(share(h, h.Over, len(got)), share(was, was.Over, len(old)))
		f.words("text", "more", "class", "direct", "x", along(1-f.x.At(h.From+h.Width)/2), "y", px(f.atY(top)-5), "text-anchor", "middle")
	}
	c.Image = f.end()
	if len(old) > 0 {
		c.Note += "Paler: " + when + "."
	}
	return c
}

// upMark draws an upright line at a value, with its label above the plot.
func (f *figure) upMark(class string, v float64, label string, y float64, h plot.Histogram) {
	at := f.x.At(min(v, h.To()))
	f.leaf("line", "class", class, "x1", along(at), "x2", along(at), "y1", px(y+3), "y2", px(f.height))
	anchor := "start"
	if at > 0.6 {
		anchor = "end"
	}
	f.words("text", label, "class", "direct "+class, "x", along(at), "y", px(y), "text-anchor", anchor)
}

// describe says in words what a series is.
func describe(s *ping.Series) string {
	return fmt.Sprintf("%s echoes sent, %s lost (%s). Round trip: shortest %s ms, median %s ms, 95th percentile %s ms, longest %s ms, jitter %s ms.",
		count(s.Sent), count(s.Sent-s.Received), plot.Percent(s.Loss), plot.MS(s.MinMS), plot.MS(s.MedianMS), plot.MS(s.P95MS), plot.MS(s.MaxMS), plot.MS(s.JitterMS))
}
