package netns

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inside marks the process that Again starts.
const inside = "LINEHAUL_LAB_INSIDE"

// Inside reports whether this process is one that Again started.
func Inside() bool { return os.Getenv(inside) != "" }

// Again runs the test once more, in a process of its own in the host, as an
// ordinary user with this home, and fails if it fails there. It returns what
// that process printed. Folder is open to all: the program is put there. More
// variables for its environment are NAME=VALUE. The test asks Inside for which
// of the two it is:
//
//	func TestLogin(t *testing.T) {
//		if netns.Inside() {
//			... // what is to be done in the host, with os.Getenv("KEY")
//			return
//		}
//		h := ... // make a network
//		h.Again(t, dir, home, "KEY="+file)
//	}
func (h *Host) Again(t testing.TB, folder, home string, env ...string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// go test's own folder is closed to others.
	here := filepath.Join(folder, "again.test")
	if _, err := os.Stat(here); err != nil {
		copyProgram(t, program, here)
	}
	parts := strings.Split(t.Name(), "/")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, here, "-test.run", "^"+strings.Join(parts, "$/^")+"$", "-test.v", "-test.count", "1", "-test.timeout", "4m")
	cmd.Env = append(os.Environ(), append(env, inside+"=1", "TMPDIR="+home)...)
	out, err := h.UserCommand(cmd, home).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Fatalf("in %s: %v\n%s", h.name, err, out)
	}
	return string(out)
}

func copyProgram(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o755) //nolint:gosec // a program
	}
	if err != nil {
		t.Fatal(err)
	}
}
