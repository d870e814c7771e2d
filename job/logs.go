package job

import (
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"linehaul/fault"
	"linehaul/logs"
	"linehaul/stamp"
	"linehaul/store"
)

// LogPlace is where logs go and how they look.
type LogPlace struct {
	Dir     string
	Name    *stamp.Template // for jobs that name none
	Options logs.Options
}

// openLog opens the run's log file, if the runner keeps logs, and returns the
// logger that writes to it and to the console. The first line, which names
// job and run, is written then; where other runs write to the same file, the
// lines after it name the run too.
func (r *Runner) openLog(j *Job, run *store.Run, v stamp.Values) (*slog.Logger, func() error, error) {
	var handlers []slog.Handler
	if r.Console != nil {
		handlers = append(handlers, r.Console)
	}
	closeLog := func() error { return nil }
	name := j.Log
	if name == nil {
		name = r.Logs.Name
	}
	if r.Logs.Dir != "" && name != nil {
		path, err := name.Expand(v)
		if err != nil {
			return nil, nil, fault.Wrap(fault.Config, err)
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.Logs.Dir, path)
		}
		o := r.Logs.Options
		o.Location = j.Zone
		file, err := logs.Open(path, o)
		if err != nil {
			return nil, nil, err
		}
		run.LogPath = path
		handlers = append(handlers, file.Handler())
		closeLog = file.Close
	}
	log := slog.New(slog.NewMultiHandler(handlers...))
	log.Info("run starts", logs.Job, run.Job, logs.Run, run.ID, "trigger", run.Trigger, logs.Version, r.Version)
	alone := name == nil || strings.Contains(name.String(), "{run}")
	if !alone {
		log = log.With(logs.Run, run.ID)
	}
	return log, closeLog, nil
}

// pruneLogs removes and compresses old logs, once a day: after the first run
// of the day. Only files that the record names as the log of a run are
// touched.
func (r *Runner) pruneLogs(run store.Run, log *slog.Logger) {
	if r.Logs.Dir == "" || r.Logs.Options.MaxAge <= 0 && !r.Logs.Options.Compress {
		return
	}
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	last, _, err := r.Store.Runs(store.Filter{Limit: 2})
	if err == nil && len(last) == 2 && day(last[1].Started) == day(run.Started) {
		return
	}
	// The files first: the history may have far more runs than there are logs, and
	// nothing is held of those whose log is gone.
	named := map[string]bool{} // by the paths of logs, whether the record names them
	list := logs.PruneOptions{Match: func(name string) bool { named[name] = false; return false }}
	if _, err := logs.Prune(r.Logs.Dir, list); err != nil {
		log.Warn("old logs could not be looked for", logs.Error, err.Error())
	}
	_, err = r.Store.Each(store.Filter{}, func(old store.Run) bool {
		if rel, err := filepath.Rel(r.Logs.Dir, old.LogPath); err == nil {
			rel = filepath.ToSlash(rel)
			if _, there := named[rel]; there {
				named[rel] = true
			}
		}
		return true
	})
	if err != nil {
		log.Warn("old logs could not be looked for", logs.Error, err.Error())
		return
	}
	removed, err := logs.Prune(r.Logs.Dir, logs.PruneOptions{
		Match:    func(name string) bool { return named[name] },
		MaxAge:   r.Logs.Options.MaxAge,
		Compress: r.Logs.Options.Compress,
		Now:      run.Ended,
	})
	if err != nil {
		log.Warn("old logs could not be removed", logs.Error, err.Error())
	}
	if len(removed) > 0 {
		log.Info("removed old logs", logs.Files, len(removed))
	}
}
