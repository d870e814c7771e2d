package gateway

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

// Again runs the test once more, in a process of its own on the road, as an
// ordinary user, and fails if it fails there. More variables for its
// environment are NAME=VALUE. The test asks Inside for which of the two it is:
//
//	func TestLogin(t *testing.T) {
//		if gateway.Inside() {
//			... // what is to be done on the road, with os.Getenv("KEY")
//			return
//		}
//		g := gateway.Start(t, gateway.Options{})
//		g.Again(t, "KEY="+file)
//	}
func (g *Gateway) Again(t testing.TB, env ...string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// go test's own folder is closed to others.
	here := filepath.Join(g.Dir, "again.test")
	if _, err := os.Stat(here); err != nil {
		copyFile(t, program, here)
	}
	parts := strings.Split(t.Name(), "/")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, here, "-test.run", "^"+strings.Join(parts, "$/^")+"$", "-test.v", "-test.count", "1", "-test.timeout", "4m")
	cmd.Env = append(os.Environ(), append(env, inside+"=1", "TMPDIR="+g.Home)...)
	out, err := g.RoadUser(cmd).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Fatalf("on the road: %v\n%s", err, out)
	}
	return string(out)
}
