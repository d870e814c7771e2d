package daemon_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linehaul/config"
	"linehaul/daemon"
	"linehaul/internal/lab"
	"linehaul/job"
	"linehaul/logs"
	"linehaul/schedule"
	"linehaul/schedule/queue"
	"linehaul/store"
	"linehaul/store/db"
	"linehaul/transfer/remote/remotetest"
)

// timetable is a queue in one process, with what the other one has in the database:
// it hands out what is due, and again what is to wait.
type timetable struct {
	due    *schedule.Memory
	record *store.Store
	now    func() time.Time
	last   map[string]time.Time // also of earlier processes
	mu     *sync.Mutex
	asked  chan queue.Task
}

func (q *timetable) Set(_ context.Context, entries []schedule.Entry, _ int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var due []schedule.Entry
	for _, e := range entries {
		if e.Last = q.last[e.Job]; e.Schedule != nil {
			due = append(due, e)
		} else if e.Last.IsZero() {
			q.last[e.Job] = q.now()
		}
	}
	q.due.Set(due)
	return nil
}

func (q *timetable) enter(ctx context.Context, f schedule.Firing) (queue.Task, error) {
	q.mu.Lock()
	q.last[f.Job] = f.Nominal
	q.mu.Unlock()
	id, err := store.NewRunID(q.now(), rand.Reader)
	if err == nil {
		err = q.record.DB().Tx(ctx, func(t *db.Tx) error {
			return q.record.Enter(ctx, t, store.Run{ID: id, Job: f.Job, Nominal: f.Nominal, Trigger: "schedule", Take: 1, Started: q.now()})
		})
	}
	return queue.Task{Run: id, Take: 1, Job: f.Job, Nominal: f.Nominal, Missed: f.Missed, Blocked: f.Blocked, Passed: f.Passed, MadeUp: f.MadeUp}, err
}

func (q *timetable) Fire(ctx context.Context, job string, due func(time.Time) (time.Time, bool, error)) error {
	q.mu.Lock()
	last := q.last[job]
	q.mu.Unlock()
	at, fires, err := due(last)
	if err != nil || !fires {
		return err
	}
	task, err := q.enter(ctx, schedule.Firing{Job: job, Nominal: at})
	if err == nil {
		q.asked <- task
	}
	return err
}

func (q *timetable) Run(ctx context.Context, handle queue.Handler) error {
	var group sync.WaitGroup
	defer group.Wait()
	run := func(task queue.Task) {
		group.Go(func() {
			for again := handle(ctx, task); again > 0 && ctx.Err() == nil; again = handle(ctx, task) {
				time.Sleep(again)
			}
		})
	}
	group.Go(func() {
		for {
			select {
			case task := <-q.asked:
				run(task)
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		firings, err := q.due.Due(ctx, 100)
		if err != nil {
			return nil //nolint:nilerr // ctx has ended
		}
		for _, f := range firings {
			task, err := q.enter(context.WithoutCancel(ctx), f)
			if err != nil {
				return err
			}
			run(task)
		}
	}
}

// pipes is a line to servers in this process, each by its name.
type pipes map[string]*pipeListener

func (p pipes) DialContext(_ context.Context, _, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	here, there := net.Pipe()
	p[host].conns <- newBuffered(there)
	return newBuffered(here), nil
}

// buffered is an end of a pipe whose writes do not wait for the other end to read,
// as both ends of SSH begin by writing.
type buffered struct {
	net.Conn
	out   chan []byte
	ended chan struct{}
	once  sync.Once
}

func newBuffered(c net.Conn) net.Conn {
	b := &buffered{Conn: c, out: make(chan []byte, 10000), ended: make(chan struct{})}
	go func() {
		for {
			select {
			case data := <-b.out:
				if _, err := b.Conn.Write(data); err != nil {
					return
				}
			case <-b.ended:
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(data []byte) (int, error) {
	select {
	case b.out <- slices.Clone(data):
		return len(data), nil
	case <-b.ended:
		return 0, net.ErrClosed
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.ended) })
	return b.Conn.Close()
}

type pipeListener struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
		return nil, errors.New("closed")
	}
}

func (l *pipeListener) Close() error { l.once.Do(func() { close(l.ended) }); return nil }

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22} }

// TestWeek plays a week of a daemon with its record and its transfers, in which the
// clock changes and linehaul does not run for two days, and holds what ran, and what did not and
// why, against a list that was gone through by hand.
func TestWeek(t *testing.T) {
	for name, begin := range map[string]string{"spring": "2026-03-26T12:00:00+01:00", "autumn": "2026-10-22T12:00:00+02:00"} {
		t.Run(name, func(t *testing.T) {
			first, err := time.Parse(time.RFC3339, begin)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = week(t, first) })
			file := filepath.Join("testdata", name+".txt")
			if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// update writes the lists anew, to be gone through.
var _ = flag.Bool("update", false, "write the golden lists")

const weekConfig = `
state: state
hosts:
  quick: {address: "127.0.0.2:22", user: u, password: "file:pw", host_keys: %q}
  slow: {address: "127.0.0.3:22", user: u, password: "file:pw", host_keys: %q}
jobs:
  nightly: {schedule: "30 2 * * *", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, get: "quick:a.txt", to: "got/nightly/"}
  after-nightly: {depends_on: nightly, timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, get: "quick:a.txt", to: "got/after/"}
  closing: {schedule: "0 9 * * *", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, depends_on: {job: nightly, within: today, before: "08:30"}, get: "quick:a.txt", to: "got/closing/"}
  early: {schedule: "0 1 * * *", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, depends_on: {job: nightly, within: today}, depends_wait: 2h, get: "quick:a.txt", to: "got/early/"}
  office: {schedule: "0 12 * * *", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, not_on: [sat, sun], get: "quick:a.txt", to: "got/office/"}
  each: {schedule: "0 */8 * * *", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, catch_up: all, catch_up_window: 72h, get: "slow:a.txt", to: "got/each/"}
  never: {schedule: "0 7 * * *", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, catch_up: none, get: "quick:a.txt", to: "got/never/"}
  skips: {schedule: "0-3 3 * * mon,sun", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, get: "slow:a.txt", to: "got/skips/"}
  queues: {schedule: "0-3 4 * * mon,sun", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, overlap: queue, get: "slow:a.txt", to: "got/queues/"}
  cancels: {schedule: "0-3 5 * * mon,sun", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, overlap: cancel, get: "slow:a.txt", to: "got/cancels/"}
  both: {schedule: "0-1 6 * * mon,sun", timezone: Europe/Berlin, checks: {evidence: false, ping: off, link: off}, overlap: allow, get: "slow:a.txt", to: "got/both/{run}/"}
`

func week(t *testing.T, begin time.Time) string {
	offset := time.Until(begin)
	now := func() time.Time { return time.Now().Add(offset) }
	dir := t.TempDir()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() { // thousands of commits
		if dir, err = os.MkdirTemp("/dev/shm", "linehaul-week-"); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
	}
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("pw", "pw")
	write("served/a.txt", "a line\n")
	lines := pipes{}
	var keys []any
	for _, s := range []struct {
		name  string
		delay time.Duration
	}{{"127.0.0.2", 0}, {"127.0.0.3", 20 * time.Second}} {
		l := &pipeListener{conns: make(chan net.Conn), ended: make(chan struct{})}
		lines[s.name] = l
		server, err := remotetest.Start(t.Context(), remotetest.Options{Root: filepath.Join(dir, "served"), Password: "pw", Listener: l, Faults: remotetest.Faults{Delay: s.delay}})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		keys = append(keys, server.Fingerprint())
	}
	write("linehaul.yaml", fmt.Sprintf(weekConfig, keys...))
	last := map[string]time.Time{}
	var mu sync.Mutex
	serve := func(long time.Duration) {
		record, err := store.Open(store.Place{Dir: filepath.Join(dir, "state"), Node: "here", Now: now, Random: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		defer record.Close()
		var text lab.Buffer
		log := slog.New(logs.NewHandler(&text, logs.Text, slog.LevelInfo))
		d := &daemon.Daemon{
			Load: func() (*config.File, error) { return config.Load(filepath.Join(dir, "linehaul.yaml")) },
			Runner: func(*config.File) (*job.Runner, error) {
				return &job.Runner{Dialer: lines, Now: now, Random: rand.Reader, Store: record, Temp: dir}, nil
			},
			Queue: func(context.Context, *job.Runner, *config.File) (daemon.Queue, error) {
				return &timetable{due: schedule.NewMemory(now, log), record: record, now: now, last: last, mu: &mu, asked: make(chan queue.Task)}, nil
			},
			Log: log, LookEvery: 10 * time.Minute,
		}
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		if err := d.Run(ctx, nil, func() {}); err != nil {
			t.Error(err)
		}
	}
	const day = 24 * time.Hour
	serve(4*day + 11*time.Hour + 30*time.Minute) // Thursday noon to Monday night, over the Sunday
	time.Sleep(2 * day)
	serve(22*time.Hour + 30*time.Minute)
	return list(t, filepath.Join(dir, "state"), now)
}

// list is what the record has, in the order of what the schedule named.
func list(t *testing.T, state string, now func() time.Time) string {
	record, err := store.Open(store.Place{Dir: state, Node: "here", Now: now, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	runs, warnings, err := record.Runs(store.Filter{})
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(runs, func(a, b store.Run) int {
		return cmp.Or(a.Started.Truncate(time.Minute).Compare(b.Started.Truncate(time.Minute)), cmp.Compare(a.Job, b.Job), a.Nominal.Compare(b.Nominal))
	})
	ids := regexp.MustCompile(`(run )?\d{8}T\d{6}Z-\w+, process \d+, since [0-9T:Z-]+|(run )?\d{8}T\d{6}Z-\w+`)
	details := regexp.MustCompile(`: (its last run|it has|it is|it succeeded at)[^;]*(;|$)`)
	var b strings.Builder
	for _, r := range runs {
		text := ""
		if r.Error != "" {
			// What another run was doing at that instant is not always the same.
			text = ": " + details.ReplaceAllString(ids.ReplaceAllString(r.Error, "another run"), "$2")
		}
		fmt.Fprintf(&b, "%s  %-13s of %s  %s%s\n", r.Started.In(berlin).Format("Mon 02 Jan 15:04 MST"), r.Job, r.Nominal.In(berlin).Format("Mon 02 15:04 MST"), r.State, text)
	}
	return b.String()
}
