package main

import (
	"context"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/job"
	"linehaul/store"
)

func (a *app) runCmd() *cobra.Command {
	dryRun := false
	var progress progressFlag
	var look lookFlags
	c := &cobra.Command{
		Use:               "run JOB...",
		Short:             "Run jobs now",
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeJobs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.look(look); err != nil {
				return err
			}
			return a.run(c.Context(), args, dryRun, progress)
		},
	}
	c.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "show what would be done with each file, and with old copies, and why, and do nothing")
	progress.add(c)
	look.add(c.Flags())
	return c
}

// run runs the named jobs one after another. One that fails does not keep the
// others from running; the exit code is the failure's, or 9 where some jobs
// failed and some did not.
func (a *app) run(ctx context.Context, names []string, dryRun bool, progress progressFlag) error {
	f, err := a.load()
	if err != nil {
		return err
	}
	var jobs []*job.Job
	for _, name := range names {
		j, err := job.FromConfig(f, name, a.place())
		if err != nil {
			return err
		}
		jobs = append(jobs, j)
	}
	a.sets = !dryRun
	r, err := a.runner(f)
	if err != nil {
		return err
	}
	var failed []error
	for _, j := range jobs {
		if dryRun {
			err = a.dryRun(ctx, r, j)
		} else {
			var run store.Run
			run, err = a.withProgress(progress, func(r *job.Runner) (store.Run, error) { return r.Run(ctx, j, job.Trigger{}) }, r)
			err = a.showRun(run, err)
		}
		if err != nil {
			failed = append(failed, err)
			if len(jobs) > 1 {
				a.report(err)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(jobs) == 1, len(failed) == len(jobs):
		return failed[0]
	}
	return fault.New(fault.Partial, "%d of %d jobs failed", len(failed), len(jobs))
}
