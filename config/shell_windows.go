package config

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/windows"
)

// shellCommand prepares cmd.exe, found where the system keeps it and not by
// PATH. The line is passed on as it is: Go's quoting is not that of cmd.exe,
// which with /S takes off the outer quotes and nothing else.
func shellCommand(ctx context.Context, line string) *exec.Cmd {
	shell := "cmd.exe"
	if dir, err := windows.GetSystemDirectory(); err == nil {
		shell = filepath.Join(dir, shell)
	}
	cmd := exec.CommandContext(ctx, shell)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /D /S /C "` + line + `"`, HideWindow: true}
	return cmd
}

// start starts it in a job object, all of which is killed when the context of
// the command ends. The function is called after it was waited for.
func start(cmd *exec.Cmd) (release func(), err error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, err
	}
	kill := cmd.Cancel
	cmd.Cancel = func() error {
		_ = windows.TerminateJobObject(job, 1)
		return kill()
	}
	release = func() { _ = windows.CloseHandle(job) }
	if err := cmd.Start(); err != nil {
		release()
		return nil, err
	}
	// Should this fail, at least the shell itself is killed.
	_ = cmd.Process.WithHandle(func(h uintptr) {
		_ = windows.AssignProcessToJobObject(job, windows.Handle(h))
	})
	return release, nil
}
