package daemon

import (
	"cmp"
	"context"
	"time"

	"linehaul/config"
	"linehaul/logs"
	"linehaul/schedule/depend"
	"linehaul/schedule/queue"
	"linehaul/store"
)

const (
	// dependsEvery is how often it is looked whether what jobs depend on has
	// succeeded, besides when a run of this process has ended.
	dependsEvery = 5 * time.Second
	// dependsSoonest is how soon a firing that waits for others is handed out again
	// at the earliest, and dependsLatest at the latest.
	dependsSoonest = time.Second
	dependsLatest  = 10 * time.Second
	// manyRuns is how many runs of a job are looked at.
	manyRuns = 1000
)

// dependents fires the jobs without a schedule when what they depend on has
// succeeded, until ctx ends.
func (d *Daemon) dependents(ctx context.Context) {
	tick := time.NewTicker(cmp.Or(d.LookEvery, dependsEvery))
	defer tick.Stop()
	for {
		s := d.setting()
		for _, name := range s.file.JobOrder {
			c := s.file.Jobs[name]
			if c.Disabled || c.Schedule != nil || len(c.DependsOn.Deps) == 0 || !s.file.Node.Takes(c.RunOn) {
				continue
			}
			err := d.queue.Fire(ctx, name, func(last time.Time) (time.Time, bool, error) { return d.due(s, c, last) })
			if err != nil && ctx.Err() == nil {
				d.Log.Error("cannot tell whether what a job depends on has succeeded", logs.Job, name, logs.Error, err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-d.someEnded:
		case <-tick.C:
		}
	}
}

// due says whether a job without a schedule is to fire, and as of when.
func (d *Daemon) due(s setting, c *config.Job, last time.Time) (time.Time, bool, error) {
	since, err := lastMade(s.runner.Store, c.Name, "")
	if err != nil {
		return time.Time{}, false, err
	}
	if since.IsZero() {
		since = last // when the job came into force
	}
	var lookErr error
	a := c.DependsOn.Due(s.runner.Now(), since, last, d.lookup(s, &lookErr))
	return a.Nominal, a.Verdict == depend.Met, lookErr
}

// met says whether what a firing depends on has succeeded: after how long to look
// again if it may yet, or why it is left out.
func (d *Daemon) met(s setting, c *config.Job, task queue.Task) (again time.Duration, why string, err error) {
	came, err := store.RunTime(task.Run)
	if err != nil || len(c.DependsOn.Deps) == 0 || c.Schedule == nil {
		return 0, "", nil //nolint:nilerr // without an id it came from nowhere, and depends on nothing
	}
	since, err := lastMade(s.runner.Store, c.Name, task.Run)
	if err != nil {
		return 0, "", err
	}
	now := s.runner.Now()
	var lookErr error
	a := c.DependsOn.Met(now, since, depend.Firing{Nominal: task.Nominal, Came: came}, d.lookup(s, &lookErr))
	switch {
	case lookErr != nil:
		return 0, "", lookErr
	case a.Verdict == depend.Never:
		return 0, a.String(), nil
	case a.Verdict == depend.Waiting:
		again = dependsLatest
		for _, t := range []time.Time{a.Earliest, a.Latest} {
			if !t.IsZero() {
				again = min(again, max(t.Sub(now), dependsSoonest))
			}
		}
		return again, a.String(), nil
	}
	return 0, "", nil
}

// lastMade is when the last firing of a job was made that led to a run, before one
// run if there is any; zero: there was none.
func lastMade(s *store.Store, job, before string) (made time.Time, err error) {
	seen := 0
	_, err = s.Each(store.Filter{Job: job}, func(r store.Run) bool {
		seen++
		if (before == "" || r.ID < before) && r.Trigger == "schedule" && r.State != store.Skipped && r.State != store.Missed {
			made, _ = store.RunTime(r.ID) // the record holds nothing else
		}
		return made.IsZero() && seen < manyRuns
	})
	return made, err
}

// lookup is what the record has of jobs. What cannot be read is noted in failed.
func (d *Daemon) lookup(s setting, failed *error) depend.Lookup {
	return func(job string, since time.Time) depend.History {
		var h depend.History
		if c := s.file.Jobs[job]; c != nil && c.Schedule != nil && !c.Disabled {
			h.Next = c.Schedule.Next(s.runner.Now())
		}
		old := 0 // runs in a row that ended before
		_, err := s.runner.Store.Each(store.Filter{Job: job}, func(r store.Run) bool {
			h.Runs = append(h.Runs, depend.Run{
				Job: job, ID: r.ID, Nominal: r.Nominal, Started: r.Started, Ended: r.Ended, State: depend.State(r.State),
			})
			if old++; r.Ended.IsZero() || !r.Ended.Before(since) {
				old = 0
			}
			// They come by their start: one that began earlier may have ended later.
			return old < enoughOld && len(h.Runs) < manyRuns
		})
		if err != nil {
			*failed = err
		}
		return h
	}
}

// enoughOld is how many runs in a row that ended before the time of interest are
// taken for the end of those that did not.
const enoughOld = 10
