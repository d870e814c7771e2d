package page

import (
	"fmt"
	"net/netip"
	"strings"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/plot"
	"linehaul/preflight/pmtu"
	"linehaul/preflight/port"
	"linehaul/preflight/trace"
)

// A group is what one check measured, line by line.
type group struct {
	Name string
	Rows []valueRow
}

// A valueRow is one value, what it was before, and the difference.
type valueRow struct {
	Name, Now, Was, Change string
	Trend                  string // "worse", "better" or "": in words too, as not all see colours
}

// text adds a value that is not compared by size. Nothing is added for none.
func (g *group) text(name, now, was string) {
	if now == "" && was == "" {
		return
	}
	row := valueRow{Name: name, Now: orDash(now), Was: was}
	if was != "" && now != was {
		row.Change = "changed"
	}
	g.Rows = append(g.Rows, row)
}

// A figureOf says how a number is written, compared and judged.
type figureOf struct {
	write func(float64) string
	delta func(float64) string
	up    string  // what more of it is: "worse", "better" or ""
	least float64 // a smaller difference is chance
}

func milliseconds() figureOf {
	ms := func(v float64) string { return plot.MS(v) + " ms" }
	return figureOf{ms, ms, "worse", 0.5}
}

func shareOf() figureOf {
	return figureOf{plot.Percent, func(v float64) string { return strings.TrimSuffix(plot.Percent(v), "%") + " points" }, "worse", 0.005}
}

func counted(up string) figureOf {
	n := func(v float64) string { return plot.Grouped(v, 0) }
	return figureOf{n, n, up, 0}
}

func sized(up string) figureOf {
	bytes := func(v float64) string { return plot.Bytes(int64(v)) }
	return figureOf{bytes, bytes, up, 0}
}

func speed() figureOf { return figureOf{plot.Rate, plot.Rate, "better", 0} }

// number adds a value that is, and was, measured or not.
func (g *group) number(name string, as figureOf, now float64, is bool, was float64, wasToo bool) {
	if !is && !wasToo {
		return
	}
	row := valueRow{Name: name, Now: "–"}
	if is {
		row.Now = as.write(now)
	}
	if wasToo {
		row.Was = as.write(was)
	}
	if is && wasToo {
		row.Change, row.Trend = as.change(now, was)
	}
	g.Rows = append(g.Rows, row)
}

// change writes a difference with its sign, and what it means if it is more
// than a tenth.
func (as figureOf) change(now, was float64) (string, string) {
	d := now - was
	if as.write(now) == as.write(was) {
		return "same", ""
	}
	sign, trend := "+", as.up
	if d < 0 {
		sign, d = "\u2212", -d
		trend = map[string]string{"worse": "better", "better": "worse"}[as.up]
	}
	if d < max(as.least, now/10, was/10) {
		trend = ""
	}
	return sign + as.delta(d), trend
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// earlier returns what the same check found before, or nothing.
func earlier(before *preflight.Report, check string, has func(preflight.Finding) bool) preflight.Finding {
	if before != nil {
		for _, f := range before.Findings {
			if f.Check == check && has(f) {
				return f
			}
		}
	}
	return preflight.Finding{}
}

// measured lays out what all checks measured, beside an earlier report.
func (v *view) measured(r preflight.Report, before *preflight.Report) {
	for _, f := range r.Findings {
		if f.Name != nil {
			v.group("name", nameGroup(f.Name, earlier(before, f.Check, func(f preflight.Finding) bool { return f.Name != nil }).Name))
		}
		if f.Link != nil {
			v.group("link", linkGroup(f.Link, earlier(before, f.Check, func(f preflight.Finding) bool { return f.Link != nil }).Link))
		}
		if f.Ping != nil {
			v.group("ping", pingGroup(f.Ping, earlierPing(before, f.Check)))
		}
		if len(f.Ports) > 0 {
			v.group("port", portGroup(f.Ports, earlier(before, f.Check, func(f preflight.Finding) bool { return len(f.Ports) > 0 }).Ports))
		}
		old := earlier(before, f.Check, func(f preflight.Finding) bool { return len(f.MTU) > 0 }).MTU
		for i, m := range f.MTU {
			v.group("path MTU", mtuGroup(m, earlierMTU(old, m, i)))
		}
		if f.SSH != nil {
			v.group("ssh", sshGroup(f.SSH, earlier(before, f.Check, func(f preflight.Finding) bool { return f.SSH != nil }).SSH))
		}
		if f.Space != nil {
			v.group("space", spaceGroup(f.Space, earlier(before, f.Check, func(f preflight.Finding) bool { return f.Space != nil }).Space))
		}
		if f.Clock != nil {
			v.group("clock", clockGroup(f.Clock, earlier(before, f.Check, func(f preflight.Finding) bool { return f.Clock != nil }).Clock))
		}
	}
	if r.Transfer != nil {
		var old *preflight.Transfer
		if before != nil {
			old = before.Transfer
		}
		v.group("transfer", transferGroup(r.Transfer, old))
	}
}

func (v *view) group(name string, rows []valueRow) {
	if len(rows) > 0 {
		v.Groups = append(v.Groups, group{name, rows})
	}
}

func earlierPing(before *preflight.Report, check string) *ping.Series {
	return earlier(before, check, func(f preflight.Finding) bool { return f.Ping != nil }).Ping
}

// earlierTrace returns the one by the same method.
func earlierTrace(before *preflight.Report, check string, t *trace.Trace) *trace.Trace {
	same := func(old *trace.Trace) bool { return old.Method == t.Method && old.Port == t.Port }
	for _, old := range earlier(before, check, func(f preflight.Finding) bool { return len(f.Trace) > 0 }).Trace {
		if same(old) {
			return old
		}
	}
	return nil
}

// earlierMTU returns the one by the same way, or else the one in the same place.
func earlierMTU(old []*pmtu.Result, m *pmtu.Result, i int) *pmtu.Result {
	for _, o := range old {
		if o.Way == m.Way {
			return o
		}
	}
	if i < len(old) {
		return old[i]
	}
	return nil
}

// or returns an empty one for what was not measured before, and whether it was.
func or[T any](p *T) (T, bool) {
	if p == nil {
		var none T
		return none, false
	}
	return *p, true
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func nameGroup(now, before *preflight.Name) []valueRow {
	var g group
	was, is := or(before)
	list := func(n preflight.Name) string {
		var out []string
		for _, a := range n.Addresses {
			out = append(out, addr(a))
		}
		return strings.Join(out, ", ")
	}
	g.text("name", now.Name, was.Name)
	g.text("addresses", list(*now), list(was))
	g.text("said by", now.Server, was.Server)
	g.number("took", milliseconds(), now.TookMS, now.TookMS > 0, was.TookMS, is && was.TookMS > 0)
	return g.Rows
}

func linkGroup(now, before *preflight.Link) []valueRow {
	var g group
	was, is := or(before)
	g.text("kind", now.Kind, was.Kind)
	g.text("interface", now.Interface, was.Interface)
	g.text("source", addr(now.Source), addr(was.Source))
	g.text("next hop", addr(now.Via), addr(was.Via))
	g.text("gateway", now.Gateway, was.Gateway)
	g.text("associations", strings.Join(now.SAs, "; "), strings.Join(was.SAs, "; "))
	g.number("round trip inside", milliseconds(), now.RTTMS, now.RTTMS > 0, was.RTTMS, is && was.RTTMS > 0)
	return g.Rows
}

func pingGroup(now, before *ping.Series) []valueRow {
	var g group
	was, is := or(before)
	heard, heardThen := now.Received > 0, is && was.Received > 0
	g.text("to", addr(now.To), addr(was.To))
	g.text("sent by", now.Way, was.Way)
	g.number("bytes in each", counted(""), float64(now.Size), true, float64(was.Size), is)
	g.number("sent", counted(""), float64(now.Sent), true, float64(was.Sent), is)
	g.number("received", counted(""), float64(now.Received), true, float64(was.Received), is)
	g.number("loss", shareOf(), now.Loss, now.Sent > 0, was.Loss, is && was.Sent > 0)
	for _, x := range []struct {
		name     string
		now, was float64
	}{
		{"shortest", now.MinMS, was.MinMS}, {"median", now.MedianMS, was.MedianMS}, {"95th percentile", now.P95MS, was.P95MS},
		{"longest", now.MaxMS, was.MaxMS}, {"standard deviation", now.StdDevMS, was.StdDevMS}, {"jitter", now.JitterMS, was.JitterMS},
	} {
		g.number(x.name, milliseconds(), x.now, heard, x.was, heardThen)
	}
	g.number("came too late", counted("worse"), float64(now.Late), now.Late > 0, float64(was.Late), is && was.Late > 0)
	g.number("duplicates", counted("worse"), float64(now.Duplicates), true, float64(was.Duplicates), is)
	g.number("out of order", counted("worse"), float64(now.Reordered), true, float64(was.Reordered), is)
	g.text("others said", strings.Join(now.Said, "; "), strings.Join(was.Said, "; "))
	return g.Rows
}

func portGroup(now, before []port.Result) []valueRow {
	var g group
	for _, p := range now {
		was := ""
		for _, old := range before {
			if old.Port == p.Port && old.Network == p.Network {
				was = portWords(old)
				break
			}
		}
		row := valueRow{Name: fmt.Sprintf("%d/%s at %s", p.Port, p.Network, orDash(addr(p.Addr))), Now: portWords(p), Was: was}
		for _, old := range before {
			if old.Port == p.Port && old.Network == p.Network && old.State != p.State {
				row.Change = "changed"
				if old.State == port.Open {
					row.Trend = "worse"
				} else if p.State == port.Open {
					row.Trend = "better"
				}
				break
			}
		}
		g.Rows = append(g.Rows, row)
	}
	return g.Rows
}

// portWords says what was found of a port, who said so, and how fast.
func portWords(p port.Result) string {
	s := string(p.State)
	if p.ConnectMS > 0 {
		s += " in " + plot.MS(p.ConnectMS) + " ms"
	}
	if p.From.IsValid() {
		s += ", said " + p.From.String()
	}
	if p.Payload != "" {
		s += ", asked by " + p.Payload
	}
	if p.Answer != "" {
		s += ": " + p.Answer
	}
	if p.Mismatch {
		s += ", which is no answer to that"
	}
	if p.Error != "" {
		s += " (" + p.Error + ")"
	}
	return s
}

func mtuGroup(now, before *pmtu.Result) []valueRow {
	var g group
	was, is := or(before)
	hole := func(r pmtu.Result, known bool) string {
		switch {
		case !known:
			return ""
		case r.BlackHole:
			return "yes: larger packets vanish, and nobody says so"
		}
		return "no"
	}
	g.text("to", addr(now.To), addr(was.To))
	g.text("tried by", now.Way, was.Way)
	g.number("largest that passes", counted("better"), float64(now.MTU), now.MTU > 0, float64(was.MTU), is && was.MTU > 0)
	g.number("smallest tried", counted(""), float64(now.Least), now.Least > 0, float64(was.Least), is && was.Least > 0)
	g.number("of the interface", counted(""), float64(now.Interface), now.Interface > 0, float64(was.Interface), is && was.Interface > 0)
	g.number("a router said", counted(""), float64(now.Said), now.Said > 0, float64(was.Said), is && was.Said > 0)
	g.text("that router", addr(now.By), addr(was.By))
	g.text("black hole", hole(*now, true), hole(was, is))
	g.text("instead of answers", now.Refused, was.Refused)
	if now.Unsure {
		g.text("unsure", "too little came back to tell", "")
	}
	return g.Rows
}

func sshGroup(now, before *preflight.SSH) []valueRow {
	var g group
	was, is := or(before)
	g.text("banner", now.Banner, was.Banner)
	g.text("host key", now.HostKey, was.HostKey)
	g.text("which is", now.HostKeyIs, was.HostKeyIs)
	g.text("key types", strings.Join(now.KeyTypes, ", "), strings.Join(was.KeyTypes, ", "))
	g.text("key exchanges", strings.Join(now.Offers, ", "), strings.Join(was.Offers, ", "))
	g.number("round trips to the host key", counted("worse"), float64(now.RoundTrips), now.RoundTrips > 0, float64(was.RoundTrips), is && was.RoundTrips > 0)
	g.number("took", milliseconds(), now.TookMS, now.TookMS > 0, was.TookMS, is && was.TookMS > 0)
	g.text("logged in as", now.LoggedIn, was.LoggedIn)
	return g.Rows
}

func spaceGroup(now, before *preflight.Space) []valueRow {
	var g group
	was, is := or(before)
	wrote := func(s preflight.Space, known bool) string {
		switch {
		case !known:
			return ""
		case s.Written:
			return "yes: a file was made and removed"
		}
		return "no"
	}
	g.text("folder", now.Folder, was.Folder)
	g.text("where", now.Where, was.Where)
	g.number("free", sized("better"), float64(now.Free), now.Free >= 0, float64(was.Free), is && was.Free >= 0)
	g.number("needed", sized(""), float64(now.Needed), now.Needed >= 0, float64(was.Needed), is && was.Needed >= 0)
	g.number("free inodes", counted("better"), float64(now.Inodes), now.Inodes >= 0, float64(was.Inodes), is && was.Inodes >= 0)
	g.number("needed files", counted(""), float64(now.NeedFiles), now.NeedFiles >= 0, float64(was.NeedFiles), is && was.NeedFiles >= 0)
	g.text("may write", wrote(*now, true), wrote(was, is))
	return g.Rows
}

func clockGroup(now, before *preflight.Clock) []valueRow {
	var g group
	was, is := or(before)
	words := func(c preflight.Clock, known bool) string {
		switch {
		case !known:
			return ""
		case c.OffsetMS < 0:
			return fmt.Sprintf("%s s behind, within %s s", plot.Grouped(-c.OffsetMS/1000, 3), plot.Grouped(c.WithinMS/1000, 3))
		}
		return fmt.Sprintf("%s s ahead, within %s s", plot.Grouped(c.OffsetMS/1000, 3), plot.Grouped(c.WithinMS/1000, 3))
	}
	row := valueRow{Name: "the server's clock", Now: words(*now, true), Was: words(was, is)}
	if is {
		d := (now.OffsetMS - was.OffsetMS) / 1000
		row.Change = "+" + plot.Grouped(d, 3) + " s"
		if d < 0 {
			row.Change = plot.Grouped(d, 3) + " s"
		}
	}
	g.Rows = append(g.Rows, row)
	return g.Rows
}

func transferGroup(now, before *preflight.Transfer) []valueRow {
	var g group
	n, was, is := total(now), total(before), before != nil
	share, known := n.share()
	wasShare, wasKnown := was.share()
	g.number("moved", sized(""), float64(n.bytes), true, float64(was.bytes), is)
	g.number("speed", speed(), n.rate, n.rate > 0, was.rate, was.rate > 0)
	g.number("round trip, median", milliseconds(), n.rtt, n.rtt > 0, was.rtt, was.rtt > 0)
	g.number("sent again", shareOf(), share, known, wasShare, wasKnown)
	return g.Rows
}
