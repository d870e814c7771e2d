package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/logs"
	"linehaul/store"
)

type logsOptions struct {
	follow bool
	lines  int
}

func (a *app) logsCmd() *cobra.Command {
	o := logsOptions{lines: 200}
	c := &cobra.Command{
		Use:   "logs [JOB or RUN]",
		Short: "Print the log of a run, or of a job's last run",
		Long: `Print the log of a run, of a job's last run, or of the last run of all.
With -f it goes on as lines are written, and on to the job's next run.`,
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.completeJobs,
		RunE: func(c *cobra.Command, args []string) error {
			which := ""
			if len(args) > 0 {
				which = args[0]
			}
			return a.logs(c.Context(), which, o)
		},
	}
	c.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on as lines are written")
	c.Flags().IntVarP(&o.lines, "lines", "n", o.lines, "how many of the last lines to begin with")
	return c
}

func (a *app) logs(ctx context.Context, which string, o logsOptions) error {
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.record(f)
	if err != nil {
		return err
	}
	run, err := findRun(s, which)
	if err != nil {
		if f.Jobs[which] == nil && which != "" {
			return noJob(f, which)
		}
		return err
	}
	if run.LogPath == "" {
		return fault.New(fault.Usage, "run %s of job %q wrote no log", run.ID, run.Job)
	}
	if !o.follow {
		return logs.Tail(run.LogPath, a.stdout, o.lines)
	}
	return a.followRuns(ctx, s, run, which == "" || which == run.Job, o.lines)
}

// findRun is the run of that id, or the last run of that job, or of all.
func findRun(s *store.Store, which string) (store.Run, error) {
	if which != "" {
		if run, err := s.Run(which); err == nil {
			return run, nil
		}
	}
	runs, _, err := s.Runs(store.Filter{Job: which, Limit: 1})
	if err != nil {
		return store.Run{}, err
	}
	if len(runs) == 0 {
		return store.Run{}, fault.New(fault.Usage, "no run of %q yet", which).WithHint("`linehaul history` lists what ran")
	}
	return runs[0], nil
}

// nextRunEvery is how often a follower looks for the job's next run.
const nextRunEvery = time.Second

// errNextRun ends the following of one run's log.
var errNextRun = errors.New("the next run has begun")

// followRuns prints a run's log as it grows and, if on is set, goes on to the
// job's next run when that writes another file.
func (a *app) followRuns(ctx context.Context, s *store.Store, run store.Run, on bool, lines int) error {
	for {
		one, cancel := context.WithCancelCause(ctx)
		next := make(chan store.Run, 1)
		go func() {
			if !on {
				return
			}
			if r, ok := awaitRun(one, s, run); ok {
				next <- r
				cancel(errNextRun)
			}
		}()
		err := logs.Follow(one, run.LogPath, a.stdout, lines)
		cancel(nil)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the person has seen enough
		case err != nil && !errors.Is(context.Cause(one), errNextRun):
			return err
		}
		run, lines = <-next, -1
	}
}

// awaitRun waits for a later run of the same job with a log of its own.
func awaitRun(ctx context.Context, s *store.Store, run store.Run) (store.Run, bool) {
	tick := time.NewTicker(nextRunEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return store.Run{}, false
		case <-tick.C:
		}
		if r, ok, err := s.Last(run.Job); err == nil && ok && r.ID > run.ID && r.LogPath != "" && r.LogPath != run.LogPath {
			return r, true
		}
	}
}
