//go:build unix

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	mathrand "math/rand/v2"

	"linehaul/internal/lab"
)

// kills is how often the kill test kills: LINEHAUL_KILLS, else a few.
func kills(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("LINEHAUL_KILLS")); err == nil && n > 0 {
		return n
	}
	if testing.Short() {
		t.Skip("kill -9 in mid-file needs a real server and some time")
	}
	return 20
}

// TestKill kills linehaul at random moments of a pull over an existing file.
// The final name must hold the old or the new content each time, and a run
// after that must leave no temporary file behind.
func TestKill(t *testing.T) {
	rounds := kills(t)
	s := newSite(t, lab.SSHD{})
	const size = 64 << 20
	data := make([]byte, size)
	rand.Read(data) // never fails, as crypto/rand says
	whole := sha256.Sum256(data)
	s.write(t, "big.bin", data)
	dir := filepath.Join(t.TempDir(), "target folder")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "big.bin")
	old := []byte("last night's backup, whole and the only one\n")
	args := append(append([]string{"get", "-q"}, s.flags()...), s.at(s.remote+"/big.bin"), dir+"/")

	// How long a pull takes when nobody kills it; the machine may be busy, so
	// the shortest of a few.
	full := time.Minute
	for range 3 {
		o := linehaul(t, time.Minute, args...)
		if o.code != 0 {
			t.Fatalf("the pull fails even when nobody kills it: %s", o)
		}
		full = min(full, o.took)
	}

	var inMidFile, sawOld, sawNew int
	for round := range rounds {
		if err := os.WriteFile(target, old, 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program(t), args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(mathrand.Float64() * 1.1 * float64(full)))
		cmd.Process.Signal(syscall.SIGKILL) // it may have ended already
		cmd.Wait()                          // how it ended does not matter
		got, err := os.ReadFile(target)
		if err != nil {
			t.Fatalf("round %d: the file is gone: %v", round, err)
		}
		switch {
		case bytes.Equal(got, old):
			sawOld++
		case len(got) == size && sha256.Sum256(got) == whole:
			sawNew++
		default:
			t.Fatalf("round %d: the final name holds %d bytes that are neither the old file nor the new one", round, len(got))
		}
		if n := len(temporaries(t, dir)); n > 0 {
			inMidFile++
			if n > 2 { // the unfinished file and its journal
				t.Fatalf("round %d: %d temporary files: earlier ones were not removed", round, n)
			}
		}
	}
	if o := linehaul(t, time.Minute, args...); o.code != 0 {
		t.Fatalf("the run after the kills: %s", o)
	}
	if left := temporaries(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	t.Logf("%d kills: %d in mid-file, %d times the old content, %d times the new, torn 0", rounds, inMidFile, sawOld, sawNew)
	if rounds >= 20 && inMidFile == 0 {
		t.Error("no kill came in mid-file: the test shows nothing")
	}
}
