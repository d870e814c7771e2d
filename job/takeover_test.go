package job

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/receipt"
	"linehaul/store"
	"linehaul/store/db"
	"linehaul/transfer"
	"linehaul/transfer/remote/remotetest"
)

// A takeoverSite is a job whose run is taken over from a process that died.
type takeoverSite struct {
	*bench
	job *Job
	run store.Run
}

func newTakeoverSite(t *testing.T) *takeoverSite {
	t.Helper()
	s := &takeoverSite{bench: newBench(t, remotetest.Faults{})}
	s.Node = "here"
	s.job = s.bench.job(t, "*.csv")
	id, err := store.NewRunID(s.Now(), s.Random)
	if err != nil {
		t.Fatal(err)
	}
	s.run = store.Run{ID: id, Job: "j", Take: 1, Started: s.Now(), Queued: true, Way: receipt.Get, Node: "here"}
	err = s.Store.DB().Tx(t.Context(), func(tx *db.Tx) error { return s.Store.Enter(t.Context(), tx, s.run) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// file writes a file on the server, at the target, or in both places.
func (s *takeoverSite) file(t *testing.T, name, text string, places ...string) store.File {
	t.Helper()
	at := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	for _, dir := range places {
		path := filepath.Join(s.dir, dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err == nil {
			err = os.Chtimes(path, at, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return store.File{Source: name, Target: filepath.Join(s.dir, "got", name), Bytes: int64(len(text)), MTime: at}
}

// died is a process that had the run, noted these files and died.
func (s *takeoverSite) died(t *testing.T, node string, files ...store.File) {
	t.Helper()
	other, err := store.Open(store.Place{Dir: filepath.Join(s.dir, "state"), Node: node, Now: time.Now, Random: s.Random})
	if err != nil {
		t.Fatal(err)
	}
	r := s.run
	r.State, r.Writers = store.Running, []string{r.ID}
	if err := other.Put(r); err != nil {
		t.Fatal(err)
	}
	n := other.Notes(r)
	for _, f := range files {
		if err := n.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Flush(); err != nil {
		t.Fatal(err)
	}
	other.Close()
	rescued, err := s.Store.Rescue(t.Context(), func(*db.Tx, store.Run) error { return nil })
	if err != nil || len(rescued) != 1 {
		t.Fatalf("%+v, %v", rescued, err)
	}
	s.run.Take = rescued[0].Take
}

// goOn takes the run over, and returns it as it is recorded, and its lines.
func (s *takeoverSite) goOn(t *testing.T, ctx context.Context) (run store.Run, lines []string, err error) {
	t.Helper()
	_, err = s.Run(ctx, s.job, Trigger{Run: s.run.ID, Take: s.run.Take})
	run, readErr := s.Store.Run(s.run.ID)
	if readErr == nil {
		readErr = run.EachFile(func(f store.File) error {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %d take %d %s%s%s", cmp.Or(f.Source, filepath.Base(f.Target)), f.Bytes, f.Take, f.Node, f.After, f.Gone)))
			return nil
		})
	}
	if readErr != nil {
		t.Fatal(readErr)
	}
	slices.Sort(lines)
	return run, lines, err
}

// verified fails unless the receipts and the files that they name are as they were.
func (s *takeoverSite) verified(t *testing.T) {
	t.Helper()
	r, err := receipt.Verify(t.Context(), s.Store.Receipts(), s.Store.Receipts(), receipt.Options{Files: true, Node: "here"})
	if err != nil || !r.OK {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestTakenOver: the record and the receipt of a run that was taken over have what
// the process before had moved, also where its source or its machine is gone; what was
// moved again they have once.
func TestTakenOver(t *testing.T) {
	s := newTakeoverSite(t)
	s.job.Select.OnlyNew = true
	there := s.file(t, "there.csv", "there", "server", "got")
	gone := s.file(t, "gone.csv", "gone", "got")
	gone.After = sourceDeleted
	changed := s.file(t, "changed.csv", "old", "got")
	s.file(t, "changed.csv", "newer", "server")
	s.file(t, "new.csv", "new", "server")
	removed := store.File{Target: filepath.Join(s.dir, "got", "removed.csv"), Bytes: 9, Deleted: true, Gone: store.GoneByRetention}
	s.died(t, "here", there, gone, changed, removed)
	s.died(t, "there", s.file(t, "away.csv", "away"))
	run, lines, err := s.goOn(t, t.Context())
	want := []string{"away.csv 4 take 2 there", "changed.csv 5 take 0", "gone.csv 4 take 1 deleted", "new.csv 3 take 0", "removed.csv 9 take 1 retention", "there.csv 5 take 1"}
	if err != nil || !slices.Equal(lines, want) {
		t.Fatalf("%q, want %q, %v\n%s", lines, want, err, s.log)
	}
	if run.Moved != 5 || run.Matched != 5 || run.Bytes != 21 || run.Skipped != 0 || run.Removed != 1 || run.State != store.OK {
		t.Errorf("%s: %d of %d moved, %d bytes, %d left alone, %d removed", run.State, run.Moved, run.Matched, run.Bytes, run.Skipped, run.Removed)
	}
	s.verified(t)
}

// TestTakenOverWithLedger: of a job with a ledger, what the process before had moved
// and not noted is known too: it was entered as begun, and is whole at its target.
func TestTakenOverWithLedger(t *testing.T) {
	s := newTakeoverSite(t)
	s.job.Select.OnlyNew, s.job.Select.Ledger = true, true
	var begun []store.Entry
	for _, f := range []store.File{s.file(t, "a.csv", "a", "server", "got"), s.file(t, "b.csv", "bb", "server", "got"), s.file(t, "c.csv", "c", "server")} {
		begun = append(begun, store.Entry{Job: "j", Host: "h", Path: f.Source, Size: f.Bytes, MTime: f.MTime, Target: f.Target, Run: s.run.ID, At: s.Now()})
	}
	for i := range begun {
		begun[i].Begun = true
	}
	// What another run had begun is not this one's.
	other := s.file(t, "other.csv", "o", "server", "got")
	r := store.Run{ID: s.run.ID[:len(s.run.ID)-1] + "0", Job: "j", State: store.Running, Started: s.Now()}
	if err := s.Store.Put(r); err != nil {
		t.Fatal(err)
	}
	e := begun[0]
	e.Path, e.Run, e.Target, e.Size = other.Source, r.ID, other.Target, other.Bytes
	if err := s.Store.LedgerBegin(r, append(begun, e)); err != nil {
		t.Fatal(err)
	}
	s.died(t, "here", s.file(t, "a.csv", "a", "server", "got"))
	run, lines, err := s.goOn(t, t.Context())
	want := []string{"a.csv 1 take 1", "b.csv 2 take 1", "c.csv 1 take 0"}
	if err != nil || !slices.Equal(lines, want) || run.Moved != 3 || run.Matched != 3 || run.Skipped != 1 || run.Bytes != 4 {
		t.Fatalf("%d of %d moved, %d left alone, %d bytes, %q, want %q, %v\n%s", run.Moved, run.Matched, run.Skipped, run.Bytes, lines, want, err, s.log)
	}
	s.verified(t)
}

// TestTakenOverAgain: what a process moves that the one before had moved already
// stands once, and its source goes; the source of what is left alone stays.
func TestTakenOverAgain(t *testing.T) {
	s := newTakeoverSite(t)
	s.job.After.Source = config.SourceDelete
	a, b := s.file(t, "a.csv", "a", "server", "got"), s.file(t, "b.csv", "b", "server", "got")
	c := s.file(t, "c.csv", "c", "got") // its source went, and nobody noted that
	s.died(t, "here", a, b, c)
	run, lines, err := s.goOn(t, t.Context())
	want := []string{"a.csv 1 take 0 deleted", "b.csv 1 take 0 deleted", "c.csv 1 take 1"}
	if err != nil || !slices.Equal(lines, want) || run.Moved != 3 || run.Matched != 3 || run.State != store.OK {
		t.Fatalf("%s, %d of %d, %q, want %q, %v\n%s", run.State, run.Moved, run.Matched, lines, want, err, s.log)
	}
	wantTree(t, s.server())
	s.verified(t)

	s = newTakeoverSite(t)
	s.job.After.Source, s.job.Select.OnlyNew = config.SourceDelete, true
	s.died(t, "here", s.file(t, "a.csv", "a", "server", "got"))
	if _, lines, err = s.goOn(t, t.Context()); err != nil || !slices.Equal(lines, []string{"a.csv 1 take 1"}) {
		t.Fatalf("%q, %v\n%s", lines, err, s.log)
	}
	wantTree(t, s.server(), "a.csv=a")
}

// TestTakenOverAtTheEnd: where all sources are gone, since the process before was
// almost done, nothing is missing.
func TestTakenOverAtTheEnd(t *testing.T) {
	s := newTakeoverSite(t)
	a := s.file(t, "a.csv", "a", "got")
	a.After = sourceDeleted
	s.died(t, "here", a)
	run, lines, err := s.goOn(t, t.Context())
	if err != nil || run.State != store.OK || run.Moved != 1 || !slices.Equal(lines, []string{"a.csv 1 take 1 deleted"}) {
		t.Fatalf("%s, %q, %v\n%s", run.State, lines, err, s.log)
	}
	s.verified(t)
}

// TestTakenOverPruned: copies of another machine do not keep old ones from being
// removed, and one of which an earlier process moved another version is not bad.
func TestTakenOverPruned(t *testing.T) {
	s := newTakeoverSite(t)
	s.job.Get, s.job.To = []string{"x.csv"}, template(t, filepath.ToSlash(s.dir)+"/got/{date:%Y%m%d}.csv")
	s.job.Keep.Last = 1
	first := s.file(t, "x.csv", "longer than it is", "server")
	s.file(t, "x.csv", "now", "server")
	first.Target = filepath.Join(s.dir, "got", s.run.Started.UTC().Format("20060102")+".csv")
	first.Source = "y.csv"
	away := s.file(t, "z.csv", "z")
	away.Target = filepath.Join(s.dir, "got", "20261030.csv")
	s.file(t, "20261020.csv", "old", "got")
	s.died(t, "here", first)
	s.died(t, "there", away)
	run, lines, err := s.goOn(t, t.Context())
	want := []string{"20261020.csv 3 take 0 retention", "x.csv 3 take 0", "y.csv 17 take 1", "z.csv 1 take 2 there"}
	if err != nil || run.State != store.OK || !slices.Equal(lines, want) {
		t.Fatalf("%s, %q, want %q, %v\n%s", run.State, lines, want, err, s.log)
	}
	s.verified(t)
}

// TestHandedBackInTheMiddle: a run that its process gives back when it stops is gone
// on with, and has all files in the end.
func TestHandedBackInTheMiddle(t *testing.T) {
	s := newTakeoverSite(t)
	s.job.Select.OnlyNew, s.job.FilesInFlight = true, 1
	for _, name := range []string{"a.csv", "b.csv", "c.csv"} {
		s.file(t, name, name, "server")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	s.Progress = onDone(func(i transfer.Item) {
		if i.Entry.Name == "b.csv" {
			cancel(fault.New(fault.Interrupted, "%w", &StopError{}))
		}
	})
	run, lines, err := s.goOn(t, ctx)
	if run.State != store.Waiting || run.Moved == 0 || run.Moved == 3 || fault.ExitCode(err) != 130 {
		t.Fatalf("%s, %q, %v\n%s", run.State, lines, err, s.log)
	}
	s.Progress = nil
	run, lines, err = s.goOn(t, t.Context())
	if err != nil || run.State != store.OK || len(lines) != 3 || run.Moved != 3 || run.Matched != 3 || !strings.Contains(lines[0], "take 1") || !strings.Contains(lines[2], "take 0") {
		t.Fatalf("%s, %q, %v\n%s", run.State, lines, err, s.log)
	}
	s.verified(t)
}

// TestNotedInTime: before a source goes, what was moved is noted, and then that it is
// gone.
func TestNotedInTime(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	b.Store.Close()
	var noted []string
	s, err := store.Open(store.Place{Dir: filepath.Join(b.dir, "state"), Node: "here", Now: time.Now, Random: b.Random, Watch: func(statement string, args []any) {
		if strings.HasPrefix(statement, "INSERT INTO lh_run_moved") {
			_, err := os.Stat(filepath.Join(b.dir, "server", "a.csv"))
			noted = append(noted, fmt.Sprint(err == nil, " ", strings.Contains(fmt.Sprint(args...), `"source":"a.csv"`)))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	b.Store = s
	b.write(t, "a.csv", []byte("a"))
	j := b.job(t, "*.csv")
	j.After.Source = config.SourceDelete
	if _, err := b.Run(t.Context(), j, Trigger{}); err != nil {
		t.Fatal(err)
	}
	if len(noted) == 0 || noted[0] != "true true" {
		t.Errorf("noted: %q\n%s", noted, b.log)
	}
	var rows int
	if _, err := db.One(t.Context(), s.DB(), "SELECT count(*) FROM lh_run_moved", nil, &rows); err != nil || rows != 0 {
		t.Errorf("%d rows are left, %v", rows, err)
	}
}
