package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"linehaul/fault"
	"linehaul/store/db"
)

// Copied is how many rows of a table CopyFrom has copied.
type Copied struct {
	Table string `json:"table"`
	Rows  int    `json:"rows"`
}

// ofProcesses are the tables that say nothing in another database: of what it is, of
// processes, and of what these hold.
func ofProcesses() []string { return []string{"lh_schema", "lh_node", "lh_lock"} }

// CopyFrom copies all of another store into this one, which must be empty, whatever
// kinds of databases the two are: all of it or, when it fails, nothing. In the end the
// rows of both are counted. No process may be using the other one.
func (s *Store) CopyFrom(ctx context.Context, from *Store) ([]Copied, error) {
	tables, err := s.comparable(ctx, from)
	if err != nil {
		return nil, err
	}
	var all []Copied
	err = s.db.Tx(ctx, func(t *db.Tx) error {
		all = all[:0]
		for _, table := range tables {
			if err := mustBeEmpty(ctx, t, table.Name); err != nil {
				return err
			}
		}
		for _, table := range tables {
			n, err := copyTable(ctx, t, from.db, table)
			if err != nil {
				return fmt.Errorf("%s: %w", table.Name, err)
			}
			all = append(all, Copied{table.Name, n})
		}
		// Before it holds: what is not whole is not there at all.
		for _, c := range all {
			var here, there int
			if _, err := db.One(ctx, t, "SELECT count(*) FROM "+c.Table, nil, &here); err != nil {
				return err
			}
			if _, err := db.One(ctx, from.db, "SELECT count(*) FROM "+c.Table, nil, &there); err != nil {
				return err
			}
			if here != there || here != c.Rows {
				return fault.New(fault.Verify, "%s has %d rows there and %d here, and %d were copied: something writes there", c.Table, there, here, c.Rows)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("copy the record: %w", err)
	}
	return all, nil
}

// comparable are the tables that are to be copied: both stores must have the schema
// of this linehaul, and nobody may be using the other one.
func (s *Store) comparable(ctx context.Context, from *Store) ([]db.Table, error) {
	for _, side := range []*Store{from, s} {
		step, err := side.db.Schema(ctx)
		if err != nil {
			return nil, fmt.Errorf("copy the record: %w", err)
		}
		if step != db.Version() {
			return nil, fault.New(fault.Config, "copy the record: the schema of %s is %d, and this linehaul wants %d", side.where(), step, db.Version()).
				WithHint("bring it up to date first: `linehaul store migrate` with a config that names it")
		}
	}
	if err := from.unused(ctx); err != nil {
		return nil, err
	}
	tables, err := s.db.Tables(ctx)
	if err != nil {
		return nil, fmt.Errorf("copy the record: %w", err)
	}
	return slices.DeleteFunc(tables, func(t db.Table) bool { return slices.Contains(ofProcesses(), t.Name) }), nil
}

// where names the database for people.
func (s *Store) where() string {
	if s.db.Kind() == db.SQLite {
		return s.db.Path()
	}
	return "the PostgreSQL"
}

// unused fails if a process that lives holds anything in a store.
func (s *Store) unused(ctx context.Context) error {
	var owners []string
	err := s.db.Each(ctx, "SELECT id FROM lh_node ORDER BY id", nil, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		owners = append(owners, id)
		return err
	})
	if err != nil {
		return s.readFault(err)
	}
	for _, owner := range owners {
		alive, err := s.alive(ctx, s.db, owner)
		if err != nil {
			return err
		}
		if alive {
			return fault.New(fault.Overlap, "copy the record: a linehaul is using %s", s.where()).WithHint("stop what runs there, `serve` and the service too, on all machines")
		}
	}
	return nil
}

func mustBeEmpty(ctx context.Context, t *db.Tx, table string) error {
	var n int
	if _, err := db.One(ctx, t, "SELECT count(*) FROM "+table, nil, &n); err != nil || n == 0 {
		return err
	}
	return fault.New(fault.Config, "there are %d rows in %s already: what is copied would mix with them", n, table).
		WithHint("copy into a database that no linehaul has used yet")
}

func copyTable(ctx context.Context, t *db.Tx, from *db.DB, table db.Table) (n int, err error) {
	columns := strings.Join(table.Columns, ", ")
	marks := make([]string, len(table.Columns))
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", i+1)
	}
	insert := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table.Name, columns, strings.Join(marks, ", "))
	values, into := make([]any, len(marks)), make([]any, len(marks))
	for i := range values {
		into[i] = &values[i]
	}
	err = from.Each(ctx, fmt.Sprintf("SELECT %s FROM %s", columns, table.Name), nil, func(scan func(...any) error) error {
		if err := scan(into...); err != nil {
			return err
		}
		n++
		_, err := t.Exec(ctx, insert, values...)
		return err
	})
	return n, err
}

// IsStateFolder reports whether a folder has a store in SQLite.
func IsStateFolder(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, db.FileName))
	return err == nil && info.Mode().IsRegular()
}
