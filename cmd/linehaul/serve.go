package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/daemon"
	"linehaul/fault"
	"linehaul/job"
	"linehaul/logs"
	"linehaul/schedule/queue"
	"linehaul/winsvc"
)

func (a *app) serveCmd() *cobra.Command {
	service := ""
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the schedule in the foreground",
		Long: `Run the schedule until stopped. SIGHUP reads the config anew; one with errors
leaves the old one in force. What the schedule does is logged to linehaul.log in
the log folder, and to the terminal; each run has a log of its own besides.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.serve(c.Context(), service) },
	}
	c.Flags().StringVar(&service, "service", "", "run as the system's service of that `NAME`")
	if err := c.Flags().MarkHidden("service"); err != nil {
		panic(err) // the flag is two lines above
	}
	return c
}

func (a *app) serve(ctx context.Context, service string) (err error) {
	// The first reading also says where the log goes; the daemon reads again.
	f, err := a.load()
	if err != nil {
		return err
	}
	a.configPath = f.Path // found once: a service's folder may change
	file, err := logs.Open(filepath.Join(f.Logs.Dir, "linehaul.log"), a.logOptions(f.Logs))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	handlers := []slog.Handler{file.Handler()}
	if service == "" && !a.quiet {
		handlers = append(handlers, logs.NewHandler(a.stderr, logs.Text, slog.LevelInfo))
	}
	log := slog.New(slog.NewMultiHandler(handlers...))
	log.Info("linehaul serves", logs.Version, versionText())

	a.sets = true
	d := a.daemon(log)
	err = winsvc.Run(ctx, service, func(ctx context.Context, ready func()) error {
		reload, stop := reloads()
		defer stop()
		a.ways().Serve(ctx, log)
		return d.Run(ctx, reload, ready)
	}, winsvc.Options{Log: log})
	if err != nil {
		log.Error("linehaul ended", logs.Layer, fault.KindOf(err).String(), logs.Error, err.Error(), logs.Code, fault.ExitCode(err))
		return err
	}
	log.Info("linehaul ended")
	return nil
}

// daemon makes the long-running process over this invocation's config.
func (a *app) daemon(log *slog.Logger) *daemon.Daemon {
	place := a.place()
	place.Warn = func(msg string) { log.Warn(msg) }
	return &daemon.Daemon{
		Load:   a.load,
		Runner: func(f *config.File) (*job.Runner, error) { return a.runner(f) },
		Place:  place,
		Queue: func(ctx context.Context, r *job.Runner, f *config.File) (daemon.Queue, error) {
			return queue.Open(ctx, queue.Place{Store: r.Store, Now: a.now, Random: randomReader(), Log: log, Runs: f.Limits.Runs})
		},
		Log: log,
		Reloading: func() {
			if err := winsvc.Reloading(); err != nil {
				log.Warn("the service manager could not be told of the reload", logs.Error, err.Error())
			}
		},
	}
}
