package transfer_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"linehaul/fault"
	"linehaul/transfer"
)

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if data, err := os.ReadFile(path); err != nil || string(data) != want {
		t.Errorf("%s holds %q, %v; want %q", path, data, err, want)
	}
}

// TestMoveLocal: a file goes where nothing is, and nowhere else.
func TestMoveLocal(t *testing.T) {
	for _, how := range []struct {
		name string
		move func(from, to string) error
	}{{"in one step", transfer.MoveLocal}, {"by a link", transfer.LinkNew}} {
		t.Run(how.name, func(t *testing.T) {
			dir := t.TempDir()
			one, two := writeFile(t, filepath.Join(dir, "one"), "1"), writeFile(t, filepath.Join(dir, "two"), "2")
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, taken := range []string{two, filepath.Join(dir, "sub")} {
				if err := how.move(one, taken); !errors.Is(err, fs.ErrExist) {
					t.Errorf("moved over %s: %v", taken, err)
				}
			}
			if runtime.GOOS != "windows" {
				link := filepath.Join(dir, "dangling")
				if err := os.Symlink("nowhere", link); err != nil {
					t.Fatal(err)
				}
				if err := how.move(one, link); !errors.Is(err, fs.ErrExist) {
					t.Errorf("moved over a link to nothing: %v", err)
				}
			}
			holds(t, one, "1")
			holds(t, two, "2")
			if err := how.move(filepath.Join(dir, "absent"), filepath.Join(dir, "new")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("moved what is not there: %v", err)
			}
			if err := how.move(one, filepath.Join(dir, "sub", "three")); err != nil {
				t.Fatal(err)
			}
			holds(t, filepath.Join(dir, "sub", "three"), "1")
			if _, err := os.Lstat(one); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is still where it was: %v", err)
			}
		})
	}
	dir := t.TempDir()
	one := writeFile(t, filepath.Join(dir, "one"), "1")
	if err := transfer.MoveLocal(one, filepath.Join(dir, "a", "b", "one")); err != nil {
		t.Fatal(err)
	}
	holds(t, filepath.Join(dir, "a", "b", "one"), "1")
	if err := transfer.MoveLocal(filepath.Join(dir, "absent"), filepath.Join(dir, "x")); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("got %v", err)
	}
}

// TestMoveLocalAtOnce: of many that move to one name, one arrives, and the
// others are where they were.
func TestMoveLocalAtOnce(t *testing.T) {
	for _, move := range []func(from, to string) error{transfer.MoveLocal, transfer.LinkNew} {
		dir := t.TempDir()
		target := filepath.Join(dir, "target")
		var all sync.WaitGroup
		var mu sync.Mutex
		var arrived []string
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			from := writeFile(t, filepath.Join(dir, name), name)
			all.Go(func() {
				err := move(from, target)
				if err == nil {
					mu.Lock()
					arrived = append(arrived, name)
					mu.Unlock()
				} else if !errors.Is(err, fs.ErrExist) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(arrived) != 1 {
			t.Fatalf("%q arrived", arrived)
		}
		holds(t, target, arrived[0])
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			if name != arrived[0] {
				holds(t, filepath.Join(dir, name), name)
			}
		}
	}
}

// TestLocalTree: links are seen as such, and nothing outside is touched.
func TestLocalTree(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("makes symbolic links")
	}
	dir := t.TempDir()
	outside := writeFile(t, filepath.Join(dir, "outside", "x"), "x")
	writeFile(t, filepath.Join(dir, "tree", "d", "a"), "a")
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "tree", "link")); err != nil {
		t.Fatal(err)
	}
	tree, err := transfer.OpenLocalTree(filepath.Join(dir, "tree"))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	entries, err := tree.List(".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name+" "+e.Mode.Type().String())
	}
	slices.Sort(got)
	if want := []string{"d d---------", "link L---------"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if e, err := tree.Lstat("link"); err != nil || e.Mode&fs.ModeSymlink == 0 {
		t.Errorf("the link is %+v, %v", e, err)
	}
	for _, path := range []string{"link/x", "../outside/x"} {
		if err := tree.Remove(path); !fault.Is(err, fault.LocalDisk) {
			t.Errorf("%s was removed: %v", path, err)
		}
	}
	holds(t, outside, "x")
	if err := tree.Remove("d"); err == nil {
		t.Error("a folder that is not empty was removed")
	}
	for _, path := range []string{"d/a", "d"} {
		if err := tree.Remove(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := transfer.OpenLocalTree(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
