package page

import (
	"fmt"
	"time"

	"linehaul/preflight/plot"
)

// historyCharts draws what the runs of a job measured, over the same days.
func (o Options) historyCharts() []chart {
	nights := o.History
	if len(nights) == 0 {
		return nil
	}
	first, last := o.in(nights[0].Time), o.in(nights[len(nights)-1].Time)
	days := dayScale(first, last)
	fastest := 0.0
	for _, n := range nights {
		fastest = max(fastest, n.BytesPerSecond)
	}
	unit := plot.RateUnit(fastest)
	var charts []chart
	for _, p := range []nightPlot{
		{id: "rtt", name: "Round trip time: median, and up to the 95th percentile", unit: "ms", height: tall * 0.8, least: 1,
			value: func(n plot.Night) (float64, bool) { return n.MedianMS, n.MedianMS > 0 },
			upto:  func(n plot.Night) float64 { return max(n.P95MS, n.MedianMS) },
			text:  func(v float64) string { return plot.MS(v) + " ms" }},
		{id: "loss", name: "Loss", unit: "%", height: small, least: 1, bad: true,
			value: func(n plot.Night) (float64, bool) { return n.LossShare * 100, n.LossShare >= 0 },
			text:  func(v float64) string { return plot.Percent(v / 100) }},
		{id: "resent", name: "Sent again by TCP", unit: "%", height: small, least: 1, bad: true,
			value: func(n plot.Night) (float64, bool) { return n.ResentShare * 100, n.ResentShare >= 0 },
			text:  func(v float64) string { return plot.Percent(v / 100) }},
		{id: "speed", name: "Speed", unit: unit.Name, height: small, least: 0.1,
			value: func(n plot.Night) (float64, bool) { return n.BytesPerSecond / unit.Size, n.BytesPerSecond > 0 },
			text:  func(v float64) string { return plot.Rate(v * unit.Size) }},
	} {
		if c, some := o.night(p, nights, days); some {
			charts = append(charts, c)
		}
	}
	return charts
}

// historyZone is the one whose days a plot of the history has.
func (o Options) historyZone() *time.Location {
	if o.Zone == nil && len(o.History) > 0 {
		return o.History[0].Time.Location()
	}
	return o.Zone
}

// A dayAxis is a scale over days, whose values are seconds from its first
// midnight.
type dayAxis struct {
	plot.Scale
	first time.Time
	form  string
}

// dayScale covers the days from first to last, with at most a dozen ticks.
func dayScale(first, last time.Time) dayAxis {
	a := dayAxis{first: midnight(first, 0), form: "2 Jan"}
	end := midnight(last, 1)
	days := int(end.Sub(a.first).Hours()/24 + 0.5)
	step := 1
	for _, step = range []int{1, 2, 7, 14, 28, 91, 182, 364, 3640} {
		if days/step <= 12 {
			break
		}
	}
	if days > 300 {
		a.form = "Jan 2006"
	}
	a.Hi = max(end.Sub(a.first).Seconds(), 1)
	for i := 0; i <= days && len(a.Ticks) < 64; i += step {
		a.Ticks = append(a.Ticks, midnight(a.first, i).Sub(a.first).Seconds())
	}
	return a
}

func midnight(t time.Time, later int) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+later, 0, 0, 0, 0, t.Location())
}

func (a dayAxis) at(t time.Time) float64 { return t.Sub(a.first).Seconds() }

func (a dayAxis) label(v float64) string {
	return a.first.Add(time.Duration(v) * time.Second).Format(a.form)
}

type nightPlot struct {
	id, name, unit string
	height, least  float64
	bad            bool
	value          func(plot.Night) (float64, bool) // false: not measured
	upto           func(plot.Night) float64         // nil: a bar ends at the value
	text           func(float64) string
}

// night draws one value of all nights: a bar for what is a share or a speed, a
// point and a line up for what has a spread. A failed run has a cross.
func (o Options) night(p nightPlot, nights []plot.Night, days dayAxis) (chart, bool) {
	top, some, last := p.least, false, 0.0
	for _, n := range nights {
		if v, known := p.value(n); known {
			top, some, last = max(top, v), true, v
			if p.upto != nil {
				top = max(top, p.upto(n))
			}
		}
	}
	f := &figure{height: p.height, x: days.Scale, y: plot.NewScale(0, top, 4)}
	c := chart{Name: p.name, Wide: true}
	f.begin("history-"+p.id, "nights", p.name, fmt.Sprintf("%s runs, the last one %s.", count(len(nights)), p.text(last)))
	f.upright(p.unit, f.y.Label)
	f.level(days.label)
	class := "series now"
	if p.bad {
		class = "series bad"
	}
	f.open("g", "class", class)
	for _, n := range nights {
		x := f.atX(days.at(n.Time))
		if v, known := p.value(n); known {
			f.open("g", "class", "night")
			f.words("title", o.in(n.Time).Format("2 Jan 2006 15:04")+": "+p.text(v)+", "+orNot(n.Result))
			if p.upto != nil {
				f.leaf("line", "class", "spread", "x1", x, "x2", x, "y1", px(f.atY(v)), "y2", px(f.atY(p.upto(n))))
			} else {
				f.leaf("line", "class", "stem", "x1", x, "x2", x, "y1", px(f.height), "y2", px(f.atY(v)))
			}
			f.leaf("circle", "cx", x, "cy", px(f.atY(v)), "r", radius(len(nights)*4))
			f.close("g")
		}
	}
	f.close("g")
	f.open("g", "class", "lost")
	for _, n := range nights {
		if n.Result == "fail" {
			f.words("text", "×", "x", f.atX(days.at(n.Time)), "y", "-5")
			if p.upto != nil { // said once
				c.Note = "×: the run failed."
			}
		}
	}
	f.close("g")
	c.Image = f.end()
	return c, some
}

func orNot(result string) string {
	if result == "" {
		return "result not known"
	}
	return result
}
