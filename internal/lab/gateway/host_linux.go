package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/lab"
)

// The ordinary user of the road: Debian's nobody, as programs want a user that
// has a name.
const (
	userName = "nobody"
	userID   = 65534
)

// A Host is one network namespace.
type Host struct {
	name string
	t    testing.TB
	pid  int    // of the process that keeps the namespace
	pids string // the process namespace that programs of the lab live in
}

// newHost makes a namespace. A process keeps it that waits for the end of its
// input, which comes when the test closes it or dies. The first host's keeper
// is the first process of a process namespace as well: the kernel kills what
// else is in there when it ends.
func newHost(t testing.TB, name string, first *Host) *Host {
	t.Helper()
	keeper := exec.Command(lab.Path("cat"))
	keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_NEWNET}
	if first == nil {
		keeper.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID
	}
	in, err := keeper.StdinPipe()
	if err == nil {
		err = keeper.Start()
	}
	if err != nil {
		lab.Missing(t, "cannot make a network namespace: "+err.Error())
	}
	t.Cleanup(func() { endKeeper(t, keeper, in) })
	h := &Host{name: name, t: t, pid: keeper.Process.Pid}
	h.pids = fmt.Sprintf("/proc/%d/ns/pid", h.pid)
	if first != nil {
		h.pids = first.pids
	}
	return h
}

func endKeeper(t testing.TB, keeper *exec.Cmd, in io.Closer) {
	in.Close()
	late := time.AfterFunc(5*time.Second, func() { keeper.Process.Kill() })
	defer late.Stop()
	if err := keeper.Wait(); err != nil {
		t.Errorf("the process that keeps a namespace: %v", err)
	}
}

// net names the network namespace.
func (h *Host) net() string { return fmt.Sprintf("/proc/%d/ns/net", h.pid) }

// within is the command line before that of a program of the lab, which ends
// with the lab.
func (h *Host) within() []string {
	return []string{lab.Path("nsenter"), "--net=" + h.net(), "--pid=" + h.pids, "--"}
}

// Command makes a command run in the host, as root, and returns it. It is to
// be called before the command is started.
func (h *Host) Command(cmd *exec.Cmd) *exec.Cmd { return h.enter(cmd) }

// UserCommand makes a command run in the host, as an ordinary user whose home
// is the folder given.
func (h *Host) UserCommand(cmd *exec.Cmd, home string) *exec.Cmd {
	cmd.Env = append(cmd.Environ(), "HOME="+home, "USER="+userName, "LOGNAME="+userName)
	return h.enter(cmd, fmt.Sprintf("--setuid=%d", userID), fmt.Sprintf("--setgid=%d", userID))
}

func (h *Host) enter(cmd *exec.Cmd, how ...string) *exec.Cmd {
	args := []string{"nsenter", "--net=" + h.net()}
	cmd.Args = slices.Concat(args, how, []string{"--", cmd.Path}, cmd.Args[1:])
	cmd.Path = lab.Path("nsenter")
	return cmd
}

// Run runs a program in the host to its end, as root, and returns what it
// printed on both streams. The test fails if the program does.
func (h *Host) Run(program string, args ...string) string {
	h.t.Helper()
	out, err := h.Try(program, args...)
	if err != nil {
		h.t.Fatalf("%s %s in %s: %v\n%s", program, strings.Join(args, " "), h.name, err, out)
	}
	return out
}

// Try is Run for a program that may fail.
func (h *Host) Try(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := h.Command(exec.CommandContext(ctx, lab.Path(program), args...)).CombinedOutput()
	return string(out), err
}

// ip runs lines of ip(8) in the host, all in one process.
func (h *Host) ip(lines string) {
	h.t.Helper()
	cmd := h.Command(exec.Command(lab.Path("ip"), "-batch", "-"))
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("ip in %s: %v\n%s", h.name, err, out)
	}
}

// set writes values below /proc/sys/net, which shows each thread its own
// namespace's.
func (h *Host) set(values map[string]string) {
	h.t.Helper()
	for name, value := range values {
		err := h.Do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
		if err != nil {
			h.t.Fatalf("in %s: %v", h.name, err)
		}
	}
}

// Do calls f on a thread that is in the host's network. A socket that f makes
// stays there when f has returned; a goroutine that f starts is not there. The
// thread ends with f.
func (h *Host) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the runtime then ends the thread
		done <- func() error {
			network, err := os.Open(h.net())
			if err != nil {
				return err
			}
			defer network.Close()
			if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter the network of %s: %w", h.name, err)
			}
			return f()
		}()
	}()
	return <-done
}

// ListenPacket opens a packet socket in the host for this process.
func (h *Host) ListenPacket(ctx context.Context, network, address string) (conn net.PacketConn, err error) {
	err = h.Do(func() (err error) {
		conn, err = (&net.ListenConfig{}).ListenPacket(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a listening socket in the host for this process. The test
// closes it.
func (h *Host) Listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	err = h.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, network, address)
		return err
	})
	return l, err
}
