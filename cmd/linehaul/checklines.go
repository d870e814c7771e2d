package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/trace"
)

// checkLines shows a look at a line to a person: each finding when it comes, the
// echoes as they are answered where that is a terminal, and the verdict.
type checkLines struct {
	a     *app
	live  bool // the last line may be written over
	open  bool // and there is one
	total int
	sent  int
	lost  int
	last  float64
}

func (a *app) newCheckLines(subject string, p preflight.Policy) *checkLines {
	l := &checkLines{a: a, live: isTerminal(a.stdout) && !a.json && !a.quiet, total: p.Ping.Count}
	if !a.json && !a.quiet {
		fmt.Fprintf(a.stdout, "%s\n", subject)
	}
	return l
}

// echo is told of each echo. It and finding are called by different goroutines,
// but what they write is written by finding's order: an echo's line is only ever
// the last one.
func (l *checkLines) echo(s ping.Sample) {
	l.a.showing.Lock()
	defer l.a.showing.Unlock()
	if l.sent++; s.Lost {
		l.lost++
	} else {
		l.last = s.RTTMS
	}
	if !l.live {
		return
	}
	l.wipe()
	fmt.Fprintf(l.a.stdout, "  ...   ping   %d of %d, %d lost, %.1f ms", l.sent, l.total, l.lost, l.last)
	l.open = true
}

// wipe takes the line away that echoes are shown in.
func (l *checkLines) wipe() {
	if l.open {
		fmt.Fprint(l.a.stdout, "\r\x1b[K")
		l.open = false
	}
}

// end ends the line that echoes are shown in.
func (l *checkLines) end() {
	l.a.showing.Lock()
	defer l.a.showing.Unlock()
	l.wipe()
}

// finding is told of each finding when it comes.
func (l *checkLines) finding(f preflight.Finding) {
	l.a.showing.Lock()
	defer l.a.showing.Unlock()
	if !l.live {
		return // they are shown in order, when all are there
	}
	l.wipe()
	l.line(f)
}

func (l *checkLines) line(f preflight.Finding) {
	fmt.Fprintf(l.a.stdout, "  %s  %-5s  %s\n", l.a.mark(f.Verdict), f.Check, f.Text)
}

// mark is a verdict in a column of its own.
func (a *app) mark(v preflight.Verdict) string {
	word, colour := fmt.Sprintf("%-4s", map[preflight.Verdict]string{
		preflight.OK: "ok", preflight.Warn: "warn", preflight.Fail: "FAIL", preflight.Skipped: "-", preflight.Unknown: "?",
	}[v]), map[preflight.Verdict]string{preflight.OK: "32", preflight.Warn: "33", preflight.Fail: "1;31"}[v]
	if colour == "" || a.noColor || a.env("NO_COLOR") != "" || a.env("TERM") == "dumb" || !isTerminal(a.stdout) {
		return word
	}
	return "\x1b[" + colour + "m" + word + "\x1b[0m"
}

// verdict shows what all findings come to.
func (l *checkLines) verdict(r preflight.Report) {
	l.end()
	if l.a.json {
		return
	}
	w := l.a.stdout
	if !l.a.quiet {
		if !l.live {
			for _, f := range r.Findings {
				l.line(f)
			}
		}
		l.details(r)
	}
	if l.a.quiet && r.Verdict == preflight.OK {
		return
	}
	blame := string(r.Verdict)
	if r.Layer != "" {
		blame += ", " + r.Layer
	}
	fmt.Fprintf(w, "%s: %s\n", blame, r.Summary)
	if r.Next != "" {
		fmt.Fprintf(w, "  next: %s\n", r.Next)
	}
}

// details are the measurements that a line has no room for.
func (l *checkLines) details(r preflight.Report) {
	for _, f := range r.Findings {
		if s := f.Ping; s != nil && s.Received > 0 {
			fmt.Fprintf(l.a.stdout, "\nround trips, ms: min %.2f, median %.2f, 95%% %.2f, max %.2f, deviation %.2f, jitter %.2f; %d bytes, %s\n",
				s.MinMS, s.MedianMS, s.P95MS, s.MaxMS, s.StdDevMS, s.JitterMS, s.Size, s.Way)
			if s.Duplicates+s.Reordered > 0 {
				fmt.Fprintf(l.a.stdout, "%d duplicates, %d out of order\n", s.Duplicates, s.Reordered)
			}
		}
		for _, t := range f.Trace {
			l.hops(t)
		}
	}
	fmt.Fprintln(l.a.stdout)
}

// hops is the table of a trace.
func (l *checkLines) hops(t *trace.Trace) {
	title := strings.ToUpper(string(t.Method))
	if t.Port != 0 {
		title += fmt.Sprintf(" port %d", t.Port)
	}
	fmt.Fprintf(l.a.stdout, "\ntrace by %s to %s\n", title, t.To)
	tw := tabwriter.NewWriter(l.a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "hop\tloss\tsent\tbest\tmedian\tworst\t  who")
	for _, h := range t.Hops {
		who := "-"
		if len(h.Routers) > 0 {
			var names []string
			for _, r := range h.Routers {
				names = append(names, routerText(r))
			}
			who = strings.Join(names, " or ")
		}
		if h.Recv == 0 {
			fmt.Fprintf(tw, "%d\t%.0f%%\t%d\t\t\t\t  %s\n", h.TTL, h.Loss*100, h.Sent, who)
			continue
		}
		fmt.Fprintf(tw, "%d\t%.0f%%\t%d\t%.1f\t%.1f\t%.1f\t  %s\n", h.TTL, h.Loss*100, h.Sent, h.BestMS, h.MedMS, h.WorstMS, who)
	}
	tw.Flush() //nolint:errcheck // standard output
	if t.Missing != "" {
		fmt.Fprintf(l.a.stdout, "more could be seen with %s\n", t.Missing)
	}
}

// routerText names a router.
func routerText(r trace.Router) string {
	parts := []string{r.Addr.String(), r.Name, r.AS, r.Place, r.Said}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, " ")
}
