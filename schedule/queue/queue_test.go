package queue_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"linehaul/internal/lab"
	"linehaul/internal/lab/postgres"
	"linehaul/internal/leak"
	"linehaul/logs"
	"linehaul/schedule"
	"linehaul/schedule/cron"
	"linehaul/schedule/queue"
	"linehaul/store"
	"linehaul/store/db"
)

// server is the PostgreSQL of all tests.
var server postgres.Shared

// The test binary, started again with these, is another process that serves.
const (
	dirVar  = "LINEHAUL_TEST_QUEUE_DIR"
	urlVar  = "LINEHAUL_TEST_QUEUE_URL"
	slowVar = "LINEHAUL_TEST_QUEUE_SLOW" // its runs never end
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVar); dir != "" {
		fmt.Println(serveAlone(dir, os.Getenv(urlVar), os.Getenv(slowVar) != ""))
		os.Exit(1)
	}
	os.Exit(leak.Main(m, server.End))
}

// site is where stores of a test lie.
type site struct {
	dir, url string
	behind   time.Duration // by how much its processes' clock is
}

// both runs a test on each kind of database.
func both(t *testing.T, do func(t *testing.T, s site)) {
	t.Run("sqlite", func(t *testing.T) { do(t, site{dir: t.TempDir()}) })
	t.Run("postgres", func(t *testing.T) { do(t, site{dir: t.TempDir(), url: server.NewDatabase(t)}) })
}

// node is one process's queue over a site.
type node struct {
	*queue.Queue
	store *store.Store
	log   *lab.Buffer
}

func (s site) store() (*store.Store, error) {
	return store.Open(store.Place{Dir: s.dir, URL: s.url, Node: "here", Version: "test", Now: time.Now, Random: rand.Reader})
}

func openNode(ctx context.Context, s site, log *lab.Buffer) (*node, error) {
	st, err := s.store()
	if err != nil {
		return nil, err
	}
	n := &node{store: st}
	n.Queue, err = queue.Open(ctx, queue.Place{
		Store: st, Now: func() time.Time { return time.Now().Add(-s.behind) }, Random: rand.Reader, Log: slog.New(logs.NewHandler(log, logs.Text, slog.LevelInfo)),
	})
	return n, err
}

func (s site) open(t *testing.T) *node {
	t.Helper()
	var log lab.Buffer
	n, err := openNode(t.Context(), s, &log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.store.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the queue's log:\n%s", &log)
		}
	})
	n.log = &log
	return n
}

// start runs a queue until the function that it returns is called.
func (n *node) start(t *testing.T, handle queue.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, handle) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the queue ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// ran is what the handlers of a test were given.
type ran struct {
	mu    sync.Mutex
	tasks []queue.Task
}

func (r *ran) add(t queue.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks = append(r.tasks, t)
}

func (r *ran) all() []queue.Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tasks)
}

// run records a task as a run does, with what happens in between.
func run(s *store.Store, t queue.Task, during func()) error {
	r := store.Run{ID: t.Run, Job: t.Job, Nominal: t.Nominal, Take: t.Take, Queued: true, State: store.Running, PID: os.Getpid(), Started: time.Now()}
	if err := s.Put(r); err != nil {
		return err
	}
	during()
	r.State, r.Ended = store.OK, time.Now()
	return s.Put(r)
}

// recording is a handler that runs what it is given.
func recording(t *testing.T, n *node, r *ran) queue.Handler {
	return func(_ context.Context, task queue.Task) time.Duration {
		// Handed out twice at the same instant, it is run once.
		if err := run(n.store, task, func() { r.add(task) }); err != nil && !taken(err) {
			t.Errorf("%+v: %v", task, err)
		}
		return 0
	}
}

func every(t testing.TB, text string) *cron.Schedule {
	t.Helper()
	s, err := cron.Parse(time.UTC, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came that %s", what)
		}
	}
}

// TestEachFiringOnce: three processes with the same jobs, of which each fires each
// second, run each firing once and none is left out.
func TestEachFiringOnce(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		var r ran
		var entries []schedule.Entry
		for i := range 4 {
			entries = append(entries, schedule.Entry{Job: fmt.Sprint("job-", i), Schedule: every(t, "* * * * * *"), CatchUp: schedule.CatchUpAll})
		}
		var stops []func()
		for range 3 {
			n := s.open(t)
			if err := n.Set(t.Context(), entries, 0); err != nil {
				t.Fatal(err)
			}
			stops = append(stops, n.start(t, recording(t, n, &r)))
		}
		eventually(t, "each job fired four times", func() bool { return len(r.all()) >= 16 })
		for _, stop := range stops {
			stop()
		}
		nominal := map[string][]int64{}
		for _, task := range r.all() {
			if task.Missed > 0 || task.Take != 1 {
				t.Errorf("%+v", task)
			}
			nominal[task.Job] = append(nominal[task.Job], task.Nominal.Unix())
		}
		for job, times := range nominal {
			slices.Sort(times)
			for i := 1; i < len(times); i++ {
				if times[i] != times[i-1]+1 {
					t.Errorf("%s fired at %d", job, times)
				}
			}
		}
		runs, warnings, err := s.open(t).store.Runs(store.Filter{State: store.OK})
		if err != nil || len(warnings) > 0 || len(runs) != len(r.all()) {
			t.Errorf("%d runs recorded of %d, %v, %v", len(runs), len(r.all()), warnings, err)
		}
	})
}

// TestLastFiring: a process that starts again knows which firing was the last.
func TestLastFiring(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		n := s.open(t)
		// The last one was three hours and some ago.
		last := time.Now().Truncate(time.Hour).Add(-3 * time.Hour)
		if _, err := n.store.DB().Exec(t.Context(), "INSERT INTO lh_schedule (job, last) VALUES ('a', $1), ('b', $1), ('c', $1)", last.UnixMilli()); err != nil {
			t.Fatal(err)
		}
		var r ran
		hourly := every(t, "0 * * * *")
		if err := n.Set(t.Context(), []schedule.Entry{
			{Job: "a", Schedule: hourly},
			{Job: "b", Schedule: hourly, CatchUp: schedule.CatchUpAll},
			{Job: "c", Schedule: hourly, CatchUp: schedule.CatchUpNone},
			{Job: "new", Schedule: hourly, CatchUp: schedule.CatchUpAll},
		}, 0); err != nil {
			t.Fatal(err)
		}
		n.start(t, recording(t, n, &r))
		eventually(t, "all have fired", func() bool { return len(r.all()) >= 5 })
		var got []string
		for _, task := range r.all() {
			got = append(got, fmt.Sprintf("%s +%.0fh missed %d passed %v", task.Job, task.Nominal.Sub(last).Hours(), task.Missed, task.Passed))
		}
		slices.Sort(got)
		want := []string{
			"a +3h missed 2 passed false",
			"b +1h missed 0 passed false", "b +2h missed 0 passed false", "b +3h missed 0 passed false",
			"c +3h missed 2 passed true",
		}
		if !slices.Equal(got, want) {
			t.Errorf("fired %q, want %q", got, want)
		}
	})
}

// TestNeverFired: what passes of a job that is new is made up for, also when the only
// process that knew it ended before its first firing.
func TestNeverFired(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		hourly := every(t, "0 * * * *")
		entries := func() []schedule.Entry {
			return []schedule.Entry{
				{Job: "a", Schedule: hourly}, {Job: "c", Schedule: hourly, CatchUp: schedule.CatchUpNone},
				{Job: "late", Schedule: hourly, Splay: 59 * time.Minute},
			}
		}
		before := s
		before.behind = 3 * time.Hour
		if err := before.open(t).Set(t.Context(), entries(), 0); err != nil {
			t.Fatal(err)
		}
		n := s.open(t)
		if err := n.Set(t.Context(), entries(), 0); err != nil {
			t.Fatal(err)
		}
		var r ran
		n.start(t, recording(t, n, &r))
		eventually(t, "all have fired", func() bool { return len(r.all()) >= 3 })
		for _, task := range r.all() {
			if task.Missed != 2 || task.Passed != (task.Job == "c") {
				t.Errorf("%+v, want two missed before it", task)
			}
		}
	})
}

// TestMissedByAll: a process that slept counts as missed only what the others have
// not claimed.
func TestMissedByAll(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		n := s.open(t)
		hour := time.Now().Truncate(time.Hour)
		setLast := func(at time.Time) {
			if _, err := n.store.DB().Exec(t.Context(), "INSERT INTO lh_schedule (job, last) VALUES ('a', $1) ON CONFLICT (job) DO UPDATE SET last = excluded.last", at.UnixMilli()); err != nil {
				t.Fatal(err)
			}
		}
		setLast(hour.Add(-5 * time.Hour))
		if err := n.Set(t.Context(), []schedule.Entry{{Job: "a", Schedule: every(t, "0 * * * *")}}, 0); err != nil {
			t.Fatal(err)
		}
		setLast(hour.Add(-2 * time.Hour)) // meanwhile
		var r ran
		n.start(t, recording(t, n, &r))
		eventually(t, "it has fired", func() bool { return len(r.all()) == 1 })
		if task := r.all()[0]; !task.Nominal.Equal(hour) || task.Missed != 1 {
			t.Errorf("%+v, want one missed", task)
		}
	})
}

// TestAgain: what cannot run yet is handed out again, and one asked for by hand is
// handed out.
func TestAgain(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		n := s.open(t)
		var r ran
		n.start(t, func(_ context.Context, task queue.Task) time.Duration {
			r.add(task)
			if len(r.all()) < 2 {
				return 100 * time.Millisecond
			}
			if err := run(n.store, task, func() {}); err != nil {
				t.Error(err)
			}
			return 0
		})
		id, err := n.Ask(t.Context(), "a", nil, true)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := n.store.Run(id); err != nil || got.Trigger != "hand" {
			t.Errorf("%+v, %v", got, err)
		}
		eventually(t, "it ran", func() bool { got, err := n.store.Run(id); return err == nil && got.State == store.OK })
		if all := r.all(); len(all) != 2 || all[0].Run != id || all[1].Take != 1 || !all[0].Nominal.IsZero() || !all[0].All || !all[1].All {
			t.Errorf("%+v", all)
		}
	})
}

// TestRiverLost: River's table may be lost: what waits runs all the same, once.
func TestRiverLost(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		n := s.open(t)
		id, err := n.Ask(t.Context(), "a", nil, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.store.DB().Exec(t.Context(), "DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		other, err := n.Ask(t.Context(), "b", nil, false) // which is there, and is put there again
		if err != nil {
			t.Fatal(err)
		}
		var r ran
		n.start(t, recording(t, n, &r))
		eventually(t, "both ran", func() bool { return len(r.all()) >= 2 })
		eventually(t, "River has nothing more to do", func() bool {
			var left int
			_, err := db.One(t.Context(), n.store.DB(), "SELECT count(*) FROM river_job WHERE state <> 'completed'", nil, &left)
			return err == nil && left == 0
		})
		got := []string{}
		for _, task := range r.all() {
			got = append(got, task.Run)
			if task.All != (task.Run == id) {
				t.Errorf("%s of %s: all is %v", task.Run, id, task.All)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, []string{id, other}) {
			t.Errorf("ran %q, want each of %q once", got, []string{id, other})
		}
	})
}

// TestStop: when a queue stops, the contexts of what it handed out end with the
// cause, and it waits for them.
func TestStop(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		n := s.open(t)
		reason := errors.New("enough")
		begun, ended := make(chan struct{}), make(chan error, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- n.Run(ctx, func(ctx context.Context, _ queue.Task) time.Duration {
				close(begun)
				<-ctx.Done()
				time.Sleep(50 * time.Millisecond)
				ended <- context.Cause(ctx)
				return time.Second
			})
		}()
		if _, err := n.Ask(t.Context(), "a", nil, false); err != nil {
			t.Fatal(err)
		}
		<-begun
		cancel(reason)
		if err := <-done; err != nil {
			t.Error(err)
		}
		select {
		case err := <-ended:
			if !errors.Is(err, reason) {
				t.Errorf("its context ended with %v", err)
			}
		default:
			t.Error("it did not wait")
		}
	})
}

// TestOpenAtOnce: several processes open a new queue at once.
func TestOpenAtOnce(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				var log lab.Buffer
				n, err := openNode(t.Context(), s, &log)
				if err != nil {
					t.Error(err)
					return
				}
				n.store.Close()
			})
		}
		group.Wait()
		if left, err := filepath.Glob(filepath.Join(s.dir, "locks", "*")); err != nil || len(left) > 0 {
			t.Errorf("left %q, %v", left, err)
		}
	})
}

// taken reports whether a run is another process's.
func taken(err error) bool { return errors.As(err, new(*store.TakenError)) }

// TestLanes: a run of a job for some machines goes to one of them, also when another
// one asks for it.
func TestLanes(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		entries := func(here bool) []schedule.Entry {
			return []schedule.Entry{
				{Job: "any", Here: true},
				{Job: "there", RunOn: []string{"B", "dmz"}, Here: here},
			}
		}
		var mu sync.Mutex
		ranOn := map[string][]string{}
		handler := func(n *node, name string) queue.Handler {
			return func(_ context.Context, task queue.Task) time.Duration {
				if err := run(n.store, task, func() {
					mu.Lock()
					defer mu.Unlock()
					ranOn[task.Job] = append(ranOn[task.Job], name)
				}); err != nil && !taken(err) {
					t.Error(err)
				}
				return 0
			}
		}
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(ranOn["any"]) + len(ranOn["there"])
		}
		a := s.open(t)
		if err := a.Set(t.Context(), entries(false), 0); err != nil {
			t.Fatal(err)
		}
		a.start(t, handler(a, "a"))
		for range 5 {
			for job, on := range map[string][]string{"any": nil, "there": {"dmz", "b"}} {
				if _, err := a.Ask(t.Context(), job, on, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		eventually(t, "those for any have run", func() bool { return count() == 5 })
		b := s.open(t)
		b.start(t, handler(b, "b"))
		// It learns of the job while it serves.
		if err := b.Set(t.Context(), entries(true), 0); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all have run", func() bool { return count() == 10 })
		mu.Lock()
		defer mu.Unlock()
		if len(ranOn["any"]) != 5 || !slices.Equal(ranOn["there"], []string{"b", "b", "b", "b", "b"}) {
			t.Errorf("ran on %v", ranOn)
		}
	})
}

// TestLimit: no more runs are under way in a process than it is allowed, and all get
// their turn.
func TestLimit(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		n := s.open(t)
		if err := n.Set(t.Context(), nil, 2); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		now, most, total := 0, 0, 0
		n.start(t, func(_ context.Context, task queue.Task) time.Duration {
			err := run(n.store, task, func() {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				now--
				total++
				mu.Unlock()
			})
			if err != nil && !taken(err) {
				t.Error(err)
			}
			return 0
		})
		for i := range 6 {
			if _, err := n.Ask(t.Context(), fmt.Sprint("job", i), nil, false); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all have run", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return total == 6
		})
		if most > 2 {
			t.Errorf("%d were under way at a time", most)
		}
	})
}
