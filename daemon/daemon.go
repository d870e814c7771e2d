// Package daemon is the long-running process: it takes firings from the queue
// and runs their jobs, reloads the config when asked, and stops in order.
package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
	"linehaul/logs"
	"linehaul/schedule"
	"linehaul/schedule/queue"
	"linehaul/store"
)

// Queue hands out firings, see schedule/queue.
type Queue interface {
	// Set replaces what fires and when, and how many runs this process has under way
	// at a time; 0: any number.
	Set(ctx context.Context, entries []schedule.Entry, runs int) error
	// Fire fires a job without a schedule if due says so, and as of when, given the
	// last time that it did.
	Fire(ctx context.Context, job string, due func(last time.Time) (nominal time.Time, fires bool, err error)) error
	// Run hands out what is due until ctx ends, and returns when all that was
	// handed out has ended.
	Run(ctx context.Context, handle queue.Handler) error
}

// Daemon runs the schedule of one config file.
type Daemon struct {
	// Load reads the config: at the start, and at each reload.
	Load func() (*config.File, error)
	// Runner makes what runs jobs under that config.
	Runner func(f *config.File) (*job.Runner, error)
	Place  job.Place
	// Queue opens the queue, once, over what runs jobs.
	Queue func(ctx context.Context, r *job.Runner, f *config.File) (Queue, error)
	Log   *slog.Logger
	// Reloading is told that the config is about to be read anew. It may be
	// nil.
	Reloading func()
	// LookEvery is how often it is looked whether jobs may fire that depend on what
	// other machines run; 0: every five seconds.
	LookEvery time.Duration
	// Ended is told of each run that ended. It may be nil; it may be called
	// from several goroutines at once.
	Ended func(store.Run, error)

	queue     Queue
	someEnded chan struct{} // holds a token when a run has ended
	mu        sync.Mutex
	now       setting           // in force
	waits     map[string]string // why runs wait, of what the log has
}

// setting is one config that is in force, with its runner.
type setting struct {
	file   *config.File
	runner *job.Runner
}

// Run serves until ctx ends, and returns nil then, after every run under way
// has been stopped and has cleaned up; they go back to the queue. It calls ready
// once the schedule is in force, and again after each reload: for each value from
// reload the config is read anew; one with errors leaves the old one in force. Run
// fails if the first config does, or if the queue does.
func (d *Daemon) Run(ctx context.Context, reload <-chan struct{}, ready func()) error {
	now, err := d.load()
	if err != nil {
		return err
	}
	if s := now.runner.Store; s != nil && s.Aside() != "" {
		d.Log.Error("the record of runs was damaged: it is set aside, and a new one begun", "file", s.Aside())
	}
	d.someEnded = make(chan struct{}, 1)
	if d.queue, err = d.Queue(ctx, now.runner, now.file); err != nil {
		return err
	}
	if err := d.force(ctx, now); err != nil {
		return err
	}
	ready()

	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { d.dependents(running) })
	beside.Go(func() { d.keepHistory(running) })
	ended := make(chan error, 1)
	go func() { ended <- d.queue.Run(running, d.fire) }()
	for {
		select {
		case <-ctx.Done():
			d.Log.Info("stopping: runs under way are interrupted and clean up")
			stop(fault.New(fault.Interrupted, "%w", &job.StopError{}))
			return <-ended
		case err := <-ended:
			stop(nil)
			return err
		case <-reload:
			d.reload(ctx)
			ready()
		}
	}
}

// reload brings the config into force as it is now.
func (d *Daemon) reload(ctx context.Context) {
	if d.Reloading != nil {
		d.Reloading()
	}
	next, err := d.load()
	if err == nil {
		err = d.force(ctx, next)
	}
	if err != nil {
		d.Log.Error("the new config has errors: the old one stays in force", logs.Error, err.Error())
	}
}

// load reads the config.
func (d *Daemon) load() (setting, error) {
	f, err := d.Load()
	if err != nil {
		return setting{}, err
	}
	runner, err := d.Runner(f)
	if err != nil {
		return setting{}, err
	}
	return setting{file: f, runner: runner}, nil
}

// force brings a config into force, and says so.
func (d *Daemon) force(ctx context.Context, s setting) error {
	var entries []schedule.Entry
	for _, name := range s.file.JobOrder {
		if c := s.file.Jobs[name]; !c.Disabled {
			entries = append(entries, schedule.Entry{
				Job: name, Schedule: c.Schedule, Splay: c.Splay, Calendar: c.NotOn, RunOn: c.RunOn, Here: s.file.Node.Takes(c.RunOn),
				CatchUp: schedule.CatchUp(c.CatchUp), Window: c.Window,
			})
		}
	}
	if err := d.queue.Set(ctx, entries, s.file.Limits.Runs); err != nil {
		return err
	}
	d.mu.Lock()
	d.now = s
	d.mu.Unlock()
	d.announce(ctx, s)
	return d.serveAs(s)
}

// serveAs tells the other processes what this one serves, and says how they differ.
func (d *Daemon) serveAs(s setting) error {
	if s.runner.Store == nil {
		return nil
	}
	me := store.Node{Name: s.file.Node.Name, Jobs: map[string]string{}}
	for name, c := range s.file.Jobs {
		if !c.Disabled {
			me.Jobs[name] = meaning(c)
		}
	}
	if err := s.runner.Store.Serve(me.Jobs); err != nil {
		return err
	}
	me.ID = s.runner.Store.Self()
	others, err := s.runner.Store.Nodes()
	if err != nil {
		return err
	}
	for _, text := range me.Differences(others) {
		d.Log.Warn(text)
	}
	return nil
}

// meaning tells whether two machines mean the same by a job: what it moves, from
// where to where, when, and on which of them.
func meaning(c *config.Job) string {
	when := ""
	if c.Schedule != nil {
		when = c.Schedule.String()
	}
	to := ""
	if c.To != nil {
		to = c.To.String()
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q %q %q %v", c.Host, c.Get, c.Put, to, when, c.Timezone, c.RunOn, c.Overlap, c.DependsOn.Deps))
	return hex.EncodeToString(sum[:8])
}

// setting is what is in force.
func (d *Daemon) setting() setting {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// announce says what is in force and when each job fires next.
func (d *Daemon) announce(ctx context.Context, s setting) {
	d.Log.Info("config in force", "file", s.file.Path, "hosts", len(s.file.Hosts), "jobs", len(s.file.Jobs))
	for _, w := range s.file.Warnings {
		d.Log.Warn(w.Message, "file", w.File, "line", w.Line)
	}
	if s.runner.Store != nil {
		s.runner.Recover(ctx, d.Log)
	}
	now := s.runner.Now()
	for _, name := range s.file.JobOrder {
		switch c := s.file.Jobs[name]; {
		case c.Disabled:
			d.Log.Info("job is disabled", logs.Job, name)
		case c.Schedule == nil && len(c.DependsOn.Deps) > 0:
			d.Log.Info("job fires when others have succeeded", logs.Job, name, "depends_on", c.DependsOn.Jobs())
		case c.Schedule == nil:
			d.Log.Info("job has no schedule: it runs by hand only", logs.Job, name)
		default:
			d.Log.Info("job is scheduled", logs.Job, name, logs.Next, c.Schedule.Next(now).Format(time.RFC3339))
		}
	}
}

// paused says why a job does not run by its schedule; empty: it does. Where that
// cannot be told, it runs.
func (d *Daemon) paused(r *job.Runner, name string) string {
	if r.Store == nil {
		return ""
	}
	p, ok, err := r.Store.Paused(name, r.Now())
	if err != nil {
		d.Log.Error("cannot tell whether a job is paused: it runs", logs.Job, name, logs.Error, err.Error())
	}
	if !ok {
		return ""
	}
	return p.String()
}

// note tells of a firing that was left out.
func (d *Daemon) note(run store.Run, err error) {
	d.Log.Info("job does not run", logs.Job, run.Job, logs.Run, run.ID, "nominal", run.Nominal.Format(time.RFC3339),
		logs.Result, string(run.State), logs.Reason, run.Error)
	if err != nil {
		d.Log.Error("cannot record it", logs.Job, run.Job, logs.Error, err.Error())
	}
	if d.Ended != nil {
		d.Ended(run, err)
	}
}

const (
	// knownWithin is how long a run waits for a process that knows its job, and
	// knownAgain how often it is handed out meanwhile.
	knownWithin = time.Minute
	knownAgain  = 2 * time.Second
)

// fire runs what the queue hands out.
func (d *Daemon) fire(ctx context.Context, task queue.Task) (again time.Duration) {
	s := d.setting()
	t := job.Trigger{Nominal: task.Nominal, Missed: task.Missed, Run: task.Run, Take: task.Take, InTurn: task.MadeUp}
	j, err := job.FromConfig(s.file, task.Job, d.Place)
	if err != nil {
		if queued, idErr := store.RunTime(task.Run); idErr == nil && s.file.Jobs[task.Job] == nil && s.runner.Now().Sub(queued) < knownWithin {
			return knownAgain // another machine's config may have it
		}
		d.note(s.runner.Refuse(task.Job, t, err))
		return 0
	}
	j.All = task.All
	if !task.Nominal.IsZero() && task.Take <= 1 {
		state, why := d.leaves(s, task)
		if why != "" {
			d.note(s.runner.Leave(j, t, state, why))
			return 0
		}
		again, why, err := d.met(s, s.file.Jobs[task.Job], task)
		switch {
		case err != nil:
			d.Log.Error("cannot tell whether what a job depends on has succeeded, trying again", logs.Job, task.Job, logs.Error, err.Error())
			return dependsLatest
		case again > 0:
			d.sayWaits(task, why)
			return again
		case why != "":
			d.note(s.runner.Leave(j, t, store.Skipped, why))
			return 0
		}
	}
	if task.Nominal.IsZero() {
		d.Log.Info("job runs by hand", logs.Job, task.Job, logs.Run, task.Run)
	} else {
		d.Log.Info("job fires", logs.Job, task.Job, "nominal", task.Nominal.Format(time.RFC3339))
	}
	run, err := s.runner.Run(ctx, j, t)
	if wait := (*job.WaitError)(nil); errors.As(err, &wait) {
		d.sayWaits(task, wait.Why.Error())
		return wait.For
	}
	if run.State == store.Running {
		d.Log.Warn("the run is another process's", logs.Job, task.Job, logs.Run, run.ID, logs.Error, err.Error())
		return 0
	}
	if err != nil {
		d.Log.Error("run ended", logs.Job, task.Job, logs.Run, run.ID, logs.Code, fault.ExitCode(err),
			logs.Layer, fault.KindOf(err).String(), logs.Error, err.Error())
	} else {
		d.Log.Info("run ended", logs.Job, task.Job, logs.Run, run.ID, logs.Result, string(run.State),
			logs.Files, run.Moved, logs.Bytes, run.Bytes)
	}
	select {
	case d.someEnded <- struct{}{}:
	default:
	}
	if d.Ended != nil {
		d.Ended(run, err)
	}
	if run.State == store.Waiting {
		return handedOver
	}
	return 0
}

// sayWaits says once why a run waits.
func (d *Daemon) sayWaits(task queue.Task, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waits[task.Run] == why {
		return
	}
	if d.waits == nil || len(d.waits) > manyRuns { // others may have run them
		d.waits = map[string]string{}
	}
	d.waits[task.Run] = why
	d.Log.Info("the run waits", logs.Job, task.Job, logs.Run, task.Run, logs.Reason, why)
}

// handedOver is after how long a run may be handed out that a process gave back
// when it stopped.
const handedOver = time.Second

// leaves says why a firing does not run, and as what it is recorded; empty: it runs.
func (d *Daemon) leaves(s setting, task queue.Task) (store.State, string) {
	switch {
	case task.Blocked != "":
		return store.Skipped, "its calendar is in the way: " + task.Blocked
	case task.Passed:
		return store.Missed, "linehaul did not run then, or the machine slept, and the job makes up for nothing that long ago"
	}
	return store.Skipped, d.paused(s.runner, task.Job)
}
