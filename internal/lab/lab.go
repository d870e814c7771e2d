// Package lab starts other people's programs for tests: the fourth ring.
//
// Everything runs on loopback ports of its own, below a temporary folder of
// the test, and ends with the test. Only processes started here are signalled,
// by pid. A program that is absent skips the test on a developer's machine and
// fails it in CI, or wherever LINEHAUL_MUST_RUN is set.
//
// The package imports the standard library only.
package lab

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// MustRun reports whether a test may not be skipped here.
func MustRun() bool { return os.Getenv("CI") != "" || os.Getenv("LINEHAUL_MUST_RUN") != "" }

// Need ends the test unless all programs are installed: by failing it in CI,
// by skipping it elsewhere.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if Path(p) == "" {
			Missing(t, "the program "+p+" is not installed (`make deps` installs what the tests need)")
		}
	}
}

// NeedRoot ends the test unless it runs as root, which mount and network
// namespaces want.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "this test must run as root")
	}
}

// Missing says why a test cannot run: a failure in CI, a skip elsewhere.
func Missing(t testing.TB, why string) {
	t.Helper()
	if MustRun() {
		t.Fatal(why)
	}
	t.Skip(why)
}

// NeedAsked skips the test unless a variable of the environment asks for it,
// in CI too, for what takes minutes. How says what sets it.
func NeedAsked(t testing.TB, variable, how string) {
	t.Helper()
	if os.Getenv(variable) == "" {
		t.Skip("runs by " + how)
	}
}

// Path returns where a program is, also in the folders of system programs
// that an ordinary user's PATH lacks. It is empty if there is none.
func Path(program string) string {
	if p, err := exec.LookPath(program); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return p
		}
	}
	return ""
}

// Run runs a program to its end and returns what it printed on both streams.
// The test fails if the program does.
func Run(t testing.TB, program string, args ...string) string {
	t.Helper()
	return RunWith(t, nil, program, args...)
}

// RunWith is Run with more variables in the environment, as NAME=VALUE.
func RunWith(t testing.TB, env []string, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Path(program), args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Try is Run for a program that may fail.
func Try(t testing.TB, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, Path(program), args...).CombinedOutput()
	return string(out), err
}

// Keygen makes a key pair with ssh-keygen and returns the private file; the
// public one is beside it with ".pub". Extra arguments follow the type.
func Keygen(t testing.TB, file, keyType string, args ...string) string {
	t.Helper()
	Need(t, "ssh-keygen")
	all := append([]string{"-q", "-t", keyType, "-C", filepath.Base(file), "-f", file}, args...)
	if !strings.Contains(strings.Join(args, " "), "-N") {
		all = append(all, "-N", "")
	}
	Run(t, "ssh-keygen", all...)
	return file
}

// Fingerprint returns the SHA256:… fingerprint that ssh-keygen prints.
func Fingerprint(t testing.TB, file string) string {
	t.Helper()
	fields := strings.Fields(Run(t, "ssh-keygen", "-l", "-f", file))
	if len(fields) < 2 {
		t.Fatalf("ssh-keygen -l -f %s printed %q", file, fields)
	}
	return fields[1]
}

// FreePort returns a loopback TCP port that was free a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// waitPort waits until something listens on a loopback port.
func waitPort(t testing.TB, port int, p *Process) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for time.Now().Before(deadline) {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
		if err == nil {
			c.Close()
			return
		}
		if p.ended() {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s did not open port %d\n%s", p.name, port, p.Log())
}

// readFile returns a file's text, for tests only.
func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b))
}

func writeFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
