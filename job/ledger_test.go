package job

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/fault"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote/remotetest"
)

// A ledgerSite is a job with a ledger whose target is another one in each run.
type ledgerSite struct {
	*bench
	job *Job
	src string // the folder of the sources
	put bool
}

// ledgerSites runs a test for a get and for a put.
func ledgerSites(t *testing.T, do func(t *testing.T, s *ledgerSite)) {
	for _, way := range []string{"get", "put"} {
		t.Run(way, func(t *testing.T) {
			s := &ledgerSite{bench: newBench(t, remotetest.Faults{}), put: way == "put"}
			s.src = filepath.Join(s.dir, "server")
			s.job = s.bench.job(t, "*.csv")
			s.job.To = template(t, filepath.ToSlash(s.dir)+"/got/{run}/")
			if s.put {
				s.src = filepath.Join(s.dir, "here")
				if err := os.Mkdir(s.src, 0o755); err != nil {
					t.Fatal(err)
				}
				s.job.Get, s.job.Put, s.job.To = nil, []string{filepath.ToSlash(s.src) + "/*.csv"}, template(t, "got/{run}/")
			}
			s.job.Select = transfer.Select{OnlyNew: true, Ledger: true}
			for _, name := range []string{"a.csv", "b.csv", "c.csv"} {
				s.source(t, name, name+", the first", 1)
			}
			do(t, s)
		})
	}
}

// source writes a source, as it was changed on some day.
func (s *ledgerSite) source(t *testing.T, name, text string, day int) {
	t.Helper()
	path, at := filepath.Join(s.src, name), time.Date(2026, 11, day, 8, 0, 0, 0, time.UTC)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// got is the folder below which targets are.
func (s *ledgerSite) got() string {
	if s.put {
		return filepath.Join(s.dir, "server", "got")
	}
	return filepath.Join(s.dir, "got")
}

// run runs the job, which is to move these names.
func (s *ledgerSite) run(t *testing.T, want ...string) store.Run {
	t.Helper()
	run, err := s.Run(t.Context(), s.job, Trigger{})
	var moved []string
	for _, f := range run.Files {
		moved = append(moved, nameOf(f))
	}
	slices.Sort(moved)
	if err != nil || run.State != store.OK || !slices.Equal(moved, want) {
		t.Fatalf("%s, moved %q, want %q, %v\n%s", run.State, moved, want, err, s.log)
	}
	return run
}

// entries are what the ledger has of the job, by name.
func (s *ledgerSite) entries(t *testing.T) map[string]store.Entry {
	t.Helper()
	all := map[string]store.Entry{}
	err := s.Store.Ledger(t.Context(), store.LedgerFilter{Job: "j", Begun: true}, func(e store.Entry) bool {
		all[filepath.Base(e.Path)] = e
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// exec changes the database.
func (s *ledgerSite) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := s.Store.DB().Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// TestLedgerMovesOnce: what was moved is not moved again, wherever it went and
// whatever became of it there; the same name with new content is, and All moves
// everything.
func TestLedgerMovesOnce(t *testing.T) {
	ledgerSites(t, func(t *testing.T, s *ledgerSite) {
		first := s.run(t, "a.csv", "b.csv", "c.csv")
		if err := os.RemoveAll(s.got()); err != nil {
			t.Fatal(err)
		}
		if run := s.run(t); run.Skipped != 3 {
			t.Errorf("skipped %d", run.Skipped)
		}
		var why []string
		err := s.Plan(t.Context(), s.job, func(p Planned) error { why = append(why, p.Does+" "+p.Reason); return nil })
		if want := []string{"skip ledger", "skip ledger", "skip ledger"}; err != nil || !slices.Equal(why, want) {
			t.Errorf("a dry run says %q, %v", why, err)
		}
		s.source(t, "b.csv", "b.csv, another", 1) // of another size
		s.source(t, "c.csv", "c.csv, the first", 2)
		second := s.run(t, "b.csv", "c.csv")
		e := s.entries(t)
		if e["a.csv"].Run != first.ID || e["c.csv"].Run != second.ID || e["b.csv"].Size != 14 || e["b.csv"].Begun || e["b.csv"].Host != "h" ||
			!strings.HasSuffix(filepath.ToSlash(e["b.csv"].Target), "got/"+second.ID+"/b.csv") || len(e) != 3 {
			t.Errorf("the ledger has %+v", e)
		}
		s.run(t)
		s.job.All = true
		third := s.run(t, "a.csv", "b.csv", "c.csv")
		s.job.All = false
		s.run(t)
		if e := s.entries(t); e["a.csv"].Run != third.ID {
			t.Errorf("what was moved with all is entered as of run %s", e["a.csv"].Run)
		}
		other := *s.job
		other.Name = "other"
		if run, err := s.Run(t.Context(), &other, Trigger{}); err != nil || run.Moved != 3 {
			t.Errorf("another job moved %d, %v", run.Moved, err)
		}
	})
}

// TestLedgerRecognises: what was moved by a process that died before it entered it
// is found where that put it, and entered, and not moved again; what only looks
// like it, and where nothing is, is moved.
func TestLedgerRecognises(t *testing.T) {
	ledgerSites(t, func(t *testing.T, s *ledgerSite) {
		s.job.Verify = VerifySHA256
		if s.put {
			s.job.Verify = VerifySize // the server in this process says no sums
		} else {
			for _, name := range []string{"a.csv", "b.csv", "c.csv"} {
				sum, err := fileSum(t.Context(), filepath.Join(s.src, name))
				if err == nil {
					err = os.WriteFile(filepath.Join(s.src, name+".sha256"), []byte(sum+"\n"), 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		run := s.run(t, "a.csv", "b.csv", "c.csv")
		s.exec(t, "UPDATE lh_ledger SET done = 0, sha256 = ''")
		c := filepath.Join(s.got(), run.ID, "c.csv")
		if err := os.Remove(c); err != nil {
			t.Fatal(err)
		}
		want := []string{"c.csv"}
		if !s.put { // the same size and time, and another content
			b := filepath.Join(s.got(), run.ID, "b.csv")
			info, err := os.Stat(b)
			if err == nil {
				err = os.WriteFile(b, bytes.Repeat([]byte("x"), int(info.Size())), 0o644)
			}
			if err == nil {
				err = os.Chtimes(b, info.ModTime(), info.ModTime())
			}
			if err != nil {
				t.Fatal(err)
			}
			want = []string{"b.csv", "c.csv"}
		}
		// A dry run enters nothing.
		does := map[string]int{}
		if err := s.Plan(t.Context(), s.job, func(p Planned) error { does[p.Does]++; return nil }); err != nil || does["skip"] != 3-len(want) {
			t.Errorf("a dry run: %v, %v", does, err)
		}
		if e := s.entries(t); !e["a.csv"].Begun {
			t.Errorf("a dry run has entered a file: %+v", e["a.csv"])
		}
		s.run(t, want...)
		e := s.entries(t)
		if e["a.csv"].Begun || !strings.Contains(filepath.ToSlash(e["a.csv"].Target), run.ID) || !s.put && e["a.csv"].SHA256 == "" {
			t.Errorf("recognised as %+v", e["a.csv"])
		}
		s.run(t)
	})
}

// TestLedgerLost: where the ledger knows nothing, as after a damaged database was
// set aside, what lies at the target is entered, and not moved again.
func TestLedgerLost(t *testing.T) {
	ledgerSites(t, func(t *testing.T, s *ledgerSite) {
		s.job.To = template(t, strings.ReplaceAll(s.job.To.String(), "{run}/", ""))
		s.run(t, "a.csv", "b.csv", "c.csv")
		s.exec(t, "DELETE FROM lh_ledger")
		if run := s.run(t); run.Skipped != 3 {
			t.Errorf("skipped %d", run.Skipped)
		}
		if err := os.RemoveAll(s.got()); err != nil {
			t.Fatal(err)
		}
		s.run(t) // it is in the ledger again
	})
}

// TestLedgerAdopts: what another program has moved is entered without being moved;
// what a list of names says is taken for moved as it is seen next.
func TestLedgerAdopts(t *testing.T) {
	ledgerSites(t, func(t *testing.T, s *ledgerSite) {
		s.job.To = template(t, strings.ReplaceAll(s.job.To.String(), "{run}/", ""))
		s.run(t, "a.csv", "b.csv", "c.csv")
		s.exec(t, "DELETE FROM lh_ledger")
		s.source(t, "b.csv", "b.csv, another", 1)
		entered, known, err := s.Adopt(t.Context(), s.job)
		if err != nil || entered != 2 || known != 2 {
			t.Errorf("entered %d, known %d, %v", entered, known, err)
		}
		if entered, known, err := s.Adopt(t.Context(), s.job); err != nil || entered != 0 || known != 2 {
			t.Errorf("again: entered %d, known %d, %v", entered, known, err)
		}
		list := s.entries(t)["a.csv"].Path
		s.exec(t, "DELETE FROM lh_ledger")
		if err := os.RemoveAll(s.got()); err != nil {
			t.Fatal(err)
		}
		if err := s.Store.LedgerImport([]store.Entry{{Job: "j", Host: "h", Path: list, Size: -1, At: s.Now()}}); err != nil {
			t.Fatal(err)
		}
		s.run(t, "b.csv", "c.csv")
		if e := s.entries(t)["a.csv"]; e.Size != 16 || e.MTime.Day() != 1 {
			t.Errorf("what was known by its name is now known as %+v", e)
		}
		s.source(t, "a.csv", "a.csv, the second", 3)
		s.run(t, "a.csv")
	})
}

// TestLedgerBeforeSourcesGo: where the ledger cannot be written, no source goes.
func TestLedgerBeforeSourcesGo(t *testing.T) {
	ledgerSites(t, func(t *testing.T, s *ledgerSite) {
		s.job.After = config.After{Source: config.SourceDelete}
		s.exec(t, "CREATE TRIGGER no BEFORE UPDATE ON lh_ledger WHEN new.done = 1 BEGIN SELECT raise(ABORT, 'no entry'); END")
		run, err := s.Run(t.Context(), s.job, Trigger{})
		if !fault.Is(err, fault.LocalDisk) || !strings.Contains(err.Error(), "no entry") || run.State != store.Failed {
			t.Errorf("%s, %v", run.State, err)
		}
		for _, name := range []string{"a.csv", "b.csv", "c.csv"} {
			if _, err := os.Stat(filepath.Join(s.src, name)); err != nil {
				t.Error(err)
			}
		}
		s.exec(t, "DROP TRIGGER no")
		s.run(t) // they lie where that run has put them
	})
}

// TestLedgerThroughBrokenLines: files that were moved before the line broke are in
// the ledger once, and moved once.
func TestLedgerThroughBrokenLines(t *testing.T) {
	b := newBench(t, remotetest.Faults{CutSession: 100_000})
	for i := range 300 {
		b.write(t, fmt.Sprintf("%03d.csv", i), bytes.Repeat([]byte("x"), 1000))
	}
	j := b.job(t, "*.csv")
	j.Select, j.Retry.Attempts, j.Retry.Reconnect = transfer.Select{OnlyNew: true, Ledger: true}, 20, true
	run, err := b.Run(t.Context(), j, Trigger{})
	if err != nil || run.Moved != 300 || len(run.Files) != 300 || len(run.Attempts) < 2 || run.Matched != 300 {
		t.Errorf("moved %d in %d attempts, %d files, matched %d, %v", run.Moved, len(run.Attempts), len(run.Files), run.Matched, err)
	}
	done := 0
	err = b.Store.Ledger(t.Context(), store.LedgerFilter{Job: "j"}, func(store.Entry) bool { done++; return true })
	if done != 300 || err != nil {
		t.Errorf("%d in the ledger, %v", done, err)
	}
}

// TestLedgerWritesTogether: many files cost few writes, and one file waits no longer
// than a second for the others.
func TestLedgerWritesTogether(t *testing.T) {
	b := newBench(t, remotetest.Faults{})
	j := b.job(t, "*")
	p := &pass{attempt: &attempt{job: j}, dest: destination{root: "/in"}}
	l := openLedger(j, b.Store, store.Run{}, p, time.Now, slog.New(slog.DiscardHandler))
	const files = 5000
	began := time.Now()
	for i := range files {
		item := transfer.Item{Source: fmt.Sprintf("/out/%d", i), Target: fmt.Sprint(i), Entry: transfer.Entry{Size: 1, MTime: time.Unix(int64(i), 0)}}
		l.moved(transfer.Result{Item: item})
	}
	if err := l.close(); err != nil || l.entered != files {
		t.Fatalf("entered %d, %v", l.entered, err)
	}
	t.Logf("%d files in %d writes and %s", files, l.writes, time.Since(began))
	if most := files/store.LedgerBatch + 2 + int(time.Since(began)/ledgerTime); l.writes > most {
		t.Errorf("%d files cost %d writes, want at most %d", files, l.writes, most)
	}
	l = openLedger(j, b.Store, store.Run{}, p, time.Now, slog.New(slog.DiscardHandler))
	l.enter(transfer.Item{Source: "/out/alone"}, "/in/alone", "")
	for known := 0; known == 0; { // nobody closes it
		found, err := b.Store.LedgerKnown(t.Context(), "j", "h", []string{"/out/alone"})
		if known = len(found); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}

// TestLedgerNeedsARecord: a run that is not recorded has no ledger to go by.
func TestLedgerNeedsARecord(t *testing.T) {
	ledgerSites(t, func(t *testing.T, s *ledgerSite) {
		s.Store = nil
		if _, err := s.Run(t.Context(), s.job, Trigger{}); !fault.Is(err, fault.Usage) || !strings.Contains(err.Error(), "ledger") {
			t.Error(err)
		}
	})
}
