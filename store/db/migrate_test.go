package db_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"linehaul/store/db"
)

// raw opens an SQLite file without a word of its schema.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	d, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// asStep makes the database as the linehaul left it that knew so many steps, with
// one schedule in it.
func asStep(t *testing.T, exec func(statement string, args ...any) error, k db.Kind, steps int) {
	t.Helper()
	err := exec("CREATE TABLE lh_schema (step BIGINT PRIMARY KEY, at BIGINT NOT NULL)")
	for step := 1; step <= steps && err == nil; step++ {
		var statements []string
		if statements, err = k.Statements(step); err == nil {
			for _, s := range statements {
				err = errors.Join(err, exec(s))
			}
			err = errors.Join(err, exec("INSERT INTO lh_schema (step, at) VALUES ($1, 1)", step))
		}
	}
	err = errors.Join(err, exec("INSERT INTO lh_schedule (job, last) VALUES ('one', 1)"))
	if err != nil {
		t.Fatal(err)
	}
}

// TestBackupBeforeStep: before an SQLite file of an earlier linehaul gets a step of
// the schema, it is copied as it was. What was in it is there afterwards, and the
// next one who opens it copies nothing.
func TestBackupBeforeStep(t *testing.T) {
	p := db.Place{Dir: t.TempDir(), Now: at}
	path := filepath.Join(p.Dir, db.FileName)
	old := raw(t, path)
	asStep(t, func(s string, args ...any) error { _, err := old.ExecContext(t.Context(), s, args...); return err }, db.SQLite, 1)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d := open(t, p)
		if step, err := d.Schema(t.Context()); step != db.Version() || step < 2 || err != nil {
			t.Fatalf("at step %d of %d, %v", step, db.Version(), err)
		}
		if got := numbers(t, d, "SELECT count(*) FROM lh_schedule WHERE job = 'one'"); !slices.Equal(got, []int64{1}) {
			t.Errorf("after the step there are %d schedules", got)
		}
		if got := numbers(t, d, "SELECT count(*) FROM lh_ledger"); !slices.Equal(got, []int64{0}) {
			t.Errorf("the ledger has %d entries", got)
		}
		d.Close()
	}
	copies, err := filepath.Glob(path + ".before-*")
	if want := path + ".before-1-20261128T210000Z"; err != nil || !slices.Equal(copies, []string{want}) {
		t.Fatalf("copies: %q, want %q, %v", copies, want, err)
	}
	if info, err := os.Stat(copies[0]); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
		t.Errorf("the copy is %v, %v", info.Mode(), err)
	}
	before := raw(t, copies[0])
	for query, want := range map[string]int{
		"SELECT max(step) FROM lh_schema":                             1,
		"SELECT count(*) FROM lh_schedule":                            1,
		"SELECT count(*) FROM sqlite_master WHERE name = 'lh_ledger'": 0,
	} {
		var n int
		if err := before.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != want {
			t.Errorf("in the copy, %s: %d, want %d, %v", query, n, want, err)
		}
	}
}

// TestNoStepWithoutBackup: where the copy cannot be made, the file stays as it is.
func TestNoStepWithoutBackup(t *testing.T) {
	p := db.Place{Dir: t.TempDir(), Now: at}
	path := filepath.Join(p.Dir, db.FileName)
	old := raw(t, path)
	asStep(t, func(s string, args ...any) error { _, err := old.ExecContext(t.Context(), s, args...); return err }, db.SQLite, 1)
	// A folder in the way of the copy, with something in it.
	if err := os.MkdirAll(filepath.Join(path+".before-1-20261128T210000Z.tmp", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if d, err := db.Open(t.Context(), p); err == nil {
		d.Close()
		t.Fatal("it was changed without a copy")
	}
	var step int
	if err := old.QueryRowContext(t.Context(), "SELECT max(step) FROM lh_schema").Scan(&step); err != nil || step != 1 {
		t.Errorf("at step %d, %v", step, err)
	}
}

// TestStepOnPostgreSQL: a PostgreSQL of an earlier linehaul gets the steps that it
// lacks, and keeps what is in it.
func TestStepOnPostgreSQL(t *testing.T) {
	p := db.Place{URL: shared.NewDatabase(t), Now: at}
	d := open(t, p)
	exec := func(s string, args ...any) error { _, err := d.Exec(t.Context(), s, args...); return err }
	if err := errors.Join(exec("DROP SCHEMA public CASCADE"), exec("CREATE SCHEMA public")); err != nil {
		t.Fatal(err)
	}
	asStep(t, exec, db.PostgreSQL, 1)
	later := open(t, p)
	if step, err := later.Schema(t.Context()); step != db.Version() || err != nil {
		t.Fatalf("at step %d, %v", step, err)
	}
	if got := numbers(t, later, "SELECT count(*) FROM lh_schedule WHERE job = 'one'"); !slices.Equal(got, []int64{1}) {
		t.Errorf("after the step there are %d schedules", got)
	}
}
