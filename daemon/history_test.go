package daemon_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/job"
	"linehaul/store"
	"linehaul/store/storetest"
	"linehaul/transfer/remote/remotetest"
)

// TestHistoryIsPruned: when it starts, the daemon removes runs that are too old, and
// their logs below the log folder; others stay.
func TestHistoryIsPruned(t *testing.T) {
	dir := t.TempDir()
	s := storetest.Open(t, filepath.Join(dir, "state"))
	logs := filepath.Join(dir, "logs")
	layLog := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("a line\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		return path
	}
	now := time.Now()
	put := func(ago time.Duration, log func(id string) string) store.Run {
		r := store.Run{ID: newID(t, now.Add(-ago)), Job: "old", State: store.OK, Started: now.Add(-ago), Ended: now.Add(-ago)}
		r.LogPath = layLog(log(r.ID))
		if err := s.Put(r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	const day = 24 * time.Hour
	below := func(id string) string { return filepath.Join("logs", "old", id+".log") }
	gone := put(9*day, below)
	outside := put(8*day, func(id string) string { return id + ".log" })
	last := put(7*day, below)
	s.Close()

	b := startWith(t, remotetest.Faults{}, func(b *bench) {
		b.Runner = withLogs(b.Runner, logs)
		b.Load = func() (*config.File, error) {
			f, err := config.Load(filepath.Join(b.dir, "linehaul.yaml"))
			if err == nil {
				f.State, f.History = filepath.Join(dir, "state"), config.History{MaxAge: 2 * day}
			}
			return f, err
		}
	})
	b.awaitLog(t, "old runs are removed from the history runs=2 logs=1")
	runs, _, err := b.queue.record.Runs(store.Filter{})
	if err != nil || len(runs) != 1 || runs[0].ID != last.ID {
		t.Errorf("left are %v, %v", runs, err)
	}
	for path, want := range map[string]bool{gone.LogPath: false, outside.LogPath: true, last.LogPath: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", path, err, want)
		}
	}
}

// withLogs has runs log into a folder.
func withLogs(runner func(*config.File) (*job.Runner, error), dir string) func(*config.File) (*job.Runner, error) {
	return func(f *config.File) (*job.Runner, error) {
		r, err := runner(f)
		if err == nil {
			r.Logs.Dir = dir
		}
		return r, err
	}
}

// newID is the id of a run that was started at an instant.
func newID(t *testing.T, at time.Time) string {
	t.Helper()
	id, err := store.NewRunID(at, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
