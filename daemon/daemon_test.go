package daemon_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/config"
	"linehaul/daemon"
	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/internal/leak"
	"linehaul/job"
	"linehaul/logs"
	"linehaul/schedule"
	"linehaul/schedule/queue"
	"linehaul/store"
	"linehaul/store/db"
	"linehaul/store/storetest"
	"linehaul/transfer/remote/remotetest"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// hand is a queue whose firings a test gives by hand.
type hand struct {
	firings chan schedule.Firing
	record  *store.Store
	mu      sync.Mutex
	entries []schedule.Entry
	last    map[string]time.Time
}

func (h *hand) Set(_ context.Context, e []schedule.Entry, _ int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = nil
	for _, e := range e {
		if e.Schedule != nil {
			h.entries = append(h.entries, e)
		} else if h.last[e.Job].IsZero() {
			h.last[e.Job] = time.Now()
		}
	}
	return nil
}

func (h *hand) Fire(ctx context.Context, job string, due func(time.Time) (time.Time, bool, error)) error {
	h.mu.Lock()
	last := h.last[job]
	h.mu.Unlock()
	at, fires, err := due(last)
	if err == nil && fires {
		h.mu.Lock()
		h.last[job] = at
		h.mu.Unlock()
		select {
		case h.firings <- schedule.Firing{Job: job, Nominal: at}:
		case <-ctx.Done():
		}
	}
	return err
}

func (h *hand) set() []schedule.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.entries
}

// Run hands out what the test gives, as long as a handler wants it again.
func (h *hand) Run(ctx context.Context, handle queue.Handler) error {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		select {
		case f := <-h.firings:
			id, err := store.NewRunID(time.Now(), rand.Reader)
			if err == nil {
				err = h.record.DB().Tx(ctx, func(t *db.Tx) error {
					return h.record.Enter(ctx, t, store.Run{ID: id, Job: f.Job, Nominal: f.Nominal, Trigger: "schedule", Take: 1})
				})
			}
			if err != nil {
				return err
			}
			task := queue.Task{Run: id, Take: 1, Job: f.Job, Nominal: f.Nominal, Missed: f.Missed, Blocked: f.Blocked, Passed: f.Passed}
			group.Go(func() {
				for handle(ctx, task) > 0 && ctx.Err() == nil {
					time.Sleep(10 * time.Millisecond)
				}
			})
		case <-ctx.Done():
			return nil
		}
	}
}

// result is what the daemon told of one run.
type result struct {
	run store.Run
	err error
}

// bench is a daemon over a server in this process.
type bench struct {
	*daemon.Daemon
	queue  *hand
	dir    string
	config string
	log    lab.Buffer
	ended  chan result
	reload chan struct{}
	stop   context.CancelFunc
	done   chan error
}

// start runs a daemon whose one job pulls from a server with these faults.
func start(t *testing.T, faults remotetest.Faults) *bench {
	t.Helper()
	return startWith(t, faults, func(*bench) {})
}

// startWith does so after a change.
func startWith(t *testing.T, faults remotetest.Faults, change func(*bench)) *bench {
	t.Helper()
	dir := t.TempDir()
	served := filepath.Join(dir, "server")
	if err := os.Mkdir(served, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(served, "a.txt"), bytes.Repeat([]byte("line\n"), 100000), 0o644); err != nil {
		t.Fatal(err)
	}
	server, err := remotetest.Start(t.Context(), remotetest.Options{Root: served, Password: "pw", Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("pw"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bench{
		queue: &hand{firings: make(chan schedule.Firing), last: map[string]time.Time{}}, dir: dir, ended: make(chan result, 10),
		reload: make(chan struct{}), done: make(chan error, 1), config: `
state: state
hosts:
  h: {address: "` + server.Addr() + `", user: u, password: "file:pw", host_keys: "` + server.Fingerprint() + `"}
jobs:
  a: {schedule: "0 2 * * *", get: "h:a.txt", to: "got/{name}.{time}", retry: {attempts: 1}}
`}
	b.write(t, b.config)
	log := slog.New(logs.NewHandler(&b.log, logs.Text, slog.LevelInfo))
	b.Daemon = &daemon.Daemon{
		Load: func() (*config.File, error) { return config.Load(filepath.Join(dir, "linehaul.yaml")) },
		Runner: func(f *config.File) (*job.Runner, error) {
			return &job.Runner{Dialer: &net.Dialer{}, Now: time.Now, Random: rand.Reader, Store: storetest.Open(t, f.State)}, nil
		},
		Queue: func(_ context.Context, r *job.Runner, _ *config.File) (daemon.Queue, error) {
			b.queue.record = r.Store
			return b.queue, nil
		},
		Log:   log,
		Ended: func(run store.Run, err error) { b.ended <- result{run, err} },
	}
	change(b)
	ctx, cancel := context.WithCancel(t.Context())
	b.stop = cancel
	ready := make(chan struct{})
	go func() { b.done <- b.Run(ctx, b.reload, sync.OnceFunc(func() { close(ready) })) }()
	t.Cleanup(func() {
		cancel()
		if err := <-b.done; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	})
	<-ready
	return b
}

func (b *bench) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "linehaul.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) await(t *testing.T) result {
	t.Helper()
	select {
	case r := <-b.ended:
		return r
	case <-time.After(20 * time.Second):
		t.Fatalf("no run ended:\n%s", &b.log)
	}
	return result{}
}

// awaitLog waits until the log holds a text.
func (b *bench) awaitLog(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(b.log.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not in the log:\n%s", text, &b.log)
		}
	}
}

func TestFiringRunsItsJob(t *testing.T) {
	b := start(t, remotetest.Faults{})
	if set := b.queue.set(); len(set) != 1 || set[0].Job != "a" {
		t.Fatalf("scheduled: %v", set)
	}
	nominal := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: nominal, Missed: 2}
	r := b.await(t)
	if r.err != nil || r.run.Moved != 1 || r.run.Trigger != "schedule" || !r.run.Nominal.Equal(nominal) {
		t.Fatalf("%+v, %v\n%s", r.run, r.err, &b.log)
	}
	want := "a.txt." + nominal.Local().Format("150405")
	if _, err := os.Stat(filepath.Join(b.dir, "got", want)); err != nil {
		t.Errorf("the stamp is not the nominal time's: %v", err)
	}
}

func TestReload(t *testing.T) {
	b := start(t, remotetest.Faults{})
	b.write(t, "jobs: [broken")
	b.reload <- struct{}{}
	b.awaitLog(t, "the old one stays in force")
	if set := b.queue.set(); len(set) != 1 {
		t.Fatalf("after a broken config %d jobs are scheduled, want the old one", len(set))
	}
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: time.Now()}
	if r := b.await(t); r.err != nil {
		t.Fatalf("the old config does not run: %v", r.err)
	}
	b.write(t, b.config+`  b: {schedule: "0 3 * * *", get: "h:a.txt", to: got/}
  c: {schedule: "0 4 * * *", get: "h:a.txt", to: got/, disabled: true}
  d: {get: "h:a.txt", to: got/}
`)
	b.reload <- struct{}{}
	b.awaitLog(t, "jobs=4")
	if set := b.queue.set(); len(set) != 2 || set[1].Job != "b" {
		t.Errorf("scheduled: %v, want a and b: one is disabled, one has no schedule", set)
	}
}

// TestStopHandsBack: a run that is under way when the process is to stop goes back
// to the queue.
func TestStopHandsBack(t *testing.T) {
	b := start(t, remotetest.Faults{StallSession: 200000})
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: time.Now()}
	for deadline := time.Now().Add(20 * time.Second); len(parts(b.dir)) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the pull did not begin:\n%s", &b.log)
		}
	}
	b.stop()
	r := b.await(t)
	if !fault.Is(r.err, fault.Interrupted) || r.run.State != store.Waiting || !r.run.Ended.IsZero() || len(r.run.Attempts) != 1 {
		t.Errorf("state %q, error %v; want one that goes back to the queue", r.run.State, r.err)
	}
	if left := parts(b.dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func parts(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "got", ".*.part"))
	return found
}

func TestOverlapIsRecorded(t *testing.T) {
	b := start(t, remotetest.Faults{StallSession: 200000})
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: time.Now()}
	b.awaitLog(t, "job fires")
	for len(parts(b.dir)) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: time.Now()}
	r := b.await(t)
	if fault.ExitCode(r.err) != 12 || r.run.State != store.Skipped {
		t.Errorf("the second run is %q with %v, want skipped with 12", r.run.State, r.err)
	}
	b.stop()
	b.await(t)
}

func TestFirstConfigMustBeGood(t *testing.T) {
	d := daemon.Daemon{
		Load: func() (*config.File, error) { return nil, fault.New(fault.Config, "broken") },
		Log:  slog.New(slog.DiscardHandler),
	}
	err := d.Run(t.Context(), nil, func() { t.Error("ready with a broken config") })
	if !fault.Is(err, fault.Config) || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestLeftOut: a firing on a day of the job's calendar, and one that has passed,
// are recorded and do not run.
func TestLeftOut(t *testing.T) {
	b := start(t, remotetest.Faults{})
	nominal := time.Date(2026, 12, 25, 2, 0, 0, 0, time.UTC)
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: nominal, Blocked: "Christmas Day"}
	r := b.await(t)
	if r.err != nil || r.run.State != store.Skipped || !strings.Contains(r.run.Error, "Christmas Day") || !r.run.Nominal.Equal(nominal) || len(r.run.Attempts) != 0 {
		t.Errorf("%+v, %v", r.run, r.err)
	}
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: nominal, Passed: true, Missed: 3}
	r = b.await(t)
	if r.err != nil || r.run.State != store.Missed || !strings.Contains(r.run.Error, "3 before it") {
		t.Errorf("%+v, %v", r.run, r.err)
	}
	s := storetest.Open(t, filepath.Join(b.dir, "state"))
	runs, _, err := s.Runs(store.Filter{Job: "a"})
	if err != nil || len(runs) != 2 || runs[0].State != store.Missed || runs[1].State != store.Skipped {
		t.Errorf("recorded: %+v, %v", runs, err)
	}
}

// TestUnknownJob: a run of a job that this config has not is handed out again, as
// another machine may know it, and refused when none does; one that no longer
// makes sense is refused at once.
func TestUnknownJob(t *testing.T) {
	b := start(t, remotetest.Faults{})
	at := time.Now()
	var mu sync.Mutex
	b.Runner = func(f *config.File) (*job.Runner, error) {
		now := func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return at
		}
		return &job.Runner{Dialer: &net.Dialer{}, Now: now, Random: rand.Reader, Store: b.queue.record}, nil
	}
	b.reload <- struct{}{}
	b.queue.firings <- schedule.Firing{Job: "elsewhere", Nominal: time.Now()}
	select {
	case r := <-b.ended:
		t.Fatalf("refused at once: %+v", r)
	case <-time.After(300 * time.Millisecond):
	}
	mu.Lock()
	at = at.Add(2 * time.Minute)
	mu.Unlock()
	if r := b.await(t); r.run.State != store.Failed || r.run.Job != "elsewhere" || !strings.Contains(r.run.Error, `no job "elsewhere"`) || r.run.Code != 2 {
		t.Errorf("%+v, %v", r.run, r.err)
	}
}

// TestPaused: a job that is paused does not run by its schedule, which is
// recorded, and does again when it is resumed.
func TestPaused(t *testing.T) {
	b := start(t, remotetest.Faults{})
	s := storetest.Open(t, filepath.Join(b.dir, "state"))
	if err := s.Pause("a", store.Pause{Since: time.Now(), Reason: "the server moves"}); err != nil {
		t.Fatal(err)
	}
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: time.Now()}
	if r := b.await(t); r.run.State != store.Skipped || !strings.Contains(r.run.Error, "the server moves") {
		t.Errorf("paused: %+v, %v", r.run, r.err)
	}
	if _, err := s.Resume("a"); err != nil {
		t.Fatal(err)
	}
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: time.Now()}
	if r := b.await(t); r.err != nil || r.run.Moved != 1 {
		t.Errorf("resumed: %+v, %v", r.run, r.err)
	}
}

// TestDependsOn: a job without a schedule runs when what it depends on has
// succeeded, as of the same time, and once; one with a schedule is left out while
// that has not succeeded, with the reason, or waits for it.
func TestDependsOn(t *testing.T) {
	b := start(t, remotetest.Faults{})
	b.write(t, b.config+`  after-a: {get: "h:a.txt", to: "got/after/", depends_on: a}
  early: {schedule: "0 2 * * *", get: "h:a.txt", to: "got/early/", depends_on: {job: a, within: 1h}}
  patient: {schedule: "0 2 * * *", get: "h:a.txt", to: "got/patient/", depends_on: {job: a, within: 1h}, depends_wait: 1h}
`)
	b.reload <- struct{}{}
	b.awaitLog(t, "jobs=4")
	b.queue.firings <- schedule.Firing{Job: "early", Nominal: time.Now()}
	if r := b.await(t); r.run.State != store.Skipped || !strings.Contains(r.run.Error, `"a"`) && !strings.Contains(r.run.Error, "a has") {
		t.Errorf("before a has run: %+v, %v", r.run, r.err)
	}
	b.queue.firings <- schedule.Firing{Job: "patient", Nominal: time.Now()}
	b.awaitLog(t, "the run waits")
	nominal := time.Now().Truncate(time.Millisecond)
	b.queue.firings <- schedule.Firing{Job: "a", Nominal: nominal}
	got := map[string]result{}
	for range 3 {
		r := b.await(t)
		got[r.run.Job] = r
	}
	for _, name := range []string{"a", "after-a", "patient"} {
		if r := got[name]; r.err != nil || r.run.State != store.OK {
			t.Errorf("%s: %+v, %v", name, r.run, r.err)
		}
	}
	if r := got["after-a"]; !r.run.Nominal.Equal(nominal) {
		t.Errorf("it runs as of %s, want %s", r.run.Nominal, nominal)
	}
	b.queue.firings <- schedule.Firing{Job: "early", Nominal: time.Now()}
	if r := b.await(t); r.err != nil || r.run.State != store.OK {
		t.Errorf("after a has run: %+v, %v", r.run, r.err)
	}
	select {
	case r := <-b.ended:
		t.Errorf("it fired again: %+v", r.run)
	case <-time.After(100 * time.Millisecond):
	}
}

// TestOverlapPolicies: while a run goes on, the next one waits for it, or takes its
// place, as the job says.
func TestOverlapPolicies(t *testing.T) {
	for _, policy := range []string{"queue", "cancel"} {
		t.Run(policy, func(t *testing.T) {
			b := start(t, remotetest.Faults{StallSession: 200000})
			b.write(t, strings.Replace(b.config, "retry: {attempts: 1}", "retry: {attempts: 1}, overlap: "+policy, 1)+`  other: {get: "h:a.txt", to: "other/"}
`)
			b.reload <- struct{}{}
			b.awaitLog(t, "jobs=2")
			b.queue.firings <- schedule.Firing{Job: "a", Nominal: time.Now()}
			for len(parts(b.dir)) == 0 {
				time.Sleep(5 * time.Millisecond)
			}
			b.queue.firings <- schedule.Firing{Job: "a", Nominal: time.Now()}
			b.awaitLog(t, "the run waits")
			if policy == "queue" {
				b.queue.firings <- schedule.Firing{Job: "a", Nominal: time.Now()}
				if r := b.await(t); r.run.State != store.Skipped || !strings.Contains(r.run.Error, "and another run waits for that") {
					t.Errorf("a third one: %+v, %v", r.run, r.err)
				}
				running, _, err := b.queue.record.Runs(store.Filter{Job: "a", State: store.Running})
				if err != nil || len(running) != 1 {
					t.Fatalf("%+v, %v", running, err)
				}
				if was, err := b.queue.record.Cancel(running[0].ID, "enough of it"); was != store.Running || err != nil {
					t.Errorf("cancel: %v, %v", was, err)
				}
			}
			r := b.await(t)
			want := map[string]string{"queue": "cancelled: enough of it", "cancel": "takes its place"}[policy]
			if r.run.State != store.Interrupted || !strings.Contains(r.run.Error, want) || r.run.Code != 130 {
				t.Errorf("the first one: %+v, %v", r.run, r.err)
			}
			// The second one begins then, and stalls as the first one did.
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				running, _, err := b.queue.record.Runs(store.Filter{Job: "a", State: store.Running})
				if err == nil && len(running) == 1 && running[0].ID > r.run.ID {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the second one did not begin: %v\n%s", err, &b.log)
				}
			}
			b.stop()
			b.await(t)
		})
	}
}
