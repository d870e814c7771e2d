package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linehaul/receipt"
	"linehaul/store"
	"linehaul/store/db"
)

// movedRun is a run of the queue that is under way.
func movedRun(t *testing.T, n int) store.Run {
	t.Helper()
	return store.Run{ID: newID(t, at(), n), Job: "a", Host: "hk1", Started: at(), Take: 1, State: store.Running, Queued: true, Way: receipt.Get, Node: "here"}
}

func movedFile(name string, size int64) store.File {
	return store.File{Source: "/out/" + name, Target: "/in/" + name, Bytes: size, MTime: at()}
}

// noted notes files of a run, and makes that durable.
func noted(t *testing.T, s *store.Store, r store.Run, files ...store.File) {
	t.Helper()
	n := s.Notes(r)
	for _, f := range files {
		if err := n.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Flush(); err != nil {
		t.Fatal(err)
	}
}

// line is a file in short.
func line(f store.File) string {
	return strings.TrimSpace(fmt.Sprintf("%q %d by take %d %s %s%s", f.Target, f.Bytes, f.Take, f.Node, f.After, f.Gone))
}

// notes are those that a store has of a run, as lines.
func notes(t *testing.T, s *store.Store, r store.Run) (all []string) {
	t.Helper()
	if err := s.EachMoved(r, func(f store.File) error { all = append(all, line(f)); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// listed are the files of a run's record, as lines.
func listed(t *testing.T, s *store.Store, id string) (r store.Run, all []string) {
	t.Helper()
	r, err := s.Run(id)
	if err == nil {
		err = r.EachFile(func(f store.File) error { all = append(all, line(f)); return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, all
}

// sealed are the targets in a run's receipt, each with its take.
func sealed(t *testing.T, s *store.Store, r store.Run) (all []string) {
	t.Helper()
	if r.Receipt == nil {
		t.Fatalf("run %s has no receipt", r.ID)
	}
	for {
		lines, err := s.Receipts().Lines(t.Context(), r.Receipt.Seq, int64(len(all)), 10_000)
		for _, text := range lines {
			f, readErr := receipt.DecodeFile(text)
			err = errors.Join(err, readErr)
			all = append(all, fmt.Sprintf("%q %d by take %d %s", f.Target, f.Bytes, f.Take, f.Node))
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(lines) == 0 {
			return all
		}
	}
}

// TestMoved: what was noted of a run is there for whoever takes it over, whatever
// bytes its names have, in the order in which it was noted, and each file once.
func TestMoved(t *testing.T) {
	s, dir := openStore(t)
	r := movedRun(t, 1)
	enter(t, s, r)
	again := movedFile("a", 2)
	again.After = "deleted"
	dead(t, dir, func(s *store.Store) {
		put(t, s, r)
		noted(t, s, r, movedFile("a", 1), movedFile("nul-\x00", 3))
		noted(t, s, r, movedFile("by/te-\xff", 4), again)
		n := s.Notes(r)
		if err := n.Add(movedFile("late", 5)); err != nil { // it dies before that is written
			t.Fatal(err)
		}
	})
	want := []string{`"/in/nul-\x00" 3 by take 1`, `"/in/by/te-\xff" 4 by take 1`, `"/in/a" 2 by take 1  deleted`}
	if got := notes(t, s, r); !slices.Equal(got, want) {
		t.Errorf("noted are %q, want %q", got, want)
	}
	if _, err := s.Rescue(t.Context(), func(*db.Tx, store.Run) error { return nil }); err != nil {
		t.Fatal(err)
	}
	r.Take, r.Node = 2, "there"
	put(t, s, r)
	noted(t, s, r, movedFile("nul-\x00", 6))
	want = []string{`"/in/by/te-\xff" 4 by take 1 here`, `"/in/a" 2 by take 1 here deleted`, `"/in/nul-\x00" 6 by take 2 here`}
	if got := notes(t, s, r); !slices.Equal(got, want) {
		t.Errorf("after a second take, noted are %q, want %q", got, want)
	}
	r.State, r.Ended, r.Files = store.OK, at(), []store.File{movedFile("x", 1)}
	put(t, s, r)
	if n := count(t, s, "lh_run_moved"); n > 0 {
		t.Errorf("after its end, %d rows are left", n)
	}
	var none *store.Notes
	if err := errors.Join(none.Add(again), none.Flush()); err != nil {
		t.Errorf("of a run that nobody records: %v", err)
	}
}

// TestMovedIsGuarded: a process whose run is another's, or has ended, notes nothing;
// what it could not note stays for when it can.
func TestMovedIsGuarded(t *testing.T) {
	s, dir := openStore(t)
	r := movedRun(t, 1)
	enter(t, s, r)
	zombie := reopen(t, dir)
	other := zombie.Notes(r)
	early := s.Notes(r)
	if err := errors.Join(other.Add(movedFile("b", 1)), early.Add(movedFile("a", 1))); err != nil {
		t.Fatal(err)
	}
	taken := func(what string, err error) {
		t.Helper()
		if !errors.As(err, new(*store.TakenError)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	taken("one that waits", early.Flush())
	put(t, s, r)
	if err := early.Flush(); err != nil {
		t.Error(err)
	}
	taken("another process", other.Flush())
	later := r
	later.Take++
	wrong := s.Notes(later)
	if err := wrong.Add(movedFile("c", 1)); err != nil {
		t.Fatal(err)
	}
	taken("another take", wrong.Flush())
	if got := notes(t, s, r); !slices.Equal(got, []string{`"/in/a" 1 by take 1`}) {
		t.Errorf("noted are %q", got)
	}
	r.State, r.Ended, r.Files = store.OK, at(), []store.File{movedFile("a", 1)}
	put(t, s, r)
	if err := early.Add(movedFile("d", 1)); err != nil {
		t.Fatal(err)
	}
	taken("a run that has ended", early.Flush())
	if n := count(t, s, "lh_run_moved"); n > 0 {
		t.Errorf("%d rows are left", n)
	}
}

// TestMovedOfNobody: a run that no process ends itself has in its record and its
// receipt what was noted of it: one that died, one that was handed back and
// cancelled, one whose job nobody knows any more.
func TestMovedOfNobody(t *testing.T) {
	folder := movedFile("dir", 0)
	folder.Kind, folder.Deleted, folder.Gone, folder.Source = "folder", true, store.GoneByRetention, ""
	extra := movedFile("extra", 7)
	extra.Deleted, extra.Gone, extra.Source = true, store.GoneByMirror, ""
	for name, tt := range map[string]struct {
		queued bool
		end    func(*testing.T, *store.Store, store.Run)
	}{
		"died": {false, func(t *testing.T, s *store.Store, _ store.Run) {
			var found atomic.Int32
			var all sync.WaitGroup
			for range 3 { // as runs that begin at the same time do
				all.Go(func() {
					dead, err := s.Recover()
					if err != nil || len(dead) > 0 && dead[0].Receipt == nil {
						t.Errorf("%d runs, %v", len(dead), err)
					}
					found.Add(int32(len(dead)))
				})
			}
			if all.Wait(); found.Load() != 1 {
				t.Fatalf("%d runs were found dead", found.Load())
			}
		}},
		"cancelled": {true, func(t *testing.T, s *store.Store, r store.Run) {
			if was, err := s.Cancel(r.ID, "enough"); err != nil || was != store.Waiting {
				t.Fatalf("%v, %v", was, err)
			}
		}},
		"refused": {true, func(t *testing.T, s *store.Store, r store.Run) {
			put(t, s, store.Run{ID: r.ID, Job: r.Job, Started: at(), Ended: at(), State: store.Failed, Code: 2, Take: 2, Queued: true})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := openStore(t)
			r := movedRun(t, 1)
			r.Queued = tt.queued
			if !tt.queued {
				r.Take = 0
			}
			dead(t, dir, func(s *store.Store) {
				put(t, s, r)
				var many []store.File
				for i := range store.MaxFiles + 5 {
					many = append(many, movedFile(fmt.Sprintf("%05d", i), 2))
				}
				noted(t, s, r, append(many, folder, extra)...)
			})
			if tt.queued {
				if _, err := s.Rescue(t.Context(), func(*db.Tx, store.Run) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			tt.end(t, s, r)
			got, files := listed(t, s, r.ID)
			if got.Moved != store.MaxFiles+5 || got.Matched != got.Moved || got.Bytes != 2*int64(got.Moved) || got.Removed != 1 || len(files) != got.Moved+2 || got.MoreFiles != 7 {
				t.Errorf("%d moved of %d with %d bytes, %d removed, %d lines, %d of them beside", got.Moved, got.Matched, got.Bytes, got.Removed, len(files), got.MoreFiles)
			}
			lines := sealed(t, s, got)
			if len(lines) != len(files) || !strings.HasPrefix(lines[0], fmt.Sprintf(`"/in/00000" 2 by take %d`, r.Take)) {
				t.Errorf("the receipt has %d lines, the first is %s", len(lines), lines[0])
			}
			if v, err := receipt.Verify(t.Context(), s.Receipts(), s.Receipts(), receipt.Options{}); err != nil || v.Problems > 0 {
				t.Errorf("%+v, %v", v, err)
			}
			if n := count(t, s, "lh_run_moved"); n > 0 {
				t.Errorf("%d rows are left", n)
			}
		})
	}
}

// TestMovedMany: much is written before anybody asks for it, so that no more of it is
// in memory; nothing is lost where that fails.
func TestMovedMany(t *testing.T) {
	s, dir := openStore(t)
	r := movedRun(t, 1)
	n := s.Notes(r)
	long := strings.Repeat("x", 1000)
	files, failed := 0, 0
	for range 2000 {
		if n.Add(movedFile(fmt.Sprint(long, files+1), 1)) != nil {
			failed++
			break
		}
		files++
	}
	if failed == 0 {
		t.Error("they are noted of a run that is not under way")
	}
	put(t, s, r)
	for rows := count(t, s, "lh_run_moved"); rows < 2; rows = count(t, s, "lh_run_moved") {
		if files++; files > 10_000 {
			t.Fatalf("%d files are in memory", files)
		}
		if err := n.Add(movedFile(fmt.Sprint(long, files), 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := notes(t, reopen(t, dir), r); len(got) != files {
		t.Errorf("%d of %d are noted", len(got), files)
	}
}

// TestMovedDamaged: a run whose notes cannot be read ends with those that can. Notes
// of runs that are not there, or have ended, are found by a check, and removed with
// their runs.
func TestMovedDamaged(t *testing.T) {
	s, dir := openStore(t)
	r := movedRun(t, 1)
	r.Queued, r.Take = false, 0
	dead(t, dir, func(s *store.Store) {
		put(t, s, r)
		noted(t, s, r, movedFile("a", 1))
		noted(t, s, r, movedFile("b", 1))
		noted(t, s, r, movedFile("c", 1))
	})
	alter(t, s, "UPDATE lh_run_moved SET lines = substr(lines, 1, 30) WHERE part = 1")
	if dead, err := s.Recover(); err != nil || len(dead) != 1 {
		t.Fatalf("%+v, %v", dead, err)
	}
	if _, files := listed(t, s, r.ID); !slices.Equal(files, []string{`"/in/a" 1 by take 0`, `"/in/c" 1 by take 0`}) {
		t.Errorf("its files are %q", files)
	}
	alter(t, s, "INSERT INTO lh_run_moved (run, part, take, node, lines) VALUES ($1, 0, 1, '', '')", r.ID)
	alter(t, s, "INSERT INTO lh_run_moved (run, part, take, node, lines) VALUES ('nobody', 0, 1, '', '')")
	h, err := s.Check(t.Context())
	text := strings.Join(h.Problems, "\n")
	if err != nil || len(h.Problems) != 2 || !strings.Contains(text, "lh_run_moved has 1 rows of runs that are not there, such as nobody") || !strings.Contains(text, "lh_run_moved has 1 rows of runs that have ended, such as "+r.ID) {
		t.Errorf("%v\n%s", err, text)
	}
	last := fullRun(t)
	last.Job = r.Job
	last.ID = newID(t, at().Add(time.Hour), 9)
	put(t, s, last)
	if n, err := s.Prune(t.Context(), store.Keep{Runs: 1}, func([]string) error { return nil }); err != nil || n != 1 {
		t.Fatalf("%d runs, %v", n, err)
	}
	if n := count(t, s, "lh_run_moved"); n != 1 {
		t.Errorf("%d rows are left", n)
	}
}
