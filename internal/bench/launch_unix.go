//go:build unix

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// launchVariable makes a copy of this program the launcher of a client.
const launchVariable = "LINEHAUL_BENCH_LAUNCH"

// spent is what the launcher tells of its client.
type spent struct {
	Wall, CPU time.Duration
	RSS       int64 // bytes
	Failed    string
}

// launch runs a client to its end in a process group of its own, below a
// launcher: a process inherits the peak memory of the one that started it, so
// that one must be small, and this one holds a whole delay line.
func (r *runner) launch(cl client, j job) Transfer {
	argv, env, err := cl.command(j)
	if err != nil {
		return Transfer{Err: err}
	}
	self, err := os.Executable()
	if err != nil {
		return Transfer{Err: err}
	}
	log, err := os.Create(filepath.Join(r.dir, "client.log"))
	if err != nil {
		return Transfer{Err: err}
	}
	defer log.Close()
	told, tell, err := os.Pipe()
	if err != nil {
		return Transfer{Err: err}
	}
	defer told.Close()

	ctx, cancel := context.WithTimeout(r.ctx, r.o.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, argv...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = j.home, log, log, []*os.File{tell}
	cmd.Env = append([]string{launchVariable + "=1", "HOME=" + j.home, "TMPDIR=" + r.data, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return Transfer{Err: err}
	}
	err = cmd.Wait()
	switch {
	case r.ctx.Err() != nil:
		return Transfer{Err: r.ctx.Err()}
	case ctx.Err() != nil:
		return Transfer{Wall: r.o.Limit, TimedOut: true}
	case err != nil:
		return Transfer{Err: fmt.Errorf("launch %s: %w", cl.name, err)}
	}
	var s spent
	if err := json.NewDecoder(io.LimitReader(told, 1<<16)).Decode(&s); err != nil {
		return Transfer{Err: fmt.Errorf("hear of %s: %w", cl.name, err)}
	}
	x := Transfer{Wall: s.Wall, ClientCPU: s.CPU, RSS: s.RSS}
	if s.Failed != "" {
		x.Err = fmt.Errorf("%s\n%s", s.Failed, tail(log.Name()))
	}
	return x
}

// tail is the end of what a client printed.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b[max(0, len(b)-2000):]))
}

// Launched does the launcher's work and reports true, if that is what this
// process was started for; then it is to exit.
func Launched() bool {
	if os.Getenv(launchVariable) == "" {
		return false
	}
	tell := os.NewFile(3, "report")
	s := spent{}
	cmd := exec.CommandContext(context.Background(), os.Args[1], os.Args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, launchVariable+"=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	syscall.CloseOnExec(3)
	start := time.Now()
	err := cmd.Run()
	s.Wall = time.Since(start)
	if cmd.ProcessState != nil {
		s.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			s.RSS = int64(usage.Maxrss) //nolint:unconvert // it has 32 bits on some systems
			if runtime.GOOS != "darwin" {
				s.RSS <<= 10 // getrusage(2): kilobytes elsewhere
			}
		}
	}
	if err != nil {
		s.Failed = err.Error()
	}
	if err := errors.Join(json.NewEncoder(tell).Encode(s), tell.Close()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return true
}
