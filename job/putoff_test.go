package job

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/preflight"
	"linehaul/store"
)

// inTheWay is a job whose target cannot be a folder before the file that it
// returns is gone, and which waits for that.
func inTheWay(t *testing.T) (*bench, *Job, string) {
	t.Helper()
	b, j := checking(t)
	file := filepath.Join(b.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j.To = template(t, filepath.ToSlash(file)+"/in/")
	j.Checks.Levels = map[string]preflight.Level{preflight.CheckName: preflight.Require, preflight.CheckSpace: preflight.Wait}
	j.Checks.WaitEvery, j.Checks.WaitAtMost = 20*time.Millisecond, time.Minute
	return b, j, file
}

// waiting returns the run that was put off n times, once there is one.
func waiting(t *testing.T, b *bench, n int) store.Run {
	t.Helper()
	late := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-late:
			t.Fatal("no run was put off within a minute")
		case <-tick.C:
		}
		runs, _, err := b.Store.Runs(store.Filter{Job: "j", State: store.Running})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) == 1 && runs[0].PutOff != nil && runs[0].PutOff.Times >= n {
			return runs[0]
		}
	}
}

// TestPutOff: a check that says not now puts the run off without an attempt, and
// when it says yes, the run goes on.
func TestPutOff(t *testing.T) {
	b, j, file := inTheWay(t)
	j.Retry = Retry{Attempts: 1}
	type result struct {
		run store.Run
		err error
	}
	done := make(chan result, 1)
	go func() {
		run, err := b.Run(t.Context(), j, Trigger{})
		done <- result{run, err}
	}()
	seen := waiting(t, b, 2)
	if !strings.Contains(seen.PutOff.Reason, "local disk") || len(seen.Attempts) != 0 {
		t.Errorf("the record says %+v, %+v", seen.PutOff, seen.Attempts)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r := <-done
	if r.err != nil || r.run.Moved != 1 || len(r.run.Attempts) != 1 || r.run.PutOff == nil || r.run.PutOff.Times < 2 {
		t.Errorf("%v: %+v, %+v", r.err, r.run.Attempts, r.run.PutOff)
	}
	if !strings.Contains(b.log.String(), "put off: a check says not now") {
		t.Errorf("the log says nothing of it:\n%s", b.log)
	}
}

// TestPutOffEnds: a run does not wait for longer than it may, nor when it is
// stopped, nor where a check that it requires fails as well.
func TestPutOffEnds(t *testing.T) {
	b, j, _ := inTheWay(t)
	j.Checks.WaitAtMost = 50 * time.Millisecond
	run, err := b.Run(t.Context(), j, Trigger{})
	if fault.ExitCode(err) != 13 || !strings.Contains(err.Error(), "(waited ") || run.PutOff == nil || len(run.Attempts) != 1 {
		t.Errorf("%v: %+v, %+v", err, run.Attempts, run.PutOff)
	}
	j.Checks.WaitAtMost = time.Hour
	j.Checks.Levels[preflight.CheckSpace] = preflight.Require
	if run, err := b.Run(t.Context(), j, Trigger{}); fault.ExitCode(err) != 13 || run.PutOff != nil {
		t.Errorf("required, and yet %v, %+v", err, run.PutOff)
	}
	j.Checks.Levels[preflight.CheckSpace] = preflight.Wait
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.Run(ctx, j, Trigger{})
		done <- err
	}()
	waiting(t, b, 1)
	cancel(fault.New(fault.Interrupted, "enough"))
	if err := <-done; !fault.Is(err, fault.Interrupted) || !strings.Contains(err.Error(), "enough") {
		t.Errorf("stopped, and yet %v", err)
	}
}
