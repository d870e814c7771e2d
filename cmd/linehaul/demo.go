package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/logs"
	"linehaul/store"
	"linehaul/transfer/remote/remotetest"
)

// demoRuns is how many runs the demo waits for, and demoLimit for how long.
const (
	demoRuns  = 2
	demoLimit = time.Minute
)

func (a *app) demoCmd() *cobra.Command {
	keep := false
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole chain on this machine alone, with nothing to set up",
		Long: `Start an SSH server inside this process, write a config into a temporary folder,
let the schedule run a job twice a few seconds apart, and show the log and the
dated files. Then start an IPsec gateway inside this process, with a server behind
it that is on no network of this machine, and pull a file through a tunnel.
Nothing outside the temporary folder is touched.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), keep) },
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave the temporary folder there")
	return c
}

func (a *app) demo(ctx context.Context, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "linehaul-demo-")
	if err != nil {
		return fault.New(fault.LocalDisk, "make a temporary folder: %w", err)
	}
	if keep {
		a.note("the demo's folder stays: %s", dir)
	} else {
		defer func() { err = errors.Join(err, fault.Wrap(fault.LocalDisk, os.RemoveAll(dir))) }()
	}
	d, err := newDemo(ctx, a, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.server.Close()) }()
	defer d.close()
	if err := d.serve(ctx); err != nil {
		return err
	}
	if err := d.show(); err != nil {
		return err
	}
	if err := d.throughTunnel(ctx); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\nThat was all of it. For a server of your own: `linehaul config init`, then `linehaul %s`.\n", serviceVerb())
	return nil
}

// demonstration is one demo: a server with files, a config, what became of
// the runs.
type demonstration struct {
	*app
	dir    string
	server *remotetest.Server
}

// demoPassword is no secret: the server that takes it lives for seconds, on
// loopback, and serves a folder of its own.
const demoPassword = "demo"

func newDemo(ctx context.Context, a *app, dir string) (*demonstration, error) {
	served := filepath.Join(dir, "server")
	files := map[string]string{
		"backups/orders.sql": strings.Repeat("insert into orders values (1, 'a box of nails');\n", 20000),
		"backups/stock.csv":  "article,number\nnails,20000\nhammers,12\n",
		"backups/notes.txt":  "not a backup: the pattern leaves it out\n",
		"jephe.txt":          "the file that a batch file once pulled\n",
	}
	for name, text := range files {
		path := filepath.Join(served, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fault.New(fault.LocalDisk, "make the demo's files: %w", err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, fault.New(fault.LocalDisk, "make the demo's files: %w", err)
		}
	}
	server, err := remotetest.Start(ctx, remotetest.Options{Root: served, Password: demoPassword})
	if err != nil {
		return nil, err
	}
	d := &demonstration{app: a, dir: dir, server: server}
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(demoPassword+"\n"), 0o600); err != nil {
		return nil, fault.New(fault.LocalDisk, "write the demo's secret: %w", err)
	}
	config := filepath.Join(dir, "linehaul.yaml")
	if err := os.WriteFile(config, []byte(d.config()), 0o600); err != nil {
		return nil, fault.New(fault.LocalDisk, "write the demo's config: %w", err)
	}
	fmt.Fprintf(a.stdout, "An SSH server runs inside this process at %s.\nThis is the config:\n\n%s\n", server.Addr(), indent(d.config()))
	d.app = &app{stdin: a.stdin, stdout: a.stdout, stderr: a.stderr, env: func(string) string { return "" }, now: a.now, configPath: config, quiet: a.quiet}
	return d, nil
}

func (d *demonstration) config() string {
	return `state: state
logs:
  dir: log
hosts:
  branch:
    address: ` + d.server.Addr() + `
    user: jephe
    password: file:password
    host_keys: "` + d.server.Fingerprint() + `"
jobs:
  nightly:
    schedule: "@every 3s"        # at night it would be "30 2 * * *"
    get: [branch:backups/*.sql, branch:backups/*.csv, branch:jephe.txt]
    to: backup/{date}/{name}.{time}
`
}

// serve runs the schedule until the job has run often enough.
func (d *demonstration) serve(ctx context.Context) error {
	fmt.Fprintf(d.stdout, "The schedule runs; the job fires twice, three seconds apart:\n\n")
	var runErr error
	count := 0
	ctx, cancel := context.WithTimeoutCause(ctx, demoLimit, fault.New(fault.Timeout, "the demo did not end within %s", demoLimit))
	defer cancel()
	server := d.daemon(slog.New(logs.NewHandler(d.stdout, logs.Text, slog.LevelWarn)))
	ended := make(chan error, demoRuns+1)
	server.Ended = func(_ store.Run, err error) {
		select {
		case ended <- err:
		default: // more runs than are waited for
		}
	}
	done := make(chan error, 1)
	serveCtx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { done <- server.Run(serveCtx, nil, func() {}) }()
	for count < demoRuns && runErr == nil {
		select {
		case runErr = <-ended:
			count++
		case <-ctx.Done():
			runErr = context.Cause(ctx)
		case err := <-done:
			return errors.Join(err, runErr)
		}
	}
	stop()
	return errors.Join(runErr, <-done)
}

// showRuns prints the logs of the last good runs of a job, of which there are as
// many at least, and returns how many there are.
func (d *demonstration) showRuns(job string, want int) (int, error) {
	f, err := d.load()
	if err != nil {
		return 0, err
	}
	s, err := d.record(f)
	if err != nil {
		return 0, err
	}
	runs, _, err := s.Runs(store.Filter{Job: job, State: store.OK})
	if err != nil {
		return 0, err
	}
	if len(runs) < want {
		return 0, fmt.Errorf("the demo saw %d good runs of %s, want %d", len(runs), job, want)
	}
	for _, run := range slices.Backward(runs[:want]) {
		fmt.Fprintf(d.stdout, "--- log of run %s\n", run.ID)
		if err := logs.Tail(run.LogPath, d.stdout, -1); err != nil {
			return 0, err
		}
	}
	return len(runs), nil
}

// show prints the log of the last run and the files that are there now.
func (d *demonstration) show() error {
	if _, err := d.showRuns("nightly", demoRuns); err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "\nThe files that it pulled, each under a dated name, with the times of the originals:\n\n")
	backup := filepath.Join(d.dir, "backup")
	count := 0
	err := filepath.WalkDir(backup, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		count++
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(d.dir, path)
		fmt.Fprintf(d.stdout, "    %-44s %9d bytes  %s\n", rel, info.Size(), info.ModTime().Format(time.DateTime))
		return err
	})
	if err != nil {
		return fault.Wrap(fault.LocalDisk, err)
	}
	if want := 3 * demoRuns; count < want {
		return fmt.Errorf("the demo pulled %d files, want %d", count, want)
	}
	return nil
}

func serviceVerb() string {
	if runtime.GOOS == "windows" {
		return "service install"
	}
	return "serve"
}

// indent puts four spaces before each line.
func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}
