//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// background is the program while it runs.
type background struct {
	cmd *exec.Cmd
	out lab.Buffer
}

func start(t *testing.T, args ...string) *background {
	t.Helper()
	b := &background{cmd: exec.Command(program(t), args...)}
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b.cmd.ProcessState == nil {
			b.cmd.Process.Kill()
			b.cmd.Wait()
		}
	})
	return b
}

// await waits until the program has printed a text.
func (b *background) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(b.out.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q was not printed:\n%s", text, &b.out)
		}
	}
}

// end sends a signal and returns the exit code.
func (b *background) end(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	b.cmd.Process.Signal(sig)
	done := make(chan struct{})
	go func() { b.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end on %v:\n%s", sig, &b.out)
	}
	return b.cmd.ProcessState.ExitCode()
}

// TestServe: the schedule fires against a real server, a follower sees each
// run's log, SIGHUP brings a new config into force and refuses a broken one,
// SIGTERM ends it with 0.
func TestServe(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	s.write(t, "a.txt", []byte("hello\n"))
	dir := t.TempDir()
	config := func(jobs string) string {
		return fmt.Sprintf("state: state\nlogs: {dir: log}\nhosts:\n  h: {address: %q, user: %s, keys: %s, host_keys: %q}\njobs:\n%s",
			s.Addr, s.User, s.key, s.Fingerprint(), jobs)
	}
	job := fmt.Sprintf("  a: {schedule: '@every 2s', get: 'h:%s/a.txt', to: 'got/{name}.{time}'}\n", s.remote)
	file := write(t, dir, "linehaul.yaml", config(job))

	served := start(t, "-c", file, "serve")
	served.await(t, "result=ok")
	follower := start(t, "-c", file, "logs", "a", "-f")
	follower.await(t, "run ended")
	first := strings.Count(follower.out.String(), "result=ok")
	for deadline := time.Now().Add(30 * time.Second); strings.Count(follower.out.String(), "result=ok") <= first; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the follower did not go on to the next run:\n%s", &follower.out)
		}
	}
	if code := follower.end(t, syscall.SIGINT); code != 0 {
		t.Errorf("the follower ended with %d:\n%s", code, &follower.out)
	}

	write(t, dir, "linehaul.yaml", "jobs: [")
	served.cmd.Process.Signal(syscall.SIGHUP)
	served.await(t, "the old one stays in force")
	write(t, dir, "linehaul.yaml", config(job+fmt.Sprintf("  b: {get: 'h:%s/a.txt', to: 'got/'}\n", s.remote)))
	served.cmd.Process.Signal(syscall.SIGHUP)
	served.await(t, "jobs=2")
	if code := served.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("serve ended with %d:\n%s", code, &served.out)
	}
	got, err := filepath.Glob(filepath.Join(dir, "got", "a.txt.*"))
	if err != nil || len(got) < 2 {
		t.Errorf("pulled %q, %v; want at least two dated files", got, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "log", "linehaul.log")); err != nil || !bytes.Contains(text, []byte("linehaul ended")) {
		t.Errorf("the service's log: %v\n%s", err, text)
	}
}

// TestKilledServeIsCleanedUp: a run that dies with serve is marked, and the
// next run removes what it left, though its folder had another date.
func TestKilledServeIsCleanedUp(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	path := s.write(t, "big.bin", nil)
	if err := os.Truncate(path, 4<<30); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := write(t, dir, "linehaul.yaml", fmt.Sprintf(`
state: state
logs: {dir: log}
hosts:
  h: {address: %q, user: %s, keys: %s, host_keys: %q}
jobs:
  big: {get: "h:%s/big.bin", to: "got/{time}/{name}"}
`, s.Addr, s.User, s.key, s.Fingerprint(), s.remote))
	b := start(t, "-c", file, "run", "big")
	for deadline := time.Now().Add(20 * time.Second); len(temporaries(t, filepath.Join(dir, "got"))) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the pull did not begin:\n%s", &b.out)
		}
	}
	b.end(t, syscall.SIGKILL)
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // the next run's folder has another name
	if o := linehaul(t, 30*time.Second, "-c", file, "run", "big"); o.code != 0 {
		t.Fatal(o)
	}
	if left := temporaries(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if o := linehaul(t, 30*time.Second, "-c", file, "history"); !strings.Contains(o.stdout, "interrupted") {
		t.Errorf("history does not tell of the run that died: %s", o)
	}
}

// TestOverlapOfProcesses: two processes do not run one job at once, and a
// killed one leaves no lock behind.
func TestOverlapOfProcesses(t *testing.T) {
	s := newSite(t, lab.SSHD{})
	path := s.write(t, "big.bin", nil)
	if err := os.Truncate(path, 4<<30); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := write(t, dir, "linehaul.yaml", fmt.Sprintf(`
state: state
logs: {dir: log}
hosts:
  h: {address: %q, user: %s, keys: %s, host_keys: %q}
jobs:
  big: {get: "h:%s/big.bin", to: "got/"}
`, s.Addr, s.User, s.key, s.Fingerprint(), s.remote))
	b := start(t, "-c", file, "run", "big")
	for len(temporaries(t, dir)) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	o := linehaul(t, 20*time.Second, "-c", file, "run", "big")
	checkFault(t, o, 12, "overlap: ", "big")
	if !strings.Contains(o.stderr, fmt.Sprint(b.cmd.Process.Pid)) {
		t.Errorf("the process that holds the job is not named: %s", o)
	}
	// Interrupted in order, it leaves what it has moved with its journal, and
	// nothing else.
	if code := b.end(t, syscall.SIGINT); code != 130 {
		t.Errorf("interrupted, it ends with %d:\n%s", code, &b.out)
	}
	if left := temporaries(t, dir); len(left) != 0 && len(left) != 2 {
		t.Errorf("left behind: %q", left)
	}
}
