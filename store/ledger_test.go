package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/store"
)

func ledgerAt(n int) time.Time { return time.Date(2026, 11, 28, 21, 0, n, 0, time.UTC) }

func entry(job, path string, n int) store.Entry {
	return store.Entry{Job: job, Host: "hk1", Path: path, Size: int64(n), MTime: ledgerAt(n), Target: "/in/" + path, At: ledgerAt(0)}
}

// ledgerRun is a run of this process that is under way.
func ledgerRun(t *testing.T, s *store.Store, n int) store.Run {
	t.Helper()
	id, err := store.NewRunID(ledgerAt(n), strings.NewReader("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	r := store.Run{ID: id, Job: "a", Host: "hk1", Started: ledgerAt(n), State: store.Running}
	if err := s.Put(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// entries are all that the ledger has, as lines.
func entries(t *testing.T, s *store.Store, f store.LedgerFilter) (all []string) {
	t.Helper()
	err := s.Ledger(t.Context(), f, func(e store.Entry) bool {
		state := ""
		if e.Begun {
			state = " begun"
		}
		all = append(all, fmt.Sprintf("%s %s:%q %d%s", e.Job, e.Host, e.Path, e.Size, state))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLedger: what was entered is known by job, host and path, as it was, whatever
// bytes its path has; another job knows nothing of it.
func TestLedger(t *testing.T) {
	s, dir := openStore(t)
	r := ledgerRun(t, s, 1)
	long := strings.Repeat("long/", 700) + "x"
	paths := []string{"plain.csv", "by/te-\xff\xfe.csv", "nul-\x00.csv", "\x01sly.csv", long, long + "y", "/a b/é.csv"}
	var all []store.Entry
	for i, p := range paths {
		e := entry("a", p, i+1)
		e.Run, e.SHA256 = r.ID, strings.Repeat("0a", 32)
		all = append(all, e, e) // twice in one batch
	}
	if err := s.LedgerEnter(r, all); err != nil {
		t.Fatal(err)
	}
	other := reopen(t, dir)
	known, err := other.LedgerKnown(t.Context(), "a", "hk1", append(slices.Clone(paths), "new.csv"))
	if err != nil || len(known) != len(paths) {
		t.Fatalf("%d known, %v", len(known), err)
	}
	for i, p := range paths {
		e := known[p]
		if e.Path != p || e.Size != int64(i+1) || !e.MTime.Equal(ledgerAt(i+1)) || e.Run != r.ID || e.SHA256 == "" || e.Begun || !e.At.Equal(ledgerAt(0)) {
			t.Errorf("%q is known as %+v", p, e)
		}
		if !e.Same(int64(i+1), ledgerAt(i+1).Add(300*time.Microsecond)) || e.Same(int64(i+1), ledgerAt(i+2)) || e.Same(int64(i), ledgerAt(i+1)) {
			t.Errorf("%q: the same is another", p)
		}
	}
	for _, q := range [][2]string{{"b", "hk1"}, {"a", "hk2"}} {
		if known, err := other.LedgerKnown(t.Context(), q[0], q[1], paths); len(known) > 0 || err != nil {
			t.Errorf("%s knows %d, %v", q, len(known), err)
		}
	}
	if got := entries(t, s, store.LedgerFilter{Job: "a", Host: "hk1"}); len(got) != len(paths) {
		t.Errorf("listed: %q", got)
	}
}

// TestLedgerBegun: what is about to be moved is known as such; it does not take the
// place of what was moved as it is now, and it does of what has changed since.
func TestLedgerBegun(t *testing.T) {
	s, _ := openStore(t)
	r := ledgerRun(t, s, 1)
	steps := []struct {
		do   func(store.Run, []store.Entry) error
		e    store.Entry
		want string
	}{
		{s.LedgerBegin, entry("a", "x", 1), `a hk1:"x" 1 begun`},
		{s.LedgerBegin, entry("a", "x", 2), `a hk1:"x" 2 begun`},
		{s.LedgerEnter, entry("a", "x", 2), `a hk1:"x" 2`},
		{s.LedgerBegin, entry("a", "x", 2), `a hk1:"x" 2`},
		{s.LedgerBegin, entry("a", "x", 3), `a hk1:"x" 3 begun`},
		{s.LedgerEnter, entry("a", "x", 3), `a hk1:"x" 3`},
	}
	for i, step := range steps {
		if err := step.do(r, []store.Entry{step.e}); err != nil {
			t.Fatal(err)
		}
		if got := entries(t, s, store.LedgerFilter{Begun: true}); !slices.Equal(got, []string{step.want}) {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}

// TestLedgerIsGuarded: a process that counts as dead, and one whose run is another's,
// write nothing.
func TestLedgerIsGuarded(t *testing.T) {
	s, dir := openStore(t)
	r := ledgerRun(t, s, 1)
	other := reopen(t, dir)
	one := []store.Entry{entry("a", "x", 1)}
	later := r
	later.Take++
	refused := map[string]error{
		"another process": other.LedgerEnter(r, one), "begun there": other.LedgerBegin(r, one), "another take": s.LedgerEnter(later, one),
	}
	r.State = store.OK
	if err := s.Put(r); err != nil {
		t.Fatal(err)
	}
	refused["a run that ended"] = s.LedgerEnter(r, one)
	for name, err := range refused {
		if !errors.As(err, new(*store.TakenError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := entries(t, s, store.LedgerFilter{Begun: true}); len(got) > 0 {
		t.Errorf("written: %q", got)
	}
}

// TestLedgerForget: what is forgotten is what was asked for, over many pages, and
// what was listed is in order.
func TestLedgerForget(t *testing.T) {
	s, _ := openStore(t)
	var all []store.Entry
	for i := range 3*store.LedgerBatch + 7 {
		name := fmt.Sprintf("d/%05d.csv", i)
		if i%3 == 0 {
			name = fmt.Sprintf("d/%05d.gz", i)
		}
		all = append(all, entry([]string{"a", "b"}[i%2], name, i))
	}
	if err := s.LedgerImport(all); err != nil {
		t.Fatal(err)
	}
	listed := entries(t, s, store.LedgerFilter{})
	if len(listed) != len(all) || !slices.IsSorted(listed) {
		t.Fatalf("%d listed, in order: %v", len(listed), slices.IsSorted(listed))
	}
	gz := func(e store.Entry) bool { return path.Ext(e.Path) == ".gz" }
	want := 0
	if got := entries(t, s, store.LedgerFilter{Host: "hk2"}); len(got) > 0 {
		t.Errorf("of another host: %q", got)
	}
	for _, e := range all {
		if e.Job == "b" && gz(e) {
			want++
		}
	}
	if n, err := s.LedgerForget(t.Context(), store.LedgerFilter{Job: "b", Match: gz}); n != want || err != nil || want == 0 {
		t.Errorf("forgot %d, want %d, %v", n, want, err)
	}
	if n, err := s.LedgerForget(t.Context(), store.LedgerFilter{Job: "b", Match: gz}); n != 0 || err != nil {
		t.Errorf("forgot %d again, %v", n, err)
	}
	if got := len(entries(t, s, store.LedgerFilter{Host: "hk1"})); got != len(all)-want {
		t.Errorf("%d are left, want %d", got, len(all)-want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Ledger(ctx, store.LedgerFilter{}, func(store.Entry) bool { return true }); err == nil {
		t.Error("a ledger that nobody waits for is read")
	}
}

// TestLedgerPlans: each page of the ledger begins at its place in the index, whatever
// is asked for, and what is looked up or written is found there.
func TestLedgerPlans(t *testing.T) {
	if os.Getenv(urlVar) != "" {
		return // PostgreSQL plans by what is in the tables
	}
	seen := map[string][]any{}
	p := place(filepath.Join(t.TempDir(), "state"))
	p.Watch = func(statement string, args []any) {
		if strings.Contains(statement, "FROM lh_ledger") && !strings.HasPrefix(statement, "EXPLAIN") {
			seen[statement] = args
		}
	}
	s, err := store.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.LedgerImport([]store.Entry{entry("a", "x", 1)}); err != nil {
		t.Fatal(err)
	}
	filters := []store.LedgerFilter{{}, {Job: "a"}, {Host: "hk1"}, {Job: "a", Host: "hk1"}}
	for _, f := range filters {
		entries(t, s, f)
	}
	if _, err := s.LedgerKnown(t.Context(), "a", "hk1", []string{"x", "y"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LedgerForget(t.Context(), store.LedgerFilter{Job: "a"}); err != nil {
		t.Fatal(err)
	}
	if want := 5; len(seen) != want { // three kinds of pages, what is known, what is forgotten
		t.Errorf("saw %d statements", len(seen))
	}
	for statement, args := range seen {
		var plan string
		err := s.DB().Each(t.Context(), "EXPLAIN QUERY PLAN "+statement, args, func(scan func(...any) error) error {
			var id, parent, unused int
			var detail string
			err := scan(&id, &parent, &unused, &detail)
			plan += detail + "; "
			return err
		})
		want := "(job=? AND host=? AND path"
		switch {
		case strings.Contains(statement, "(job, host, path) >"):
			want = "((job,host,path)>(?,?,?))"
		case strings.Contains(statement, "(host, path) >"):
			want = "(job=? AND (host,path)>(?,?))"
		}
		if err != nil || !strings.Contains(plan, want) || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s\n%s, want %s, %v", statement, plan, want, err)
		}
	}
}

// BenchmarkLedger looks up and enters batches in a ledger of many rows.
func BenchmarkLedger(b *testing.B) {
	s, _ := openStore(b)
	const rows = 200_000
	var batch []store.Entry
	for i := range rows {
		if batch = append(batch, entry("a", fmt.Sprintf("/srv/exports/2026/%02d/file-%07d.csv", i%12, i), i%60)); len(batch) == store.LedgerBatch {
			if err := s.LedgerImport(batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	paths := make([]string, store.LedgerBatch)
	b.Run("known", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			for i := range paths {
				k := (n*7919 + i*31) % rows
				paths[i] = fmt.Sprintf("/srv/exports/2026/%02d/file-%07d.csv", k%12, k)
			}
			if known, err := s.LedgerKnown(b.Context(), "a", "hk1", paths); err != nil || len(known) != len(paths) {
				b.Fatal(len(known), err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(paths)), "us/file")
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := s.Ledger(b.Context(), store.LedgerFilter{Job: "a"}, func(store.Entry) bool { n++; return true }); err != nil || n != rows {
				b.Fatal(n, err)
			}
		}
	})
}
