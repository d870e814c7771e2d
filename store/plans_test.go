package store_test

import (
	"crypto/rand"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/schedule"
	"linehaul/schedule/queue"
	"linehaul/store"
	"linehaul/store/db"
	"linehaul/store/storetest"
)

// someRuns is how long the history is that make test asks.
const someRuns = 20_000

// TestPlans: each statement of the store and of the queue that reads runs, or what
// belongs to them, finds its rows by an index, and sorts nothing.
func TestPlans(t *testing.T) {
	if os.Getenv(urlVar) != "" {
		return // PostgreSQL plans by what is in the tables
	}
	seen := map[string][]any{}
	var mu sync.Mutex // what guards runs asks beside
	p := place(filepath.Join(t.TempDir(), "state"))
	p.Watch = func(statement string, args []any) {
		mu.Lock()
		defer mu.Unlock()
		seen[statement] = args
	}
	s, err := store.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	storetest.Fill(t, s, 100, someRuns, time.Now())
	mu.Lock()
	clear(seen) // of the schema, and of making the history
	mu.Unlock()
	askAll(t, s)

	mu.Lock()
	asked := maps.Clone(seen)
	mu.Unlock()
	if len(asked) < 40 {
		t.Errorf("saw %d statements", len(asked))
	}
	for _, statement := range slices.Sorted(maps.Keys(asked)) {
		args := asked[statement]
		if strings.HasPrefix(statement, "PRAGMA") || strings.HasPrefix(statement, "VACUUM") {
			continue
		}
		var steps []string
		err := s.DB().Each(t.Context(), "EXPLAIN QUERY PLAN "+statement, args, func(scan func(...any) error) error {
			var id, parent, unused int
			var detail string
			err := scan(&id, &parent, &unused, &detail)
			steps = append(steps, detail)
			return err
		})
		if err != nil {
			t.Errorf("%s\n%v", statement, err)
		}
		for _, step := range steps {
			if reads := slow(step); reads != "" {
				t.Errorf("%s\n  %s: %s", statement, reads, strings.Join(steps, "; "))
			}
		}
	}
}

// slow says what is bad about a step of a plan; empty: nothing.
func slow(step string) string {
	// Tables with a row for each process or job of a site.
	small := regexp.MustCompile(`^SCAN (lh_schema|lh_node|lh_pause|lh_lock|lh_schedule|sqlite_|CONSTANT|m$|c VIRTUAL)`)
	switch {
	case strings.HasPrefix(step, "SCAN") && !small.MatchString(step) && !strings.Contains(step, "USING"):
		return "reads all rows"
	case strings.HasPrefix(step, "USE TEMP B-TREE"):
		return "sorts"
	}
	return ""
}

// TestSlow: plans that are bad are seen to be.
func TestSlow(t *testing.T) {
	s, _ := openStore(t)
	if s.DB().Kind() != db.SQLite {
		return
	}
	for query, want := range map[string]string{
		"SELECT id FROM lh_run WHERE ended > 5":                "reads all rows",
		"SELECT id FROM lh_run WHERE job = 'a' ORDER BY ended": "sorts",
		"SELECT id FROM lh_run WHERE job = 'a' ORDER BY id":    "",
	} {
		got := ""
		err := s.DB().Each(t.Context(), "EXPLAIN QUERY PLAN "+query, nil, func(scan func(...any) error) error {
			var id, parent, unused int
			var detail string
			err := scan(&id, &parent, &unused, &detail)
			got += slow(detail)
			return err
		})
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", query, got, err, want)
		}
	}
}

// askAll does with a store what linehaul does.
func askAll(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []store.Filter{
		{Limit: 20}, {Job: "job-007", Limit: 20}, {State: store.Failed, Limit: 20}, {Since: time.Now().Add(-time.Hour), Limit: 20},
		{Job: "job-007", State: store.Failed, Since: time.Now().Add(-time.Hour), Limit: 20}, {State: store.Waiting}, {State: store.Running, Limit: 2},
		{Job: "job-007", Since: time.Now().Add(-time.Hour)}, {State: store.OK, Since: time.Now().Add(-time.Hour)},
	} {
		_, _, err := s.Runs(f)
		must(err)
	}
	_, _, err := s.Last("job-007")
	must(err)
	_, err = s.Standings(time.Now(), "job-007", "job-008")
	must(err)
	r := past(t, s, "job-007", store.Running, 0, "{run}.log")
	_, err = s.Run(r.ID[:len(r.ID)-1])
	must(err)
	lock, err := s.Lock("job-007")
	must(err)
	must(lock.Note(r.ID))
	if _, err := s.Lock("job-007"); err == nil {
		t.Error("locked twice")
	}
	lock.Release()
	must(s.SetProgress(r.ID, r.Job, store.Progress{Files: 1}))
	must(s.Attach(r, "checks", "x"))
	var text string
	_, err = s.Attachment(r, "checks", &text)
	must(err)
	guarded, release := s.Guard(ctx, r.ID)
	_, err = s.Cancel(r.ID, "for a test")
	must(err)
	<-guarded.Done()
	release()
	files := s.FileList(r)
	for i := range store.MaxFiles + 10 {
		must(files.Add(store.File{Source: "a", Target: "b"}, i))
	}
	must(files.End(&r))
	r.State = store.OK
	must(s.Put(r))
	must(r.EachFile(func(store.File) error { return nil }))
	must(s.Pause("job-007", store.Pause{Since: time.Now()}))
	_, _, err = s.Paused("job-007", time.Now())
	must(err)
	_, err = s.Resume("job-007")
	must(err)

	id, err := store.NewRunID(time.Now(), rand.Reader)
	must(err)
	queued := store.Run{ID: id, Job: "job-008", Trigger: "hand", Started: time.Now(), Take: 1}
	must(s.DB().Tx(ctx, func(t *db.Tx) error { return s.Enter(ctx, t, queued) }))
	_, err = s.WaitingBefore(queued)
	must(err)
	_, err = s.Cancel(queued.ID, "for a test")
	must(err)
	gone := past(t, s, "job-009", store.Running, 0, "")
	if n, err := s.DB().Exec(ctx, "UPDATE lh_run SET owner = 'gone' WHERE id = $1", gone.ID); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	_, err = s.Recover()
	must(err)
	gone = past(t, s, "job-009", store.Running, 0, "")
	if n, err := s.DB().Exec(ctx, "UPDATE lh_run SET owner = 'gone', queued = 1 WHERE id = $1", gone.ID); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	_, err = s.Rescue(ctx, func(*db.Tx, store.Run) error { return nil })
	must(err)
	q, err := queue.Open(ctx, queue.Place{Store: s, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	must(err)
	must(q.Set(ctx, []schedule.Entry{{Job: "job-010"}}, 0))
	must(q.Fire(ctx, "job-010", func(time.Time) (time.Time, bool, error) { return time.Now().Add(time.Second), true, nil }))
	_, err = q.Ask(ctx, "job-010", nil, false)
	must(err)
	waiting, _, err := s.Runs(store.Filter{Job: "job-010", State: store.Waiting})
	must(err)
	if len(waiting) != 2 {
		t.Errorf("%d runs wait, want 2", len(waiting))
	}
	must(q.Again(ctx, waiting...))
	waiting[0].State = store.Running
	must(s.Begin(waiting[0], []store.Room{{Host: "hk1", Runs: 5}, {Link: "gw", Runs: 5}}))
	_, err = s.Prune(ctx, store.Keep{MaxAge: 7 * day, Runs: 190}, func([]string) error { return nil })
	must(err)
}
