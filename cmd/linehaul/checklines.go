package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"linehaul/preflight"
	"linehaul/preflight/ping"
	"linehaul/preflight/trace"
)

// checkLines shows a look at a line to a person: each finding when it comes,
// below them the echoes and the hops as they are answered where that is a
// terminal, and at the end the verdict. It may be told by many goroutines.
type checkLines struct {
	a       *app
	subject string
	size    func() (width, height int) // of the terminal
	live    bool                       // what is below may be drawn over
	total   int                        // echoes that are to be sent; ping.Endless

	mu     sync.Mutex
	drawn  int // lines below, which are drawn over
	at     time.Time
	sent   int
	lost   int
	last   float64
	traces map[int]*trace.Trace
}

func (a *app) newCheckLines(s checkSubject, p preflight.Policy) *checkLines {
	l := &checkLines{a: a, size: a.screen, subject: s.name, live: isTerminal(a.stdout) && !a.json && !a.quiet, total: p.Ping.Count, traces: map[int]*trace.Trace{}}
	if !a.json && !a.quiet {
		title := s.name
		if s.job != nil && s.job.Host.Jump != nil {
			title += ", the line as far as the jump host " + s.job.Host.First().Name
		}
		fmt.Fprintln(a.stdout, title)
	}
	return l
}

// echo is told of each echo.
func (l *checkLines) echo(s ping.Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent++; s.Lost {
		l.lost++
	} else {
		l.last = s.RTTMS
	}
	l.draw()
}

// trace is told what a trace knows by now.
func (l *checkLines) trace(i int) func(*trace.Trace) {
	return func(t *trace.Trace) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.traces[i] = t
		l.draw()
	}
}

// redraw is how often what is below is drawn anew.
const redraw = 150 * time.Millisecond

// draw draws what is under way. The caller holds mu.
func (l *checkLines) draw() {
	now := l.a.now()
	if !l.live || now.Sub(l.at) < redraw {
		return
	}
	l.at = now
	var b bytes.Buffer
	if l.sent > 0 {
		of := ""
		if l.total > 0 {
			of = fmt.Sprintf(" of %d", l.total)
		}
		fmt.Fprintf(&b, "  ...   ping   %d%s, %d lost, %.1f ms\n", l.sent, of, l.lost, l.last)
	}
	for i := range len(l.traces) {
		if t := l.traces[i]; t != nil {
			writeHops(&b, t)
		}
	}
	l.wipe()
	lines := l.fit(strings.SplitAfter(b.String(), "\n"))
	io.WriteString(l.a.stdout, strings.Join(lines, "")) //nolint:errcheck // standard output
	l.drawn = len(lines)
}

// fit leaves what the terminal has room for: what has scrolled out of it, or is
// broken into two lines, could not be drawn over.
func (l *checkLines) fit(lines []string) []string {
	if n := len(lines); n > 0 && lines[n-1] == "" {
		lines = lines[:n-1]
	}
	width, height := l.size()
	if height > 1 && len(lines) > height-1 {
		lines = append(lines[:height-2:height-2], "  ...\n")
	}
	for i, line := range lines {
		if all := []rune(strings.TrimSuffix(line, "\n")); width > 1 && len(all) >= width {
			lines[i] = string(all[:width-1]) + "\n"
		}
	}
	return lines
}

// screen is how wide and high the terminal is; 0: it does not say.
func (a *app) screen() (width, height int) {
	f, ok := a.stdout.(*os.File)
	if !ok {
		return 0, 0
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

// wipe takes away what was drawn last. The caller holds mu.
func (l *checkLines) wipe() {
	if l.drawn > 0 {
		fmt.Fprintf(l.a.stdout, "\x1b[%dA\x1b[J", l.drawn)
		l.drawn = 0
	}
}

// end leaves the findings alone on the terminal.
func (l *checkLines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
}

// finding is told of each finding when it comes. Where that is no terminal, they
// are shown in their order at the end.
func (l *checkLines) finding(f preflight.Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live {
		l.wipe()
		l.line(f)
		l.draw()
	}
}

func (l *checkLines) line(f preflight.Finding) {
	fmt.Fprintf(l.a.stdout, "  %s  %-5s  %s\n", l.a.mark(f.Verdict), f.Check, f.Text)
}

// mark is a verdict in a column of its own.
func (a *app) mark(v preflight.Verdict) string {
	word, colour := string(v), ""
	switch v {
	case preflight.OK:
		colour = "32"
	case preflight.Warn:
		colour = "33"
	case preflight.Fail:
		word, colour = "FAIL", "1;31"
	case preflight.Skipped:
		word = "-"
	case preflight.Unknown:
		word = "?"
	}
	word = fmt.Sprintf("%-4s", word)
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
	if l.a.quiet { // there is nothing above that says of what
		blame = l.subject + ": " + blame
	}
	if r.Layer != "" {
		blame += ", " + r.Layer
	}
	fmt.Fprintf(l.a.stdout, "%s: %s\n", blame, r.Summary)
	if r.Next != "" {
		fmt.Fprintf(l.a.stdout, "  next: %s\n", r.Next)
	}
}

// details are the measurements that a line has no room for.
func (l *checkLines) details(r preflight.Report) {
	w := l.a.stdout
	for _, f := range r.Findings {
		if s := f.Ping; s != nil && s.Received > 0 {
			fmt.Fprintf(w, "\nround trips, ms: min %.2f, median %.2f, 95%% %.2f, max %.2f, deviation %.2f, jitter %.2f; %d bytes, %s\n",
				s.MinMS, s.MedianMS, s.P95MS, s.MaxMS, s.StdDevMS, s.JitterMS, s.Size, s.Way)
			if s.Duplicates+s.Reordered > 0 {
				fmt.Fprintf(w, "duplicates: %d, out of order: %d\n", s.Duplicates, s.Reordered)
			}
		}
		for _, t := range f.Trace {
			var b bytes.Buffer
			writeHops(&b, t)
			w.Write(b.Bytes()) //nolint:errcheck // standard output
		}
	}
	fmt.Fprintln(w)
}

// writeHops writes the table of a trace.
func writeHops(b *bytes.Buffer, t *trace.Trace) {
	if len(t.Hops) == 0 {
		return // the finding says why
	}
	title := strings.ToUpper(string(t.Method))
	if t.Port != 0 {
		title += fmt.Sprintf(" port %d", t.Port)
	}
	fmt.Fprintf(b, "\ntrace by %s to %s\n", title, t.To)
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
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
	tw.Flush() //nolint:errcheck // it is memory
	if t.Missing != "" {
		fmt.Fprintln(b, t.Missing)
	}
}

// routerText names a router.
func routerText(r trace.Router) string {
	parts := []string{r.Addr.String(), r.Name, r.AS, r.Place, r.Said}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}
