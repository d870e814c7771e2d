//go:build unix

package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that runs beside the test and ends with it.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string // the file that holds both its output streams
	done chan struct{}

	orphans time.Duration // what those that Spent buried have used
}

// Start runs a program in the background, both streams into the file log.
func Start(t testing.TB, log string, env []string, program string, args ...string) *Process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &Process{name: filepath.Base(program), log: log, done: make(chan struct{})}
	p.cmd = exec.Command(Path(program), args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = out, out, append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Pid returns the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log returns what the process has printed so far.
func (p *Process) Log() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

// Await waits until the process has printed a text. The test fails if that
// takes too long or the process ends first.
func (p *Process) Await(t testing.TB, text string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		ended := p.ended()
		if strings.Contains(p.Log(), text) {
			return
		}
		if ended {
			break
		}
	}
	t.Fatalf("%s did not print %q\n%s", p.name, text, p.Log())
}

// Signal sends a signal to the process and all that descend from it, such as
// the session processes of an SSH server.
func (p *Process) Signal(sig syscall.Signal) {
	for _, pid := range p.tree() {
		syscall.Kill(pid, sig)
	}
}

// Tell sends a signal to the process alone, as a server's own administrator
// would. One that has ended does not hear it.
func (p *Process) Tell(sig syscall.Signal) { p.cmd.Process.Signal(sig) }

// SignalChildren sends a signal to all that descend from the process, and not
// to itself.
func (p *Process) SignalChildren(sig syscall.Signal) {
	for _, pid := range p.tree()[1:] {
		syscall.Kill(pid, sig)
	}
}

// Wait waits until the process has ended, for so long at most, and reports
// whether it has.
func (p *Process) Wait(most time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(most):
		return false
	}
}

// Kill ends the process and its descendants, and waits for it. It may be
// called again.
func (p *Process) Kill() {
	if !p.ended() {
		p.Signal(syscall.SIGKILL)
	}
	p.Wait(10 * time.Second)
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// tree lists the process and its descendants, by the parents that /proc
// names; where there is no /proc, the process alone.
func (p *Process) tree() []int {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		// The command in parentheses may hold anything, so count from its end.
		rest := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if len(rest) > 1 {
			parents[pid], _ = strconv.Atoi(rest[1])
		}
	}
	tree := []int{p.Pid()}
	for i := 0; i < len(tree); i++ {
		for pid, parent := range parents {
			if parent == tree[i] {
				tree = append(tree, pid)
			}
		}
	}
	return tree
}
