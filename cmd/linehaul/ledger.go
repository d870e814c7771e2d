package main

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/store"
	"linehaul/transfer"
)

func (a *app) ledgerCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "ledger",
		Short: "Show, forget and import what jobs have moved",
		Long: `Show, forget and import what jobs have moved. A job with ` + "`only_new: ledger`" + ` goes
by that, and moves no file twice as long as it has not changed, wherever its copy
is by now.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.ledgerListCmd(), a.ledgerForgetCmd(), a.ledgerImportCmd())
	return c
}

type ledgerListFlags struct {
	host   string
	path   string
	number int
}

func (a *app) ledgerListCmd() *cobra.Command {
	var o ledgerListFlags
	c := &cobra.Command{
		Use:   "list [JOB]",
		Short: "List what jobs have moved, by job, host and path",
		Long: `List what jobs have moved, by job, host and path. With --json it is one object a
line, as ` + "`linehaul ledger import`" + ` reads them.`,
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: a.completeJobs,
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return a.ledgerList(c.Context(), name, o)
		},
	}
	c.Flags().StringVar(&o.host, "host", "", "only files of this `HOST`, by its name in the config")
	c.Flags().StringVar(&o.path, "path", "", "only files that match a `GLOB`: by name, or with a slash in it by the whole path")
	c.Flags().IntVarP(&o.number, "number", "n", 0, "how many files to list (default: all)")
	return c
}

// ledgerLine is an entry of the ledger as JSON has it.
type ledgerLine struct {
	Job       string    `json:"job"`
	Host      string    `json:"host"`
	Path      string    `json:"path"`
	PathBytes []byte    `json:"path_bytes,omitempty"` // in base64, of a path that is not UTF-8
	Size      *int64    `json:"size,omitempty"`       // absent: only the name is known
	MTime     time.Time `json:"mtime,omitzero"`
	SHA256    string    `json:"sha256,omitempty"`
	Target    string    `json:"target,omitempty"`
	Run       string    `json:"run,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

func lineOf(e store.Entry) ledgerLine {
	l := ledgerLine{Job: e.Job, Host: e.Host, Path: e.Path, SHA256: e.SHA256, Target: e.Target, Run: e.Run, At: e.At}
	if !utf8.ValidString(e.Path) {
		l.PathBytes = []byte(e.Path)
	}
	if e.Size >= 0 {
		l.Size, l.MTime = &e.Size, e.MTime
	}
	return l
}

func (a *app) ledgerList(ctx context.Context, name string, o ledgerListFlags) error {
	if o.number < 0 {
		return fault.New(fault.Usage, "-n %d: want at least 1", o.number)
	}
	filter := store.LedgerFilter{Job: name, Host: o.host}
	if o.path != "" {
		matches, err := transfer.PathMatcher(o.path)
		if err != nil {
			return err
		}
		filter.Match = func(e store.Entry) bool { return matches(e.Path) }
	}
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.record(f)
	if err != nil {
		return err
	}
	n := 0
	var failed error
	err = s.Ledger(ctx, filter, func(e store.Entry) bool {
		n++
		failed = a.showEntry(e)
		return failed == nil && n != o.number
	})
	switch {
	case failed != nil:
		return fault.New(fault.LocalDisk, "print the ledger: %w", failed)
	case err != nil:
		return err
	case n == 0 && name != "" && f.Jobs[name] == nil:
		return noJob(f, name)
	case n == 0 && !a.json:
		a.note("nothing in the ledger")
	}
	return nil
}

// showEntry prints one entry on one line: there may be millions.
func (a *app) showEntry(e store.Entry) error {
	if a.json {
		_, err := fmt.Fprintf(a.stdout, "%s\n", jsonLine(lineOf(e)))
		return err
	}
	size, changed := "by name", "-"
	if e.Size >= 0 {
		size, changed = bytesText(e.Size), e.MTime.Local().Format(time.DateTime)
	}
	path := e.Path
	for _, r := range path { // it comes from a server
		if r == utf8.RuneError || r < ' ' || r == 0x7f {
			path = fmt.Sprintf("%q", path)
			break
		}
	}
	_, err := fmt.Fprintf(a.stdout, "%s  %-19s  %10s  %s  %s:%s\n", e.At.Local().Format(time.DateTime), changed, size, e.Job, e.Host, path)
	return err
}

type ledgerForgetFlags struct {
	olderThan string
	all       bool
	yes       bool
}

func (a *app) ledgerForgetCmd() *cobra.Command {
	var o ledgerForgetFlags
	c := &cobra.Command{
		Use:   "forget JOB [PATTERN...]",
		Short: "Forget what a job has moved, so that it may be moved again",
		Long: `Forget what a job has moved, so that it may be moved again: files that match a
pattern, that were entered long ago, or all. A pattern without a slash is held
against the name, one with a slash against the whole path, and one that matches a
folder stands for all that is in it. Without --yes it says how many files that would
be, and does nothing. What lies at the target as it is at the source is entered again
by the next run, and not moved: ` + "`linehaul run --all`" + ` moves it.`,
		Example:           "  linehaul ledger forget exports '*.csv' --yes\n  linehaul ledger forget exports --older-than 365d --yes",
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeJobs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.ledgerForget(c.Context(), args[0], args[1:], o)
		},
	}
	c.Flags().StringVar(&o.olderThan, "older-than", "", "files that were entered longer than a `DURATION` ago, such as 90d")
	c.Flags().BoolVar(&o.all, "all-of-it", false, "all that the job has moved")
	c.Flags().BoolVar(&o.yes, "yes", false, "do it")
	return c
}

func (a *app) ledgerForget(ctx context.Context, name string, patterns []string, o ledgerForgetFlags) error {
	filter, err := a.forgetFilter(name, patterns, o)
	if err != nil {
		return err
	}
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.record(f)
	if err != nil {
		return err
	}
	n := 0
	if o.yes {
		n, err = s.LedgerForget(ctx, filter)
	} else {
		err = s.Ledger(ctx, filter, func(store.Entry) bool { n++; return true })
	}
	switch {
	case err != nil:
		return err
	case n == 0 && f.Jobs[name] == nil:
		return noJob(f, name)
	case !o.yes && n > 0:
		return fault.New(fault.Usage, "%d files of job %q would be forgotten, and none was", n, name).WithHint("--yes does it")
	case a.json:
		return a.printJSON(map[string]int{"forgotten": n})
	}
	a.note("%d files of job %s forgotten", n, name)
	return nil
}

func (a *app) forgetFilter(name string, patterns []string, o ledgerForgetFlags) (store.LedgerFilter, error) {
	filter := store.LedgerFilter{Job: name}
	switch some := len(patterns) > 0 || o.olderThan != ""; {
	case o.all && some:
		return filter, fault.New(fault.Usage, "--all-of-it and a choice of files exclude each other")
	case o.all:
		return filter, nil
	case !some:
		return filter, fault.New(fault.Usage, "what of job %q is to be forgotten?", name).WithHint("give patterns, --older-than, or --all-of-it")
	}
	var before time.Time
	if o.olderThan != "" {
		d, err := config.ParseDuration(o.olderThan)
		if err != nil {
			return filter, fault.New(fault.Usage, "--older-than %w", err)
		}
		before = a.now().Add(-d)
	}
	matches, err := transfer.PathMatcher(patterns...)
	if err != nil {
		return filter, err
	}
	filter.Match = func(e store.Entry) bool {
		return (before.IsZero() || e.At.Before(before)) && (len(patterns) == 0 || matches(e.Path))
	}
	return filter, nil
}
