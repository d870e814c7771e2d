package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A Report is all that was measured, and with what.
type Report struct {
	Command  string // that makes it anew
	Machine  string
	Versions []string
	Results  []Result
}

// Text writes the tables for a terminal, and a line for each case.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	for _, x := range r.Results {
		fmt.Fprintf(&b, "\n%s: %s\n", x.Case.Name, x.Case)
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, strings.Join(x.header(), "\t"))
		for _, row := range x.Rows {
			fmt.Fprintln(table, strings.Join(x.cells(row), "\t"))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(&b, "\n%s\n\n", strings.Join(r.Versions, ", "))
	for _, x := range r.Results {
		for _, v := range x.Verdicts() {
			fmt.Fprintln(&b, v)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The lines between which a page holds what is measured; all else in it is
// written by hand and stays.
const (
	pageBegin = "<!-- measured: begin -->\n"
	pageEnd   = "<!-- measured: end -->\n"
)

// Page returns a page of the documentation with this report in the place of
// the one that it held.
func (r *Report) Page(old string) (string, error) {
	before, rest, found := strings.Cut(old, pageBegin)
	_, after, closed := strings.Cut(rest, pageEnd)
	if !found || !closed {
		return "", errors.New("the page has no place for what is measured: " + strings.TrimSpace(pageBegin))
	}
	return before + pageBegin + r.markdown() + pageEnd + after, nil
}

// markdown is one table, a line for each case and build of linehaul, with the
// medians of the peers.
func (r *Report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nMade by `%s` on %s, with %s.\n\n", r.Command, r.Machine, strings.Join(r.Versions, ", "))
	peers := r.peers()
	head := slices.Concat([]string{"case", "build", "s"}, peers, []string{"times the fastest", "with the old protocol", "goal", "CPU s", "server CPU s", "MiB"})
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, x := range r.Results {
		for _, v := range x.Verdicts() {
			own := x.row(v.Client)
			cells := []string{v.Case, v.Client, own.took()}
			for _, p := range peers {
				cells = append(cells, x.row(p).took())
			}
			cells = append(cells, v.times(), v.oldTimes(), fmt.Sprint(v.Goal))
			if own.failed() || own.timedOut() {
				cells = append(cells, "", "", "")
			} else {
				cells = append(cells, fmt.Sprintf("%.2f", own.median(clientCPU).Seconds()), fmt.Sprintf("%.2f", own.median(serverCPU).Seconds()), fmt.Sprint(own.rss()>>20))
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	return b.String()
}

// peers are the names of all that ran, in their order.
func (r *Report) peers() []string {
	var names []string
	for _, x := range r.Results {
		for _, row := range x.Rows {
			if !row.Linehaul && !slices.Contains(names, row.Client) {
				names = append(names, row.Client)
			}
		}
	}
	return names
}

// header names the columns of a case's table.
func (r Result) header() []string {
	_, unit := r.rate(time.Second)
	return []string{"client", "runs", "median s", "min", "max", unit, "× linehaul", "× fastest peer", "client CPU s", "server CPU s", "peak MiB"}
}

// cells are a row of that table.
func (r Result) cells(row Row) []string {
	if row.failed() {
		return []string{row.Client, fmt.Sprint(len(row.Runs)), "failed", "", "", "", "", "", "", "", ""}
	}
	mid := row.median(wall)
	rate, _ := r.rate(mid)
	seconds, bound := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }, ""
	if row.timedOut() {
		seconds, bound = func(d time.Duration) string { return ">" + fmt.Sprint(d.Seconds()) }, "<"
	}
	to := func(other Row, some bool) string {
		if !some || other.failed() {
			return ""
		}
		return fmt.Sprintf("%s%.2f", bound, row.speed(other))
	}
	first := r.Rows[slices.IndexFunc(r.Rows, func(x Row) bool { return x.Linehaul })]
	best, some := r.fastest(false)
	cells := []string{
		row.Client, fmt.Sprint(len(row.Runs)), seconds(mid), seconds(row.best()), seconds(row.worst()),
		fmt.Sprintf("%s%.1f", bound, rate), to(first, true), to(best, some),
	}
	if bound != "" { // it was ended, so what it used is not known
		return append(cells, "", "", "")
	}
	server := ""
	if cpu := row.median(serverCPU); cpu > 0 {
		server = seconds(cpu)
	}
	return append(cells, seconds(row.median(clientCPU)), server, fmt.Sprint(row.rss()>>20))
}
