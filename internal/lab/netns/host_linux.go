package netns

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linehaul/internal/lab"
)

// The ordinary user of a host: Debian's nobody, as programs want a user that
// has a name.
const (
	UserName = "nobody"
	UserID   = 65534
)

// Options say what a host is to have.
type Options struct {
	// With is a host whose process namespace is used. Nil: the host has one
	// of its own, and what was started in it with Within ends with it.
	With *Host
	// Files gives the host a view of the file system of its own, which Cover
	// changes. Programs there start in the folder of their exec.Cmd, or in /.
	Files bool
}

// A Host is one network namespace.
type Host struct {
	name  string
	t     testing.TB
	pid   int    // of the process that keeps the namespace
	pids  string // the process namespace that programs of the lab live in
	files string // the mount namespace, if it has one
}

// New makes a host, which ends with the test. Where the machine has no
// namespaces, the test ends as lab.Missing says.
func New(t testing.TB, name string, o Options) *Host {
	t.Helper()
	keeper := exec.Command(lab.Path("cat"))
	keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: unix.CLONE_NEWNET}
	if o.With == nil {
		keeper.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID
	}
	if o.Files {
		keeper.SysProcAttr.Unshareflags |= unix.CLONE_NEWNS
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
	if o.Files {
		h.files = fmt.Sprintf("/proc/%d/ns/mnt", h.pid)
	}
	h.pids = fmt.Sprintf("/proc/%d/ns/pid", h.pid)
	if o.With != nil {
		h.pids = o.With.pids
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

// Name is what the host was called.
func (h *Host) Name() string { return h.name }

// PID is of the process that keeps the host, which ip(8) takes for its name.
func (h *Host) PID() int { return h.pid }

// net names the network namespace.
func (h *Host) net() string { return fmt.Sprintf("/proc/%d/ns/net", h.pid) }

func (h *Host) nsenter() []string {
	line := []string{lab.Path("nsenter"), "--net=" + h.net()}
	if h.files != "" {
		line = append(line, "--mount="+h.files)
	}
	return line
}

// Within is the command line before that of a program of the lab, which ends
// with the lab.
func (h *Host) Within() []string { return append(h.nsenter(), "--pid="+h.pids, "--") }

// Command makes a command run in the host, as root, and returns it. It is to
// be called before the command is started.
func (h *Host) Command(cmd *exec.Cmd) *exec.Cmd { return h.enter(cmd) }

// UserCommand makes a command run in the host, as an ordinary user whose home
// is the folder given.
func (h *Host) UserCommand(cmd *exec.Cmd, home string) *exec.Cmd {
	cmd.Env = append(cmd.Environ(), "HOME="+home, "USER="+UserName, "LOGNAME="+UserName)
	return h.enter(cmd, fmt.Sprintf("--setuid=%d", UserID), fmt.Sprintf("--setgid=%d", UserID))
}

func (h *Host) enter(cmd *exec.Cmd, how ...string) *exec.Cmd {
	line := slices.Concat(h.nsenter(), how, []string{"--"})
	if h.files != "" && cmd.Dir != "" { // another file system is entered at its root
		line = append(line, lab.Path("env"), "-C", cmd.Dir)
	}
	cmd.Args = slices.Concat(line, []string{cmd.Path}, cmd.Args[1:])
	cmd.Path = line[0]
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

// IP runs lines of ip(8) in the host, all in one process.
func (h *Host) IP(lines string) {
	h.t.Helper()
	if err := h.TryIP(lines); err != nil {
		h.t.Fatal(err)
	}
}

// TryIP is IP for lines that may fail. It may be used from any goroutine.
func (h *Host) TryIP(lines string) error { return h.feed(lines, "ip", "-batch", "-") }

// feed runs a program in the host's network with a text as its input. It is
// forked off a thread that is there already.
func (h *Host) feed(text, program string, args ...string) error {
	cmd := exec.Command(lab.Path(program), args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), &out, &out
	if err := h.Do(cmd.Run); err != nil {
		return fmt.Errorf("%s in %s: %w\n%s\n%s", program, h.name, err, out.String(), text)
	}
	return nil
}

// Set writes values below /proc/sys/net, which shows each thread its own
// namespace's.
func (h *Host) Set(values map[string]string) {
	h.t.Helper()
	if err := h.TrySet(values); err != nil {
		h.t.Fatal(err)
	}
}

// TrySet is Set for values that may not be there. It may be used from any
// goroutine.
func (h *Host) TrySet(values map[string]string) error {
	return h.Do(func() error {
		for name, value := range values {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
				return fmt.Errorf("in %s: %w", h.name, err)
			}
		}
		return nil
	})
}

// AllowPing says whether an ordinary user of the host may open unprivileged
// ICMP sockets (icmp(7), ping_group_range). A new host's may not.
func (h *Host) AllowPing(allowed bool) {
	h.t.Helper()
	groups := "1 0"
	if allowed {
		groups = "0 2147483647"
	}
	h.Set(map[string]string{"ipv4/ping_group_range": groups})
}

// Cover puts a file of this text in the place of one of the machine's, for the
// host's programs only. It wants Options.Files.
func (h *Host) Cover(path, text string) {
	h.t.Helper()
	if h.files == "" {
		h.t.Fatalf("%s shares the machine's files", h.name)
	}
	file := filepath.Join(lab.Folder(h.t), filepath.Base(path))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // all of the host's users read it
		h.t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(path) // resolv.conf is often a link
	if err != nil {
		h.t.Fatal(err)
	}
	h.Run("mount", "--bind", file, real)
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

// Dial connects from the host for this process, to an address in digits.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.Do(func() (err error) {
		conn, err = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
