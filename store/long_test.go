package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	// runsVar is how many runs TestLongHistory has; `make bench-store` sets it. It
	// has a hundredth of them before, so that what grows is seen.
	runsVar = "LINEHAUL_RUNS"
	// pruneVar is how many of them it removes at most, if not somePruned.
	pruneVar   = "LINEHAUL_PRUNE"
	somePruned = 100_000
	// longJobs is of how many jobs they are.
	longJobs = 100
	// answerBound is what an answer may take in `make bench-store`, as the median of
	// longRounds, and waitBound how long another process may wait while runs are
	// removed.
	answerBound = 100 * time.Millisecond
	longRounds  = 25
	waitBound   = 3 * time.Second
)

// TestLongHistory asks a long history what people ask and what the daemon does with each
// run, and prunes it while another process records runs and asks. `make bench-store`
// prints what that takes on both kinds of database, and holds it to bounds.
func TestLongHistory(t *testing.T) {
	text := os.Getenv(runsVar)
	if text == "" {
		h := history{runs: someRuns, rounds: 5}
		h.store, h.dir = openStore(t)
		h.place = place(h.dir)
		h.fill(t)
		h.ask(t)
		h.prune(t, someRuns)
		h.ask(t)
		return
	}
	runs, err := strconv.Atoi(text)
	if err != nil || runs < 100*20*longJobs {
		t.Fatalf("%s is %q: %v, want %d or more", runsVar, text, err, 100*20*longJobs)
	}
	pruned := somePruned
	if n, err := strconv.Atoi(os.Getenv(pruneVar)); err == nil && n > 0 {
		pruned = n
	}
	for _, kind := range []db.Kind{db.SQLite, db.PostgreSQL} {
		t.Run(string(kind), func(t *testing.T) {
			var server *postgres.Server
			if kind == db.PostgreSQL {
				server = postgres.Start(t, "fsync = on")
			}
			var columns []*history
			for _, n := range []int{runs / 100, runs} {
				h := &history{runs: n, rounds: longRounds, bound: true, dir: filepath.Join(t.TempDir(), "state")}
				h.place = place(h.dir)
				if server != nil {
					h.place.URL = server.NewDatabase(t)
				}
				h.store = h.open(t)
				h.fill(t)
				h.ask(t)
				h.work(t)
				h.prune(t, pruned)
				h.store.Close()
				columns = append(columns, h)
			}
			table(t, kind, columns)
		})
	}
}

// history is a long one, and what has been measured of it.
type history struct {
	store   *store.Store
	place   store.Place
	dir     string
	runs    int
	rounds  int
	bound   bool // hold it to bounds
	began   time.Time
	names   []string // of what is measured, in order
	figures map[string]string
}

func (h *history) open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(h.place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (h *history) note(name, figure string) {
	if h.figures == nil {
		h.figures = map[string]string{}
	}
	h.names = append(h.names, name)
	h.figures[name] = figure
}

// table prints what was measured, a column for each history.
func table(t *testing.T, kind db.Kind, columns []*history) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "\n| %s |", kind)
	for _, h := range columns {
		fmt.Fprintf(&b, " %d runs |", h.runs)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)))
	for _, name := range columns[0].names {
		fmt.Fprintf(&b, "\n| %s |", name)
		for _, h := range columns {
			fmt.Fprintf(&b, " %s |", h.figures[name])
		}
	}
	t.Log(b.String())
}

func (h *history) fill(t *testing.T) {
	t.Helper()
	empty := h.room(t)
	h.began = time.Now()
	storetest.Fill(t, h.store, longJobs, h.runs, h.began)
	full := h.room(t)
	t.Logf("%d runs of %d jobs made in %s", h.runs, longJobs, time.Since(h.began).Round(time.Millisecond))
	h.note("size", fmt.Sprintf("%d MiB, %d bytes a run", full>>20, (full-empty)/int64(h.runs)))
}

func (h *history) room(t *testing.T) int64 {
	t.Helper()
	r, err := h.store.DB().Room(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r.Bytes
}

// measured does something several times and notes what it took.
func (h *history) measured(t *testing.T, name string, rounds int, most time.Duration, do func(round int) error) {
	t.Helper()
	took := make([]time.Duration, rounds)
	for i := range took {
		began := time.Now()
		if err := do(i); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		took[i] = time.Since(began)
	}
	h.sum(t, name, took, most)
}

// sum notes the median of what something took, and the longest.
func (h *history) sum(t *testing.T, name string, took []time.Duration, most time.Duration) {
	t.Helper()
	slices.Sort(took)
	median, longest := took[len(took)/2], took[len(took)-1]
	h.note(name, fmt.Sprintf("%.1f ms (%.1f)", milliseconds(median), milliseconds(longest)))
	t.Logf("%s: %s in the median, %s at most", name, median.Round(10*time.Microsecond), longest.Round(10*time.Microsecond))
	if h.bound && most > 0 && median > most {
		t.Errorf("%s: %s with %d runs, longer than %s", name, median, h.runs, most)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ask asks what people ask, as another process.
func (h *history) ask(t *testing.T) {
	t.Helper()
	s := h.open(t)
	filtered := func(f store.Filter, want int) func(int) error {
		return func(int) error {
			runs, _, err := s.Runs(f)
			if err == nil && len(runs) != want {
				err = fmt.Errorf("%d runs, want %d", len(runs), want)
			}
			return err
		}
	}
	for _, a := range []struct {
		name string
		do   func(int) error
	}{
		{"the newest 20 runs (`history`)", filtered(store.Filter{Limit: 20}, 20)},
		{"the newest 20 of a job (`history JOB`)", filtered(store.Filter{Job: "job-007", Limit: 20}, 20)},
		{"the newest 20 that failed", filtered(store.Filter{State: store.Failed, Limit: 20}, 20)},
		{"the last hour of a job that failed", filtered(store.Filter{Job: "job-000", State: store.Failed, Since: h.began.Add(-time.Hour)}, 0)},
		{"how 100 jobs are (`jobs`)", func(int) error { return askJobs(s) }},
		{"one run (`history RUN`)", func(int) error {
			r, found, err := s.Last("job-042")
			if err == nil && !found {
				err = errors.New("job-042 has no run")
			}
			if err == nil {
				_, err = s.Run(r.ID)
			}
			return err
		}},
		{"what waits, and what dead processes left (each 2 s)", func(int) error {
			if _, _, err := s.Runs(store.Filter{State: store.Waiting}); err != nil {
				return err
			}
			_, err := s.Rescue(t.Context(), func(*db.Tx, store.Run) error { return nil })
			return err
		}},
	} {
		h.measured(t, a.name, h.rounds, answerBound, a.do)
	}
}

// askJobs asks what `linehaul jobs` does.
func askJobs(s *store.Store) error {
	jobs := make([]string, longJobs)
	for i := range jobs {
		jobs[i] = fmt.Sprintf("job-%03d", i)
	}
	all, err := s.Standings(time.Now(), jobs...)
	for job, is := range all {
		if is.Last == nil || is.Last.Job != job {
			return fmt.Errorf("the last run of %s is %v, %w", job, is.Last, err)
		}
	}
	return err
}

// work does what the daemon does with each firing: it claims it, takes its run as
// package job does, and ends it.
func (h *history) work(t *testing.T) {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Place{Store: h.store, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const job = "job-042"
	if err := q.Set(t.Context(), []schedule.Entry{{Job: job}}, 0); err != nil {
		t.Fatal(err)
	}
	next := time.Now()
	var claims, takes, ends []time.Duration
	for i := range h.rounds {
		step := func(took *[]time.Duration, do func() error) {
			t.Helper()
			began := time.Now()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			*took = append(*took, time.Since(began))
		}
		nominal := next.Add(time.Duration(i+1) * time.Second)
		step(&claims, func() error {
			return q.Fire(t.Context(), job, func(time.Time) (time.Time, bool, error) { return nominal, true, nil })
		})
		waiting, _, err := h.store.Runs(store.Filter{Job: job, State: store.Waiting})
		if err != nil || len(waiting) != 1 {
			t.Fatalf("%d runs wait, %v", len(waiting), err)
		}
		r := waiting[0]
		var lock *store.Lock
		step(&takes, func() (err error) {
			if r, err = h.store.Run(r.ID); err != nil {
				return err
			}
			if _, err := h.store.WaitingBefore(r); err != nil {
				return err
			}
			if lock, err = h.store.Lock(job); err == nil {
				err = lock.Note(r.ID)
			}
			r.State, r.Started = store.Running, time.Now()
			return errors.Join(err, h.store.Begin(r, []store.Room{{Host: "hk1", Runs: 5}}))
		})
		r.State, r.Way, r.Ended = store.OK, "get", time.Now()
		r.Files = []store.File{{Source: "/var/backups/db.gz", Target: "/srv/backup/db.gz", Bytes: 1 << 20, SHA256: strings.Repeat("0123456789abcdef", 4)}}
		step(&ends, func() error {
			_, err := h.store.End(r)
			lock.Release()
			return err
		})
	}
	h.sum(t, "claim a firing", claims, 0)
	h.sum(t, "take its run (with its lock)", takes, 0)
	h.sum(t, "end it, with a receipt", ends, 0)
}

// prune removes nine in ten of the runs, or as many as most, while another process
// records some and asks.
func (h *history) prune(t *testing.T, most int) {
	t.Helper()
	full := h.room(t)
	other := h.open(t)
	done := make(chan struct{})
	var asking sync.WaitGroup
	var records, asks []time.Duration
	asking.Go(func() {
		for {
			began := time.Now()
			past(t, other, "other", store.OK, 0, "") // recorded twice, as running and when it has ended
			recorded := time.Now()
			if _, _, err := other.Runs(store.Filter{Job: "job-007", Limit: 20}); err != nil {
				t.Error(err)
			}
			records, asks = append(records, recorded.Sub(began)/2), append(asks, time.Since(recorded))
			select { // as a busy machine does
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	gone := 0
	enough := errors.New("enough")
	ctx, stop := context.WithCancelCause(t.Context())
	began := time.Now()
	n, err := h.store.Prune(ctx, store.Keep{MaxAge: time.Duration(h.runs/10) * time.Minute}, func(logs []string) error {
		if gone += len(logs); gone > most {
			return enough
		}
		return nil
	})
	stop(nil)
	took := time.Since(began)
	close(done)
	asking.Wait()
	if err != nil && !errors.Is(err, enough) || n < min(h.runs*8/10, most*9/10) {
		t.Fatalf("%d runs are removed, %v", n, err)
	}
	t.Logf("%d runs removed in %s", n, took.Round(time.Millisecond))
	h.note("remove runs, with their receipts", fmt.Sprintf("%d in %.0f s, %d a second", n, took.Seconds(), int(float64(n)/took.Seconds())))
	h.sum(t, "record a run meanwhile, as another process", records, 0)
	h.sum(t, "ask for 20 meanwhile", asks, 0)
	if longest := max(records[len(records)-1], asks[len(asks)-1]); h.bound && longest > waitBound {
		t.Errorf("another process waited %s, longer than %s", longest, waitBound)
	}
	if after := h.room(t); h.store.DB().Kind() == db.SQLite && err == nil && after > full/2 { // PostgreSQL uses the room again
		t.Errorf("of %d bytes, %d are left", full, after)
	}
}
