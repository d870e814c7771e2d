package logs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/logs"
)

// layLogs writes files that were last written so many hours ago.
func layLogs(t *testing.T, dir string, hours map[string]int) {
	t.Helper()
	for name, h := range hours {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("line p 0\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		written := at().Add(-time.Duration(h) * time.Hour)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
}

// tree lists everything below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && name != "." {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPrune(t *testing.T) {
	match := func(name string) bool { return strings.HasSuffix(name, ".log") }
	laid := map[string]int{
		"a/2026/1.log": 1, "a/2026/2.log": 30, "a/2025/3.log.gz": 60, "a/2025/4.log": 90,
		"b/5.log": 100, "note.txt": 900, "c/keep.txt": 900,
	}
	tests := []struct {
		name    string
		o       logs.PruneOptions
		removed []string
		left    []string
	}{
		{"nothing asked", logs.PruneOptions{}, nil,
			[]string{"a", "a/2025", "a/2025/3.log.gz", "a/2025/4.log", "a/2026", "a/2026/1.log", "a/2026/2.log", "b", "b/5.log", "c", "c/keep.txt", "note.txt"}},
		{"age", logs.PruneOptions{MaxAge: 50 * time.Hour}, []string{"a/2025/3.log.gz", "a/2025/4.log", "b/5.log"},
			[]string{"a", "a/2026", "a/2026/1.log", "a/2026/2.log", "c", "c/keep.txt", "note.txt"}},
		{"number", logs.PruneOptions{Keep: 4}, []string{"b/5.log"},
			[]string{"a", "a/2025", "a/2025/3.log.gz", "a/2025/4.log", "a/2026", "a/2026/1.log", "a/2026/2.log", "c", "c/keep.txt", "note.txt"}},
		{"the newest stays", logs.PruneOptions{MaxAge: time.Minute}, []string{"a/2026/2.log", "a/2025/3.log.gz", "a/2025/4.log", "b/5.log"},
			[]string{"a", "a/2026", "a/2026/1.log", "c", "c/keep.txt", "note.txt"}},
		{"compress", logs.PruneOptions{Keep: 4, Compress: true}, []string{"b/5.log"},
			[]string{"a", "a/2025", "a/2025/3.log.gz", "a/2025/4.log.gz", "a/2026", "a/2026/1.log", "a/2026/2.log.gz", "c", "c/keep.txt", "note.txt"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			layLogs(t, dir, laid)
			tt.o.Match, tt.o.Now = match, at()
			removed, err := logs.Prune(dir, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(removed, tt.removed) {
				t.Errorf("removed %q, want %q", removed, tt.removed)
			}
			if got := tree(t, dir); !slices.Equal(got, tt.left) {
				t.Errorf("left\n%q, want\n%q", got, tt.left)
			}
			if !tt.o.Compress {
				return
			}
			if got := content(t, filepath.Join(dir, "a/2026/2.log")); got != "line p 0\n" {
				t.Errorf("compressed log is %q", got)
			}
			again, err := logs.Prune(dir, tt.o)
			if err != nil || len(again) > 0 {
				t.Errorf("a second time removed %q, %v", again, err)
			}
		})
	}
}

func TestPruneOddFolders(t *testing.T) {
	all := func(string) bool { return true }
	dir := t.TempDir()
	if removed, err := logs.Prune(filepath.Join(dir, "none"), logs.PruneOptions{Match: all, Now: at()}); removed != nil || err != nil {
		t.Errorf("a folder that is not there: %q, %v", removed, err)
	}
	layLogs(t, dir, map[string]int{"in/1.log": 1, "out/2.log": 100})
	if _, err := logs.Prune(filepath.Join(dir, "in", "1.log"), logs.PruneOptions{Match: all, Now: at()}); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("a folder that is a file: %v", err)
	}
	if err := os.Symlink(filepath.Join(dir, "out"), filepath.Join(dir, "in", "link")); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink(filepath.Join(dir, "out", "2.log"), filepath.Join(dir, "in", "2.log")); err != nil {
		t.Fatal(err)
	}
	if removed, err := logs.Prune(filepath.Join(dir, "in"), logs.PruneOptions{Match: all, MaxAge: time.Minute, Now: at()}); len(removed) > 0 || err != nil {
		t.Errorf("followed a link: %q, %v", removed, err)
	}
}

// TestRemove: the logs that are named go, with what was compressed or put aside of
// them and the folders that are empty then; nothing else does.
func TestRemove(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "logs")
	layLogs(t, dir, map[string]int{
		"a/1.log": 1, "a/2.log.gz": 1, "a/3.log": 1, "b/x/4.log": 1, "b/x/4.log.20261123-023001": 1, "b/x/4.log.20261123-023001-2.gz": 1,
		"b/x/4.logs": 1, "b/x/4.log.txt": 1, "c/5.log": 1, "6.log": 1,
	})
	layLogs(t, top, map[string]int{"outside.log": 1})
	n, err := logs.Remove(dir, []string{"a/1.log", "a/2.log", "b/x/4.log", "c/5.log", "none/7.log", "none.log", "../outside.log", "b"})
	if err != nil || n != 4 {
		t.Errorf("removed %d, %v", n, err)
	}
	if got, want := tree(t, dir), []string{"6.log", "a", "a/3.log", "b", "b/x", "b/x/4.log.txt", "b/x/4.logs"}; !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(top, "outside.log")); err != nil {
		t.Error(err)
	}
	if n, err := logs.Remove(filepath.Join(top, "none"), []string{"a"}); n != 0 || err != nil {
		t.Errorf("without a folder: %d, %v", n, err)
	}
}
