package winsvc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// The test binary is started again as a program that installs itself, inside
// a mount namespace in which the folders of the service manager are empty
// ones: nothing reaches the machine. And by the service manager, to serve.
const (
	helperVar  = "LINEHAUL_TEST_SERVICE_HELPER" // "isolate", then "lifecycle"
	coveredVar = "LINEHAUL_TEST_SERVICE_COVERED"
	stateVar   = "LINEHAUL_TEST_SERVICE_STATE"
)

func isHelper() bool {
	return os.Getenv(helperVar) != "" || len(os.Args) > 1 && os.Args[1] == "serve"
}

func helper() int {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == "serve":
		err = helpServe(os.Args[len(os.Args)-1])
	case os.Getenv(helperVar) == "isolate":
		err = helpIsolate()
	default:
		err = helpLifecycle()
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// helpIsolate covers folders with empty ones, and starts the lifecycle anew,
// for kardianos/service looks around as the process starts.
func helpIsolate() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, dir := range filepath.SplitList(os.Getenv(coveredVar)) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("cover %s: %w", dir, err)
		}
	}
	os.Setenv(helperVar, "lifecycle")
	return syscall.Exec("/proc/self/exe", os.Args[:1], os.Environ())
}

// helpLifecycle does what an administrator does, and says what came of it.
func helpLifecycle() error {
	ctx := context.Background()
	s := lifecycleService(os.Getenv(stateVar))
	fmt.Println(System())
	step := func(verb string, do func(context.Context) error) {
		if err := do(ctx); err != nil {
			fmt.Printf("%s: %v\n", verb, err)
			return
		}
		status, err := s.Status(ctx)
		if err != nil {
			fmt.Printf("%s: status: %v\n", verb, err)
			return
		}
		fmt.Printf("%s: %s\n", verb, status)
	}
	step("install", s.Install)
	step("install", s.Install)
	step("start", s.Start)
	awaitServing(1)
	step("start", s.Start)
	step("restart", s.Restart)
	awaitServing(2)
	step("stop", s.Stop)
	step("start", s.Start)
	awaitServing(3)
	step("uninstall", s.Uninstall)
	step("uninstall", s.Uninstall)
	return nil
}

// awaitServing waits until a real service has begun to serve for the n-th
// time: start-stop-daemon returns before that, and a signal that comes too
// early just ends the process.
func awaitServing(n int) {
	for deadline := time.Now().Add(10 * time.Second); System() == "unix-systemv" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(os.Getenv(stateVar))
		if err == nil && strings.Count(string(b), "serves in") >= n {
			return
		}
	}
}

func lifecycleService(state string) *Service {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		exe = ""
	}
	return &Service{
		Name: "linehaul_test", DisplayName: "linehaul", Description: "A test of linehaul's",
		Executable: exe, WorkingDir: filepath.Dir(state),
		Arguments: []string{"serve", "--service", "linehaul_test", "--config", state},
	}
}

// helpServe is the service: it appends what happens to it to a file.
func helpServe(state string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	say := func(what string) error {
		f, err := os.OpenFile(state, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = fmt.Fprintln(f, what)
		return err
	}
	return Run(ctx, "linehaul_test", func(ctx context.Context, ready func()) error {
		dir, err := os.Getwd()
		if err := errors.Join(err, say("serves in "+dir)); err != nil {
			return err
		}
		ready()
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
		return say("stopped")
	}, Options{})
}

// lifecycle runs helpLifecycle in isolation. The programs are those of the
// machine, but for the ones that are hidden or given.
func lifecycle(t *testing.T, covered, hidden []string, given map[string]string) (output, state string) {
	t.Helper()
	lab.NeedRoot(t)
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, script := range given {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		entries, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(bin, e.Name()))
			if err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
		}
	}
	for _, name := range hidden {
		if err := os.Remove(filepath.Join(bin, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	covered = slices.DeleteFunc(covered, func(dir string) bool {
		_, err := os.Stat(dir)
		return err != nil // what is not there needs no cover
	})
	state = filepath.Join(dir, "state")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "PATH="+bin, helperVar+"=isolate", stateVar+"="+state,
		coveredVar+"="+strings.Join(covered, string(os.PathListSeparator)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		lab.Missing(t, "this test needs the right to make a mount namespace")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(state)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(out), strings.ReplaceAll(string(b), dir, "DIR")
}

// TestSysVLifecycle installs, runs and removes a real service under a real
// start-stop-daemon.
func TestSysVLifecycle(t *testing.T) {
	if testing.Short() {
		t.Skip("start-stop-daemon takes its seconds")
	}
	lab.Need(t, "service", "start-stop-daemon")
	covered := []string{"/etc/init.d", "/run"}
	for _, level := range "0123456S" {
		covered = append(covered, "/etc/rc"+string(level)+".d")
	}
	if _, err := os.Stat("/etc/init.d"); err != nil {
		lab.Missing(t, "there is no /etc/init.d to cover")
	}
	out, state := lifecycle(t, covered, []string{"systemctl", "rpm-ostree", "openrc-init"}, nil)
	want := `unix-systemv
install: stopped
install: service "linehaul_test" is installed already
start: running
start: running
restart: running
stop: stopped
start: running
uninstall: absent
uninstall: service "linehaul_test" is not installed
`
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	if want := strings.Repeat("serves in DIR\nstopped\n", 3); state != want {
		t.Errorf("the service says\n%swant\n%s", state, want)
	}
}

// fakeSystemctl is a systemd that starts nothing: it keeps a state, writes
// down what it is asked for, and knows whether a unit file is there.
const fakeSystemctl = `#!/bin/sh
d=$(dirname "$0")/..
case $1 in
show)
	if [ -f /etc/systemd/system/linehaul_test.service ]; then
		echo LoadState=loaded
		echo "ActiveState=$(cat "$d/active" 2>/dev/null || echo inactive)"
	else
		echo LoadState=not-found
		echo ActiveState=inactive
	fi
	exit ;;
start) echo active >"$d/active" ;;
stop) echo inactive >"$d/active" ;;
enable)
	cp /etc/systemd/system/linehaul_test.service "$d/unit"
	if [ -f "$d/refuse" ]; then echo "refused" >&2; exit 1; fi ;;
esac
echo "$*" >>"$d/state"
`

func TestSystemdLifecycle(t *testing.T) {
	if _, err := os.Stat("/etc/systemd/system"); err != nil {
		lab.Missing(t, "there is no /etc/systemd/system to cover")
	}
	given := map[string]string{"systemctl": fakeSystemctl, "rpm-ostree": "#!/bin/sh\n"}
	out, state := lifecycle(t, []string{"/etc/systemd/system"}, nil, given)
	want := `linux-systemd
install: stopped
install: service "linehaul_test" is installed already
start: running
start: running
restart: running
stop: stopped
start: running
uninstall: absent
uninstall: service "linehaul_test" is not installed
`
	if out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	unit := "linehaul_test.service"
	want = strings.ReplaceAll(`enable UNIT
daemon-reload
start UNIT
stop UNIT
start UNIT
stop UNIT
start UNIT
stop UNIT
disable UNIT
daemon-reload
`, "UNIT", unit)
	if state != want {
		t.Errorf("systemd was asked\n%swant\n%s", state, want)
	}
}

func TestSystemdState(t *testing.T) {
	tests := []struct {
		out  string
		code int
		want State
		fail bool
	}{
		{"LoadState=loaded\nActiveState=active\nSubState=running\n", 0, Running, false},
		{"LoadState=loaded\nActiveState=reloading\n", 0, Running, false},
		{"LoadState=loaded\nActiveState=activating\nSubState=start\n", 0, Starting, false},
		{"LoadState=loaded\nActiveState=activating\nSubState=auto-restart\n", 0, Starting, false},
		{"LoadState=loaded\nActiveState=deactivating\n", 0, Stopping, false},
		{"LoadState=loaded\nActiveState=failed\n", 0, Stopped, false},
		{"LoadState=not-found\nActiveState=inactive\n", 0, Absent, false},
		{"System has not been booted with systemd as init system (PID 1).\n", 1, Absent, true},
	}
	for _, tt := range tests {
		got, err := systemdState(tt.out, tt.code)
		if got != tt.want || (err != nil) != tt.fail {
			t.Errorf("%q, %d: %v, %v, want %v", tt.out, tt.code, got, err, tt.want)
		}
	}
}
