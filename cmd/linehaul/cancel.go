package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/store"
)

func (a *app) cancelCmd() *cobra.Command {
	reason := ""
	c := &cobra.Command{
		Use:   "cancel RUN...",
		Short: "End runs that wait or are under way, on any machine",
		Long: `End runs that wait in the queue or are under way, on this machine or another one
that shares the record. One that is under way cleans up and is recorded as
interrupted within seconds; what it has moved stays. A run's id may be cut short;
linehaul history lists them.`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { return a.cancel(args, reason) },
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the `TEXT` of the record")
	return c
}

// cancelled is what --json prints of each run.
type cancelled struct {
	Run string      `json:"run"`
	Job string      `json:"job"`
	Was store.State `json:"was"`
}

func (a *app) cancel(ids []string, reason string) error {
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.record(f)
	if err != nil {
		return err
	}
	if reason == "" {
		reason = "by hand"
	}
	all := []cancelled{}
	var failed []error
	for _, id := range ids {
		run, err := s.Run(id)
		var was store.State
		if err == nil {
			was, err = s.Cancel(run.ID, reason)
		}
		if err == nil && was != store.Running && was != store.Waiting {
			err = fault.New(fault.Usage, "run %s has ended: %s", run.ID, was)
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		all = append(all, cancelled{run.ID, run.Job, was})
		if was == store.Running {
			a.note("run %s of %q is told to end", run.ID, run.Job)
		} else {
			a.note("run %s of %q waits no more", run.ID, run.Job)
		}
	}
	if a.json {
		if err := a.printJSON(all); err != nil {
			return err
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	return nil
}
