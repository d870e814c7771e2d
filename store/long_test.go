package store_test

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"linehaul/store"
	"linehaul/store/db"
	"linehaul/store/storetest"
)

// runsVar is how many runs TestLongHistory records; `make bench-store` sets it.
const runsVar = "LINEHAUL_RUNS"

// TestLongHistory asks a long history what people ask, and prints what it takes. In
// `make bench-store`, on a quiet machine, no answer may take longer than 100 ms,
// also while the history is pruned.
func TestLongHistory(t *testing.T) {
	runs, most := someRuns, time.Duration(0)
	if text := os.Getenv(runsVar); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", runsVar, err)
		}
		runs, most = n, 100*time.Millisecond
	}
	const jobs = 100
	s, dir := openStore(t)
	empty, err := s.DB().Room(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	storetest.Fill(t, s, jobs, runs, began)
	full, err := s.DB().Room(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d runs of %d jobs recorded in %s: %d MiB, %d bytes a run", runs, jobs, time.Since(began).Round(time.Millisecond), full.Bytes>>20, (full.Bytes-empty.Bytes)/int64(runs))

	answers := []struct {
		name string
		want int
		ask  func(s *store.Store) (int, error)
	}{
		{"the newest 20 runs (history)", 20, filtered(store.Filter{Limit: 20})},
		{"the newest 20 of a job (history JOB)", 20, filtered(store.Filter{Job: "job-007", Limit: 20})},
		{"the newest 20 that failed", 20, filtered(store.Filter{State: store.Failed, Limit: 20})},
		{"the last hour of a job that failed", 0, filtered(store.Filter{Job: "job-000", State: store.Failed, Since: began.Add(-time.Hour)})},
		{"the last run of each job (jobs)", jobs, func(s *store.Store) (n int, err error) {
			for i := range jobs {
				_, found, err := s.Last(fmt.Sprintf("job-%03d", i))
				if err != nil {
					return n, err
				}
				if found {
					n++
				}
			}
			return n, nil
		}},
		{"one run (history RUN)", 1, func(s *store.Store) (int, error) {
			r, found, err := s.Last("job-042")
			if !found || err != nil {
				return 0, err
			}
			_, err = s.Run(r.ID)
			return 1, err
		}},
	}
	ask := func(s *store.Store, when string) {
		for _, a := range answers {
			var longest time.Duration
			for range 5 {
				began := time.Now()
				n, err := a.ask(s)
				if longest = max(longest, time.Since(began)); err != nil || n != a.want {
					t.Errorf("%s: %d, %v, want %d", a.name, n, err, a.want)
				}
			}
			t.Logf("%s, %s: %s", when, a.name, longest.Round(10*time.Microsecond))
			if most > 0 && longest > most {
				t.Errorf("%s: %s, longer than %s", a.name, longest, most)
			}
		}
	}
	ask(reopen(t, dir), "as another process")

	// Most of it goes, while somebody asks and somebody writes.
	other := reopen(t, dir)
	done := make(chan struct{})
	var asking sync.WaitGroup
	var slowest time.Duration
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			began := time.Now()
			past(t, other, "other", store.OK, 0, "")
			if _, _, err := other.Runs(store.Filter{Job: "job-007", Limit: 20}); err != nil {
				t.Error(err)
			}
			slowest = max(slowest, time.Since(began))
			select { // as a busy machine does
			case <-done:
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	began = time.Now()
	n, err := s.Prune(t.Context(), store.Keep{MaxAge: time.Duration(runs/10) * time.Minute}, func([]string) error { return nil })
	took := time.Since(began)
	close(done)
	asking.Wait()
	after, roomErr := s.DB().Room(t.Context())
	if err != nil || roomErr != nil || n < runs*8/10 {
		t.Fatalf("%d runs are pruned, %v, %v", n, err, roomErr)
	}
	t.Logf("%d runs pruned in %s, %d a second: %d MiB are left; to record a run and to ask meanwhile took %s at most",
		n, took.Round(time.Millisecond), int(float64(n)/took.Seconds()), after.Bytes>>20, slowest.Round(time.Millisecond))
	if s.DB().Kind() == db.SQLite && after.Bytes > full.Bytes/2 { // PostgreSQL uses the room again
		t.Errorf("of %d bytes, %d are left", full.Bytes, after.Bytes)
	}
	ask(reopen(t, dir), "pruned")
}

// filtered counts the runs that a filter lets through.
func filtered(f store.Filter) func(*store.Store) (int, error) {
	return func(s *store.Store) (int, error) {
		runs, _, err := s.Runs(f)
		return len(runs), err
	}
}
