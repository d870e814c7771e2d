package page

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"linehaul/preflight/plot"
	"linehaul/preflight/trace"
)

// A traceTable is one trace: a row for each hop, with its drawings.
type traceTable struct {
	Name   string
	Way    string
	Notes  []string
	Spared bool   // a hop has loss that later hops do not share
	Before string // when the trace was that this one is compared with; empty: it is not
	Axis   template.HTML
	Rows   []hopRow
}

// A hopRow is one hop. What begins with Was is empty if nothing has changed, or
// no more than a tenth.
type hopRow struct {
	TTL               int
	Routers           []routerText
	WasRouter         string
	Loss, Of, WasLoss string
	Carried           bool // later hops share the loss
	Bar, Strip        template.HTML
	Best, Worst       string
	Median, WasMedian string
}

type routerText struct {
	Name, Addr, More string
}

// carried returns for each hop how much of its loss every later hop shares, as
// far as one answers at all: a router may spare answers to probes, but a line
// that loses packets loses those to all that is behind it.
func carried(hops []trace.Hop) []float64 {
	out := make([]float64, len(hops))
	share := 1.0
	heard := false
	for i, h := range slices.Backward(hops) {
		if h.Recv > 0 || !heard {
			share = min(share, h.Loss)
		}
		heard = heard || h.Recv > 0
		out[i] = min(share, h.Loss)
	}
	return out
}

// hopTable lays out one trace beside an earlier one, which may be nil.
func hopTable(id string, now, before *trace.Trace, when string) traceTable {
	t := traceTable{Name: traceName(now), Way: now.Way}
	old := map[int]trace.Hop{}
	each := maxPoints / max(len(now.Hops), 1) // points, at most
	if before != nil {
		t.Before = when
		for _, h := range before.Hops {
			old[h.TTL] = h
		}
	}
	top := 0.1
	var times []float64
	for _, h := range now.Hops {
		times = append(times, h.RTTsMS...)
		top = max(top, h.MedMS)
	}
	for _, h := range old {
		top = max(top, h.MedMS)
	}
	x := plot.NewScale(0, max(top, plot.Cap(times)), 4)
	digits := 1
	if x.Hi <= 10 {
		digits = 2
	}
	t.Axis = hopAxis(x)
	shared := carried(now.Hops)
	spared := false
	for i, h := range now.Hops {
		was, known := old[h.TTL]
		row := hopRow{
			TTL: h.TTL, Carried: shared[i] > 0, Loss: plot.Percent(h.Loss), Of: fmt.Sprintf("%d of %d", h.Sent-h.Recv, h.Sent),
			Bar:   lossBar(h.Loss, shared[i]),
			Strip: hopStrip(fmt.Sprintf("%s-%d", id, i), x, h, was, each),
		}
		for _, r := range h.Routers {
			row.Routers = append(row.Routers, routerWords(r))
		}
		if h.Recv > 0 {
			row.Best, row.Median, row.Worst = plot.Grouped(h.BestMS, digits), plot.Grouped(h.MedMS, digits), plot.Grouped(h.WorstMS, digits)
		}
		if known {
			row.compare(h, was, digits)
		}
		spared = spared || h.Recv > 0 && h.Loss > shared[i]
		t.Rows = append(t.Rows, row)
	}
	t.note(now, spared)
	if slices.ContainsFunc(now.Hops, func(h trace.Hop) bool { return len(h.RTTsMS) > each }) {
		t.Notes = append(t.Notes, fmt.Sprintf("Thinned out: of each hop, the latest %s answers are drawn.", count(each)))
	}
	return t
}

func (row *hopRow) compare(h, was trace.Hop, digits int) {
	if was.Loss != h.Loss {
		row.WasLoss = plot.Percent(was.Loss)
	}
	if d := h.MedMS - was.MedMS; was.Recv > 0 && max(d, -d) > max(h.MedMS, was.MedMS)/10 {
		row.WasMedian = plot.Grouped(was.MedMS, digits)
	}
	if len(was.Routers) > 0 && !slices.ContainsFunc(h.Routers, func(r trace.Router) bool { return r.Addr == was.Routers[0].Addr }) {
		row.WasRouter = routerWords(was.Routers[0]).line()
	}
}

func (t *traceTable) note(now *trace.Trace, spared bool) {
	say := func(form string, args ...any) { t.Notes = append(t.Notes, fmt.Sprintf(form, args...)) }
	switch first := now.LossFrom(); {
	case len(now.Hops) == 0:
		say("No hop was found.")
	case !now.Reached:
		say("The host itself did not answer.")
	case first == nil:
		say("No loss at the host.")
	default:
		say("Loss that lasts to the host begins at hop %d.", first.TTL)
	}
	t.Spared = spared
	if now.Missing != "" {
		say("Not all could be seen: %s.", now.Missing)
	}
	if now.Error != "" {
		say("The system last said: %s.", now.Error)
	}
}

func traceName(t *trace.Trace) string {
	s := strings.ToUpper(string(t.Method))
	if t.Port != 0 {
		s += fmt.Sprintf(" port %d", t.Port)
	}
	if t.To.IsValid() {
		s += " to " + t.To.String()
	}
	return s
}

func routerWords(r trace.Router) routerText {
	var more []string
	for _, s := range []string{r.AS, r.Place, r.Said} {
		if s != "" {
			more = append(more, s)
		}
	}
	out := routerText{Name: r.Name, Addr: "this machine", More: strings.Join(more, " · ")}
	if r.Addr.IsValid() {
		out.Addr = r.Addr.String()
	}
	return out
}

// line is a router in one line.
func (r routerText) line() string {
	if r.Name == "" {
		return r.Addr
	}
	return r.Name + " (" + r.Addr + ")"
}

func hopAxis(x plot.Scale) template.HTML {
	var d drawing
	d.open("svg", "class", "strip-axis", "height", "14", "aria-hidden", "true")
	for i, v := range x.Ticks {
		anchor, class := "middle", "even"
		switch {
		case i == 0:
			anchor = "start"
		case i == len(x.Ticks)-1:
			anchor = "end"
		case i%2 == 1:
			class = "odd"
		}
		d.words("text", x.Label(v), "class", class, "x", along(x.At(v)), "y", "11", "text-anchor", anchor)
	}
	d.close("svg")
	return d.html()
}

// lossBar draws the loss of a hop from 0 to all: solid as far as later hops
// share it.
func lossBar(loss, shared float64) template.HTML {
	var d drawing
	d.open("svg", "class", "bar", "height", "6", "aria-hidden", "true")
	d.leaf("rect", "class", "all", "width", "100%", "height", "6")
	if loss > shared {
		d.leaf("rect", "class", "spared", "x", along(shared), "width", along(min(1, loss)-shared), "height", "6")
	}
	if shared > 0 {
		d.leaf("rect", "class", "carried", "width", along(min(1, shared)), "height", "6")
	}
	d.close("svg")
	return d.html()
}

// hopStrip draws a point for each answer of a hop, a bar at their median, and
// the same, paler and below, for the hop as it was. Of more than so many answers
// it draws the latest.
func hopStrip(id string, x plot.Scale, h, was trace.Hop, most int) template.HTML {
	f := figure{x: x}
	f.open("svg", "class", "strip", "role", "img", "aria-labelledby", id)
	f.words("title", fmt.Sprintf("Hop %d: %d of %d answered, from %s to %s ms, median %s ms", h.TTL, h.Recv, h.Sent, plot.MS(h.BestMS), plot.MS(h.WorstMS), plot.MS(h.MedMS)), "id", id)
	f.open("g", "class", "grid")
	for _, v := range x.Ticks {
		f.leaf("line", "x1", f.atX(v), "x2", f.atX(v), "y1", "0", "y2", "100%")
	}
	f.close("g")
	if was.Recv > 0 {
		f.open("g", "class", "series before")
		f.leaf("line", "class", "range", "x1", f.atX(was.BestMS), "x2", f.atX(was.WorstMS), "y1", "78%", "y2", "78%")
		f.leaf("line", "class", "mid", "x1", f.atX(was.MedMS), "x2", f.atX(was.MedMS), "y1", "66%", "y2", "90%")
		f.close("g")
	}
	if h.Recv > 0 {
		f.open("g", "class", "series now")
		f.leaf("line", "class", "range", "x1", f.atX(h.BestMS), "x2", f.atX(h.WorstMS), "y1", "46%", "y2", "46%")
		f.open("g", "class", "answers")
		for _, v := range h.RTTsMS[max(0, len(h.RTTsMS)-most):] {
			class := []string{}
			if v > x.Hi {
				class = []string{"class", "over"}
			}
			f.leaf("circle", append([]string{"cx", f.atX(v), "cy", "46%", "r", "2.2"}, class...)...)
		}
		f.close("g")
		f.leaf("line", "class", "mid", "x1", f.atX(h.MedMS), "x2", f.atX(h.MedMS), "y1", "22%", "y2", "70%")
		f.close("g")
	}
	f.close("svg")
	return f.html()
}
