// Package daemon is the long-running process: it takes firings from the queue
// and runs their jobs, reloads the config when asked, and stops in order.
package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/job"
	"linehaul/logs"
	"linehaul/schedule"
	"linehaul/store"
)

// Queue hands out firings. A queue in a database may take over from
// schedule.Memory.
type Queue interface {
	// Set replaces what fires and when.
	Set(entries []schedule.Entry)
	// Next waits for a firing and takes it; it returns ctx's cause when ctx
	// ends first.
	Next(ctx context.Context) (schedule.Firing, error)
}

// Daemon runs the schedule of one config file.
type Daemon struct {
	// Load reads the config: at the start, and at each reload.
	Load func() (*config.File, error)
	// Runner makes what runs jobs under that config.
	Runner func(f *config.File) (*job.Runner, error)
	Place  job.Place
	Queue  Queue
	Log    *slog.Logger
	// Reloading is told that the config is about to be read anew. It may be
	// nil.
	Reloading func()
	// Ended is told of each run that ended. It may be nil; it may be called
	// from several goroutines at once.
	Ended func(store.Run, error)
}

// setting is one config that is in force, with its runner.
type setting struct {
	file   *config.File
	runner *job.Runner
}

// Run serves until ctx ends, and returns nil then, after every run under way
// has been stopped and has cleaned up. It calls ready once the schedule is in
// force, and again after each reload: for each value from reload the config is
// read anew; one with errors leaves the old one in force. Run fails only if the
// first config does.
func (d *Daemon) Run(ctx context.Context, reload <-chan struct{}, ready func()) error {
	now, err := d.load()
	if err != nil {
		return err
	}
	if s := now.runner.Store; s != nil && s.Aside() != "" {
		d.Log.Error("the record of runs was damaged: it is set aside, and a new one begun", "file", s.Aside())
	}
	d.announce(ctx, now)
	ready()

	firings := make(chan schedule.Firing)
	var reader, runs sync.WaitGroup
	defer runs.Wait()
	defer reader.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader.Go(func() { d.read(ctx, firings) })
	for {
		select {
		case <-ctx.Done():
			d.Log.Info("stopping: runs under way are interrupted and clean up")
			return nil
		case <-reload:
			if d.Reloading != nil {
				d.Reloading()
			}
			if next, err := d.load(); err != nil {
				d.Log.Error("the new config has errors: the old one stays in force", logs.Error, err.Error())
			} else {
				now = next
				d.announce(ctx, now)
			}
			ready()
		case f := <-firings:
			s := now
			runs.Go(func() { d.fire(ctx, s, f) })
		}
	}
}

// read passes firings on until ctx ends.
func (d *Daemon) read(ctx context.Context, firings chan<- schedule.Firing) {
	for {
		f, err := d.Queue.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				d.Log.Error("the queue of firings failed", logs.Error, err.Error())
			}
			return
		}
		select {
		case firings <- f:
		case <-ctx.Done():
			return
		}
	}
}

// load reads the config and brings it into force.
func (d *Daemon) load() (setting, error) {
	f, err := d.Load()
	if err != nil {
		return setting{}, err
	}
	runner, err := d.Runner(f)
	if err != nil {
		return setting{}, err
	}
	var entries []schedule.Entry
	for _, name := range f.JobOrder {
		if c := f.Jobs[name]; c.Schedule != nil && !c.Disabled {
			entries = append(entries, schedule.Entry{
				Job: name, Schedule: c.Schedule, Splay: c.Splay, Calendar: c.NotOn,
				CatchUp: schedule.CatchUp(c.CatchUp), Window: c.Window, Last: d.last(runner, name),
			})
		}
	}
	d.Queue.Set(entries)
	return setting{file: f, runner: runner}, nil
}

// last is the nominal time of the last firing of a job that the record knows of.
func (d *Daemon) last(r *job.Runner, name string) (nominal time.Time) {
	if r.Store == nil {
		return time.Time{}
	}
	_, err := r.Store.Each(store.Filter{Job: name}, func(run store.Run) bool {
		nominal = run.Nominal
		return nominal.IsZero() // one by hand
	})
	if err != nil {
		d.Log.Warn("cannot tell when a job fired last: what it missed is not made up for", logs.Job, name, logs.Error, err.Error())
	}
	return nominal
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

// fire runs one firing's job.
func (d *Daemon) fire(ctx context.Context, s setting, f schedule.Firing) {
	var run store.Run
	j, err := job.FromConfig(s.file, f.Job, d.Place)
	if err == nil {
		t := job.Trigger{Nominal: f.Nominal, Missed: f.Missed}
		switch {
		case f.Blocked != "":
			d.note(s.runner.Leave(j, t, store.Skipped, "its calendar is in the way: "+f.Blocked))
			return
		case f.Passed:
			d.note(s.runner.Leave(j, t, store.Missed, "linehaul did not run then, or the machine slept, and the job makes up for nothing that long ago"))
			return
		}
		if why := d.paused(s.runner, f.Job); why != "" {
			d.note(s.runner.Leave(j, t, store.Skipped, why))
			return
		}
		d.Log.Info("job fires", logs.Job, f.Job, "nominal", f.Nominal.Format(time.RFC3339))
		run, err = s.runner.Run(ctx, j, t)
	}
	if err != nil {
		d.Log.Error("run ended", logs.Job, f.Job, logs.Run, run.ID, logs.Code, fault.ExitCode(err),
			logs.Layer, fault.KindOf(err).String(), logs.Error, err.Error())
	} else {
		d.Log.Info("run ended", logs.Job, f.Job, logs.Run, run.ID, logs.Result, string(run.State),
			logs.Files, run.Moved, logs.Bytes, run.Bytes)
	}
	if d.Ended != nil {
		d.Ended(run, err)
	}
}
