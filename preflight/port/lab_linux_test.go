package port_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/lab"
)

const (
	insideVariable = "LINEHAUL_PORT_INSIDE"
	ordinaryUser   = 65534
)

func inside() bool { return os.Getenv(insideVariable) != "" }

// A host is a network namespace, kept by a process that ends with the test.
type host struct {
	t   *testing.T
	pid int
}

func newHost(t *testing.T) *host {
	t.Helper()
	keeper := exec.Command(lab.Path("cat"))
	keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	in, err := keeper.StdinPipe()
	if err == nil {
		err = keeper.Start()
	}
	if err != nil {
		lab.Missing(t, "cannot make a network namespace: "+err.Error())
	}
	t.Cleanup(func() {
		in.Close()
		keeper.Wait()
	})
	return &host{t, keeper.Process.Pid}
}

func (h *host) net() string { return fmt.Sprintf("/proc/%d/ns/net", h.pid) }

// run runs a program in the host, with lines as its input.
func (h *host) run(input, program string, args ...string) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), lab.Path("nsenter"), append([]string{"--net=" + h.net(), "--", lab.Path(program)}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

// do calls f on a thread that is in the host's network, and ends with f.
func (h *host) do(f func() error) {
	h.t.Helper()
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
				return err
			}
			return f()
		}()
	}()
	if err := <-done; err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) set(values map[string]string) {
	h.t.Helper()
	h.do(func() error {
		for name, value := range values {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// again runs the test once more, in the host and as an ordinary user.
func (h *host) again() {
	h.t.Helper()
	dir, err := os.MkdirTemp("", "linehaul-port-")
	if err != nil {
		h.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	here := filepath.Join(dir, "again.test")
	program, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	content, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(here, content, 0o755)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, lab.Path("nsenter"), "--net="+h.net(), fmt.Sprintf("--setuid=%d", ordinaryUser), fmt.Sprintf("--setgid=%d", ordinaryUser), "--",
		here, "-test.run", "^"+h.t.Name()+"$", "-test.v", "-test.count", "1")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), insideVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+h.t.Name()+" ") {
		h.t.Fatalf("as an ordinary user: %v\n%s", err, out)
	}
	h.t.Logf("as an ordinary user:\n%s", out)
}

// join puts a line between two hosts.
func join(t *testing.T, a *host, nameA string, b *host, nameB string) {
	t.Helper()
	a.run("", "ip", "link", "add", nameA, "type", "veth", "peer", "name", nameB, "netns", fmt.Sprint(b.pid))
}

// accept serves TCP connections until the test ends, by closing them.
func (h *host) accept(address string) {
	h.t.Helper()
	h.do(func() error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		serveTCP(h.t, l)
		return nil
	})
}

func serveTCP(t *testing.T, l net.Listener) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}
