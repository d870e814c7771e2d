package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/store"
)

// jobRow is one line of `linehaul jobs`.
type jobRow struct {
	Job      string       `json:"job"`
	Does     string       `json:"does"`
	Schedule string       `json:"schedule,omitempty"`
	Timezone string       `json:"timezone"`
	Disabled bool         `json:"disabled,omitempty"`
	Paused   *store.Pause `json:"paused,omitempty"`
	Next     *time.Time   `json:"next,omitempty"`
	// Running and Waiting are its runs that have not ended, the newest first.
	Running []store.Run `json:"running,omitempty"`
	Waiting []store.Run `json:"waiting,omitempty"`
	// Last is the newest run that has ended.
	Last *store.Run `json:"last,omitempty"`
	// After are the jobs that it fires after.
	After []string `json:"after,omitempty"`
}

func (a *app) jobsCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "jobs",
		Short: "List the jobs with their last result and next firing",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(*cobra.Command, []string) error { return a.jobs() },
	}
	n := 10
	next := &cobra.Command{
		Use:               "next JOB",
		Short:             "List the next firings of a job",
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeJobs,
		RunE:              func(_ *cobra.Command, args []string) error { return a.jobsNext(args[0], n) },
	}
	next.Flags().IntVarP(&n, "number", "n", n, "how many firings to list")
	c.AddCommand(next, a.jobsPauseCmd(), a.jobsResumeCmd())
	return c
}

func (a *app) jobs() error {
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.record(f)
	if err != nil {
		return err
	}
	standings, err := s.Standings(a.now(), f.JobOrder...)
	if err != nil {
		return err
	}
	rows := []jobRow{}
	for _, name := range f.JobOrder {
		rows = append(rows, a.jobRow(f.Jobs[name], standings[name]))
	}
	if a.json {
		return a.printJSON(rows)
	}
	if len(rows) == 0 {
		a.note("%s names no jobs", f.Path)
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tSCHEDULE\tNEXT\tNOW\tLAST RUN\tRESULT")
	for _, r := range rows {
		last, result := "never", "-"
		if r.Last != nil {
			last, result = r.Last.Started.Format(time.DateTime), resultText(*r.Last)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Job, dash(r.Schedule), r.next(), r.under(f.Node.Name), last, result)
	}
	return w.Flush()
}

func (r jobRow) next() string {
	switch {
	case r.Disabled:
		return "disabled"
	case r.Paused != nil && r.Paused.Until.IsZero():
		return "paused"
	case r.Paused != nil:
		return "paused until " + r.Paused.Until.Format("2006-01-02 15:04")
	case r.Next == nil && len(r.After) > 0:
		return "after " + strings.Join(r.After, ", ")
	case r.Next == nil:
		return "by hand only"
	}
	return r.Next.Format("2006-01-02 15:04:05 MST")
}

// under says what of the job is under way, and where if that is not here.
func (r jobRow) under(here string) string {
	var parts []string
	for _, run := range r.Running {
		text := "running"
		if p := run.Progress; p != nil && p.OfBytes > 0 {
			text = fmt.Sprintf("running %d%%", 100*p.Bytes/p.OfBytes)
		}
		if run.Node != "" && run.Node != here {
			text += " on " + run.Node
		}
		parts = append(parts, text)
	}
	if n := len(r.Waiting); n > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", n))
	}
	return dash(strings.Join(parts, ", "))
}

func (a *app) jobRow(c *config.Job, is *store.Standing) jobRow {
	r := jobRow{
		Job: c.Name, Does: describeJob(c), Timezone: c.Timezone.String(), Disabled: c.Disabled, After: c.DependsOn.Jobs(),
		Paused: is.Paused, Running: is.Running, Waiting: is.Waiting, Last: is.Last,
	}
	if c.Schedule != nil {
		r.Schedule = c.Schedule.String()
		if !c.Disabled {
			next := nextRun(c, a.now())
			r.Next = &next
		}
	}
	return r
}

// describeJob says in a few words what a job moves.
func describeJob(c *config.Job) string {
	switch {
	case c.Sync != nil && c.Put == nil:
		return fmt.Sprintf("sync %s:%s to %s", c.Host, c.Get[0], c.To)
	case c.Sync != nil:
		return fmt.Sprintf("sync %s to %s:%s", c.Put[0], c.Host, c.To)
	}
	if c.Put == nil {
		return fmt.Sprintf("get %s:%s to %s", c.Host, c.Get[0], c.To)
	}
	return fmt.Sprintf("put %s to %s:%s", c.Put[0], c.Host, c.To)
}

// maxFirings bounds what one call lists.
const maxFirings = 10000

func (a *app) jobsNext(name string, n int) error {
	if n < 1 || n > maxFirings {
		return fault.New(fault.Usage, "-n %d: want 1 to %d", n, maxFirings)
	}
	f, err := a.load()
	if err != nil {
		return err
	}
	c := f.Jobs[name]
	if c == nil {
		return noJob(f, name)
	}
	if c.Schedule == nil {
		return fault.New(fault.Usage, "job %q has no schedule: it runs by hand only", name)
	}
	times := []time.Time{}
	eachFiring(c, a.now(), func(t time.Time, why string) bool {
		switch {
		case why == "":
			times = append(times, t)
		case a.json:
			return true
		}
		if !a.json {
			line := t.Format("Mon 2006-01-02 15:04:05 -0700 MST")
			if why != "" {
				line += "  does not run: " + why
			}
			fmt.Fprintln(a.stdout, line)
		}
		return len(times) < n
	})
	if a.json {
		return a.printJSON(times)
	}
	return nil
}

// eachFiring goes through what a job's schedule names after an instant, with what
// in its calendar is in the way, until f returns false.
func eachFiring(c *config.Job, after time.Time, f func(at time.Time, why string) bool) {
	t := c.Schedule.Next(after)
	for range maxFirings { // a calendar may leave nothing
		if t.IsZero() {
			return
		}
		why, _ := c.NotOn.Blocks(t)
		if !f(t, why) {
			return
		}
		t = c.Schedule.Next(t)
	}
}

// nextRun is the next firing at which a job runs; zero: there is none.
func nextRun(c *config.Job, after time.Time) (next time.Time) {
	eachFiring(c, after, func(t time.Time, why string) bool {
		if why == "" {
			next = t
		}
		return why != ""
	})
	return next
}

func noJob(f *config.File, name string) error {
	return fault.New(fault.Usage, "no job %q in %s", name, f.Path).WithHint("`linehaul jobs` lists the jobs")
}

// completeJobs offers the names of the config's jobs to a shell.
func (a *app) completeJobs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	f, err := a.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return f.JobOrder, cobra.ShellCompDirectiveNoFileComp
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
