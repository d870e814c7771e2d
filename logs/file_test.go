package logs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/internal/flock"
	"linehaul/internal/lab"
	"linehaul/internal/leak"
	"linehaul/logs"
)

// clock is a Now that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: at()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T, path string, o logs.Options) *logs.File {
	t.Helper()
	f, err := logs.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(w, s); err != nil || n != len(s) {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(s), err)
	}
}

// content returns a log as OpenReader sees it.
func content(t *testing.T, path string) string {
	t.Helper()
	r, err := logs.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// files lists a folder by names.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestOpenMakesFolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "log.txt")
	f := open(t, path, logs.Options{Location: time.UTC})
	if f.Path() != path {
		t.Errorf("path %q, want %q", f.Path(), path)
	}
	r := slog.NewRecord(at(), slog.LevelInfo, "fetched", 0)
	if err := f.Handler().Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, path), "2026-11-22 18:30:01 INFO  fetched\n"; got != want {
		t.Errorf("content %q, want %q", got, want)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for name, want := range map[string]os.FileMode{path: 0o640, filepath.Dir(path): 0o750} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestOpenError(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "file", "log.txt")} {
		if _, err := logs.Open(path, logs.Options{}); !fault.Is(err, fault.LocalDisk) {
			t.Errorf("open %q: %v, want a fault of the local disk", path, err)
		}
	}
}

func TestRotation(t *testing.T) {
	dir, now := t.TempDir(), newClock()
	path := filepath.Join(dir, "log.txt")
	f := open(t, path, logs.Options{MaxSize: 10, Keep: 3, Location: now.now.Location(), Now: now.Now})
	write(t, f, "one\n")
	write(t, f, "two, and long\n") // too long for any file
	write(t, f, "three\n")
	now.add(time.Second)
	write(t, f, "four\n")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, "log.txt", "log.txt.20261123-023001", "log.txt.20261123-023001-2", "log.txt.20261123-023002")
	for name, want := range map[string]string{"": "four\n", ".20261123-023001": "one\n", ".20261123-023001-2": "two, and long\n", ".20261123-023002": "three\n"} {
		if got := content(t, path+name); got != want {
			t.Errorf("log.txt%s is %q, want %q", name, got, want)
		}
	}
}

func TestKeepAndAge(t *testing.T) {
	dir, now := t.TempDir(), newClock()
	path := filepath.Join(dir, "log.txt")
	o := logs.Options{MaxSize: 5, Keep: 3, MaxAge: 90 * time.Hour, Compress: true, Location: now.now.Location(), Now: now.Now}
	// Not ours, whatever they look like.
	others := []string{"log.txt.20261001", "log.txt.20261001-000000-1.gz", "log.txt.old", "other.txt.20261001-000000"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// What a crash left: not compressed, and half compressed.
	for name, text := range map[string]string{".20261122-120000": "left\n", ".20261122-120000.gz.tmp": "half", ".20261101-000000": "old\n", ".20261101-000000.gz.tmp": "half"} {
		if err := os.WriteFile(path+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, path, o)
	for day := range 3 {
		write(t, f, fmt.Sprintf("day %d\n", day))
		now.add(24 * time.Hour)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want := append([]string{"log.txt", "log.txt.20261122-120000.gz", "log.txt.20261124-023001.gz", "log.txt.20261125-023001.gz"}, others...)
	slices.Sort(want)
	wantFiles(t, dir, want...)
	for name, want := range map[string]string{"": "day 2\n", ".20261122-120000": "left\n", ".20261125-023001.gz": "day 1\n"} {
		if got := content(t, path+name); got != want {
			t.Errorf("log.txt%s is %q, want %q", name, got, want)
		}
	}
	now.add(24 * time.Hour)
	if err := open(t, path, o).Close(); err != nil {
		t.Fatal(err)
	}
	want = slices.DeleteFunc(want, func(s string) bool { return s == "log.txt.20261122-120000.gz" })
	wantFiles(t, dir, want...)
	o.Keep = 1
	if err := open(t, path, o).Close(); err != nil {
		t.Fatal(err)
	}
	want = slices.DeleteFunc(want, func(s string) bool { return s == "log.txt.20261124-023001.gz" })
	wantFiles(t, dir, want...)
}

func TestMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	f := open(t, path, logs.Options{})
	write(t, f, "one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "two\n")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, f, "three\n")
	if got := content(t, path); got != "three\n" {
		t.Errorf("log is %q", got)
	}
	if got := content(t, path+".1"); got != "one\n" {
		t.Errorf("what was moved away is %q", got)
	}
	lab.NotUnderWine(t, "names that go at once when an open file is removed")
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	write(t, f, "four\n")
	if got := content(t, path); got != "four\n" {
		t.Errorf("after the folder went, the log is %q", got)
	}
}

// TestTornLine: what a power cut left of a line does not take the next one.
func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	if err := os.WriteFile(path, []byte("one\ntw"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, path, logs.Options{})
	write(t, f, "three\n")
	write(t, f, "four\n")
	if got, want := content(t, path), "one\ntw\nthree\nfour\n"; got != want {
		t.Errorf("log is %q, want %q", got, want)
	}
}

func TestThroughLink(t *testing.T) {
	lab.NotUnderWine(t, "symbolic links: it says that it made one")
	dir, now := t.TempDir(), newClock()
	real := filepath.Join(dir, "real.txt")
	link := filepath.Join(dir, "link.txt")
	if err := os.WriteFile(real, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Skip(err)
	}
	f := open(t, link, logs.Options{MaxSize: 5, Location: now.now.Location(), Now: now.Now})
	write(t, f, "one\n")
	write(t, f, "two\n")
	wantFiles(t, dir, "link.txt", "real.txt", "real.txt.20261123-023001")
	if got := content(t, link); got != "two\n" {
		t.Errorf("log is %q", got)
	}
}

// TestFull writes to a device that is always full: the run goes on, and Close
// says once what was lost.
func TestFull(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /dev/full")
	}
	f := open(t, "/dev/full", logs.Options{MaxSize: 10})
	log := slog.New(f.Handler())
	log.Info("one")
	log.Info("two")
	err := f.Close()
	if !fault.Is(err, fault.LocalDisk) || !strings.Contains(err.Error(), "2 records lost") {
		t.Errorf("close: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("the second close: %v", err)
	}
}

// TestLockedByOther: whoever holds the lock and does not give it up delays the
// first record only, and stops none.
func TestLockedByOther(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for a lock")
	}
	path := filepath.Join(t.TempDir(), "log.txt")
	f := open(t, path, logs.Options{})
	other, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if held, err := flock.TryLock(other); !held || err != nil {
		t.Fatal(held, err)
	}
	write(t, f, "one\n")
	began := time.Now()
	write(t, f, "two\n")
	if took := time.Since(began); took > time.Second {
		t.Errorf("the second record took %s", took)
	}
	if got := content(t, path); got != "one\ntwo\n" {
		t.Errorf("log is %q", got)
	}
}

// TestCannotRotate: a file that cannot be renamed grows on.
func TestCannotRotate(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("permissions stop nobody here")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "log.txt")
	f := open(t, path, logs.Options{MaxSize: 5})
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	write(t, f, "one\n")
	write(t, f, "two\n")
	write(t, f, "three\n")
	if err := f.Close(); !fault.Is(err, fault.LocalDisk) || strings.Contains(err.Error(), "lost") {
		t.Errorf("close: %v", err)
	}
	if got := content(t, path); got != "one\ntwo\nthree\n" {
		t.Errorf("log is %q", got)
	}
}

// Writers of TestManyWriters: processes, Files in each, lines of each File.
const (
	processes   = 2
	filesEach   = 2
	linesEach   = 1500
	writerVar   = "LINEHAUL_TEST_LOG_WRITER"
	writersPath = "LINEHAUL_TEST_LOG_PATH"
)

func TestMain(m *testing.M) {
	if who := os.Getenv(writerVar); who != "" {
		os.Exit(writer(os.Getenv(writersPath), who))
	}
	os.Exit(leak.Main(m))
}

func writersOptions() logs.Options {
	return logs.Options{MaxSize: 4 << 10, Compress: true}
}

// writer is a process that writes numbered lines through several Files.
func writer(path, who string) int {
	var group sync.WaitGroup
	errs := make([]error, filesEach)
	for i := range filesEach {
		group.Go(func() { errs[i] = writeLines(path, fmt.Sprintf("%s.%d", who, i)) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func writeLines(path, who string) error {
	f, err := logs.Open(path, writersOptions())
	if err != nil {
		return err
	}
	for n := range linesEach {
		if _, err := fmt.Fprintf(f, "line %s %d\n", who, n); err != nil {
			return err
		}
	}
	return f.Close()
}

// TestManyWriters lets several processes write, rotate and compress one log.
// Every line must be there once, whole, and in its writer's order.
func TestManyWriters(t *testing.T) {
	lab.NotUnderWine(t, "locks that are quick: its one server has four writers wait for minutes, sometimes ten")
	dir := t.TempDir()
	path := filepath.Join(dir, "log.txt")
	var cmds []*exec.Cmd
	for i := range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=p%d", writerVar, i), writersPath+"="+path)
		cmd.Stderr = new(bytes.Buffer)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %s", err, cmd.Stderr)
		}
	}
	// Whatever was put aside in the last moments is compressed by the next.
	if err := open(t, path, writersOptions()).Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string][]int{}
	names := files(t, dir)
	for _, name := range names {
		if name != "log.txt" && !strings.HasSuffix(name, ".gz") {
			t.Errorf("%s was left", name)
		}
		for who, numbers := range numbered(t, content(t, filepath.Join(dir, name))) {
			got[who] = append(got[who], numbers...)
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d files: it did not rotate", len(names))
	}
	if len(got) != processes*filesEach {
		t.Errorf("%d writers, want %d", len(got), processes*filesEach)
	}
	for who, numbers := range got {
		slices.Sort(numbers)
		if len(numbers) != linesEach || len(slices.Compact(numbers)) != linesEach {
			t.Errorf("%s: %d lines, want %d", who, len(numbers), linesEach)
		}
	}
}

// numbered returns the numbers of the lines "WHO N" in logs, by who.
func numbered(t *testing.T, text string) map[string][]int {
	t.Helper()
	got := map[string][]int{}
	for l := range strings.Lines(text) {
		var who string
		var n int
		if _, err := fmt.Sscanf(l, "line %s %d\n", &who, &n); err != nil || l != fmt.Sprintf("line %s %d\n", who, n) {
			t.Fatalf("a torn line: %q", l)
		}
		got[who] = append(got[who], n)
	}
	return got
}
