package queue_test

// Processes that are killed, that stand still, and that PostgreSQL is away for.

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/internal/lab/postgres"
	"linehaul/schedule"
	"linehaul/schedule/queue"
	"linehaul/store"
)

// serveAlone is a process that runs whatever is asked for until it is killed.
func serveAlone(dir, url string, slow bool) error {
	var log lab.Buffer
	n, err := openNode(context.Background(), site{dir: dir, url: url}, &log)
	if err != nil {
		return err
	}
	return n.Run(context.Background(), func(ctx context.Context, t queue.Task) time.Duration {
		err := run(n.store, t, func() {
			fmt.Println("begun", t.Run, t.Take)
			if slow {
				<-ctx.Done()
			}
		})
		fmt.Println("ended", t.Run, err)
		return 0
	})
}

// startProcess starts a process that serves a site, and passes on what it says.
func startProcess(t *testing.T, s site, slow bool) (c *exec.Cmd, says <-chan string) {
	t.Helper()
	c = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), dirVar+"="+s.dir, urlVar+"="+s.url)
	if slow {
		c.Env = append(c.Env, slowVar+"=1")
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return c, lines
}

// TestKilled: when the process that has a run is killed, another one takes it, with
// the next take, in less than 30 s.
func TestKilled(t *testing.T) {
	both(t, func(t *testing.T, s site) {
		n := s.open(t)
		c, says := startProcess(t, s, true)
		id, err := n.Ask(t.Context(), "a", nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := <-says; got != "begun "+id+" 1" {
			t.Fatalf("the process said %q", got)
		}
		var r ran
		n.start(t, recording(t, n, &r))
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		c.Wait()
		eventually(t, "another process took it", func() bool { return len(r.all()) == 1 })
		took := time.Since(killed)
		t.Logf("taken after %.1f s", took.Seconds())
		if task := r.all()[0]; task.Run != id || task.Take != 2 || took > 30*time.Second {
			t.Errorf("%+v after %s", task, took)
		}
		eventually(t, "it ended", func() bool { got, err := n.store.Run(id); return err == nil && got.State == store.OK && got.Take == 2 })
	})
}

// TestZombie: a process that stood still for longer than its lease loses its runs to
// another, can record nothing of them when it goes on, and ends.
func TestZombie(t *testing.T) {
	lab.Need(t, "sh") // there are signals
	s := site{dir: t.TempDir(), url: server.NewDatabase(t)}
	n := s.open(t)
	c, says := startProcess(t, s, true)
	id, err := n.Ask(t.Context(), "a", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-says; got != "begun "+id+" 1" {
		t.Fatalf("the process said %q", got)
	}
	hold(t, c.Process)
	var r ran
	n.start(t, recording(t, n, &r))
	eventually(t, "another process took it", func() bool { return len(r.all()) == 1 })
	eventually(t, "it ended", func() bool { got, err := n.store.Run(id); return err == nil && got.State == store.OK && got.Take == 2 })
	release(t, c.Process)
	var said []string
	for line := range says {
		said = append(said, line)
	}
	all := strings.Join(said, "\n")
	if !strings.Contains(all, "ended "+id+" record run "+id) || !strings.Contains(all, "another process's by now") || !strings.Contains(all, "did not get through to the database") {
		t.Errorf("the process said %s", all)
	}
	c.Wait()
	if got, err := n.store.Run(id); err != nil || got.State != store.OK || got.Take != 2 || got.PID != os.Getpid() {
		t.Errorf("the record is %+v, %v", got, err)
	}
}

// TestCutOff: a process that does not reach PostgreSQL for its lease ends what it
// has under way by itself.
func TestCutOff(t *testing.T) {
	line, url := postgres.Line(t, server.NewDatabase(t))
	n := site{dir: t.TempDir(), url: url}.open(t)
	begun, ended := make(chan struct{}), make(chan error, 1)
	done := make(chan error, 1)
	go func() {
		done <- n.Run(t.Context(), func(ctx context.Context, task queue.Task) time.Duration {
			err := run(n.store, task, func() {
				guarded, release := n.store.Guard(ctx, task.Run)
				defer release()
				close(begun)
				<-guarded.Done()
				ended <- context.Cause(guarded)
				line.Resume()
			})
			if !fault.Is(err, fault.Interrupted) && err != nil {
				t.Errorf("recorded: %v", err)
			}
			return 0
		})
	}()
	if _, err := n.Ask(t.Context(), "a", nil, false); err != nil {
		t.Fatal(err)
	}
	<-begun
	line.Pause()
	at := time.Now()
	if err := <-ended; !fault.Is(err, fault.Interrupted) {
		t.Errorf("its context ended with %v", err)
	}
	if took := time.Since(at); took > 2*store.Lease {
		t.Errorf("it noticed after %s", took)
	}
	if err := <-done; !fault.Is(err, fault.Interrupted) {
		t.Errorf("the queue ended with %v", err)
	}
}

// TestBouncer: the queue works through a PgBouncer that gives each transaction
// another connection.
func TestBouncer(t *testing.T) {
	s := site{dir: t.TempDir(), url: postgres.Bouncer(t, server.NewDatabase(t), 3)}
	n := s.open(t)
	var r ran
	if err := n.Set(t.Context(), []schedule.Entry{{Job: "a", Schedule: every(t, "* * * * * *"), CatchUp: schedule.CatchUpAll}}, 0); err != nil {
		t.Fatal(err)
	}
	n.start(t, recording(t, n, &r))
	eventually(t, "it fired three times", func() bool { return len(r.all()) >= 3 })
	if text := n.log.String(); strings.Contains(text, "ERROR") || strings.Contains(text, "WARN") {
		t.Errorf("its log has errors:\n%s", text)
	}
}

// TestFailover: PostgreSQL is killed and a follower takes its place, which applies
// late what it has received. Nothing that was committed is lost: no firing is, and none runs
// twice.
func TestFailover(t *testing.T) {
	primary := postgres.Start(t)
	database := primary.NewDatabase(t)
	follower := primary.Follower(t, 2*time.Second)
	// From now on, a commit waits until the follower has received it.
	primary.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = '*'")
	primary.Exec(t, "SELECT pg_reload_conf()")
	line, url := postgres.Line(t, database)
	n := site{dir: t.TempDir(), url: url}.open(t)
	var r ran
	if err := n.Set(t.Context(), []schedule.Entry{{Job: "a", Schedule: every(t, "* * * * * *"), CatchUp: schedule.CatchUpAll}}, 0); err != nil {
		t.Fatal(err)
	}
	lost := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { lost <- n.Run(ctx, recording(t, n, &r)) }()
	eventually(t, "it fires", func() bool { return len(r.all()) >= 3 })
	primary.Kill(t)
	follower.Promote(t)
	line.Lead(follower.Addr())
	line.Cut()
	before := len(r.all())
	m := n
	select {
	case err := <-lost: // it took longer than the lease: another process goes on
		if !fault.Is(err, fault.Interrupted) {
			t.Errorf("the queue ended with %v", err)
		}
		m = site{dir: t.TempDir(), url: url}.open(t)
		if err := m.Set(t.Context(), []schedule.Entry{{Job: "a", Schedule: every(t, "* * * * * *"), CatchUp: schedule.CatchUpAll}}, 0); err != nil {
			t.Fatal(err)
		}
		m.start(t, recording(t, m, &r))
	case <-time.After(2 * store.Lease):
	}
	eventually(t, "it fires again", func() bool { return len(r.all()) >= before+3 })
	cancel()
	runs, _, err := m.store.Runs(store.Filter{Job: "a"})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]int{}
	first, last := int64(0), int64(0)
	for _, run := range runs {
		at := run.Nominal.Unix()
		seen[at]++
		if first == 0 || at < first {
			first = at
		}
		last = max(last, at)
	}
	for at := first; at <= last; at++ {
		if seen[at] != 1 {
			t.Errorf("second %d of %d fired %d times", at-first, last-first, seen[at])
		}
	}
}
