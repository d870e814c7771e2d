// Package leak fails a test run that leaves goroutines behind: each goroutine
// of linehaul has an owner who waits for it, and this is how that is shown.
//
// The package imports the standard library only.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// settle is how long goroutines that are about to end may take.
const settle = 3 * time.Second

// Main runs a package's tests, then looks for goroutines that are left. Its
// result is for os.Exit:
//
//	func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }
//
// What all tests share is ended by ends, before it looks.
func Main(m *testing.M, ends ...func()) int {
	code := m.Run()
	for _, end := range ends {
		end()
	}
	if code != 0 {
		return code
	}
	if left := Left(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines were left behind:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		return 1
	}
	return 0
}

// Left returns the stacks of the goroutines that are still there after all
// others had time to end, without the caller's own and the system's.
func Left() []string {
	var left []string
	for deadline := time.Now().Add(settle); ; time.Sleep(10 * time.Millisecond) {
		if left = stacks(); len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

func stacks() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var others []string
	for i, s := range strings.Split(strings.TrimSpace(string(buf)), "\n\n") {
		if i == 0 || isSystem(s) { // the first is the one that asks
			continue
		}
		others = append(others, s)
	}
	return others
}

// isSystem reports whether a goroutine belongs to the runtime or to the test
// framework.
func isSystem(stack string) bool {
	for _, f := range []string{
		"os/signal.signal_recv", "os/signal.loop", "testing.runTests", "testing.(*M).", "testing.tRunner(",
		"runtime.ensureSigM", "runtime/pprof.", "internal/fuzz.", "testing.(*F).", "runtime.ReadTrace",
	} {
		if strings.Contains(stack, f) {
			return true
		}
	}
	return false
}
