package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/schedule/queue"
	"linehaul/store"
	"linehaul/store/db"
)

func (a *app) storeMigrateCmd() *cobra.Command {
	from := ""
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the record's tables up to date, or copy all of another record",
		Long: `Bring the record's tables up to date, those of the queue too, and make them where
there are none. Whatever opens the record does the same; this says what was done, and
does it at a time of your own. A copy of an SQLite file is kept beside it, as
linehaul.db.before-STEP-DATE.

--from copies all of another record into the one of the config, which must be empty: from
the SQLite file in a state folder to the PostgreSQL of a team, or back. Stop linehaul on
all sides first. All of it is copied, or nothing; rows are counted on both sides. What
was copied from stays as it is.`,
		Example: "  linehaul store migrate\n  linehaul store migrate --from /var/lib/linehaul",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return a.storeMigrate(c.Context(), from) },
	}
	c.Flags().StringVar(&from, "from", "", "copy from this record: a state folder, postgres://USER@HOST/DATABASE, or env:NAME or file:PATH with such a URL and its password")
	return c
}

// migration is what was done to a record.
type migration struct {
	Database  db.Kind        `json:"database"`
	From      int            `json:"from"` // the step of the schema; 0: there was none
	To        int            `json:"to"`
	QueueFrom int            `json:"queue_from"`
	QueueTo   int            `json:"queue_to"`
	Kept      string         `json:"kept,omitempty"` // a copy of what was before
	Copied    []store.Copied `json:"copied,omitempty"`
}

func (a *app) storeMigrate(ctx context.Context, from string) error {
	f, err := a.load()
	if err != nil {
		return err
	}
	place, err := a.storePlace(f)
	if err != nil {
		return err
	}
	var source *store.Store
	if from != "" {
		if source, err = a.sourceOf(ctx, place, from); err != nil {
			return err
		}
	}
	var m migration
	if m.From, err = a.stepOf(ctx, place); err != nil {
		return err
	}
	s, err := a.record(f)
	if err != nil {
		return err
	}
	m.Database, m.Kept = s.DB().Kind(), s.DB().Kept()
	if m.To, err = s.DB().Schema(ctx); err != nil {
		return err
	}
	if m.QueueFrom, m.QueueTo, err = queue.Migrate(ctx, s.DB(), a.logger()); err != nil {
		return err
	}
	if source != nil {
		if m.Copied, err = s.CopyFrom(ctx, source); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(m)
	}
	return a.showMigration(m)
}

// stepOf is the step of a record's schema before anything is done to it; 0 if there
// is none.
func (a *app) stepOf(ctx context.Context, p store.Place) (int, error) {
	if p.URL == "" && !store.IsStateFolder(p.Dir) {
		return 0, nil
	}
	p.AsIs = true
	s, err := store.Open(p)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return s.DB().Schema(ctx)
}

func (a *app) showMigration(m migration) error {
	was := func(what string, from, to int) {
		switch from {
		case to:
			a.note("%s are at step %d, which is up to date", what, to)
		case 0:
			a.note("%s are made, at step %d", what, to)
		default:
			a.note("%s were at step %d, and are at step %d", what, from, to)
		}
	}
	was("the record's tables", m.From, m.To)
	was("the queue's tables", m.QueueFrom, m.QueueTo)
	if m.Kept != "" {
		a.note("as it was before, it is kept as %s", m.Kept)
	}
	if len(m.Copied) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tROWS COPIED")
	for _, c := range m.Copied {
		fmt.Fprintf(w, "%s\t%d\n", c.Table, c.Rows)
	}
	return w.Flush()
}

// sourceOf opens the record that --from names, as it is.
func (a *app) sourceOf(ctx context.Context, into store.Place, from string) (*store.Store, error) {
	p := into
	scheme, _, _ := strings.Cut(from, ":")
	switch {
	case strings.HasPrefix(from, "postgres://"), strings.HasPrefix(from, "postgresql://"):
		u, err := url.Parse(from)
		if err != nil {
			return nil, fault.New(fault.Usage, "--from: it cannot be read as a URL").WithHint("such as postgres://linehaul@db.example.net/linehaul")
		}
		if _, password := u.User.Password(); password || strings.Contains(strings.ToLower(u.RawQuery), "password") {
			return nil, fault.New(fault.Usage, "--from: a password on the command line is there for all to see").
				WithHint("put the URL into a variable or a file, and write env:NAME or file:PATH")
		}
		p.URL = from
	case scheme == "env" || scheme == "file" || scheme == "command" || scheme == "credential":
		ref, err := config.ParseSecret(from, ".")
		if err != nil {
			return nil, fault.New(fault.Usage, "--from: %w", err)
		}
		text, err := ref.Resolve(ctx)
		if err != nil {
			return nil, err
		}
		p.URL = strings.TrimSpace(string(text))
		if !strings.HasPrefix(p.URL, "postgres://") && !strings.HasPrefix(p.URL, "postgresql://") {
			return nil, fault.New(fault.Usage, "--from: what it refers to is no URL of PostgreSQL")
		}
	default:
		if !store.IsStateFolder(from) {
			return nil, fault.New(fault.Usage, "--from: %q has no %s", from, db.FileName).WithHint("give the state folder of the linehaul to copy from, or the URL of its PostgreSQL")
		}
		p.Dir, p.URL = from, ""
	}
	if p.URL == into.URL && (p.URL != "" || sameFolder(p.Dir, into.Dir)) {
		return nil, fault.New(fault.Usage, "--from: that is the record of this config itself").WithHint("name where the record was, and in the config, as `store` or `state`, where it is to be")
	}
	return a.openAsIs(p)
}
