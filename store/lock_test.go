package store_test

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/store"
)

// helpHold runs the job "held" until it is killed.
func helpHold(s *store.Store) error {
	lock, err := s.Lock("held")
	if err != nil {
		return err
	}
	id, err := store.NewRunID(time.Now(), rand.Reader)
	if err != nil {
		return err
	}
	if err := errors.Join(lock.Note(id), s.Put(store.Run{ID: id, Job: "held", State: store.Running, PID: os.Getpid()})); err != nil {
		return err
	}
	fmt.Println(id)
	time.Sleep(time.Minute)
	return errors.New("nobody killed it")
}

// helpPut writes records, large enough to be caught in the middle, until it is
// killed.
func helpPut(s *store.Store) error {
	for n := 0; ; n++ {
		id, err := store.NewRunID(time.Now(), rand.Reader)
		if err != nil {
			return err
		}
		r := store.Run{ID: id, Job: "killed", State: store.Running, Matched: n, Error: strings.Repeat("x", 1<<18)}
		for _, r.State = range []store.State{store.Running, store.OK} {
			if err := s.Put(r); err != nil {
				return err
			}
		}
		fmt.Println(id)
	}
}

// helper is another process.
type helper struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func startHelper(t *testing.T, what, dir string) *helper {
	t.Helper()
	h := &helper{cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")}
	h.cmd.Env = append(os.Environ(), helperVar+"="+what, dirVar+"="+dir)
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.out = bufio.NewScanner(out)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *helper) line(t *testing.T) string {
	t.Helper()
	if !h.out.Scan() {
		t.Fatal("the helper said nothing")
	}
	return h.out.Text()
}

func (h *helper) kill(t *testing.T) {
	t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for h.out.Scan() {
	}
	h.cmd.Wait()
}

func TestLock(t *testing.T) {
	s, _ := openStore(t)
	lock, err := s.Lock("a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Lock("b")
	if err != nil {
		t.Fatalf("another job: %v", err)
	}
	other.Release()
	_, err = s.Lock("a")
	if want := fmt.Sprintf(`job "a" runs already: process %d`, os.Getpid()); !fault.Is(err, fault.Overlap) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := lock.Note("20261123T023001Z-123x7k2q"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Lock("a")
	if want := fmt.Sprintf(`job "a" runs already: run 20261123T023001Z-123x7k2q, process %d, since 2026-11-23T02:30:01Z`, os.Getpid()); !fault.Is(err, fault.Overlap) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	lock.Release()
	lock.Release()
	if err := lock.Note("x"); !fault.Is(err, fault.Internal) {
		t.Errorf("note after release: %v", err)
	}
	again, err := s.Lock("a")
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	again.Release()
	if _, err := s.Lock("../a"); !fault.Is(err, fault.Internal) {
		t.Errorf("a path as a job: %v", err)
	}
}

// TestLockIsExclusive lets many goroutines run one job.
func TestLockIsExclusive(t *testing.T) {
	s, _ := openStore(t)
	var group sync.WaitGroup
	inside := make(chan struct{}, 1)
	ran := make([]int, 8)
	for i := range ran {
		group.Go(func() {
			for range 20 {
				lock, err := s.Lock("a")
				if fault.Is(err, fault.Overlap) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case inside <- struct{}{}:
					ran[i]++
					time.Sleep(time.Millisecond)
					<-inside
				default:
					t.Error("two hold the lock")
				}
				lock.Release()
			}
		})
	}
	group.Wait()
	total := 0
	for _, n := range ran {
		total += n
	}
	if total == 0 {
		t.Error("nobody got the lock")
	}
}

// TestKilledHolder: the lock of a process that was killed is free, and its run
// is found out.
func TestKilledHolder(t *testing.T) {
	s, dir := openStore(t)
	h := startHelper(t, "hold", dir)
	id := h.line(t)
	_, err := s.Lock("held")
	if !fault.Is(err, fault.Overlap) || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), "process "+strconv.Itoa(h.cmd.Process.Pid)) {
		t.Errorf("while it runs: %v", err)
	}
	if runs, err := s.Recover(); len(runs) > 0 || err != nil {
		t.Errorf("a living run was recovered: %+v, %v", runs, err)
	}
	h.kill(t)

	waitLease()
	runs, err := s.Recover()
	if err != nil || len(runs) != 1 {
		t.Fatalf("recovered %+v, %v", runs, err)
	}
	r := runs[0]
	if r.ID != id || r.State != store.Interrupted || r.Code != fault.Interrupted.ExitCode() || !r.Ended.IsZero() ||
		r.Error != fmt.Sprintf("process %d ended in the middle of the run", h.cmd.Process.Pid) || r.Hint == "" {
		t.Errorf("recovered %+v", r)
	}
	if got, err := s.Run(id); err != nil || got.State != store.Interrupted {
		t.Errorf("its record is %+v, %v", got, err)
	}
	if runs, err := s.Recover(); len(runs) > 0 || err != nil {
		t.Errorf("a second time: %+v, %v", runs, err)
	}
	lock, err := s.Lock("held")
	if err != nil {
		t.Fatalf("the lock outlived its process: %v", err)
	}
	lock.Release()
}

// TestRecoverWhileNextRuns: a dead run is found while a later run of its job
// goes on, which is left alone.
func TestRecoverWhileNextRuns(t *testing.T) {
	s, dir := openStore(t)
	before := store.Run{ID: newID(t, at(), 1), Job: "a", State: store.Running}
	dead(t, dir, func(s *store.Store) { put(t, s, before) })
	lock, err := s.Lock("a")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	next := store.Run{ID: newID(t, at(), 2), Job: "a", State: store.Running}
	if err := lock.Note(next.ID); err != nil {
		t.Fatal(err)
	}
	put(t, s, next)
	for _, recovering := range []*store.Store{reopen(t, dir), s} {
		runs, err := recovering.Recover()
		if err != nil || len(runs) > 1 || len(runs) == 1 && runs[0].ID != before.ID {
			t.Errorf("recovered %+v, %v, want %s", runs, err, before.ID)
		}
	}
	if r, err := s.Run(before.ID); err != nil || r.State != store.Interrupted {
		t.Errorf("%+v, %v", r.State, err)
	}
}

// waitLease waits until a process that was killed counts as dead.
func waitLease() {
	if os.Getenv(urlVar) != "" {
		time.Sleep(store.Lease + time.Second)
	}
}

// TestTaken: what became another process's is not written by the one that had it.
func TestTaken(t *testing.T) {
	s, dir := openStore(t)
	lock, err := s.Lock("a")
	if err != nil {
		t.Fatal(err)
	}
	r := store.Run{ID: newID(t, at(), 1), Job: "a", State: store.Running}
	put(t, s, r)
	other := reopen(t, dir)
	second, err := other.Lock("b")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	// As it is after this process was taken for dead.
	alter(t, s, "UPDATE lh_run SET owner = (SELECT owner FROM lh_lock WHERE job = 'b') WHERE id = $1", r.ID)
	alter(t, s, "UPDATE lh_lock SET (owner, token) = (SELECT owner, token FROM lh_lock WHERE job = 'b') WHERE job = 'a'")
	r.State = store.OK
	var taken *store.TakenError
	if err := s.Put(r); !errors.As(err, &taken) || taken.ID != r.ID || !fault.Is(err, fault.Interrupted) {
		t.Errorf("recorded: %v", err)
	}
	if err := lock.Note(r.ID); !errors.As(err, &taken) {
		t.Errorf("noted: %v", err)
	}
	lock.Release()
	if _, err := s.Lock("a"); !fault.Is(err, fault.Overlap) {
		t.Errorf("it gave up the other's lock: %v", err)
	}
	if got, err := s.Run(r.ID); err != nil || got.State != store.Running {
		t.Errorf("the record is %v, %v", got.State, err)
	}
}

// TestKilledPut kills a process that writes records, at any instant. Every
// record is whole, what it reported is there, and nothing else stays behind.
func TestKilledPut(t *testing.T) {
	s, dir := openStore(t)
	for round := range 5 {
		h := startHelper(t, "put", dir)
		var done string
		for range 1 + round {
			done = h.line(t)
		}
		time.Sleep(time.Duration(round) * time.Millisecond)
		h.kill(t)
		if r, err := s.Run(done); err != nil || r.State != store.OK {
			t.Errorf("a run that was reported is %+v, %v", r.State, err)
		}
	}
	waitLease()
	if _, err := s.Recover(); err != nil {
		t.Fatal(err)
	}
	runs, warnings, err := s.Runs(store.Filter{})
	if err != nil || len(warnings) > 0 || len(runs) < 15 {
		t.Errorf("%d runs, %v, %v", len(runs), warnings, err)
	}
	for _, r := range runs {
		if r.State == store.Running {
			t.Errorf("run %s still runs", r.ID)
		}
	}
	if n := count(t, s, "lh_progress"); n > 0 {
		t.Errorf("%d rows of progress are left", n)
	}
}
