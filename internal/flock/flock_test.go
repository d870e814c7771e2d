package flock_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"linehaul/internal/flock"
)

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func tryLock(t *testing.T, f *os.File) bool {
	t.Helper()
	ok, err := flock.TryLock(f)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestTwoFilesInOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	first, second := open(t, path), open(t, path)
	if !tryLock(t, first) {
		t.Fatal("a free lock was refused")
	}
	if tryLock(t, second) {
		t.Fatal("a held lock was given to another open file")
	}
	if err := flock.Unlock(first); err != nil {
		t.Fatal(err)
	}
	if !tryLock(t, second) {
		t.Fatal("the lock was not free after Unlock")
	}
	second.Close()
	if !tryLock(t, first) {
		t.Fatal("the lock was not free after its holder was closed")
	}
}

// TestContentStaysOpen: on Windows a locked range cannot be read by others, so
// the range must lie beyond the content.
func TestContentStaysOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	if !tryLock(t, open(t, path)) {
		t.Fatal("a free lock was refused")
	}
	if err := os.WriteFile(path, []byte("held by run 7"), 0o600); err != nil {
		t.Fatalf("write a locked file: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "held by run 7" {
		t.Fatalf("read a locked file: %q, %v", b, err)
	}
}

func TestClosedFile(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "a.lock"))
	f.Close()
	if ok, err := flock.TryLock(f); ok || err == nil {
		t.Fatalf("TryLock on a closed file: %v, %v", ok, err)
	}
}

// holderVar names the file that the test binary, started again, locks and
// holds until it is killed.
const holderVar = "LINEHAUL_TEST_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(holderVar); path != "" {
		hold(path)
	}
	os.Exit(m.Run())
}

func hold(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		os.Exit(3)
	}
	if ok, err := flock.TryLock(f); !ok || err != nil {
		os.Exit(4)
	}
	os.Stdout.WriteString("held\n") //nolint:errcheck // the parent sees that the line is missing
	time.Sleep(time.Minute)
	os.Exit(5)
}

// TestDiesWithProcess kills a process that holds the lock.
func TestDiesWithProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	f := open(t, path)
	holder := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	holder.Env = append(os.Environ(), holderVar+"="+path)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder said %q, %v", line, err)
	}
	if tryLock(t, f) {
		t.Fatal("got a lock that another process holds")
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	holder.Wait() //nolint:errcheck // it was killed
	if !tryLock(t, f) {
		t.Fatal("the lock outlived its process")
	}
}
