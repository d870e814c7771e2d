package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/store"
	"linehaul/store/db"
)

func (a *app) storeCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "store",
		Short: "Look after the record of runs: check, back up, migrate, export",
		Long: `Look after the record of runs, which is an SQLite file in the state folder, or the
PostgreSQL that ` + "`store`" + ` in the config names.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.storeCheckCmd(), a.storeBackupCmd(), a.storeMigrateCmd(), a.storeExportCmd())
	return c
}

func (a *app) storeCheckCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read all of the record, and say whether it is whole",
		Long: `Read all of the record, and say whether it is whole: the pages of an SQLite file, the
indices of a PostgreSQL, whatever belongs to a run that is not there, and each run's
own record. Nothing is changed, and jobs may run meanwhile. The exit code is 0 if all is
well, and 10 if anything is wrong.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.storeCheck(c.Context()) },
	}
}

func (a *app) storeCheck(ctx context.Context) error {
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.recordAsIs(f)
	if err != nil {
		return err
	}
	h, err := s.Check(ctx)
	if err != nil {
		return err
	}
	if len(h.Problems) > 0 {
		err = fault.New(fault.LocalDisk, "the record has %d faults", len(h.Problems)).
			WithHint("docs/STORE.md says what to do; `linehaul store export` saves what can be read")
	}
	if a.json {
		if printErr := a.printJSON(h); printErr != nil {
			return printErr
		}
		if err != nil {
			return reported{err}
		}
		return nil
	}
	a.showHealth(h)
	return err
}

func (a *app) showHealth(h store.Health) {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	if h.Database == db.SQLite {
		row("database", "SQLite, %s", h.File)
		row("size", "%s, %s of it free", bytesText(h.Room.Bytes), bytesText(h.Room.Free))
	} else {
		row("database", "PostgreSQL")
		row("size", "%s", bytesText(h.Room.Bytes))
	}
	if h.Schema == h.Knows {
		row("schema", "%d", h.Schema)
	} else {
		row("schema", "%d; this linehaul wants %d, and brings it there when it runs", h.Schema, h.Knows)
	}
	row("runs", "%d", h.Runs)
	for _, state := range slices.Sorted(maps.Keys(h.States)) {
		row("", "%d %s", h.States[state], state)
	}
	if h.Runs > 0 {
		row("oldest", "%s", h.Oldest)
		row("newest", "%s", h.Newest)
	}
	row("receipts", "%d", h.Receipts)
	row("ledger", "%d files", h.Ledger)
	for _, p := range h.Problems {
		row("FAULT", "%s", p)
	}
	if len(h.Problems) == 0 {
		row("result", "ok")
	}
	w.Flush() //nolint:errcheck // as any print to the terminal
}

// recordAsIs opens the record of a config as it is, to read only.
func (a *app) recordAsIs(f *config.File) (*store.Store, error) {
	p, err := a.storePlace(f)
	if err != nil {
		return nil, err
	}
	return a.openAsIs(p)
}

func (a *app) openAsIs(p store.Place) (*store.Store, error) {
	p.AsIs, p.SetAside = true, false
	s, err := store.Open(p)
	if err == nil {
		a.ends = append(a.ends, s.Close)
	}
	return s, err
}

func (a *app) storeBackupCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the SQLite file of the record, whole, while jobs run",
		Long: `Copy the SQLite file of the record into a new file: whole and of one instant, also while
jobs run. To go back to it, stop linehaul, and put it in the place of linehaul.db in the
state folder, without linehaul.db-wal and linehaul.db-shm. A PostgreSQL is backed up
by pg_dump.`,
		Example: "  linehaul store backup /backup/linehaul-$(date +%Y%m%d).db",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE:    func(c *cobra.Command, args []string) error { return a.storeBackup(c.Context(), args[0]) },
	}
}

// backedUp is what --json prints of a backup.
type backedUp struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

func (a *app) storeBackup(ctx context.Context, to string) error {
	f, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.recordAsIs(f)
	if err != nil {
		return err
	}
	if err := s.DB().Backup(ctx, to); err != nil {
		return err
	}
	size, err := fileSize(to)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(backedUp{to, size})
	}
	a.note("the record is backed up to %s, %s", to, bytesText(size))
	return nil
}
