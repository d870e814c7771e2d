package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/logs"
	"linehaul/schedule/queue"
	"linehaul/store"
)

const (
	// runsPoll is how often it is looked whether a run has ended that is waited for.
	runsPoll = 300 * time.Millisecond
	// nobodyAfter is how long a run waits before it is said that nobody takes it.
	nobodyAfter = 10 * time.Second
)

// runQueued puts runs of jobs into the queue, for whoever serves, and waits for them
// if that is asked for.
func (a *app) runQueued(ctx context.Context, f *config.File, names []string, all, wait bool) error {
	s, err := a.record(f)
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelInfo
	}
	q, err := queue.Open(ctx, queue.Place{
		Store: s, Now: a.now, Random: randomReader(), Log: slog.New(logs.NewHandler(a.stderr, logs.Text, level)),
	})
	if err != nil {
		return err
	}
	var ids []string
	for _, name := range names {
		id, err := q.Ask(ctx, name, f.Jobs[name].RunOn, all)
		if err != nil {
			return err
		}
		ids = append(ids, id)
		if !a.json && !wait {
			fmt.Fprintln(a.stdout, id)
		}
	}
	if !wait {
		if a.json {
			return a.printJSON(ids)
		}
		return nil
	}
	var failed []error
	for _, id := range ids {
		run, err := a.awaitEnd(ctx, s, id)
		if err == nil {
			err = a.showRun(run, resultOf(run))
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(failed) == len(ids):
		return failed[0]
	}
	return fault.New(fault.Partial, "%d of %d jobs failed", len(failed), len(ids))
}

// awaitEnd waits until a run has ended. Ctrl-C ends the waiting, not the run.
func (a *app) awaitEnd(ctx context.Context, s *store.Store, id string) (store.Run, error) {
	tick := time.NewTicker(runsPoll)
	defer tick.Stop()
	began, said := a.now(), false
	for {
		run, err := s.Run(id)
		if err != nil {
			return run, err
		}
		if run.State != store.Waiting && run.State != store.Running {
			return run, nil
		}
		if run.State == store.Waiting && !said && a.now().Sub(began) > nobodyAfter {
			said = true
			a.note("run %s still waits; `linehaul nodes` says who serves", id)
		}
		select {
		case <-ctx.Done():
			return run, fault.New(fault.Interrupted, "run %s goes on: %w", id, context.Cause(ctx)).WithHint("`linehaul cancel %s` ends it", id)
		case <-tick.C:
		}
	}
}

// resultOf is the error that a run of another process ended with.
func resultOf(run store.Run) error {
	if run.State == store.OK || run.State == store.Warning {
		return nil
	}
	kind := fault.Internal
	for _, k := range fault.Kinds() {
		// By its layer if it has one: several have the same code.
		if k.ExitCode() == run.Code && (run.Layer == "" || run.Layer == k.String()) {
			kind = k
			break
		}
	}
	err := fault.New(kind, "%s", run.Error)
	if run.Hint != "" {
		err = err.WithHint("%s", run.Hint)
	}
	return err
}
