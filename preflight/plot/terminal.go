package plot

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Terminal is what plots in plain text are for.
type Terminal struct {
	Width int            // in characters; below 40 counts as 40
	ASCII bool           // it shows no UTF-8
	Color bool           // it knows the usual colours
	Zone  *time.Location // whose days the columns are; nil: UTC
}

// The widths and heights of what is drawn, in characters.
const (
	leastWidth  = 40
	widestPlot  = 200
	gutter      = 9 // for the labels of the upright axis, and the axis
	tallHeight  = 6
	shortHeight = 3
	widestSlot  = 4
	maxNights   = 100_000 // that are drawn
)

// History draws the runs of a job: round trip, loss, what TCP sent again, how
// fast it went, and what came of each. Panels of which nothing was measured are
// left out. Nothing is written for no nights.
func History(w io.Writer, name string, nights []Night, t Terminal) error {
	if len(nights) == 0 {
		return nil
	}
	if t.Zone == nil {
		t.Zone = time.UTC
	}
	h := newHistory(Sorted(nights, maxNights), t)
	h.title(name)
	h.panels()
	h.results()
	h.axis()
	_, err := w.Write(h.out.Bytes())
	return err
}

type history struct {
	Terminal
	out    bytes.Buffer
	nights []Night
	raster raster
	slots  []slot
	each   int // characters that a slot is wide
}

func newHistory(nights []Night, t Terminal) *history {
	h := &history{Terminal: t, nights: nights}
	room := h.width() - gutter
	var n int
	h.raster, n = newRaster(nights, room, t.Zone)
	h.slots = make([]slot, n)
	h.each = min(max(room/n, 1), widestSlot)
	for _, night := range nights {
		h.slots[min(max(h.raster.index(night.Time), 0), n-1)].add(night)
	}
	return h
}

func (t Terminal) width() int { return min(max(t.Width, leastWidth), widestPlot) }

const dateForm = "2 Jan 2006"

func (h *history) title(name string) {
	first, last := h.nights[0].Time.In(h.Zone).Format(dateForm), h.nights[len(h.nights)-1].Time.In(h.Zone).Format(dateForm)
	runs := fmt.Sprintf("%d runs, %s to %s", len(h.nights), first, last)
	if len(h.nights) == 1 {
		runs = "1 run, " + first
	}
	name, between := h.plain(name), ": "
	if name == "" {
		between = ""
	}
	if utf8.RuneCountInString(name+between+runs) > h.width() {
		between = "\n"
	}
	letters := []rune(name)
	fmt.Fprintf(&h.out, "%s%s%s\n", string(letters[:min(len(letters), h.width())]), between, runs)
	if slices.ContainsFunc(h.slots, func(s slot) bool { return s.runs > 1 }) {
		fmt.Fprintf(&h.out, "a column is the worst of %s\n", h.raster.words())
	}
}

func (r raster) words() string {
	switch {
	case r.days == 0 && r.hours == 1:
		return "an hour"
	case r.days == 0:
		return fmt.Sprintf("%d hours", r.hours)
	case r.days == 1:
		return "a day"
	}
	return fmt.Sprintf("%d days", r.days)
}

// plain drops what a terminal would take for a command, or cannot show.
func (h *history) plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || (h.ASCII && r >= 0x80) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// A panel is one of the plots, all of which have the same columns.
type panel struct {
	name   string
	height int                        // at least, in lines
	steps  int                        // about so many, on the axis
	solid  func(slot) (float64, bool) // where the bar ends; false: not measured
	shade  func(slot) float64         // where its pale part ends; nil: it has none
	label  func(Scale, float64) string
	text   func(float64) string // of one value
	least  float64              // what the axis spans at least
	bad    bool                 // more of it is worse, and none is good
}

func (h *history) panels() {
	share := func(s Scale, v float64) string { return s.Label(v) + "%" }
	percent := func(v float64) string { return Percent(v / 100) }
	all := []panel{
		{
			name: "RTT in ms: median, and pale up to the 95th percentile", height: tallHeight, steps: 3, least: 1,
			solid: func(s slot) (float64, bool) { return s.median, s.median > 0 },
			shade: func(s slot) float64 { return s.p95 },
			label: Scale.Label, text: func(v float64) string { return MS(v) + " ms" },
		},
		{
			name: "loss", height: shortHeight, steps: 2, least: 1, bad: true,
			solid: func(s slot) (float64, bool) { return s.loss * 100, s.loss >= 0 },
			label: share, text: percent,
		},
		{
			name: "sent again by TCP", height: shortHeight, steps: 2, least: 1, bad: true,
			solid: func(s slot) (float64, bool) { return s.resent * 100, s.resent >= 0 },
			label: share, text: percent,
		},
	}
	most := 0.0
	for _, s := range h.slots {
		most = max(most, s.rate)
	}
	unit := RateUnit(most)
	all = append(all, panel{
		name: "speed in " + unit.Name, height: shortHeight, steps: 2,
		solid: func(s slot) (float64, bool) { return s.rate / unit.Size, s.rate > 0 },
		label: Scale.Label, text: func(v float64) string { return Rate(v * unit.Size) },
	})
	for _, p := range all {
		h.panel(p)
	}
}

// panel draws one, unless nothing of it was measured.
func (h *history) panel(p panel) {
	var values []float64
	top := p.least
	for _, s := range h.slots {
		v, measured := p.solid(s)
		if s.runs == 0 || !measured {
			continue
		}
		values, top = append(values, v), max(top, v)
		if p.shade != nil {
			top = max(top, p.shade(s))
		}
	}
	if len(values) == 0 {
		return
	}
	scale := NewScale(0, top, p.steps)
	steps := len(scale.Ticks) - 1 // each as many lines high as the others, so that labels stand where they should
	p.height = (p.height + steps - 1) / steps * steps
	last := values[len(values)-1]
	slices.Sort(values)
	fmt.Fprintf(&h.out, "\n%s%s\n", strings.Repeat(" ", gutter), h.heading(p.name, "last "+p.text(last)+", usually "+p.text(Quantile(values, 0.5))))
	labels := map[int]string{}
	for _, v := range scale.Ticks {
		labels[p.height-int(scale.At(v)*float64(p.height)+0.5)] = p.label(scale, v)
	}
	for line := range p.height {
		h.gutter(labels[line])
		h.line(p, scale, line)
	}
	h.gutter(labels[p.height])
	h.ground(p)
}

// heading is the name of a panel and, as far as there is room, what it shows.
func (h *history) heading(name, what string) string {
	room := h.width() - gutter
	if long := name + "; " + what; utf8.RuneCountInString(long) <= room {
		return h.paint(bold, name) + "; " + what
	}
	short, _, _ := strings.Cut(name, ":")
	if long := short + "; " + what; utf8.RuneCountInString(long) <= room {
		return h.paint(bold, short) + "; " + what
	}
	return h.paint(bold, short)
}

func (h *history) gutter(label string) {
	axis := "│"
	switch {
	case h.ASCII:
		axis = "|"
	case label != "":
		axis = "┤"
	}
	fmt.Fprintf(&h.out, "%s%s%s", strings.Repeat(" ", max(0, gutter-2-utf8.RuneCountInString(label))), h.paint(dim, label), " ")
	h.out.WriteString(h.paint(dim, axis))
}

// line draws one line of a panel: the top is 0.
func (h *history) line(p panel, scale Scale, line int) {
	floor := float64(p.height - line - 1) // the lines below
	var b strings.Builder
	for _, s := range h.slots {
		cell := " "
		if v, measured := p.solid(s); s.runs > 0 && measured {
			high := scale.At(v)*float64(p.height) - floor
			pale := 0.0
			if p.shade != nil {
				pale = scale.At(p.shade(s))*float64(p.height) - floor
			}
			cell = h.cell(high, pale, floor == 0 && v > 0)
		}
		b.WriteString(h.spread(cell))
	}
	colour := ""
	if p.bad {
		colour = red
	}
	h.out.WriteString(h.paint(colour, strings.TrimRight(b.String(), " ")) + "\n")
}

// cell is what stands where a bar reaches so high into a line, of which 1 is
// all. The lowest line of a bar that is not nothing is never empty.
func (h *history) cell(high, pale float64, some bool) string {
	eighths := int(min(max(high, 0), 1)*8 + 0.5)
	if some {
		eighths = max(eighths, 1)
	}
	switch {
	case h.ASCII && eighths >= 4:
		return "#"
	case h.ASCII && some:
		return "_"
	case h.ASCII && pale >= 0.5:
		return ":"
	case h.ASCII:
		return " "
	case eighths > 0:
		return string([]rune("▁▂▃▄▅▆▇█")[eighths-1])
	case pale >= 0.5:
		return "░"
	}
	return " "
}

// spread makes a cell as wide as a slot, with a gap if there is room for one.
func (h *history) spread(cell string) string {
	if cell == " " || h.each == 1 {
		return cell + strings.Repeat(" ", h.each-1)
	}
	return strings.Repeat(cell, h.each-1) + " "
}

// ground draws the line that bars stand on: a gap where nothing was measured.
func (h *history) ground(p panel) {
	on, off := "─", "·"
	if h.ASCII {
		on, off = "-", "."
	}
	var b strings.Builder
	for _, s := range h.slots {
		if _, measured := p.solid(s); s.runs > 0 && measured {
			b.WriteString(strings.Repeat(on, h.each))
		} else {
			b.WriteString(strings.Repeat(off, h.each))
		}
	}
	h.out.WriteString(h.paint(dim, b.String()) + "\n")
}

// results draws what came of each run, and says what the signs mean.
func (h *history) results() {
	signs := map[string]string{resultOK: "✓", resultWarn: "!", resultFail: "✕", resultSkipped: "–", "": "?"}
	if h.ASCII {
		signs = map[string]string{resultOK: "+", resultWarn: "!", resultFail: "X", resultSkipped: "-", "": "?"}
	}
	colours := map[string]string{resultOK: green, resultWarn: yellow, resultFail: red}
	counts := map[string]int{}
	for _, n := range h.nights {
		r := n.Result
		if _, known := signs[r]; !known {
			r = ""
		}
		counts[r]++
	}
	var words []string
	for _, r := range []string{resultOK, resultWarn, resultFail, resultSkipped, ""} {
		if word := r; counts[r] > 0 {
			if word == "" {
				word = "not known"
			}
			words = append(words, fmt.Sprintf("%s %d %s", signs[r], counts[r], word))
		}
	}
	fmt.Fprintf(&h.out, "\n%s%s\n%s", strings.Repeat(" ", gutter), h.heading("result", strings.Join(words, ", ")), strings.Repeat(" ", gutter))
	var b strings.Builder
	for _, s := range h.slots {
		r, sign := s.result, " "
		if _, known := signs[r]; !known {
			r = ""
		}
		if s.runs > 0 {
			sign = h.paint(colours[r], signs[r])
		}
		b.WriteString(sign + strings.Repeat(" ", h.each-1))
	}
	h.out.WriteString(strings.TrimRight(b.String(), " ") + "\n")
}

// axis writes dates below the columns, as many as have room.
func (h *history) axis() {
	form := "2 Jan"
	if h.raster.begin(len(h.slots)).Sub(h.raster.first) > 400*24*time.Hour {
		form = "Jan 2006"
	}
	room := len(h.slots) * h.each
	marks := []rune(strings.Repeat(map[bool]string{false: "─", true: "-"}[h.ASCII], room))
	words := []rune(strings.Repeat(" ", room+len(form)))
	free := 0
	for i, before := 0, ""; i < len(h.slots); i++ {
		at, text := i*h.each, h.raster.begin(i).In(h.Zone).Format(form)
		if text == before || at < free || at+len(text) > h.width()-gutter || !h.marked(i) {
			continue
		}
		before = text
		marks[at] = '┬'
		if h.ASCII {
			marks[at] = '+'
		}
		free = at + copy(words[at:], []rune(text)) + 2
	}
	pad := strings.Repeat(" ", gutter)
	fmt.Fprintf(&h.out, "%s%s\n%s%s\n", pad, h.paint(dim, string(marks)), pad, strings.TrimRight(string(words), " "))
}

// marked reports whether a slot may have a date below it: the days that are a
// round number of days after the first one, midnights only.
func (h *history) marked(i int) bool {
	if h.raster.days == 0 {
		return h.raster.begin(i).In(h.Zone).Hour() == 0
	}
	all := len(h.slots) * h.each
	for _, every := range []int{1, 2, 7, 14, 28, 56} {
		if all/(len("22 Nov")+2) >= len(h.slots)/every {
			return i%every == 0
		}
	}
	return true
}

// The colours that all terminals with colours know.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (h *history) paint(colour, s string) string {
	if !h.Color || colour == "" || strings.TrimSpace(s) == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}
