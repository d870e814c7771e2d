package page

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/plot"
	"linehaul/preflight/trace"
)

// sparkWidth is how many characters the small plots may have.
const sparkWidth = 60

// Markdown writes the report for a ticket: the verdict, what each check found,
// what was measured, and plots as wide as a line. What strangers said cannot
// become markup.
func Markdown(w io.Writer, r preflight.Report, o Options) error {
	var t tidying
	r, o = t.report(r), t.options(o)
	v := newView(r, o)
	v.Cut = t.cut
	m := &markdown{w: bufio.NewWriter(w)}
	m.head(v)
	m.findings(v)
	m.compared(v)
	for _, f := range r.Findings {
		if f.Ping != nil && len(f.Ping.Samples) > 0 {
			m.ping(f.Ping, earlierPing(o.Before, f.Check), "on "+v.Before)
		}
		for _, t := range f.Trace {
			m.trace(t, earlierTrace(o.Before, f.Check, t), v.Before)
		}
	}
	if r.Transfer != nil {
		m.transfer(r.Transfer)
	}
	m.measured(v)
	m.history(o)
	m.log(v)
	if len(v.Cut) > 0 {
		m.say("\nLeft out, as there was too much of it: %s.\n", m.safe(strings.Join(v.Cut, "; ")))
	}
	return m.w.Flush()
}

type markdown struct {
	w *bufio.Writer
}

func (m *markdown) say(form string, args ...any) { fmt.Fprintf(m.w, form, args...) }

// safe writes a text so that it stays one: what Markdown, HTML or a ticket
// system that knows people and tickets by signs would take for its own has a
// backslash before it, or is an entity.
func (m *markdown) safe(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '@':
			b.WriteString("&#64;")
		case strings.ContainsRune("\\`*_{}[]|~^$#!", r):
			b.WriteString("\\" + string(r))
		case r == ':' && strings.HasPrefix(s[i:], "://"): // no link
			b.WriteString("&#58;")
		case r == '.' && i >= 3 && strings.EqualFold(s[i-3:i], "www"): // nor here
			b.WriteString("&#46;")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// table writes one: columns whose name begins with > are aligned right.
func (m *markdown) table(head []string, rows [][]string) {
	m.say("\n|")
	for _, h := range head {
		m.say(" %s |", strings.TrimPrefix(h, ">"))
	}
	m.say("\n|")
	for _, h := range head {
		if strings.HasPrefix(h, ">") {
			m.say("---:|")
		} else {
			m.say("---|")
		}
	}
	m.say("\n")
	for _, row := range rows {
		m.say("|")
		for _, c := range row {
			m.say(" %s |", strings.ReplaceAll(c, "\n", " "))
		}
		m.say("\n")
	}
}

// mark is a verdict's sign and word.
func mark(v preflight.Verdict) string {
	switch v {
	case preflight.OK:
		return "✓ ok"
	case preflight.Warn:
		return "⚠ warn"
	case preflight.Fail:
		return "✕ fail"
	case preflight.Skipped:
		return "– skipped"
	case preflight.Unknown:
		return "? cannot tell"
	}
	return verdictWord(v)
}

func (m *markdown) head(v *view) {
	m.say("# %s\n\n**%s: %s**\n", m.safe(v.Title), m.safe(mark(v.Verdict)), m.safe(v.Summary))
	if v.Layer != "" {
		m.say("\n- layer: %s\n", m.safe(v.Layer))
	}
	if v.Next != "" {
		if v.Layer == "" {
			m.say("\n")
		}
		m.say("- next step: %s\n", m.safe(v.Next))
	}
	var facts []string
	for _, f := range v.Facts {
		facts = append(facts, f.Name+" "+m.safe(f.Value))
	}
	if len(facts) > 0 {
		m.say("\n%s\n", strings.Join(facts, ", "))
	}
}

func (m *markdown) findings(v *view) {
	if len(v.Findings) == 0 {
		return
	}
	m.say("\n## Findings\n")
	var rows [][]string
	for _, f := range v.Findings {
		verdict, text := mark(f.Verdict), f.Text
		if f.Was != "" {
			verdict += " (was " + f.Was + ")"
		}
		if f.Hint != "" {
			text += ". Next: " + f.Hint
		}
		rows = append(rows, []string{m.safe(f.Check), m.safe(verdict), m.safe(f.Layer), m.safe(text), f.Took})
	}
	m.table([]string{"check", "verdict", "layer", "what was found", ">took"}, rows)
}

func (m *markdown) compared(v *view) {
	if len(v.Compared) == 0 {
		return
	}
	m.say("\n## What has changed\n\n")
	for _, s := range v.Compared {
		m.item(s)
	}
}

func (m *markdown) log(v *view) {
	if len(v.Log) == 0 {
		return
	}
	m.say("\n## The tunnel's log\n\n")
	for _, s := range v.Log {
		m.item(s)
	}
}

// item writes a text as one of a list; a number or a dash at its beginning
// makes no further one.
func (m *markdown) item(s string) {
	s = m.safe(strings.TrimSpace(s))
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if digits < len(s) && strings.ContainsRune("+-=.)", rune(s[digits])) {
		s = s[:digits] + "\\" + s[digits:]
	}
	m.say("- %s\n", s)
}

func (m *markdown) ping(now, before *ping.Series, when string) {
	m.say("\n## Round trips\n\n")
	m.say("%s\n", m.safe(describe(now)))
	if before != nil {
		m.say("\n%s: %s\n", m.safe(strings.ToUpper(when[:1])+when[1:]), m.safe(describe(before)))
	}
	m.say("\n```text\n")
	m.say("over time      %s, × lost\n", m.series(now))
	if before != nil && len(before.Samples) > 0 {
		m.say("before         %s\n", m.series(before))
	}
	if got := answers(now.Samples); len(got) > 1 {
		h := plot.Bins(got, now.MinMS, plot.Cap(got), 24)
		var counts []float64
		for _, n := range h.Counts {
			counts = append(counts, float64(n))
		}
		m.say("distribution   %s  %s to %s ms", plot.Spark(counts, sparkWidth, false), plot.MS(h.From), plot.MS(h.To()))
		if h.Over > 0 {
			m.say(", %s above", count(h.Over))
		}
		m.say("\n")
	}
	m.say("```\n")
}

// series draws one that has samples, and says how high it goes.
func (m *markdown) series(s *ping.Series) string {
	var values []float64
	for _, x := range s.Samples {
		if x.Lost {
			values = append(values, plot.Lost)
		} else {
			values = append(values, x.RTTMS)
		}
	}
	return plot.Spark(values, sparkWidth, false) + "  0 to " + plot.MS(max(slices.Max(values), 0)) + " ms"
}

func (m *markdown) trace(now, before *trace.Trace, when string) {
	t := hopTable("", now, before, "on "+when)
	m.say("\n## Hop by hop: %s\n", m.safe(t.Name))
	var rows [][]string
	for i, row := range t.Rows {
		var routers []string
		for _, r := range row.Routers {
			s := r.line()
			if r.More != "" {
				s += ", " + r.More
			}
			routers = append(routers, m.safe(s))
		}
		if len(routers) == 0 {
			routers = []string{"no answer"}
		}
		was := func(s string) string {
			if s == "" {
				return ""
			}
			return " (was " + m.safe(s) + ")"
		}
		loss := row.Loss
		if row.Carried {
			loss = "**" + loss + "**"
		}
		rows = append(rows, []string{
			fmt.Sprint(row.TTL), strings.Join(routers, "; ") + was(row.WasRouter), loss + was(row.WasLoss), row.Of,
			row.Best, row.Median + was(row.WasMedian), row.Worst, plot.Spark(now.Hops[i].RTTsMS, 10, false),
		})
	}
	m.table([]string{">hop", "router", ">loss", ">lost", ">best ms", ">median", ">worst", "each answer"}, rows)
	notes := strings.Join(t.Notes, " ")
	if t.Spared {
		notes += " Loss that is not bold is of that router alone, which spares its answers; the line is not to blame."
	}
	m.say("\n%s\n", m.safe(notes))
}

func (m *markdown) transfer(t *preflight.Transfer) {
	all := steps(t)
	if len(all) == 0 {
		return
	}
	sum := total(t)
	lines := []struct {
		name  string
		value func(step) float64
		text  func(float64) string
	}{
		{"speed          ", func(s step) float64 { return s.rate }, plot.Rate},
		{"round trip     ", func(s step) float64 { return s.rtt }, func(v float64) string { return plot.MS(v) + " ms" }},
		{"sent again     ", func(s step) float64 { return max(s.resent, 0) }, plot.Percent},
	}
	m.say("\n## Transfer\n\n%s in %s s, %s on average.\n\n```text\n", plot.Bytes(sum.bytes), plot.Grouped(sum.took/1000, 1), plot.Rate(sum.rate))
	for _, l := range lines {
		var values []float64
		most := 0.0
		for _, s := range all {
			values, most = append(values, l.value(s)), max(most, l.value(s))
		}
		if most > 0 {
			m.say("%s%s  0 to %s\n", l.name, plot.Spark(values, sparkWidth, false), l.text(most))
		}
	}
	m.say("```\n")
}

func (m *markdown) measured(v *view) {
	if len(v.Groups) == 0 {
		return
	}
	m.say("\n## Measured\n")
	head := []string{"", "what", "value"}
	if v.Before != "" {
		head = append(head, m.safe(v.Before), "change")
	}
	var rows [][]string
	for _, g := range v.Groups {
		name := g.Name
		for _, r := range g.Rows {
			row := []string{name, m.safe(r.Name), m.safe(r.Now)}
			if v.Before != "" {
				row = append(row, m.safe(r.Was), strings.TrimSpace(r.Change+" "+r.Trend))
			}
			rows, name = append(rows, row), ""
		}
	}
	m.table(head, rows)
}

func (m *markdown) history(o Options) {
	if len(o.History) == 0 {
		return
	}
	m.say("\n## The runs before\n\n```text\n")
	if err := plot.History(m.w, "", o.History, plot.Terminal{Width: 100, Zone: o.historyZone()}); err != nil {
		return // the writer keeps its error, and Flush returns it
	}
	m.say("```\n")
}
