package page

import (
	"fmt"

	"linehaul/preflight/plot"
	"linehaul/preflight/pmtu"
)

// The room that the tries take, in pixels.
const (
	tryHeight  = 15
	labelSteps = 14
)

// mtuChart draws each size that was tried, one below the other, and where that
// led. Before may be nil.
func mtuChart(id string, now, before *pmtu.Result, when string) (chart, bool) {
	if len(now.Tries) == 0 {
		return chart{}, false
	}
	lo, hi := float64(now.Tries[0].Size), float64(now.Tries[0].Size)
	note := func(n int) {
		if n > 0 {
			lo, hi = min(lo, float64(n)), max(hi, float64(n))
		}
	}
	for _, t := range now.Tries {
		note(t.Size)
	}
	for _, n := range []int{now.MTU, now.Interface, now.Said} {
		note(n)
	}
	marks := []struct {
		class, text string
		size        int
	}{
		{"median", fmt.Sprintf("%s passes", count(now.MTU)), now.MTU},
		{"p95", fmt.Sprintf("interface %s", count(now.Interface)), now.Interface},
		{"p95", fmt.Sprintf("a router said %s", count(now.Said)), now.Said},
	}
	if before != nil && before.MTU > 0 {
		note(before.MTU)
		marks = append(marks, struct {
			class, text string
			size        int
		}{"was", fmt.Sprintf("%s: %s", when, count(before.MTU)), before.MTU})
	}
	f := &figure{height: float64(len(now.Tries)+1) * tryHeight, x: plot.NewScale(lo, hi, 6)}
	c := chart{Name: "Packet sizes tried" + mtuTo(now), Note: "A dot passed, a cross did not come back."}
	f.begin(id, "tries", c.Name, mtuWords(now))
	f.open("g", "class", "grid")
	for _, v := range f.x.Ticks {
		f.leaf("line", "x1", f.atX(v), "x2", f.atX(v), "y1", "0", "y2", px(f.height))
	}
	f.close("g")
	f.level(f.x.Label)
	y := -6.0
	for _, m := range marks {
		if m.size == 0 {
			continue
		}
		at := f.x.At(float64(m.size))
		anchor := "start"
		if at > 0.5 {
			anchor = "end"
		}
		f.leaf("line", "class", m.class, "x1", along(at), "x2", along(at), "y1", px(y+3), "y2", px(f.height))
		f.words("text", m.text, "class", "direct "+m.class, "x", along(at), "y", px(y), "text-anchor", anchor)
		y -= labelSteps
	}
	f.open("g", "class", "series now tries")
	for i, t := range now.Tries {
		f.try(t, float64(i+1)*tryHeight)
	}
	f.close("g")
	c.Image = f.end()
	return c, true
}

func (f *figure) try(t pmtu.Try, y float64) {
	at := f.x.At(float64(t.Size))
	dx, anchor := "9", "start"
	if at > 0.5 {
		dx, anchor = "-9", "end"
	}
	f.open("g", "class", map[bool]string{true: "passed", false: "blocked"}[t.Passed])
	if t.Passed {
		f.leaf("circle", "cx", along(at), "cy", px(y), "r", "3.2")
	} else {
		f.words("text", "×", "class", "cross", "x", along(at), "y", px(y), "dy", ".34em")
	}
	f.words("text", count(t.Size), "class", "size", "x", along(at), "dx", dx, "y", px(y), "dy", ".34em", "text-anchor", anchor)
	f.close("g")
}

func mtuTo(r *pmtu.Result) string {
	s := ", in bytes"
	if r.Way != "" {
		s += " (" + r.Way + ")"
	}
	if r.To.IsValid() {
		s += ", to " + r.To.String()
	}
	return s
}

// mtuWords says what came of it.
func mtuWords(r *pmtu.Result) string {
	s := "No size that was tried came back."
	if r.MTU > 0 {
		s = fmt.Sprintf("Packets of %s bytes pass.", count(r.MTU))
	}
	if r.BlackHole {
		s += " Larger ones vanish, and nobody says so."
	}
	if r.Unsure {
		s += " Too little came back to be sure."
	}
	if r.Said > 0 {
		s += fmt.Sprintf(" A router said %s.", count(r.Said))
	}
	return s
}
