package db_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab/postgres"
	"linehaul/store/db"
)

// TestAsIs: what is opened as it is can be read and not be written, is not made
// where it is absent, and not brought up to date.
func TestAsIs(t *testing.T) {
	both(t, func(t *testing.T, p db.Place) {
		d := open(t, p)
		if _, err := d.Exec(t.Context(), "INSERT INTO lh_schedule (job, last) VALUES ('a', 1)"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Exec(t.Context(), "INSERT INTO lh_schema (step, at) VALUES ($1, 0)", db.Version()+1); err != nil {
			t.Fatal(err)
		}
		p.AsIs = true
		r := open(t, p)
		if got := numbers(t, r, "SELECT last FROM lh_schedule"); len(got) != 1 || got[0] != 1 {
			t.Errorf("read %d", got)
		}
		if step, err := r.Schema(t.Context()); step != db.Version()+1 || err != nil {
			t.Errorf("the schema is %d, %v", step, err)
		}
		ctx, cancel := contextOf(t)
		defer cancel()
		if _, err := r.Exec(ctx, "DELETE FROM lh_schedule"); err == nil {
			t.Error("it was written")
		}
		if err := r.Tx(ctx, func(tx *db.Tx) error { _, err := tx.Exec(ctx, "DELETE FROM lh_schedule"); return err }); err == nil {
			t.Error("it was written in a transaction")
		}
		if got := numbers(t, d, "SELECT count(*) FROM lh_schedule"); got[0] != 1 {
			t.Errorf("left are %d", got)
		}
	})
}

// TestAsIsBouncer: it is read through PgBouncer as well.
func TestAsIsBouncer(t *testing.T) {
	url := shared.NewDatabase(t)
	open(t, db.Place{URL: url, Now: at})
	r := open(t, db.Place{URL: postgres.Bouncer(t, url, 2), Now: at, AsIs: true})
	if problems, err := r.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%q, %v", problems, err)
	}
	if room, err := r.Room(t.Context()); err != nil || room.Bytes == 0 {
		t.Errorf("it takes %+v, %v", room, err)
	}
}

// TestAsIsAbsent: no file is made, and one that no linehaul made is at step 0.
func TestAsIsAbsent(t *testing.T) {
	p := db.Place{Dir: filepath.Join(t.TempDir(), "none"), Now: at, AsIs: true}
	if _, err := db.Open(t.Context(), p); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("opened: %v", err)
	}
	if _, err := os.Stat(p.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder: %v", err)
	}
}

// TestAsIsUnwritable: a file in a folder that this user may not write into is read
// all the same, when nobody has it open.
func TestAsIsUnwritable(t *testing.T) {
	p := db.Place{Dir: t.TempDir(), Now: at}
	d := open(t, p)
	d.Close()
	if _, err := os.Stat(d.Path() + "-wal"); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
	before, err := os.ReadFile(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	p.AsIs = true
	if step, err := open(t, p).Schema(t.Context()); step != db.Version() || err != nil {
		t.Errorf("the schema is %d, %v", step, err)
	}
	if after, err := os.ReadFile(d.Path()); err != nil || string(after) != string(before) {
		t.Errorf("the file has changed, %v", err)
	}
}

// TestGiveBack: what is deleted makes the file shorter again, and what stays is
// whole; also of a file that was made without that.
func TestGiveBack(t *testing.T) {
	for _, old := range []bool{false, true} {
		p := db.Place{Dir: t.TempDir(), Now: at}
		d := open(t, p)
		if old {
			for _, statement := range []string{"PRAGMA auto_vacuum = NONE", "VACUUM"} {
				if _, err := d.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}
		if mode := numbers(t, d, "PRAGMA auto_vacuum"); (mode[0] == 0) != old {
			t.Fatalf("it gives pages back by %d", mode)
		}
		err := d.Tx(t.Context(), func(tx *db.Tx) error {
			for i := range 9000 {
				if _, err := tx.Exec(t.Context(), "INSERT INTO lh_progress (run, content) VALUES ($1, $2)", i, strings.Repeat("x", 3000)); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			_, err = d.Exec(t.Context(), "DELETE FROM lh_progress WHERE CAST(run AS INTEGER) >= 100")
		}
		if err != nil {
			t.Fatal(err)
		}
		before, err := d.Room(t.Context())
		if err != nil || before.Free < 20<<20 || before.Bytes < before.Free {
			t.Fatalf("it takes %+v, %v", before, err)
		}
		if old {
			if err := d.GiveBack(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if r, err := d.Room(t.Context()); err != nil || r != before {
				t.Errorf("while others use it: %+v, %v", r, err)
			}
		}
		if err := d.GiveBack(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		after, err := d.Room(t.Context())
		if err != nil || after.Free > 1<<20 || after.Bytes > 2<<20 {
			t.Errorf("old %v: of %+v, it takes %+v, %v", old, before, after, err)
		}
		if got := numbers(t, d, "SELECT count(*) FROM lh_progress"); got[0] != 100 {
			t.Errorf("left are %d", got)
		}
		if problems, err := d.Check(t.Context()); len(problems) > 0 || err != nil {
			t.Errorf("%q, %v", problems, err)
		}
		d.Close()
		if info, err := os.Stat(d.Path()); err != nil || info.Size() > 2<<20 {
			t.Errorf("old %v: the file has %d bytes, %v", old, info.Size(), err)
		}
	}
}

// TestTables: our tables are found with their columns, alike on both.
func TestTables(t *testing.T) {
	var want []db.Table
	both(t, func(t *testing.T, p db.Place) {
		d := open(t, p)
		got, err := d.Tables(t.Context())
		if err != nil || len(got) < 8 {
			t.Fatalf("%v, %v", got, err)
		}
		if want == nil {
			want = got
		}
		for i, table := range got {
			if table.Name != want[i].Name || strings.Join(table.Columns, " ") != strings.Join(want[i].Columns, " ") {
				t.Errorf("%v, want %v", table, want[i])
			}
		}
		if r, err := d.Room(t.Context()); err != nil || r.Bytes == 0 {
			t.Errorf("it takes %+v, %v", r, err)
		}
	})
}

// contextOf bounds what PostgreSQL would be asked again and again.
func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Second)
}

// TestGiveBackSlow: where it takes long to give pages back, each step is of fewer.
func TestGiveBackSlow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	now := at()
	var steps []string
	d := open(t, db.Place{
		Dir: t.TempDir(),
		Now: func() time.Time { now = now.Add(100 * time.Millisecond); return now },
		Watch: func(statement string, _ []any) {
			if n, ok := strings.CutPrefix(statement, "PRAGMA incremental_vacuum"); ok {
				if steps = append(steps, n); n == "(1)" {
					cancel()
				}
			}
		},
	})
	for _, statement := range []string{
		"INSERT INTO lh_progress (run, content) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i, hex(zeroblob(1500)) FROM n",
		"DELETE FROM lh_progress",
	} {
		if _, err := d.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.GiveBack(ctx, false); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	if got := strings.Join(steps, " "); got != "(50) (25) (12) (6) (3) (1)" {
		t.Errorf("steps of %s", got)
	}
}
