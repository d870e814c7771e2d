//go:build unix

package lab

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Wine runs programs for Windows, in a Windows of its own that is made for
// the test and goes with it. It is a good likeness, not Windows: what it lacks
// the tests say with NotUnderWine.
type Wine struct {
	t      testing.TB
	loader string // the program that starts others
	server string // its wineserver
	dir    string // holds prefix, home and what the programs print
	stop   func()
}

// Limits of our own.
const (
	wineBoot  = 3 * time.Minute // to make a Windows: 8 s on an idle machine
	wineLeave = 20 * time.Second
)

// NeedWine ends the test unless Wine is installed, by failing it in CI.
func NeedWine(t testing.TB) {
	t.Helper()
	if loader, server := winePaths(); loader == "" || server == "" {
		Missing(t, "Wine for 64-bit programs is not installed (`make wine` installs it)")
	}
}

// winePaths says where Wine is; Debian's package wine64 puts it in no PATH.
func winePaths() (loader, server string) {
	find := func(names ...string) string {
		for _, n := range names {
			if p := Path(n); p != "" {
				return p
			}
		}
		return ""
	}
	return find("/usr/lib/wine/wine64", "wine64", "wine"), find("/usr/lib/wine/wineserver64", "/usr/lib/wine/wineserver", "wineserver64", "wineserver")
}

// StartWine makes a Windows, which takes ten seconds and 700 MB while the test
// runs.
func StartWine(t testing.TB) *Wine {
	t.Helper()
	NeedWine(t)
	w := &Wine{t: t, dir: Folder(t)}
	w.loader, w.server = winePaths()
	for _, dir := range []string{"home", "tmp"} {
		if err := os.Mkdir(filepath.Join(w.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(w.end)
	if o := w.run(wineBoot, "", nil, "wineboot", "-i"); o.Code != 0 {
		t.Fatalf("make a Windows: %s", o)
	}
	dll := filepath.Join(w.Drive(), "windows", "system32", "bcryptprimitives.dll")
	if _, err := os.Stat(dll); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(dll, forwarder("bcryptprimitives.dll", "ProcessPrng", "advapi32.SystemFunction036"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Windows and messages without a display.
	if o := w.run(wineBoot, "", nil, "reg", "add", `HKCU\Software\Wine\Drivers`, "/v", "Graphics", "/d", "null", "/f"); o.Code != 0 {
		t.Fatalf("do without a display: %s", o)
	}
	w.halt() // who runs already has looked for one
	w.stop = w.keep()
	return w
}

// Drive returns where drive C: is.
func (w *Wine) Drive() string { return filepath.Join(w.dir, "prefix", "drive_c") }

// WinePath returns what Wine calls an absolute path of this machine.
func WinePath(path string) string { return "Z:" + strings.ReplaceAll(path, "/", `\`) }

// A WineRun is how a program for Windows ended.
type WineRun struct {
	Stdout, Stderr string
	Code           int
	Late           bool // it was ended by the limit
}

func (o WineRun) String() string {
	late := ""
	if o.Late {
		late = " by the limit"
	}
	return "ended" + late + " with code " + strconv.Itoa(o.Code) + "\nstdout: " + o.Stdout + "\nstderr: " + o.Stderr
}

// Run runs a program for Windows in the folder dir, with more environment. What
// it prints has the line ends of Unix.
func (w *Wine) Run(limit time.Duration, dir string, env []string, program string, args ...string) WineRun {
	w.t.Helper()
	return w.run(limit, dir, env, program, args...)
}

func (w *Wine) run(limit time.Duration, dir string, env []string, program string, args ...string) WineRun {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.loader, append([]string{program}, args...)...)
	cmd.Dir, cmd.Env = dir, w.env(env)
	// Into files: Wine's services inherit the streams of who started them, and
	// would keep a pipe open.
	stdout, stderr := w.stream("stdout"), w.stream("stderr")
	defer stdout.Close()
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("run %s: %v", program, err)
	}
	text := func(f *os.File) string {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			w.t.Fatal(err)
		}
		return strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	return WineRun{text(stdout), text(stderr), cmd.ProcessState.ExitCode(), ctx.Err() != nil}
}

func (w *Wine) stream(name string) *os.File {
	w.t.Helper()
	f, err := os.CreateTemp(w.dir, name+"-")
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// env is an environment in which Wine finds this Windows, opens no windows of
// its own and prints nothing of its own.
func (w *Wine) env(more []string) []string {
	var env []string
	for _, e := range os.Environ() {
		switch name, _, _ := strings.Cut(e, "="); name {
		// Whether a program is missed inside is for the caller to say.
		case "CI", "LINEHAUL_MUST_RUN", "DISPLAY", "WAYLAND_DISPLAY", "SSH_AUTH_SOCK", "TMPDIR":
		default:
			env = append(env, e)
		}
	}
	return append(append(env,
		"WINEPREFIX="+filepath.Join(w.dir, "prefix"), "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml,winemenubuilder.exe=",
		"WINESERVER="+w.server, "HOME="+filepath.Join(w.dir, "home"), "XDG_RUNTIME_DIR="+filepath.Join(w.dir, "tmp")), more...)
}

// keep starts a program that waits, so that Wine's services do not end with
// each program and start with the next. It returns what ends it.
func (w *Wine) keep() func() {
	w.t.Helper()
	in, hold, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	defer in.Close()
	out := w.stream("keeper")
	defer out.Close()
	cmd := exec.Command(w.loader, "cmd.exe", "/q", "/d")
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = w.env(nil), io.Reader(in), out, out
	if err := cmd.Start(); err != nil {
		hold.Close()
		w.t.Fatalf("start Wine: %v", err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	return func() {
		hold.Close()
		select {
		case <-done:
		case <-time.After(wineLeave):
			cmd.Process.Kill()
			<-done
		}
	}
}

// end ends every program of this Windows, and of no other: the wineserver is
// told by its prefix.
func (w *Wine) end() {
	if w.stop != nil {
		w.stop()
	}
	w.halt()
}

func (w *Wine) halt() {
	for _, flag := range []string{"-k", "-w"} {
		ctx, cancel := context.WithTimeout(context.Background(), wineLeave)
		cmd := exec.CommandContext(ctx, w.server, flag)
		cmd.Env = w.env(nil)
		cmd.Run() // it fails if nothing runs
		cancel()
	}
}
