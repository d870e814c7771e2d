package queue_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"linehaul/internal/lab/postgres"
	"linehaul/schedule"
	"linehaul/schedule/queue"
	"linehaul/store"
	"linehaul/store/db"
	"linehaul/store/storetest"
)

const (
	// jobsVar is how many jobs are due at once, if not someJobs; PostgreSQL then syncs
	// its disk, as one that is in use does.
	jobsVar  = "LINEHAUL_QUEUE_JOBS"
	someJobs = 300
	// historyVar is how many runs have ended before.
	historyVar = "LINEHAUL_QUEUE_HISTORY"
)

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s is %q", name, text)
	}
	return n
}

// TestManyAtOnce: many jobs that are due at the same instant each run once, on one
// process with SQLite, and on one and three with PostgreSQL.
func TestManyAtOnce(t *testing.T) {
	newDatabase := server.NewDatabase
	if os.Getenv(jobsVar) != "" {
		newDatabase = func(t testing.TB) string { return postgres.Start(t, "fsync = on").NewDatabase(t) }
	}
	for _, tt := range []struct {
		name  string
		nodes int
	}{{"sqlite", 1}, {"postgres", 1}, {"postgres", 3}} {
		t.Run(fmt.Sprint(tt.name, "-", tt.nodes), func(t *testing.T) {
			s := site{dir: t.TempDir()}
			if tt.name == "postgres" {
				s.url = newDatabase(t)
			}
			jobs, before := number(t, jobsVar, someJobs), number(t, historyVar, 0)
			if before > 0 {
				st, err := s.store()
				if err != nil {
					t.Fatal(err)
				}
				storetest.Fill(t, st, 100, before, time.Now())
				st.Close()
			}
			nodes := make([]*node, tt.nodes)
			for i := range nodes {
				nodes[i] = s.open(t)
			}
			record := nodes[0].store
			// The instant comes when all are ready.
			at := time.Now().Add(5 * time.Second).Truncate(time.Second)
			began := time.Now()
			instant := every(t, fmt.Sprintf("%d %d %d %d %d *", at.UTC().Second(), at.UTC().Minute(), at.UTC().Hour(), at.UTC().Day(), at.UTC().Month()))
			entries := make([]schedule.Entry, jobs)
			for i := range entries {
				entries[i] = schedule.Entry{Job: fmt.Sprintf("job-%05d", i), Schedule: instant}
			}
			var mu sync.Mutex
			times := map[string]int{}
			var first, last time.Duration
			for _, n := range nodes {
				if err := n.Set(t.Context(), entries, 0); err != nil {
					t.Fatal(err)
				}
				n.start(t, func(_ context.Context, task queue.Task) time.Duration {
					late := time.Since(at)
					err := run(n.store, task, func() {
						mu.Lock()
						defer mu.Unlock()
						if times[task.Job]++; first == 0 || late < first {
							first = late
						}
						last = max(last, late)
					})
					if err != nil && !taken(err) {
						t.Error(err)
					}
					return 0
				})
			}
			done := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(times)
			}
			for deadline := time.Now().Add(5*time.Minute + time.Duration(jobs)*20*time.Millisecond); done() < jobs; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d of %d ran", done(), jobs)
				}
			}
			eventually(t, "all have ended", func() bool {
				open, _, err := record.Runs(store.Filter{State: store.Running, Limit: 1})
				return err == nil && len(open) == 0
			})
			all := time.Since(at)
			for job, n := range times {
				if n != 1 {
					t.Errorf("%s ran %d times", job, n)
				}
			}
			runs := 0
			if _, err := record.Each(store.Filter{State: store.OK, Since: began}, func(store.Run) bool { runs++; return true }); err != nil || runs != jobs {
				t.Errorf("%d runs recorded of %d, %v", runs, jobs, err)
			}
			if record.DB().Kind() == db.PostgreSQL {
				var deadlocks int
				_, err := db.One(t.Context(), record.DB(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", nil, &deadlocks)
				if err != nil || deadlocks > 0 {
					t.Errorf("processes waited for each other %d times, %v", deadlocks, err)
				}
			}
			t.Logf("%d jobs on %d nodes with %s, and %d runs before: the first ran after %.2f s, the last after %.2f s, all had ended after %.2f s, %.0f runs a second",
				jobs, tt.nodes, tt.name, before, first.Seconds(), last.Seconds(), all.Seconds(), float64(jobs)/all.Seconds())
		})
	}
}
