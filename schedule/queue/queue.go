// Package queue hands out each firing of a schedule once, to one of the processes
// that share a store, and again when that process dies.
//
// Each process computes the next firings of the jobs that it knows. When one is
// due, it claims it: one row a job in the database has the nominal time of the last
// firing that was claimed, and who moves it forward has won. In the same
// transaction the run is recorded as waiting, and a job is put into River
// (riverqueue.com), the queue in the database, which hands it to any process that
// has room. So a firing is lost by no crash: it is claimed and queued, or not
// claimed.
//
// River knows nothing of how a run goes on: that stands in the store, where a run
// belongs to one owner, with the number of its takes. What River hands out twice
// is run once, and River's table may be lost. When a process dies, another one finds
// its runs in the store and queues them again with the next take.
package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"linehaul/fault"
	"linehaul/logs"
	"linehaul/schedule"
	"linehaul/store"
	"linehaul/store/db"
)

// Place is what a queue works with.
type Place struct {
	Store  *store.Store
	Now    func() time.Time
	Random io.Reader // of run ids
	Log    *slog.Logger
	Runs   int // how many this process has under way at first, see Set
}

const (
	// sweepEvery is how often it is looked for runs of processes that died.
	sweepEvery = 2 * time.Second
	// manyFirings is how many are claimed in one transaction.
	manyFirings = 500
	// retryEvery is how often a claim is tried again while the database is away.
	retryEvery = time.Second
	// claimTime bounds one try.
	claimTime = time.Minute
)

// Task is one run that is handed out.
type Task struct {
	Run     string    `json:"run"`
	Take    int       `json:"take"` // how many processes have had it, with this one
	Job     string    `json:"job"`
	Nominal time.Time `json:"nominal,omitzero"` // zero: asked for by hand
	Missed  int       `json:"missed,omitempty"`
	Blocked string    `json:"blocked,omitempty"`
	Passed  bool      `json:"passed,omitempty"`
	MadeUp  bool      `json:"made_up,omitempty"` // see schedule.Firing
	All     bool      `json:"all,omitempty"`     // what only_new leaves out, too
	Lane    string    `json:"lane,omitempty"`    // the name of River's queue; empty: any machine may run it
}

// Handler runs a task. If it cannot run yet, it returns after how long it is to be
// handed out again, to this process or to another; 0: it is done.
type Handler func(ctx context.Context, t Task) (again time.Duration)

// engine is River on one kind of database.
type engine interface {
	// insert puts tasks into the queue within a transaction.
	insert(ctx context.Context, t *db.Tx, tasks []Task) error
	// serve has this process take what stands in a lane, too.
	serve(lane string) error
	// start begins to hand tasks out, and stop ends that, when all handlers have
	// returned, whose contexts it ends.
	start(ctx context.Context) error
	stop(ctx context.Context) error
}

// Queue is a queue in a database. Its methods may be called concurrently.
type Queue struct {
	place  Place
	due    *schedule.Memory
	engine engine

	mu       sync.Mutex
	busy     map[string]bool   // the runs that this process has under way
	runs     int               // how many these may be; 0: any number
	lanes    map[string]string // of the jobs that not any machine may run
	served   map[string]bool   // lanes that this process takes from
	handle   Handler
	handling context.Context //nolint:containedctx // that of Run, while it goes on: River hands out with one of its own
}

// Open opens the queue that lies in a store, and brings River's tables up to date.
// They begin with river_.
func Open(ctx context.Context, p Place) (*Queue, error) {
	q := &Queue{place: p, due: schedule.NewMemory(p.Now, p.Log), busy: map[string]bool{}, lanes: map[string]string{}, served: map[string]bool{}, runs: p.Runs}
	e, err := q.openEngine(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	q.engine = e
	return q, nil
}

// lane is the name of River's queue for jobs that run on some machines: the same on
// all of them.
func lane(runOn []string) string {
	if len(runOn) == 0 {
		return ""
	}
	names := make([]string, len(runOn))
	for i, name := range runOn {
		names[i] = strings.ToLower(name)
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(names), " ")))
	return "on_" + hex.EncodeToString(sum[:8])
}

// setLanes notes how many runs there may be and which jobs not any machine may run,
// and serves those that this one may.
func (q *Queue) setLanes(entries []schedule.Entry, runs int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.runs = runs
	q.lanes = map[string]string{}
	for _, e := range entries {
		name := lane(e.RunOn)
		if name == "" {
			continue
		}
		q.lanes[e.Job] = name
		if e.Here && !q.served[name] {
			if err := q.engine.serve(name); err != nil {
				return fault.New(fault.Internal, "serve the runs of job %q: %w", e.Job, err)
			}
			q.served[name] = true
		}
	}
	return nil
}

// Set replaces what fires and when; a job without a schedule is only known. The store
// knows when a job fired last, and of one that never has, since when it is there: what
// passes from then on while no process lives is made up for, too. runs is how many runs
// this process has under way at a time; 0: any number.
func (q *Queue) Set(ctx context.Context, entries []schedule.Entry, runs int) error {
	if err := q.setLanes(entries, runs); err != nil {
		return err
	}
	last := map[string]int64{}
	err := q.place.Store.DB().Each(ctx, "SELECT job, last FROM lh_schedule", nil, func(scan func(...any) error) error {
		var job string
		var at int64
		err := scan(&job, &at)
		last[job] = at
		return err
	})
	if err != nil {
		return fmt.Errorf("read when jobs fired last: %w", err)
	}
	var fresh []schedule.Entry
	for i, e := range entries {
		if at, known := last[e.Job]; known {
			entries[i].Last = time.UnixMilli(at)
		} else {
			fresh = append(fresh, e)
		}
	}
	if err := q.note(ctx, fresh); err != nil {
		return err
	}
	q.due.Set(slices.DeleteFunc(slices.Clone(entries), func(e schedule.Entry) bool { return e.Schedule == nil }))
	return nil
}

// note records since when jobs are there, in the order of their names, as claim does.
func (q *Queue) note(ctx context.Context, fresh []schedule.Entry) error {
	if len(fresh) == 0 {
		return nil
	}
	slices.SortFunc(fresh, func(a, b schedule.Entry) int { return strings.Compare(a.Job, b.Job) })
	now := q.place.Now()
	err := q.place.Store.DB().Tx(ctx, func(t *db.Tx) error {
		for _, e := range fresh {
			if _, err := t.Exec(ctx, "INSERT INTO lh_schedule (job, last) VALUES ($1, $2) ON CONFLICT (job) DO NOTHING", e.Job, e.Since(now).UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note which jobs there are: %w", err)
	}
	return nil
}

// Run hands out what is due, until ctx ends, and returns when all handlers have,
// whose contexts end with its cause. It fails when this process counts as dead for
// the others: what it had is theirs then.
func (q *Queue) Run(ctx context.Context, handle Handler) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	q.mu.Lock()
	q.handle, q.handling = handle, ctx
	q.mu.Unlock()
	if err := q.engine.start(context.WithoutCancel(ctx)); err != nil {
		return fault.New(fault.Internal, "start the queue: %w", err)
	}
	var loops sync.WaitGroup
	loops.Go(func() { q.claims(ctx) })
	loops.Go(func() { q.sweep(ctx) })
	var lost error
	select {
	case <-ctx.Done():
	case <-q.place.Store.Lost():
		lost = fault.New(fault.Interrupted, "%w", &store.LostError{}).
			WithHint("it ends, so that nothing runs twice: what starts it is to start it again")
		end(lost)
	}
	loops.Wait()
	err := q.engine.stop(context.WithoutCancel(ctx))
	switch {
	case lost != nil:
		return lost
	case err != nil:
		return fault.New(fault.Internal, "stop the queue: %w", err)
	}
	return nil
}

// work has the handler run a task that River hands out.
func (q *Queue) work(t Task) (again time.Duration) {
	q.mu.Lock()
	handle, ctx := q.handle, q.handling
	twice := q.busy[t.Run]
	full := !twice && q.runs > 0 && len(q.busy) >= q.runs
	if full {
		q.mu.Unlock()
		return retryEvery
	}
	if !twice {
		q.busy[t.Run] = true
	}
	q.mu.Unlock()
	if twice {
		return 0 // it goes on here already
	}
	defer func() {
		q.mu.Lock()
		delete(q.busy, t.Run)
		q.mu.Unlock()
	}()
	if ctx.Err() != nil {
		return time.Second
	}
	switch waits, err := q.waits(t); {
	case err != nil:
		q.place.Log.Error("a run could not be looked up, trying again", logs.Job, t.Job, logs.Run, t.Run, logs.Error, err.Error())
		return retryEvery
	case !waits:
		return 0
	}
	return handle(ctx, t)
}

// waits reports whether a task is to be run: nobody has it or had it.
func (q *Queue) waits(t Task) (bool, error) {
	r, err := q.place.Store.Run(t.Run)
	if missing := (*store.NotFoundError)(nil); errors.As(err, &missing) {
		return false, nil // its history is gone
	}
	return err == nil && r.State == store.Waiting && r.Take == t.Take, err
}

// claims claims what is due, until ctx ends. While the database is away, what has
// been due is kept in mind.
func (q *Queue) claims(ctx context.Context) {
	for {
		firings, err := q.due.Due(ctx, manyFirings)
		if err != nil {
			return
		}
		for {
			err := q.claim(ctx, firings)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return
			}
			q.place.Log.Error("firings could not be put into the queue, trying again", "firings", len(firings), logs.Error, err.Error())
			if !sleep(ctx, retryEvery) {
				return
			}
		}
	}
}

// claim puts into the queue those of the firings that no other process has claimed. All
// processes go for them in the same order, that of the jobs' names: two that had each
// moved a job forward that the other one wants next would wait for each other, until
// PostgreSQL finds out after a second.
func (q *Queue) claim(ctx context.Context, firings []schedule.Firing) error {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	order := make([]int, len(firings))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(firings[a].Job, firings[b].Job) })
	return q.place.Store.DB().Tx(ctx, func(t *db.Tx) error {
		mine, won := slices.Clone(firings), make([]bool, len(firings))
		for _, i := range order {
			var err error
			if won[i], err = q.win(ctx, t, &mine[i]); err != nil {
				return err
			}
		}
		var tasks []Task
		for i, f := range mine {
			if !won[i] {
				continue
			}
			task, err := q.enter(ctx, t, Task{
				Take: 1, Job: f.Job, Nominal: f.Nominal, Missed: f.Missed, Blocked: f.Blocked, Passed: f.Passed, MadeUp: f.MadeUp,
			}, "schedule")
			if err != nil {
				return err
			}
			tasks = append(tasks, task)
		}
		if len(tasks) == 0 {
			return nil
		}
		return q.engine.insert(ctx, t, tasks)
	})
}

// win moves the last firing of a job forward, and reports whether this process did.
func (q *Queue) win(ctx context.Context, t *db.Tx, f *schedule.Firing) (bool, error) {
	nominal := f.Nominal.UnixMilli()
	if f.Missed > 0 {
		// Others may have claimed some of those that passed for this process.
		var last int64
		known, err := db.One(ctx, t, "SELECT last FROM lh_schedule WHERE job = $1"+q.place.Store.DB().Kind().Locked(), []any{f.Job}, &last)
		if err != nil {
			return false, err
		}
		if known {
			f.Missed = q.due.Between(f.Job, time.UnixMilli(last), f.Nominal)
		}
	}
	n, err := t.Exec(ctx, `INSERT INTO lh_schedule (job, last) VALUES ($1, $2)
		ON CONFLICT (job) DO UPDATE SET last = excluded.last WHERE lh_schedule.last < excluded.last`, f.Job, nominal)
	return n == 1, err
}

// enter records a run that waits.
func (q *Queue) enter(ctx context.Context, t *db.Tx, task Task, trigger string) (Task, error) {
	now := q.place.Now()
	id, err := store.NewRunID(now, q.place.Random)
	if err != nil {
		return Task{}, fault.New(fault.Internal, "%w", err)
	}
	task.Run = id
	q.mu.Lock()
	task.Lane = q.lanes[task.Job]
	q.mu.Unlock()
	words, err := json.Marshal(task)
	if err != nil {
		return Task{}, fault.New(fault.Internal, "%w", err)
	}
	return task, q.place.Store.Enter(ctx, t, store.Run{
		ID: id, Job: task.Job, Trigger: trigger, Nominal: task.Nominal, Started: now, Take: task.Take, Lane: task.Lane, Task: words,
	})
}

// Fire fires a job without a schedule if due says so, and as of when, given the last
// time that it did; of a job that never has, that is when Set was first told of it.
func (q *Queue) Fire(ctx context.Context, job string, due func(last time.Time) (nominal time.Time, fires bool, err error)) error {
	d := q.place.Store.DB()
	var last int64
	if found, err := db.One(ctx, d, "SELECT last FROM lh_schedule WHERE job = $1", []any{job}, &last); err != nil || !found {
		return err
	}
	nominal, fires, err := due(time.UnixMilli(last))
	if err != nil || !fires {
		return err
	}
	return q.claim(ctx, []schedule.Firing{{Job: job, Nominal: nominal}})
}

// Ask puts a run of a job into the queue that a person has asked for, for any machine
// or for one of some, and returns its id. all is that of job.Job.
func (q *Queue) Ask(ctx context.Context, job string, runOn []string, all bool) (string, error) {
	q.mu.Lock()
	q.lanes[job] = lane(runOn)
	q.mu.Unlock()
	var task Task
	err := q.place.Store.DB().Tx(ctx, func(t *db.Tx) (err error) {
		if task, err = q.enter(ctx, t, Task{Take: 1, Job: job, All: all}, "hand"); err != nil {
			return err
		}
		return q.engine.insert(ctx, t, []Task{task})
	})
	if err != nil {
		return "", fmt.Errorf("put a run of %q into the queue: %w", job, err)
	}
	return task.Run, nil
}

// Again puts a run that waits into the queue, whether it is there or not: handed
// out twice, it runs once.
func (q *Queue) Again(ctx context.Context, runs ...store.Run) error {
	var tasks []Task
	for _, r := range runs {
		tasks = append(tasks, taskOf(r))
	}
	if len(tasks) == 0 {
		return nil
	}
	return q.place.Store.DB().Tx(ctx, func(t *db.Tx) error { return q.engine.insert(ctx, t, tasks) })
}

// taskOf is the task that a run came from, for its next take.
func taskOf(r store.Run) Task {
	var t Task
	if err := json.Unmarshal(r.Task, &t); err != nil {
		t = Task{} // of what was missed, nobody knows any more
	}
	t.Run, t.Take, t.Job, t.Nominal, t.Lane = r.ID, r.Take, r.Job, r.Nominal, r.Lane
	return t
}

// sweep hands over the runs of processes that died, until ctx ends. It begins with
// the runs that wait and may have lost their place in the queue.
func (q *Queue) sweep(ctx context.Context) {
	waiting, _, err := q.place.Store.Runs(store.Filter{State: store.Waiting})
	if err == nil {
		err = q.Again(ctx, waiting...)
	}
	if err != nil {
		q.place.Log.Error("runs that wait could not be put into the queue again", logs.Error, err.Error())
	}
	for {
		rescued, err := q.place.Store.Rescue(ctx, func(t *db.Tx, r store.Run) error { return q.engine.insert(ctx, t, []Task{taskOf(r)}) })
		for _, r := range rescued {
			q.place.Log.Warn("the process of a run is gone: it waits to be taken by another", logs.Job, r.Job, logs.Run, r.ID, "take", r.Take)
		}
		if err != nil && ctx.Err() == nil {
			q.place.Log.Error("looking for runs of processes that died failed", logs.Error, err.Error())
		}
		if !sleep(ctx, sweepEvery) {
			return
		}
	}
}

// sleep waits, and reports whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
