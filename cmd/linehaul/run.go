package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/job"
	"linehaul/store"
)

// runFlags say what becomes of the jobs.
type runFlags struct {
	dryRun bool
	all    bool
}

// fits refuses --all for a job that has no use for it.
func (o runFlags) fits(name string, mirror bool) error {
	if !o.all || !mirror {
		return nil
	}
	return fault.New(fault.Usage, "--all has no meaning for %q: a mirror moves what differs", name).WithHint("leave --all out")
}

func (a *app) runCmd() *cobra.Command {
	var o runFlags
	detach, wait := false, false
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
			switch {
			case detach && wait:
				return fault.New(fault.Usage, "--detach and --wait exclude each other")
			case (detach || wait) && o.dryRun:
				return fault.New(fault.Usage, "a dry run is made here: --dry-run goes with neither --detach nor --wait")
			}
			if detach || wait {
				f, err := a.load()
				if err != nil {
					return err
				}
				for _, name := range args {
					if f.Jobs[name] == nil {
						return noJob(f, name)
					}
					if err := o.fits(name, f.Jobs[name].Sync != nil); err != nil {
						return err
					}
				}
				return a.runQueued(c.Context(), f, args, o.all, wait)
			}
			return a.run(c.Context(), args, o, progress)
		},
	}
	c.Flags().BoolVarP(&o.dryRun, "dry-run", "n", false, "show what would be done with each file, and with old copies, and why, and do nothing")
	c.Flags().BoolVar(&detach, "detach", false, "have it run by whoever serves, and print the run's id")
	c.Flags().BoolVar(&wait, "wait", false, "have it run by whoever serves, and wait until it has ended")
	c.Flags().BoolVar(&o.all, "all", false, "move what only_new would leave out, too: what the target has, or what the ledger knows")
	progress.add(c)
	look.add(c.Flags())
	return c
}

// run runs the named jobs one after another. One that fails does not keep the
// others from running; the exit code is the failure's, or 9 where some jobs
// failed and some did not.
func (a *app) run(ctx context.Context, names []string, o runFlags, progress progressFlag) error {
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
		if !f.Node.Takes(j.RunOn) {
			return fault.New(fault.Usage, "job %q runs on %s, and this is %s", name, strings.Join(j.RunOn, ", "), f.Node.Name).
				WithHint("`linehaul run --wait %s` has it run there", name)
		}
		if err := o.fits(name, j.Sync != nil); err != nil {
			return err
		}
		j.All = o.all
		jobs = append(jobs, j)
	}
	a.sets = !o.dryRun
	r, err := a.runner(f)
	if err != nil {
		return err
	}
	a.onlyRuns()
	var failed []error
	for _, j := range jobs {
		if o.dryRun {
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
