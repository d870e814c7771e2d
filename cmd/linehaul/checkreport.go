package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"linehaul/fault"
	"linehaul/preflight"
	"linehaul/preflight/page"
	"linehaul/preflight/plot"
	"linehaul/store"
	"linehaul/transfer"
)

// A reportForm writes a report.
type reportForm func(io.Writer, preflight.Report, page.Options) error

// formOf is the form that a file's name asks for.
func formOf(name string) (reportForm, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".html", ".htm":
		return page.HTML, nil
	case ".md", ".markdown":
		return page.Markdown, nil
	case ".json":
		return page.JSON, nil
	}
	return nil, fault.New(fault.Usage, "--report %q: want a name that ends in .html, .md or .json", name)
}

// writeReports writes the report of a subject to the files that were asked for. Of a
// job, its earlier runs are in it.
func (a *app) writeReports(r preflight.Report, s checkSubject, o checkFlags) error {
	var beside page.Options
	if len(o.reports) > 0 && s.job != nil && s.job.Name != "" {
		var err error
		if beside.History, err = a.nights(s.job.Name, o.days); err != nil {
			a.note("warning: the report is without earlier runs: %v", err)
		}
	}
	beside.Zone = time.Local
	return a.writeForms(r, beside, o.reports)
}

// writeForms writes a report to files, each in the form that its name asks for.
func (a *app) writeForms(r preflight.Report, beside page.Options, files []string) error {
	for _, name := range files {
		write, err := formOf(name)
		if err == nil {
			err = writeWhole(name, func(w io.Writer) error { return write(w, r, beside) })
		}
		if err != nil {
			return fault.Wrap(fault.LocalDisk, err)
		}
		a.note("wrote %s", name)
	}
	return nil
}

// tryReports reports whether the reports can be written, before anybody waits for
// what is to stand in them.
func (o checkFlags) tryReports() error {
	for _, name := range o.reports {
		if _, err := formOf(name); err != nil {
			return err
		}
		folder := filepath.Dir(name)
		s, err := transfer.TryFolder(folder)
		if err == nil && s.At != folder {
			err = fault.New(fault.LocalDisk, "--report %q: there is no folder %q", name, folder).WithHint("make the folder, or name a file in another one")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeWhole writes a file that is whole, or the one that was there before.
func writeWhole(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".linehaul-report-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) //nolint:errcheck // the error before counts
		}
	}()
	const mode = 0o644
	if err = cmp.Or(write(f), f.Chmod(mode)); err != nil {
		f.Close()
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// checkHistory shows what the checks of a job's runs have measured, and writes it
// to a report with the last run's findings if one is asked for.
func (a *app) checkHistory(args []string, o checkFlags) error {
	if len(args) != 1 {
		return fault.New(fault.Usage, "--history wants one job").WithHint("as in `linehaul check --history nightly-db`")
	}
	f, err := a.load()
	if err != nil {
		return err
	}
	if f.Jobs[args[0]] == nil {
		return fault.New(fault.Usage, "no job %q in %s", args[0], f.Path).WithHint("`linehaul jobs` lists the jobs")
	}
	nights, err := a.nights(args[0], o.days)
	if err != nil {
		return err
	}
	if len(o.reports) > 0 {
		r, before, err := a.lastReport(args[0])
		if err != nil {
			return err
		}
		beside := page.Options{History: nights, Before: before, Zone: f.Jobs[args[0]].Timezone}
		if err := a.writeForms(r, beside, o.reports); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(nights)
	}
	if len(nights) == 0 {
		a.note("no run of %q in the last %s", args[0], daysText(max(o.days, 1)))
		return nil
	}
	return plot.History(a.stdout, args[0], nights, a.terminal(f.Jobs[args[0]].Timezone))
}

func daysText(n int) string {
	if n == 1 {
		return "day"
	}
	return fmt.Sprintf("%d days", n)
}

// terminal is what plots are drawn for.
func (a *app) terminal(zone *time.Location) plot.Terminal {
	const usual = 80
	t := plot.Terminal{Width: usual, Zone: zone, ASCII: !a.utf8()}
	if f, ok := a.stdout.(*os.File); ok && isTerminal(f) {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			t.Width = w
		}
		t.Color = !a.noColor && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
	}
	return t
}

// utf8 reports whether the locale is one of UTF-8. Windows' own terminals are,
// whatever the environment says.
func (a *app) utf8() bool {
	locale := strings.ToLower(cmp.Or(a.env("LC_ALL"), a.env("LC_CTYPE"), a.env("LANG")))
	return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8") || filepath.Separator == '\\'
}

// nights are what the runs of a job have measured in the last days.
func (a *app) nights(name string, days int) ([]plot.Night, error) {
	f, err := a.load()
	if err != nil {
		return nil, err
	}
	s, err := a.record(f)
	if err != nil {
		return nil, err
	}
	since := a.now().AddDate(0, 0, -max(days, 1))
	nights := []plot.Night{}
	warnings, err := s.Each(store.Filter{Job: name, Since: since}, func(r store.Run) bool {
		if r.State != store.Running && r.State != store.Waiting {
			nights = append(nights, nightOf(r))
		}
		return true
	})
	for _, w := range warnings {
		a.note("warning: %v", w)
	}
	return nights, err
}

// nightOf is what a run says of the line.
func nightOf(r store.Run) plot.Night {
	n := plot.Night{Time: r.Started, RunID: r.ID, Result: "fail", LossShare: plot.Lost, ResentShare: plot.Lost}
	switch r.State {
	case store.OK:
		n.Result = "ok"
	case store.Warning:
		n.Result = "warn"
	case store.Skipped, store.Missed:
		n.Result = "skipped"
	case store.Failed, store.Interrupted, store.Running, store.Waiting:
	}
	if c := r.Checks; c != nil {
		n.MedianMS, n.P95MS, n.JitterMS, n.Hops = c.MedianMS, c.P95MS, c.JitterMS, c.Hops
		if c.Sent > 0 {
			n.LossShare = c.Loss
		}
	}
	if l := r.Line; l != nil && l.Sent > 0 {
		n.ResentShare = float64(l.Resent) / float64(l.Sent)
	}
	if last := len(r.Attempts) - 1; last >= 0 { // without the waits before it
		if took := r.Attempts[last].Ended.Sub(r.Attempts[last].Started).Seconds(); took > 0 {
			n.BytesPerSecond = float64(r.Bytes) / took
		}
	}
	return n
}

// lastReport is what is kept with the last run of a job: the second look after a
// failure, else its checks, with the transfer's rates; and the report that it was
// compared with.
func (a *app) lastReport(name string) (r preflight.Report, before *preflight.Report, err error) {
	f, err := a.load()
	if err != nil {
		return r, nil, err
	}
	s, err := a.record(f)
	if err != nil {
		return r, nil, err
	}
	found := false
	_, err = s.Each(store.Filter{Job: name}, func(run store.Run) bool {
		for _, kind := range []string{"evidence", "checks"} {
			if ok, err := s.Attachment(run, kind, &r); ok && err == nil {
				found = true
				var rates []preflight.Rate
				if ok, err := s.Attachment(run, store.LineRates, &rates); ok && err == nil {
					r.Transfer = &preflight.Transfer{Rates: rates}
				}
				break
			}
		}
		return !found
	})
	if err == nil && !found {
		err = fault.New(fault.NoMatch, "no run of %q has kept what its checks found", name)
	}
	if r.Before != "" {
		if run, err := s.Run(r.Before); err == nil {
			var b preflight.Report
			if ok, err := s.Attachment(run, "checks", &b); ok && err == nil {
				before = &b
			}
		}
	}
	return r, before, err
}
