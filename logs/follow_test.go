package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
)

// followed collects what follow writes.
type followed struct {
	got    chan string
	cancel context.CancelFunc
	err    chan error
}

func startFollow(t *testing.T, path string, lines int) *followed {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &followed{got: make(chan string, 1000), cancel: cancel, err: make(chan error, 1)}
	go func() { f.err <- follow(ctx, path, f, lines, time.Millisecond) }()
	t.Cleanup(cancel)
	return f
}

func (f *followed) Write(p []byte) (int, error) {
	f.got <- string(p)
	return len(p), nil
}

// want waits until exactly this text has been written since the last call.
func (f *followed) want(t *testing.T, text string) {
	t.Helper()
	var got strings.Builder
	for got.Len() < len(text) {
		select {
		case s := <-f.got:
			got.WriteString(s)
		case <-time.After(5 * time.Second):
			t.Fatalf("got %q, want %q", got.String(), text)
		}
	}
	if got.String() != text {
		t.Fatalf("got %q, want %q", got.String(), text)
	}
}

// end ends following and returns what was written last.
func (f *followed) end(t *testing.T) string {
	t.Helper()
	f.cancel()
	if err := <-f.err; err != nil {
		t.Errorf("the end of its context is an error: %v", err)
	}
	close(f.got)
	var rest strings.Builder
	for s := range f.got {
		rest.WriteString(s)
	}
	return rest.String()
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	appendFile(t, path, "one\ntwo\nthree\n")
	f := startFollow(t, path, 2)
	f.want(t, "two\nthree\n")
	appendFile(t, path, "fo")
	f.want(t, "fo")
	appendFile(t, path, "ur\n")
	f.want(t, "ur\n")

	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendFile(t, path+".1", "late\n")
	f.want(t, "late\n")
	appendFile(t, path, "rotated\n")
	f.want(t, "rotated\n")

	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // it must see the file short before it is long again
	appendFile(t, path, "truncated, and longer than before\n")
	f.want(t, "truncated, and longer than before\n")
	if rest := f.end(t); rest != "" {
		t.Errorf("%q was written twice", rest)
	}
}

// TestFollowRotatingFile follows a File while it rotates.
func TestFollowRotatingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	log, err := Open(path, Options{MaxSize: 30, Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	f := startFollow(t, path, -1)
	for i := range 20 {
		line := fmt.Sprintf("line %d\n", i)
		if _, err := log.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		f.want(t, line)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if rest := f.end(t); rest != "" {
		t.Errorf("%q was written twice", rest)
	}
}

// TestFollowDrains: what is in the log when the context ends is written.
func TestFollowDrains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	appendFile(t, path, "one\ntwo\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var got strings.Builder
	if err := Follow(ctx, path, &got, -1); err != nil || got.String() != "one\ntwo\n" {
		t.Errorf("%q, %v", got.String(), err)
	}
}

func TestFollowErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	if err := Follow(t.Context(), missing, new(strings.Builder), 1); !errors.Is(err, os.ErrNotExist) || !fault.Is(err, fault.LocalDisk) {
		t.Errorf("a log that is not there: %v", err)
	}
	if _, err := OpenReader(missing); !errors.Is(err, os.ErrNotExist) || !fault.Is(err, fault.LocalDisk) {
		t.Errorf("a log that is not there: %v", err)
	}
	appendFile(t, missing+".gz", "not gzip")
	if _, err := OpenReader(missing); errors.Is(err, os.ErrNotExist) || !fault.Is(err, fault.LocalDisk) {
		t.Errorf("a log that is no gzip: %v", err)
	}
	appendFile(t, missing, "one\n")
	broken := errors.New("broken pipe")
	if err := Follow(t.Context(), missing, writerFunc(func([]byte) (int, error) { return 0, broken }), 1); !errors.Is(err, broken) {
		t.Errorf("a writer that fails: %v", err)
	}
}

func TestTail(t *testing.T) {
	dir := t.TempDir()
	plain, packed := filepath.Join(dir, "plain.log"), filepath.Join(dir, "packed.log")
	long := strings.Repeat("x", 80<<10)
	text := "one\n" + long + "\nthree\nfour"
	appendFile(t, plain, text)
	appendFile(t, packed, text)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := compress(root, "packed.log"); err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[int]string{-1: text, 0: "", 1: "four", 2: "three\nfour", 3: long + "\nthree\nfour", 4: text, 9: text} {
		for _, path := range []string{plain, packed, packed + ".gz"} {
			var got strings.Builder
			if err := Tail(path, &got, lines); err != nil || got.String() != want {
				t.Errorf("%d lines of %s: %.40q, %v, want %.40q", lines, filepath.Base(path), got.String(), err, want)
			}
		}
	}
	if err := Tail(filepath.Join(dir, "none"), new(strings.Builder), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log that is not there: %v", err)
	}
	if err := os.WriteFile(packed+".gz", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Tail(packed, new(strings.Builder), 1); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("a log that is half a gzip: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestLastLines(t *testing.T) {
	long := strings.Repeat("x", 40<<10)
	tests := []struct {
		name, text string
		n          int
		want       string
	}{
		{"none", "a\nb\n", 0, ""},
		{"one", "a\nb\n", 1, "b\n"},
		{"unfinished", "a\nb", 1, "b"},
		{"more than there are", "a\nb\n", 9, "a\nb\n"},
		{"exactly all", "a\nb\n", 2, "a\nb\n"},
		{"empty lines", "\n\n\n", 2, "\n\n"},
		{"empty", "", 3, ""},
		{"across blocks", "a\n" + long + "\n" + long + "\n", 2, long + "\n" + long + "\n"},
		{"break at a block's start", "a\nb\n" + strings.Repeat("y", 32<<10-1) + "\n", 2, "b\n" + strings.Repeat("y", 32<<10-1) + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, err := lastLines(strings.NewReader(tt.text), int64(len(tt.text)), tt.n)
			if err != nil || tt.text[at:] != tt.want {
				t.Errorf("from %d, %v: %.40q, want %.40q", at, err, tt.text[at:], tt.want)
			}
		})
	}
}
