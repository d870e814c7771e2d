package lab

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that runs beside the test and ends with it.
type Process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start is not built for Windows: the lab's servers are Unix programs.
func Start(t testing.TB, _ string, _ []string, program string, _ ...string) *Process {
	t.Helper()
	Missing(t, "the lab cannot start "+program+" on Windows")
	return &Process{name: program, cmd: exec.Command(program), done: make(chan struct{})}
}

// Pid returns this process's own id: nothing was started.
func (p *Process) Pid() int { return os.Getpid() }

// Log returns nothing.
func (p *Process) Log() string { return "" }

// Await does nothing.
func (p *Process) Await(testing.TB, string) {}

// Signal does nothing.
func (p *Process) Signal(syscall.Signal) {}

// Tell does nothing.
func (p *Process) Tell(syscall.Signal) {}

// SignalChildren does nothing.
func (p *Process) SignalChildren(syscall.Signal) {}

// Wait does nothing.
func (p *Process) Wait(time.Duration) bool { return true }

// Kill does nothing.
func (p *Process) Kill() {}

func (p *Process) ended() bool { return p.cmd.Process == nil }
