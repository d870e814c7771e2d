package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"linehaul/fault"
	"linehaul/store"
)

func (a *app) storeExportCmd() *cobra.Command {
	var o exportOptions
	c := &cobra.Command{
		Use:   "export FILE|-",
		Short: "Write the record as JSON lines",
		Long: `Write the record as JSON lines into a new file, or to the standard output: the runs, the
newest first, each followed by its further files and by what was measured, and the
pauses of jobs. "line" says what each line is; the last one is "end", with the number of
lines of each kind, so that an export that was cut off shows. docs/STORE.md has the fields.`,
		Example: "  linehaul store export --since 720h - | jq -r 'select(.line == \"run\") | [.run.id, .run.job, .run.state] | @tsv'",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE:    func(c *cobra.Command, args []string) error { return a.storeExport(c.Context(), args[0], o) },
	}
	c.Flags().DurationVar(&o.since, "since", 0, "only runs of the last `DURATION`, such as 48h")
	c.Flags().StringVar(&o.job, "job", "", "only the runs of a `JOB`")
	if err := c.RegisterFlagCompletionFunc("job", a.completeJobs); err != nil {
		panic(err) // the flag is a line above
	}
	return c
}

type exportOptions struct {
	since time.Duration
	job   string
}

// exported is what --json prints of an export.
type exported struct {
	File   string         `json:"file"`
	Counts map[string]int `json:"counts"`
}

func (a *app) storeExport(ctx context.Context, to string, o exportOptions) error {
	if o.since < 0 {
		return fault.New(fault.Usage, "--since %s: want a time above 0", o.since)
	}
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.recordAsIs(f)
	if err != nil {
		return err
	}
	filter := store.Filter{Job: o.job}
	if o.since > 0 {
		filter.Since = a.now().Add(-o.since)
	}
	out := a.stdout
	var file *os.File
	if to != "-" {
		if file, err = os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640); err != nil {
			f := fault.New(fault.LocalDisk, "export to %q: %w", to, err)
			if errors.Is(err, fs.ErrExist) {
				return f.WithHint("name a new file: what is there is not written over")
			}
			return f
		}
		out = file
	}
	counts, warnings, err := s.Export(ctx, out, filter)
	if file != nil {
		if err == nil {
			err = file.Sync()
		}
		if err = errors.Join(err, file.Close()); err != nil {
			os.Remove(to) //nolint:errcheck // the error before counts
		}
	}
	if err != nil {
		if f := (*fault.Error)(nil); errors.As(err, &f) {
			return err
		}
		return fault.New(fault.LocalDisk, "export to %q: %w", to, err)
	}
	for _, w := range warnings {
		a.note("warning: left out: %v", w)
	}
	switch {
	case file == nil:
	case a.json:
		return a.printJSON(exported{to, counts})
	default:
		a.note("%d runs are exported to %s", counts[store.LineRun], to)
	}
	return nil
}

// fileSize is the size of a file.
func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fault.New(fault.LocalDisk, "%w", err)
	}
	return info.Size(), nil
}

// sameFolder reports whether two names are of one folder.
func sameFolder(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
