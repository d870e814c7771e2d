package page

import (
	"fmt"
	"html/template"
	"strings"

	"linehaul/preflight"
	"linehaul/preflight/plot"
)

// A view is all that the page shows, in the order in which it does.
type view struct {
	Title   string
	Subject string
	Verdict preflight.Verdict
	Summary string
	Layer   string
	Next    string
	Facts   []fact

	Before   string // the day of the report that this one is compared with
	Compared []string
	Log      []string
	Key      []keyFigure
	Findings []findingRow
	Sections []section
	Groups   []group
	Cut      []string
}

// A fact is one word of what was asked, when and by whom.
type fact struct{ Name, Value string }

// A keyFigure is one of the few numbers at the top.
type keyFigure struct {
	Name, Value, Unit string
	Was, Change       string
	Trend             string
}

type findingRow struct {
	preflight.Finding
	Took string
	Was  string // the verdict before, if it was another
}

// A section is plots and tables about one thing.
type section struct {
	ID, Title string
	Charts    []chart
	Traces    []traceTable
}

// newView arranges a report. Both must be tidy.
func newView(r preflight.Report, o Options) *view {
	v := &view{Title: title(r), Subject: r.Subject, Verdict: r.Verdict, Summary: r.Summary, Layer: r.Layer, Next: r.Next, Compared: r.Compared, Log: r.Log}
	if v.Summary == "" {
		v.Summary = "Nothing was found out."
	}
	if o.Before != nil {
		v.Before = o.day(o.Before.Started)
	}
	v.facts(r, o)
	v.findings(r, o.Before)
	v.measured(r, o.Before)
	v.sections(r, o)
	v.keyFigures(r, o.Before)
	return v
}

func title(r preflight.Report) string {
	if r.Subject == "" {
		return "Check of the line"
	}
	return "Check of " + r.Subject
}

func (v *view) facts(r preflight.Report, o Options) {
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{name, value})
		}
	}
	add("target", r.Target)
	add("link", r.Link)
	add("started", o.clock(r.Started))
	if d := r.Ended.Sub(r.Started); d > 0 && !r.Started.IsZero() {
		add("took", plot.Grouped(d.Seconds(), 1)+" s")
	}
	add("linehaul", r.Version)
	add("system", r.System)
	if o.Before != nil {
		add("compared with", strings.TrimSpace(o.clock(o.Before.Started)+" ("+verdictWord(o.Before.Verdict)+")"))
	}
}

// verdictWord is what stands in tables; a verdict that nobody knows is itself.
func verdictWord(v preflight.Verdict) string {
	switch v {
	case preflight.Unknown:
		return "cannot tell"
	case "":
		return "none"
	default:
		return string(v)
	}
}

func (v *view) findings(r preflight.Report, before *preflight.Report) {
	for _, f := range r.Findings {
		row := findingRow{Finding: f}
		if f.TookMS > 0 {
			row.Took = plot.MS(f.TookMS) + " ms"
			if f.TookMS >= 1000 {
				row.Took = plot.Grouped(f.TookMS/1000, 1) + " s"
			}
		}
		old := earlier(before, f.Check, func(preflight.Finding) bool { return true })
		if old.Verdict != "" && old.Verdict != f.Verdict {
			row.Was = verdictWord(old.Verdict)
		}
		v.Findings = append(v.Findings, row)
	}
}

func (v *view) sections(r preflight.Report, o Options) {
	when := "on " + v.Before
	add := func(s section) {
		if len(s.Charts)+len(s.Traces) > 0 {
			v.Sections = append(v.Sections, s)
		}
	}
	for i, f := range r.Findings {
		if f.Ping != nil {
			name := "Round trips"
			if to := addr(f.Ping.To); to != "" {
				name += " to " + to
			}
			id := fmt.Sprintf("ping-%d", i)
			add(section{ID: id, Title: name, Charts: roundTrips(id, f.Ping, earlierPing(o.Before, f.Check), when)})
		}
		for j, t := range f.Trace {
			id := fmt.Sprintf("trace-%d-%d", i, j)
			add(section{ID: id, Title: "Hop by hop", Traces: []traceTable{hopTable(id, t, earlierTrace(o.Before, f.Check, t), when)}})
		}
		old := earlier(o.Before, f.Check, func(f preflight.Finding) bool { return len(f.MTU) > 0 }).MTU
		s := section{ID: fmt.Sprintf("mtu-%d", i), Title: "Path MTU"}
		for j, m := range f.MTU {
			if c, some := mtuChart(fmt.Sprintf("%s-%d", s.ID, j), m, earlierMTU(old, m, j), when); some {
				s.Charts = append(s.Charts, c)
			}
		}
		add(s)
	}
	if r.Transfer != nil {
		var old *preflight.Transfer
		if o.Before != nil {
			old = o.Before.Transfer
		}
		add(section{ID: "transfer", Title: "Transfer", Charts: transferCharts(r.Transfer, old, when)})
	}
	add(section{ID: "history", Title: "The runs before", Charts: o.historyCharts()})
}

// keyFigures picks the numbers at the top from what the groups hold, so that
// both say the same.
func (v *view) keyFigures(r preflight.Report, before *preflight.Report) {
	for _, pick := range []struct{ group, row, name string }{
		{"ping", "loss", "Loss"},
		{"ping", "median", "RTT, median"},
		{"ping", "95th percentile", "RTT, 95%"},
		{"ping", "jitter", "Jitter"},
		{"path MTU", "largest that passes", "Path MTU"},
		{"transfer", "speed", "Speed"},
		{"transfer", "sent again", "Sent again"},
	} {
		for _, g := range v.Groups {
			for _, row := range g.Rows {
				if g.Name == pick.group && row.Name == pick.row && !v.hasKey(pick.name) && row.Now != "–" {
					v.Key = append(v.Key, key(pick.name, row))
				}
			}
		}
	}
	for _, f := range r.Findings {
		for _, t := range f.Trace {
			if v.hasKey("Hops") || len(t.Hops) == 0 {
				continue
			}
			var g group
			old := earlierTrace(before, f.Check, t)
			n := 0
			if old != nil {
				n = len(old.Hops)
			}
			g.number("Hops", counted(""), float64(len(t.Hops)), true, float64(n), n > 0)
			v.Key = append(v.Key, key("Hops", g.Rows[0]))
		}
	}
}

func key(name string, row valueRow) keyFigure {
	k := keyFigure{Name: name, Was: row.Was, Change: row.Change, Trend: row.Trend}
	k.Value, k.Unit, _ = strings.Cut(row.Now, " ")
	return k
}

func (v *view) hasKey(name string) bool {
	for _, k := range v.Key {
		if k.Name == name {
			return true
		}
	}
	return false
}

// sign draws a verdict as a shape: a disc with a tick, a triangle, an octagon
// with a cross, a dash, a question mark.
func sign(v preflight.Verdict) template.HTML {
	var d drawing
	class := "sign unknown"
	shape, mark := "M8 1a7 7 0 1 0 0 14 7 7 0 0 0 0-14Z", "M6 6.2q.2-1.9 2.1-1.9 2 0 2 1.7 0 1.1-1.1 1.7-1 .6-1 1.5M8 11.3v.4"
	switch v {
	case preflight.OK:
		class, mark = "sign ok", "M4.8 8.2l2.3 2.3 4.2-4.8"
	case preflight.Warn:
		class, shape, mark = "sign warn", "M8 1.2 15.3 14H.7Z", "M8 5.6v4M8 11.7v.3"
	case preflight.Fail:
		class, shape, mark = "sign fail", "M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1Z", "M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2"
	case preflight.Skipped:
		class, mark = "sign skipped", "M4.8 8h6.4"
	case preflight.Unknown:
	}
	d.open("svg", "class", class, "viewBox", "0 0 16 16", "width", "16", "height", "16", "aria-hidden", "true")
	d.leaf("path", "class", "shape", "d", shape)
	d.leaf("path", "class", "mark", "d", mark)
	d.close("svg")
	return d.html()
}
