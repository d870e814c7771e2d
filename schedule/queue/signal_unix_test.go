//go:build unix

package queue_test

import (
	"os"
	"syscall"
	"testing"
)

// hold has a process stand still, and release has it go on.
func hold(t *testing.T, p *os.Process) { signal(t, p, syscall.SIGSTOP) }

func release(t *testing.T, p *os.Process) { signal(t, p, syscall.SIGCONT) }

func signal(t *testing.T, p *os.Process, s syscall.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Fatal(err)
	}
}
