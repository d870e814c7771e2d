//go:build unix

package linehaul

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"linehaul/internal/lab"
)

// winePackages are those that do something of their own on Windows, or that
// work on its files.
func winePackages() []string {
	return []string{
		"config", "fault", "internal/flock", "keys", "keys/guard", "keys/pageant", "keys/ppk",
		"logs", "preflight/echo", "preflight/ping", "preflight/pmtu", "preflight/port", "preflight/tcpinfo", "preflight/trace",
		"schedule/cron", "stamp", "store", "transfer", "tunnel/bulletin", "tunnel/proxy", "winsvc",
	}
}

// packageLimit is how long the tests of one package may take in Wine. On a
// machine with far too much to do the slowest took seven minutes.
const packageLimit = 20 * time.Minute

// TestPackagesInWine builds the tests of these packages for Windows and runs
// them in Wine. It takes minutes of compiling, so `make wine` asks for it and
// `make test` does not.
func TestPackagesInWine(t *testing.T) {
	lab.NeedAsked(t, "LINEHAUL_WINE", "`make wine`")
	wine := lab.StartWine(t)
	dir := t.TempDir()
	result := regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+)`)
	reason := regexp.MustCompile(`(?m)^ +\S+_test\.go:\d+: (.*)\n *--- SKIP: (\S+)`)
	for _, p := range winePackages() {
		t.Run(p, func(t *testing.T) {
			program := lab.BuildForWine(t, dir, p)
			began := time.Now()
			o := wine.Run(packageLimit, filepath.FromSlash(p), nil, program, "-test.v", "-test.timeout", packageLimit.String())
			count := map[string]int{}
			for _, r := range result.FindAllStringSubmatch(o.Stdout, -1) {
				count[r[1]]++
			}
			t.Logf("%d passed, %d skipped, %d failed in %s", count["PASS"], count["SKIP"], count["FAIL"], time.Since(began).Round(time.Second))
			for _, r := range reason.FindAllStringSubmatch(o.Stdout, -1) {
				t.Logf("skipped %s: %s", r[2], r[1])
			}
			if o.Code != 0 || count["PASS"] == 0 {
				t.Errorf("ended with code %d, late %v:\n%s\n%s", o.Code, o.Late, failures(o.Stdout), o.Stderr)
			}
			os.Remove(program)
		})
	}
}

// failures leaves of what a test program prints what tells why it failed.
func failures(out string) string {
	var kept []string
	for line := range strings.Lines(out) {
		text := strings.TrimSpace(line)
		if !strings.HasPrefix(text, "=== ") && !strings.HasPrefix(text, "--- PASS") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-200):], "")
}
