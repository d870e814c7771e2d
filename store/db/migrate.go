package db

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"linehaul/fault"
)

// schema has one file for each step of the schema, by its number: 001.sql. A
// file that has been released is never changed.
//
//go:embed schema/*.sql
var schema embed.FS

// Version is the step of the schema that this linehaul knows.
func Version() int {
	names, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return 0
	}
	return len(names)
}

// statements are those of one step, in a database's own words.
func (k Kind) statements(step int) ([]string, error) {
	data, err := schema.ReadFile(path.Join("schema", fmt.Sprintf("%03d.sql", step)))
	if err != nil {
		return nil, err
	}
	// Names and ids are compared by their bytes, in PostgreSQL too.
	text := "TEXT"
	if k == PostgreSQL {
		text = `TEXT COLLATE "C"`
	}
	return strings.Split(strings.TrimSuffix(strings.TrimSpace(strings.ReplaceAll(string(data), "TEXT", text)), ";"), ";\n"), nil
}

// Schema returns the step that the database is at, and 0 for an empty one.
func (d *DB) Schema(ctx context.Context) (int, error) {
	query := "SELECT count(*) FROM sqlite_master WHERE name = 'lh_schema'"
	if d.kind == PostgreSQL {
		query = "SELECT count(*) FROM pg_tables WHERE tablename = 'lh_schema' AND schemaname = current_schema()"
	}
	var n, step int
	if _, err := One(ctx, d, query, nil, &n); err != nil || n == 0 {
		return 0, err
	}
	_, err := One(ctx, d, "SELECT coalesce(max(step), 0) FROM lh_schema", nil, &step)
	return step, err
}

// migrate brings the schema up to date. Of an SQLite file that is not new, a copy
// is kept.
func (d *DB) migrate(ctx context.Context, p Place) error {
	step, err := d.Schema(ctx)
	if err != nil || step == Version() {
		return err
	}
	if step > Version() {
		return fault.New(fault.Config, "the database is of a newer linehaul: its schema is %d, and this one knows %d", step, Version()).
			WithHint("use the newer linehaul here too; `linehaul version` says which one this is")
	}
	if d.kind == SQLite {
		ctx = context.WithoutCancel(ctx) // of a large file it takes what it takes
	}
	if d.kind == SQLite && step > 0 {
		to := fmt.Sprintf("%s.before-%d-%s", d.path, step, p.Now().UTC().Format("20060102T150405Z"))
		if err := d.Backup(ctx, to); err != nil && !exists(to) { // one that is there is of another process just now
			return err
		}
		d.kept = to
	}
	return d.Exclusive(ctx, func() error {
		return d.Tx(ctx, func(t *Tx) error {
			if _, err := t.Exec(ctx, "CREATE TABLE IF NOT EXISTS lh_schema (step BIGINT PRIMARY KEY, at BIGINT NOT NULL)"); err != nil {
				return err
			}
			// Another process may have done it meanwhile.
			if _, err := One(ctx, t, "SELECT coalesce(max(step), 0) FROM lh_schema", nil, &step); err != nil {
				return err
			}
			for step++; step <= Version(); step++ {
				if err := d.step(ctx, t, step, p); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func (d *DB) step(ctx context.Context, t *Tx, step int, p Place) error {
	statements, err := d.kind.statements(step)
	if err != nil {
		return fault.New(fault.Internal, "read step %d of the schema: %w", step, err)
	}
	for _, s := range statements {
		if _, err := t.Exec(ctx, s); err != nil {
			return fmt.Errorf("bring the schema to step %d: %w", step, err)
		}
	}
	_, err = t.Exec(ctx, "INSERT INTO lh_schema (step, at) VALUES ($1, $2)", step, p.Now().UnixMilli())
	return err
}
