package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"linehaul/bandwidth"
	"linehaul/fault"
	"linehaul/logs"
	"linehaul/receipt"
	"linehaul/stamp"
	"linehaul/store"
	"linehaul/transfer"
	"linehaul/transfer/remote"
)

// Runner runs jobs in a place: a machine with its clock, its network, its
// record of runs and its log folder. Its methods may be called concurrently.
type Runner struct {
	Dialer  remote.Dialer
	Links   *Links // that hosts may name; nil: none
	Now     func() time.Time
	Random  io.Reader // of run ids
	Version string    // of linehaul, for the record
	Node    string    // this machine's name among those that share the record

	// Store keeps the record of runs and the locks of jobs. Without it a run
	// is neither recorded nor guarded against another one.
	Store *store.Store
	// Logs says where each run writes its log. Without a folder there is none
	// but the console's.
	Logs LogPlace
	// Console is told what the log is told. It may be nil.
	Console slog.Handler
	// Progress shows a run's progress. It may be nil.
	Progress transfer.Progress
	// Limits are the bandwidths that its runs share with all others of the
	// process. Where it is nil, each run has them for itself.
	Limits *bandwidth.Shared
	// Temp is the folder for temporary files of long listings; empty for the
	// system's.
	Temp string

	ahead int // how many items are planned before the first is moved; 0: planAhead
}

// Trigger is what made a run start.
type Trigger struct {
	// Nominal is the instant that the schedule names; zero if a person asked.
	Nominal time.Time
	// Missed is the number of earlier firings that this run stands for too.
	Missed int
	// Run is the id of a run that the queue hands out, and Take how many processes
	// have had it, with this one. Run is empty where there is no queue.
	Run  string
	Take int
	// InTurn is whether it waits for the runs of its job before it, whatever the
	// job says of firings that overlap: each of several is made up for.
	InTurn bool
}

func (t Trigger) String() string {
	if t.Nominal.IsZero() {
		return "hand"
	}
	return "schedule"
}

// Run runs a job to its end: attempts until one succeeds, none are left, the
// failure is one that trying again cannot help, or ctx ends. The record that
// it returns is complete also when it failed; the error is the run's result,
// sorted by package fault.
func (r *Runner) Run(ctx context.Context, j *Job, t Trigger) (store.Run, error) {
	started := r.Now().In(j.Zone)
	id, err := store.NewRunID(started, r.Random)
	if err != nil {
		return store.Run{}, fmt.Errorf("make a run id: %w", err)
	}
	run := store.Run{
		ID: id, Job: j.Name, Host: j.Host.Name, Trigger: t.String(), Nominal: t.Nominal,
		Started: started, State: store.Running, Version: r.Version, PID: os.Getpid(), Node: r.Node, Through: j.Host.Link, Way: j.way(),
	}
	if err := r.taken(&run, t); err != nil {
		return run, err
	}
	values := stamp.Values{At: run.Started, Job: j.Name, Host: j.Host.Name, Run: run.ID}
	if !t.Nominal.IsZero() {
		values.At = t.Nominal.In(j.Zone)
	}

	log, closeLog, err := r.openLog(j, &run, values)
	if err != nil {
		return r.end(run, err, slog.New(slog.DiscardHandler))
	}
	run, err = r.guarded(ctx, j, run, values, t, log)
	if closeErr := closeLog(); err == nil {
		err = closeErr
	}
	return run, err
}

// Leave records a firing that does not run, with the state that says how and the
// reason.
func (r *Runner) Leave(j *Job, t Trigger, state store.State, reason string) (store.Run, error) {
	now := r.Now().In(j.Zone)
	id, err := store.NewRunID(now, r.Random)
	if err != nil {
		return store.Run{}, fmt.Errorf("make a run id: %w", err)
	}
	if t.Missed > 0 {
		reason += fmt.Sprintf("; so were %d before it", t.Missed)
	}
	run := store.Run{
		ID: id, Job: j.Name, Host: j.Host.Name, Trigger: t.String(), Nominal: t.Nominal, Started: now, Ended: now,
		State: state, Code: fault.Skipped.ExitCode(), Error: reason, Version: r.Version, PID: os.Getpid(), Way: j.way(),
	}
	if t.Run != "" {
		run.ID, run.Take, run.Queued = t.Run, t.Take, true
	}
	if r.Store == nil {
		return run, nil
	}
	return r.Store.End(run)
}

// Refuse records a run that the queue has handed out and that cannot be a run.
func (r *Runner) Refuse(name string, t Trigger, why error) (store.Run, error) {
	now := r.Now()
	run := store.Run{
		ID: t.Run, Job: name, Trigger: t.String(), Nominal: t.Nominal, Started: now, Ended: now, State: store.Failed, Code: fault.ExitCode(why),
		Layer: fault.KindOf(why).String(), Error: why.Error(), Hint: fault.HintOf(why), Version: r.Version, PID: os.Getpid(), Take: t.Take, Queued: true,
	}
	if r.Store == nil {
		return run, nil
	}
	return r.Store.End(run)
}

// guarded runs the job under its lock and records the run.
func (r *Runner) guarded(ctx context.Context, j *Job, run store.Run, v stamp.Values, t Trigger, log *slog.Logger) (store.Run, error) {
	if t.Missed > 0 {
		log.Warn("earlier firings passed while linehaul did not run or the machine slept; this run stands for them", "missed", t.Missed)
	}
	if r.Store != nil {
		r.Recover(ctx, log)
		lock, err := r.begin(ctx, j, run, t.InTurn, log)
		if errors.As(err, new(*WaitError)) || run.Queued && errors.As(err, new(*store.TakenError)) {
			return run, err // not yet; or it was handed out twice, and is the other's
		}
		if err != nil {
			return r.end(run, err, log)
		}
		if lock != nil {
			defer lock.Release()
		}
		guarded, release := r.Store.Guard(ctx, run.ID)
		defer release()
		ctx = guarded
	}
	if j.Timeout > 0 {
		late := fault.New(fault.Timeout, "the run did not end within %s", j.Timeout)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, j.Timeout, late)
		defer cancel()
	}
	meter := transfer.NewMeter(r.Now)
	var notes *store.Notes
	if r.Store != nil {
		notes = r.Store.Notes(run)
	}
	stop := r.noteProgress(meter, notes, run, log)
	err := r.attempts(ctx, j, &run, v, meter, notes, log)
	stop()
	if handedBack(run, err) {
		if err := notes.Flush(); err != nil {
			log.Warn("whoever goes on with the run does not know all that it has moved", logs.Error, err.Error())
		}
	}
	if over := (*overError)(nil); errors.As(err, &over) {
		err = stoppedInTime(over, run)
	}
	return r.end(run, err, log)
}

// stoppedInTime is the result of a run that has had its time, as a person wants
// to read it.
func stoppedInTime(over *overError, run store.Run) error {
	return fmt.Errorf("%w: %d of %d files were moved, and the rest is left for the next run, with what is there of the files under way", over.err, run.Moved, run.Matched)
}

// Recover marks the runs whose process died in the middle as interrupted, and
// removes the temporary files that they left.
func (r *Runner) Recover(ctx context.Context, log *slog.Logger) {
	dead, err := r.Store.Recover()
	if err != nil {
		log.Warn("looking for runs that died failed", logs.Error, err.Error())
	}
	for _, run := range dead {
		log.Warn("an earlier run ended in the middle", "died", run.ID, logs.Job, run.Job)
		if run.Root == "" {
			continue
		}
		if err := transfer.Sweep(ctx, run.Root, true, log); err != nil {
			log.Warn("what it left behind could not be removed", logs.Error, err.Error())
		}
	}
	if len(dead) > 0 && r.Temp != "" {
		if err := transfer.SweepLists(r.Temp, r.Now().Add(-longestList)); err != nil {
			log.Warn("old listings could not be removed", logs.Error, err.Error())
		}
	}
}

// longestList is far longer than any search goes on.
const longestList = 7 * 24 * time.Hour

// maxUnfinished is how many earlier runs are looked at: more than one a minute
// for a day. After that, what they left is known by its age.
const maxUnfinished = 2000

// unfinished returns the runs of the job since its last success. They have
// ended, as this run holds the job's lock; what they left may be gone on with.
func (r *Runner) unfinished(run *store.Run, log *slog.Logger) []store.Run {
	if r.Store == nil {
		return nil
	}
	var before []store.Run
	_, err := r.Store.Each(store.Filter{Job: run.Job, Limit: maxUnfinished}, func(b store.Run) bool {
		// Those that are under way are others' where several may be.
		if b.ID != run.ID && b.State != store.Skipped && b.State != store.OK && b.State != store.Warning && b.State != store.Running {
			before = append(before, b)
		}
		return b.State != store.OK && b.State != store.Warning
	})
	if err != nil {
		log.Warn("earlier runs could not be looked at", logs.Error, err.Error())
	}
	return before
}

// clean removes what earlier runs left in their folders, once a run has
// succeeded: nobody goes on with it any more.
func (r *Runner) clean(ctx context.Context, before []store.Run, log *slog.Logger) {
	swept := map[string]bool{"": true}
	for _, b := range before {
		if swept[b.Root] {
			continue
		}
		swept[b.Root] = true
		if err := transfer.Sweep(ctx, b.Root, false, log); err != nil {
			log.Warn("what earlier runs left could not be removed", logs.Error, err.Error())
		}
	}
}

// attempts tries until there is a result, and enters the files into the run.
func (r *Runner) attempts(ctx context.Context, j *Job, run *store.Run, v stamp.Values, meter *transfer.Meter, notes *store.Notes, log *slog.Logger) (err error) {
	list := store.NewFileList(r.Temp)
	if r.Store != nil {
		list = r.Store.FileList(*run)
	}
	a := attempt{
		job: j, run: run, values: v, dialer: r.Dialer, links: r.Links, store: r.Store, now: r.Now, progress: transfer.Watched(r.Progress, meter), temp: r.Temp,
		line: newLineMeter(r.Now, meter), gate: r.gate(j.Limits), second: &secondLook{}, results: newResults(j, run, list, notes), ahead: cmp.Or(r.ahead, planAhead),
	}
	defer a.second.work.Wait()
	defer func() {
		if j.Host.Link != "" {
			run.Link = a.tally.record(j.Host.Link)
		}
		r.keepLine(run, a.line, log)
		if listErr := a.results.end(); listErr != nil && err == nil {
			err = listErr
		}
	}()
	if len(run.Writers) > 1 {
		files, err := a.results.takeOver(r.Store)
		if err != nil {
			return err
		}
		if files > 0 {
			log.Info("an earlier process of this run has moved files", logs.Files, files)
		}
	}
	// What is moved has its own limit: what follows it, such as deleting the
	// sources of what was moved, is not cut short by that.
	moving, cancel := forDuration(ctx, j.Limits.MaxDuration)
	defer cancel()
	before := r.unfinished(run, log)
	for _, b := range before {
		a.dead = append(a.dead, b.WriterIDs()...)
	}
	if n := len(run.Writers); n > 1 && r.Store.Certain() {
		a.dead = append(a.dead, run.Writers[:n-1]...)
	}
	taken := len(run.Attempts) // by processes that had the run before
	for n := taken + 1; ; n++ {
		a.log = log
		if n > 1 {
			a.log = log.With(logs.Attempt, n)
		}
		a.last = n-taken >= j.Retry.Attempts
		began, greets := r.Now(), a.greets
		err := a.do(ctx, moving)
		if err != nil && a.greets && !greets && moving.Err() == nil {
			// Nothing was done, and there are other ways.
			a.log.Info("the server does not begin SFTP as it says, connecting again to find another way", logs.Error, err.Error())
			n--
			continue
		}
		if notNow := (*notNowError)(nil); errors.As(err, &notNow) && moving.Err() == nil {
			if err = a.putOff(moving, notNow); err == nil {
				n--
				continue
			}
		}
		if moving.Err() != nil && err != nil {
			err = stopped(moving, err)
		}
		run.Attempts = append(run.Attempts, recordAttempt(n, began, r.Now(), err))
		if err != nil {
			a.lookAgain(ctx, err)
		}
		switch {
		case err == nil:
			r.clean(ctx, before, log)
			return nil
		case moving.Err() != nil || !fault.Transient(err):
			return err
		case j.Retry.Reconnect && a.progressed():
			run.Reconnects++
			a.log.Warn("the connection broke, going on", logs.Layer, fault.KindOf(err).String(), logs.Error, err.Error(), logs.Reconnects, run.Reconnects)
			if err := sleep(moving, j.Retry.Wait(1, rand.Float64())); err != nil {
				return stopped(moving, err)
			}
			n--
			continue
		case n-taken >= j.Retry.Attempts && n-taken > 1:
			return fmt.Errorf("%w (attempt %d of %d)", err, n-taken, j.Retry.Attempts)
		case n-taken >= j.Retry.Attempts:
			return err
		}
		wait := j.Retry.Wait(n-taken, rand.Float64())
		a.log.Warn("attempt failed, trying again", logs.Layer, fault.KindOf(err).String(), logs.Error, err.Error(), "wait", wait.Round(time.Millisecond))
		if err := sleep(moving, wait); err != nil {
			return stopped(moving, err)
		}
	}
}

// stopped tells a run that was stopped from one that failed: what broke when
// its context ended is not what went wrong.
func stopped(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(err, cause):
		return err
	case errors.Is(cause, context.Canceled):
		return fault.New(fault.Interrupted, "stopped: %w", cause)
	}
	return cause
}

func recordAttempt(n int, began, ended time.Time, err error) store.Attempt {
	a := store.Attempt{Number: n, Started: began, Ended: ended, Code: fault.ExitCode(err)}
	if err != nil {
		a.Layer, a.Error = fault.KindOf(err).String(), err.Error()
	}
	return a
}

// end records the run's result, and writes it as the log's last line together with
// the hash of the receipt that it has by then.
func (r *Runner) end(run store.Run, err error, log *slog.Logger) (store.Run, error) {
	run.Ended = r.Now().In(run.Started.Location())
	run.Code = fault.ExitCode(err)
	switch {
	case handedBack(run, err):
		run.State, run.Ended = store.Waiting, time.Time{}
	case err == nil && run.State == store.Running:
		run.State = store.OK
	case fault.Is(err, fault.Overlap), fault.Is(err, fault.Skipped):
		run.State = store.Skipped
	case fault.Is(err, fault.Interrupted):
		run.State = store.Interrupted
	case err != nil:
		run.State = store.Failed
	}
	if err != nil {
		run.Layer, run.Error, run.Hint = fault.KindOf(err).String(), err.Error(), fault.HintOf(err)
	}
	var putErr error
	if r.Store != nil {
		r.pruneLogs(run, log)
		var recorded store.Run
		if recorded, putErr = r.Store.End(run); putErr != nil {
			log.Error("the run could not be recorded", logs.Error, putErr.Error())
		} else {
			run = recorded
		}
	}
	fields := []any{
		logs.Result, string(run.State), logs.Files, run.Moved, logs.Bytes, run.Bytes,
		logs.Seconds, r.Now().Sub(run.Started).Round(time.Millisecond).Seconds(),
	}
	if l := run.Link; l != nil {
		fields = append(fields, logs.Link, l.Name, logs.SPI, strings.Join(l.SPIs, ","), logs.Sent, l.Sent, logs.Received, l.Received)
	}
	fields = append(fields, lineFields(run.Line)...)
	if run.Failed > 0 {
		fields = append(fields, logs.Failed, run.Failed)
	}
	if run.Removed > 0 {
		fields = append(fields, logs.Removed, run.Removed)
	}
	if run.Skipped > 0 {
		fields = append(fields, logs.Skipped, run.Skipped)
	}
	if run.Receipt != nil {
		fields = append(fields, logs.Receipt, run.Receipt.Hash.String())
	}
	if err == nil {
		log.Info("run ended", fields...)
	} else {
		log.Error("run ended", append(fields, logs.Code, run.Code, logs.Layer, run.Layer, logs.Error, run.Error, logs.Hint, run.Hint)...)
	}
	return run, cmp.Or(err, putErr)
}

// way is which way its files go, as a receipt says it.
func (j *Job) way() string {
	if j.Put == nil {
		return receipt.Get
	}
	return receipt.Put
}

// describe says in one line what a job will do.
func (j *Job) describe() (verb, from, to string) {
	if j.Sync != nil {
		from, to = dotted(strings.Join(append(j.Get, j.Put...), " ")), dotted(j.To.String())
		if j.Put == nil {
			return "sync", j.Host.Name + ":" + from, to
		}
		return "sync", from, j.Host.Name + ":" + to
	}
	if j.Put == nil {
		return "get", j.Host.Name + ":" + strings.Join(j.Get, " "), j.To.String()
	}
	return "put", strings.Join(j.Put, " "), j.Host.Name + ":" + j.To.String()
}
