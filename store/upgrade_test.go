package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/receipt"
	"linehaul/store"
	"linehaul/store/db"
	"linehaul/store/storetest"
)

// secondStep are the tables that the schema has at its second step.
var secondStep = []string{
	"lh_schema", "lh_node", "lh_run", "lh_run_files", "lh_attachment", "lh_progress", "lh_pause", "lh_lock", "lh_schedule", "lh_ledger",
}

// TestUpgrade: a record that linehaul left before there were receipts is brought to
// where this one has it, with all that is in it. The runs of then are told from runs
// whose receipts were taken away, new ones get theirs, and of a file there is a copy.
func TestUpgrade(t *testing.T) {
	s, dir := openStore(t)
	storetest.Fill(t, s, 3, 50, time.Now().Add(-time.Hour))
	before, after := fullRun(t), fullRun(t)
	before.ID, after.ID = newID(t, time.Now(), 1), newID(t, time.Now(), 2)
	for _, r := range []*store.Run{&before, &after} {
		r.State, r.Ended = store.Running, time.Time{}
	}
	put(t, s, before)
	entry := store.Entry{Job: "job-000", Host: "hk1", Path: "/a b", Size: 7, MTime: time.Now(), At: time.Now()}
	if err := s.LedgerImport([]store.Entry{entry}); err != nil {
		t.Fatal(err)
	}
	back(t, s)
	s.Close()

	s = reopen(t, dir)
	if step, err := s.DB().Schema(t.Context()); step != db.Version() || err != nil {
		t.Fatalf("at step %d of %d, %v", step, db.Version(), err)
	}
	runs, _, err := s.Runs(store.Filter{Limit: 100})
	if err != nil || len(runs) != 51 {
		t.Fatalf("%d runs of 51, %v", len(runs), err)
	}
	if known, err := s.LedgerKnown(t.Context(), "job-000", "hk1", []string{"/a b"}); err != nil || len(known) != 1 || known["/a b"].Size != 7 {
		t.Errorf("the ledger has %+v, %v", known, err)
	}
	put(t, s, after)
	after.State, after.Ended = store.OK, time.Now()
	if after, err = s.End(after); err != nil || after.Receipt == nil || after.Receipt.Seq != 1 {
		t.Fatalf("a new run has the receipt %+v, %v", after.Receipt, err)
	}
	receipts := s.Receipts()
	if report, err := receipt.Verify(t.Context(), receipts, receipts, receipt.Options{}); err != nil || !report.OK || report.Receipts != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if h, err := s.Check(t.Context()); err != nil || len(h.Problems) > 0 || h.Runs != 52 || h.Ledger != 1 {
		t.Errorf("%+v, %v", h, err)
	}
	if s.DB().Kind() == db.SQLite {
		wasCopied(t, dir)
	}
}

// wasCopied holds the copy that was made before the upgrade against what there was.
func wasCopied(t *testing.T, dir string) {
	t.Helper()
	copies, err := filepath.Glob(filepath.Join(dir, db.FileName+".before-2-*"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies %q, %v", copies, err)
	}
	p := place(t.TempDir())
	p.AsIs = true
	if err := os.Rename(copies[0], filepath.Join(p.Dir, db.FileName)); err != nil {
		t.Fatal(err)
	}
	as, err := store.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(as.Close)
	if h, err := as.Check(t.Context()); err != nil || len(h.Problems) > 0 || h.Schema != 2 || h.Runs != 51 || h.Ledger != 1 || h.Receipts != 0 {
		t.Errorf("the copy: %+v, %v", h, err)
	}
}

// back takes from a database what steps after the second one have brought: tables,
// and nothing else.
func back(t *testing.T, s *store.Store) {
	t.Helper()
	tables := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if s.DB().Kind() == db.PostgreSQL {
		tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
	}
	var later []string
	err := s.DB().Each(t.Context(), tables, nil, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		if strings.HasPrefix(name, "lh_") && !slices.Contains(secondStep, name) {
			later = append(later, name)
		}
		return err
	})
	if err != nil || len(later) < 4 {
		t.Fatalf("later tables %q, %v", later, err)
	}
	statements := []string{"DELETE FROM lh_schema WHERE step > 2"}
	for _, name := range later {
		statements = append(statements, "DROP TABLE "+name)
	}
	for _, statement := range statements {
		if _, err := s.DB().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}
