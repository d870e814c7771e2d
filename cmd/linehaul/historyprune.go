package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/logs"
	"linehaul/store"
)

func (a *app) historyPruneCmd() *cobra.Command {
	dryRun := false
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove runs that are too old or too many, with their logs",
		Long: `Remove the runs that are too old or too many by ` + "`history`" + ` in the config, with all that is
recorded of them and their logs. serve does so each hour. A run that waits or is
under way stays, and so do the newest run of each job and its newest success.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.historyPrune(c.Context(), dryRun) },
	}
	c.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "say what would be removed, and remove nothing")
	return c
}

// pruned is what is or would be removed of a job.
type pruned struct {
	Job    string `json:"job"`
	Runs   int    `json:"runs"`
	Oldest string `json:"oldest"`
	Newest string `json:"newest"`
}

func (a *app) historyPrune(ctx context.Context, dryRun bool) error {
	f, err := a.load()
	if err != nil {
		return err
	}
	r, err := a.runner(f)
	if err != nil {
		return err
	}
	keep := keepOf(f.History)
	jobs, of := []pruned{}, map[string]int{}
	err = r.Store.Expired(ctx, keep, func(part []store.Gone) error {
		for _, g := range part {
			at, known := of[g.Job]
			if !known {
				at = len(jobs)
				of[g.Job] = at
				jobs = append(jobs, pruned{Job: g.Job, Oldest: g.ID})
			}
			j := &jobs[at]
			j.Runs, j.Newest = j.Runs+1, g.ID
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(jobs, func(a, b pruned) int { return strings.Compare(a.Job, b.Job) })
	if !dryRun && len(jobs) > 0 {
		if _, err := r.PruneHistory(ctx, keep, slog.New(logs.NewHandler(a.stderr, logs.Text, slog.LevelWarn))); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(jobs)
	}
	if len(jobs) == 0 {
		a.note("no run is to be removed")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	title := "REMOVED"
	if dryRun {
		title = "TO REMOVE"
	}
	fmt.Fprintf(w, "JOB\t%s\tOLDEST\tNEWEST\n", title)
	for _, j := range jobs {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", j.Job, j.Runs, j.Oldest, j.Newest)
	}
	return w.Flush()
}

// keepOf says how much of the history a config keeps.
func keepOf(h config.History) store.Keep { return store.Keep{MaxAge: h.MaxAge, Runs: h.Keep} }
