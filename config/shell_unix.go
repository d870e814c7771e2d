//go:build !windows

package config

import (
	"context"
	"os/exec"
	"syscall"
)

// shellCommand prepares a shell in a process group of its own, all of which is
// killed when ctx ends.
func shellCommand(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// start starts it. The function is called after it was waited for.
func start(cmd *exec.Cmd) (release func(), err error) { return func() {}, cmd.Start() }
