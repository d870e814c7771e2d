package queue

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"linehaul/fault"
	"linehaul/store/db"
)

const (
	// fetchEvery is how often River is asked for tasks, and fetchPause how long
	// it pauses between two fetches while there are more.
	fetchEvery = 200 * time.Millisecond
	fetchPause = 20 * time.Millisecond
	// stuckAfter is after how long River looks at what it has handed out, see
	// worker.Timeout.
	stuckAfter = time.Hour
	// manyRuns is how many tasks of a lane a process has at a time where nobody says
	// how many runs.
	manyRuns = 2000
	// manyAttempts is more often than any process dies with the same run.
	manyAttempts = 1000
	// keepRiver is how long River keeps what is done, for people who look there.
	keepRiver = time.Hour
)

// riverTx is River over one kind of transaction.
type riverTx[T any] struct {
	client  *river.Client[T]
	tx      func(*db.Tx) T
	workers int
}

// openEngine makes River's client. Everything is polled: that works through a pooler
// of connections, and no connection that is listened on can break unnoticed.
func (q *Queue) openEngine(ctx context.Context) (engine, error) {
	d := q.place.Store.DB()
	if d.Kind() == db.SQLite {
		return openRiver(ctx, q, riversqlite.New(d.SQL()), func(t *db.Tx) *sql.Tx { return t.SQL() })
	}
	return openRiver(ctx, q, riverpgxv5.New(d.Pool()), func(t *db.Tx) pgx.Tx { return t.PGX() })
}

func openRiver[T any](ctx context.Context, q *Queue, driver riverdriver.Driver[T], tx func(*db.Tx) T) (engine, error) {
	log := slog.New(warnings{q.place.Log.Handler()})
	if err := migrate(ctx, q.place.Store.DB(), driver, log); err != nil {
		return nil, err
	}
	id, err := q.place.Store.Owner()
	if err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{queue: q, id: id})
	client, err := river.NewClient(driver, &river.Config{
		ID: id, Logger: log, PollOnly: true, FetchPollInterval: fetchEvery, FetchCooldown: fetchPause,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: q.workers()}}, Workers: workers,
		JobTimeout: -1, RescueStuckJobsAfter: stuckAfter, MaxAttempts: manyAttempts,
		CompletedJobRetentionPeriod: keepRiver, CancelledJobRetentionPeriod: keepRiver, DiscardedJobRetentionPeriod: keepRiver,
	})
	if err != nil {
		return nil, fault.New(fault.Internal, "make the queue: %w", err)
	}
	return &riverTx[T]{client, tx, q.workers()}, nil
}

// workers is how many tasks of a lane River gives this process at a time.
func (q *Queue) workers() int { return cmp.Or(q.place.Runs, manyRuns) }

// Migrate brings River's tables up to date, as Open does, and returns the step that
// they were at, 0 if there were none, and the one that they are at.
func Migrate(ctx context.Context, d *db.DB, log *slog.Logger) (from, to int, err error) {
	log = slog.New(warnings{log.Handler()})
	if d.Kind() == db.SQLite {
		return migrated(ctx, d, riversqlite.New(d.SQL()), log)
	}
	return migrated(ctx, d, riverpgxv5.New(d.Pool()), log)
}

func migrated[T any](ctx context.Context, d *db.DB, driver riverdriver.Driver[T], log *slog.Logger) (from, to int, err error) {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return 0, 0, fault.New(fault.Internal, "prepare the queue's tables: %w", err)
	}
	step := func() (int, error) {
		there, err := m.ExistingVersions(ctx)
		if len(there) == 0 || err != nil {
			return 0, err
		}
		return there[len(there)-1].Version, nil
	}
	if from, err = step(); err == nil {
		err = migrate(ctx, d, driver, log)
	}
	if err == nil {
		to, err = step()
	}
	if err != nil {
		return from, to, fmt.Errorf("prepare the queue's tables: %w", err)
	}
	return from, to, nil
}

// migrate brings River's tables up to date.
func migrate[T any](ctx context.Context, d *db.DB, driver riverdriver.Driver[T], log *slog.Logger) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: log})
	if err != nil {
		return fault.New(fault.Internal, "prepare the queue's tables: %w", err)
	}
	// In SQLite, another process may be at it: the second try finds it done.
	const tries = 5
	for n := 1; ; n++ {
		err := d.Exclusive(ctx, func() error {
			_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
			return err
		})
		switch {
		case err == nil:
			return nil
		case n == tries || !sleep(ctx, 200*time.Millisecond):
			return fmt.Errorf("prepare the queue's tables: %w", err)
		}
	}
}

func (r *riverTx[T]) insert(ctx context.Context, t *db.Tx, tasks []Task) error {
	many := make([]river.InsertManyParams, 0, len(tasks))
	for _, task := range tasks {
		many = append(many, river.InsertManyParams{Args: args{task}, InsertOpts: &river.InsertOpts{Queue: task.Lane}})
	}
	_, err := r.client.InsertManyFastTx(ctx, r.tx(t), many)
	return err
}

func (r *riverTx[T]) serve(lane string) error {
	return r.client.Queues().Add(lane, river.QueueConfig{MaxWorkers: r.workers})
}

func (r *riverTx[T]) start(ctx context.Context) error { return r.client.Start(ctx) }

func (r *riverTx[T]) stop(ctx context.Context) error { return r.client.Stop(ctx) }

// args is a Task as River keeps it.
type args struct{ Task }

// Kind is River's word for what a job is.
func (args) Kind() string { return "linehaul_run" }

// worker runs tasks for River.
type worker struct {
	river.WorkerDefaults[args]
	queue *Queue
	id    string
}

// Work runs a task.
func (w *worker) Work(_ context.Context, j *river.Job[args]) error {
	if again := w.queue.work(j.Args.Task); again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// NextRetry is at once: only what a process left that died is tried again.
func (w *worker) NextRetry(*river.Job[args]) time.Time { return w.queue.place.Now() }

// Timeout is none for what this process has. River asks it too, after stuckAfter,
// for what other processes have: that is handed out again, which ends it if it has
// ended, and does nothing if it goes on.
func (w *worker) Timeout(j *river.Job[args]) time.Duration {
	if n := len(j.AttemptedBy); n > 0 && j.AttemptedBy[n-1] != w.id {
		return 1
	}
	return -1
}

// warnings passes on what River says from warnings up: what it does is no news.
type warnings struct{ slog.Handler }

// Enabled leaves out what is less than a warning.
func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

// WithAttrs keeps leaving it out.
func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }

// WithGroup keeps leaving it out.
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
