package main

import (
	"time"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/store"
)

// pauseFlags say for how long a job is paused, and why.
type pauseFlags struct {
	forTime time.Duration
	reason  string
}

func (a *app) jobsPauseCmd() *cobra.Command {
	var o pauseFlags
	c := &cobra.Command{
		Use:   "pause JOB...",
		Short: "Keep jobs from running by their schedules",
		Long: `Keep jobs from running by their schedules, until ` + "`linehaul jobs resume`" + ` or for a time.
A firing that comes meanwhile is recorded as skipped, with the reason, and is not
made up for. A run that is under way goes on, and ` + "`linehaul run`" + ` runs the job
all the same. The pause outlives a restart.`,
		Example:           "  linehaul jobs pause nightly-db --for 72h --reason 'the server moves'",
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeJobs,
		RunE:              func(_ *cobra.Command, args []string) error { return a.pauseJobs(args, o) },
	}
	c.Flags().DurationVar(&o.forTime, "for", 0, "how long, such as 72h (default: until it is resumed)")
	c.Flags().StringVar(&o.reason, "reason", "", "why: a `TEXT` for whoever reads the history")
	return c
}

func (a *app) jobsResumeCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "resume JOB...",
		Short:             "Let paused jobs run by their schedules again",
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeJobs,
		RunE:              func(_ *cobra.Command, args []string) error { return a.resumeJobs(args) },
	}
}

// maxReason bounds the reason of a pause, in bytes.
const maxReason = 1000

func (a *app) pauseJobs(names []string, o pauseFlags) error {
	switch {
	case o.forTime < 0:
		return fault.New(fault.Usage, "--for %s: want a time above 0", o.forTime)
	case len(o.reason) > maxReason:
		return fault.New(fault.Usage, "--reason: want at most %d bytes", maxReason)
	}
	s, err := a.storeOf(names)
	if err != nil {
		return err
	}
	p := store.Pause{Since: a.now(), Reason: o.reason}
	if o.forTime > 0 {
		p.Until = p.Since.Add(o.forTime)
	}
	for _, name := range names {
		if err := s.Pause(name, p); err != nil {
			return err
		}
		a.note("%s: %s", name, p)
	}
	return nil
}

func (a *app) resumeJobs(names []string) error {
	s, err := a.storeOf(names)
	if err != nil {
		return err
	}
	for _, name := range names {
		was, err := s.Resume(name)
		switch {
		case err != nil:
			return err
		case was:
			a.note("%s runs by its schedule again", name)
		default:
			a.note("%s was not paused", name)
		}
	}
	return nil
}

// storeOf is the record of the config, which must have these jobs.
func (a *app) storeOf(jobs []string) (*store.Store, error) {
	f, err := a.load()
	if err != nil {
		return nil, err
	}
	for _, name := range jobs {
		if f.Jobs[name] == nil {
			return nil, noJob(f, name)
		}
	}
	return a.record(f)
}
