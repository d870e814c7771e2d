package main

import (
	"fmt"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/store"
)

type historyOptions struct {
	number int
	state  string
	since  time.Duration
}

func (a *app) historyCmd() *cobra.Command {
	o := historyOptions{number: 20}
	c := &cobra.Command{
		Use:   "history [JOB or RUN]",
		Short: "List what ran, newest first, or show one run",
		Long: `List what ran, newest first, or show one run: how long it took, and what
its connections told of the line (round trips, what was sent again).`,
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.completeJobs,
		RunE: func(_ *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return a.history(name, o)
		},
	}
	c.Flags().IntVarP(&o.number, "number", "n", o.number, "how many runs to list")
	c.Flags().StringVar(&o.state, "state", "", "only runs that ended so: ok, warning, failed, skipped, missed, interrupted, running")
	c.Flags().DurationVar(&o.since, "since", 0, "only runs of the last `DURATION`, such as 48h")
	c.AddCommand(a.historyPruneCmd())
	return c
}

func (a *app) history(name string, o historyOptions) error {
	if o.number < 1 {
		return fault.New(fault.Usage, "-n %d: want at least 1", o.number)
	}
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.record(f)
	if err != nil {
		return err
	}
	if name != "" && f.Jobs[name] == nil {
		if run, err := s.Run(name); err == nil {
			return a.historyRun(s, run)
		}
	}
	filter := store.Filter{Job: name, State: store.State(o.state), Limit: o.number}
	if o.since > 0 {
		filter.Since = a.now().Add(-o.since)
	}
	runs, warnings, err := s.Runs(filter)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		a.note("warning: %v", w)
	}
	if a.json {
		if runs == nil {
			runs = []store.Run{}
		}
		return a.printJSON(runs)
	}
	if len(runs) == 0 {
		if name != "" && f.Jobs[name] == nil {
			return noJob(f, name)
		}
		a.note("no runs yet")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	// Most people have no links.
	linked := slices.ContainsFunc(runs, func(r store.Run) bool { return r.Link != nil })
	title := ""
	if linked {
		title = "LINK\tIN\tOUT\t"
	}
	fmt.Fprintln(w, "RUN\tJOB\tSTARTED\tTOOK\tFILES\tBYTES\t"+title+"RESULT")
	for _, r := range runs {
		took := "-"
		if !r.Ended.IsZero() {
			took = r.Ended.Sub(r.Started).Round(100 * time.Millisecond).String()
		}
		files, bytes := progressText(r)
		link := ""
		if l := r.Link; l != nil {
			link = fmt.Sprintf("%s\t%s\t%s\t", l.Name, bytesText(l.Received), bytesText(l.Sent))
		} else if linked {
			link = "-\t-\t-\t"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s%s\n", r.ID, r.Job, r.Started.Format(time.DateTime), took, files, bytes, link, resultText(r))
	}
	return w.Flush()
}

// progressText says how many files and bytes a run has moved, and of how many
// while it goes on, if somebody knows.
func progressText(r store.Run) (files, bytes string) {
	switch p := r.Progress; {
	case p == nil:
	case p.OfFiles == 0:
		return strconv.Itoa(p.Files), bytesText(p.Bytes)
	default:
		return fmt.Sprintf("%d/%d", p.Files, p.OfFiles), bytesText(p.Bytes) + "/" + bytesText(p.OfBytes)
	}
	return strconv.Itoa(r.Moved), bytesText(r.Bytes)
}

// resultText is how a run ended, or how fast it goes on.
func resultText(r store.Run) string {
	text := r.Summary()
	if p := r.Progress; p != nil && p.Rate > 0 {
		text += ", " + bytesText(p.Rate) + "/s"
		if p.Left > 0 {
			text += ", " + (time.Duration(p.Left) * time.Second).String() + " left"
		}
	}
	return text
}
