package transfer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
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
	"linehaul/transfer"
)

// big is content that takes several requests, the last one a short one.
func big() string {
	b := make([]byte, 10*32<<10+17)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>13)
	}
	return string(b)
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// get fetches what sources match into root.
func get(t *testing.T, ctx context.Context, r *memRemote, root string, sources ...string) ([]transfer.Result, error) {
	t.Helper()
	g := transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1}
	return g.Files(ctx, place(t, found(t, r, sources...), byRel))
}

// contents lists all that is below a folder: files by their content, links by
// their target, folders with a slash.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir():
			all[rel+"/"] = ""
		case d.Type()&fs.ModeSymlink != 0:
			all[rel], err = os.Readlink(p)
		default:
			var b []byte
			b, err = os.ReadFile(p)
			all[rel] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// want fails the test unless a folder holds just these files and folders.
func want(t *testing.T, root string, files map[string]string) {
	t.Helper()
	got := contents(t, root)
	for p, text := range files {
		if text != got[p] {
			t.Errorf("%q holds %.40q (%d bytes), want %.40q (%d bytes)", p, got[p], len(got[p]), text, len(text))
		}
	}
	for p := range got {
		if _, ok := files[p]; !ok {
			t.Errorf("%q is there", p)
		}
	}
	for p := range files {
		if _, ok := got[p]; !ok {
			t.Errorf("%q is not there", p)
		}
	}
}

func TestGet(t *testing.T) {
	files := map[string]string{"/d/one": "1", "/d/sub/big": big(), "/d/sub/zero": "", "/d/exact": strings.Repeat("x", 2*32<<10), "/d/leer/": ""}
	for name, change := range map[string]func(*memRemote){
		"concurrent":        func(*memRemote) {},
		"sequential":        func(r *memRemote) { r.sequential = true },
		"short answers":     func(r *memRemote) { r.shorten = 10_000 },
		"short, sequential": func(r *memRemote) { r.shorten = 10_000; r.sequential = true },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRemote(files)
			change(r)
			checkLeaks(t, r)
			r.nodes["/d/sub/big"].mode = 0o4750
			root := filepath.Join(t.TempDir(), "new", "root")
			results, err := get(t, t.Context(), r, root, "/d")
			if err != nil {
				t.Fatal(err)
			}
			want(t, root, map[string]string{"d/": "", "d/sub/": "", "d/leer/": "", "d/one": "1", "d/sub/big": big(), "d/sub/zero": "", "d/exact": files["/d/exact"]})
			for _, res := range results {
				if res.Item.Entry.Mode.IsDir() {
					continue
				}
				if text := files[res.Item.Source]; res.Bytes != int64(len(text)) || res.SHA256 != sum(text) {
					t.Errorf("%s: %d bytes, %s", res.Item.Source, res.Bytes, res.SHA256)
				}
				info, err := os.Stat(filepath.Join(root, res.Item.Target))
				if err != nil || !info.ModTime().Equal(epoch()) {
					t.Errorf("%s: mtime %v, %v", res.Item.Source, info.ModTime(), err)
				}
				mode := r.nodes[res.Item.Source].mode.Perm() // less the umask, whatever that is here
				if got := info.Mode(); runtime.GOOS != "windows" && (got&^mode != 0 || got&0o700 != mode&0o700) {
					t.Errorf("%s: mode %v, want at most %v", res.Item.Source, got, mode)
				}
			}
		})
	}
}

// TestGetMadeWhileRead: such files say that they have 0 bytes.
func TestGetMadeWhileRead(t *testing.T) {
	for _, sequential := range []bool{false, true} {
		r := newRemote(map[string]string{"/proc/kallsyms": big()})
		checkLeaks(t, r)
		r.sequential = sequential
		n := r.nodes["/proc/kallsyms"]
		n.lie = -int64(len(n.data))
		r.before = func(i int, _ map[string]*node) error { n.mtime = epoch().Add(time.Duration(i) * time.Hour); return nil }
		root := t.TempDir()
		results, err := get(t, t.Context(), r, root, "/proc/kallsyms")
		if err != nil || results[0].Bytes != int64(len(big())) {
			t.Fatalf("%+v, %v", results, err)
		}
		want(t, root, map[string]string{"kallsyms": big()})
	}
}

// TestGetSumsUp: what one error says about many files. Each takes two requests
// for content: the second finds its end.
func TestGetSumsUp(t *testing.T) {
	torn := fault.New(fault.TCP, "connection reset")
	tests := []struct {
		name   string
		set    func(*memRemote)
		kind   fault.Kind
		text   string
		again  bool
		failed []int
	}{
		{"all well", func(*memRemote) {}, 0, "", false, nil},
		{"one", func(r *memRemote) { r.denied["/d/b"] = true }, fault.Partial, `1 of 3 files failed, first: open "/d/b": permission denied`, false, []int{1}},
		{"one that may succeed", func(r *memRemote) { r.nodes["/d/b"].lie = 1 }, fault.Partial, "1 of 3", true, []int{1}},
		{"all", func(r *memRemote) {
			for _, p := range []string{"/d/a", "/d/b", "/d/c"} {
				r.denied[p] = true
			}
		}, fault.RemoteFile, "all 3 files failed, first:", false, []int{0, 1, 2}},
		{"the line", func(r *memRemote) { r.before = failAt(3, torn) }, fault.TCP, "after 1 of 3 files: connection reset", true, []int{1, 2}},
		{"one, then the line", func(r *memRemote) { r.denied["/d/a"] = true; r.before = failAt(3, torn) }, fault.TCP, "after 1 of 3 files:", true, []int{0, 2}},
		{"the line at once", func(r *memRemote) { r.before = failAt(1, torn) }, fault.TCP, "connection reset", true, []int{0, 1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemote(map[string]string{"/d/a": "1", "/d/b": "2", "/d/c": "3"})
			checkLeaks(t, r)
			list := place(t, found(t, r, "/d/*"), byRel)
			tt.set(r)
			var log bytes.Buffer
			g := transfer.Get{Remote: r, Root: t.TempDir(), Run: run, AtOnce: 1, Host: "hk1", Log: slog.New(slog.NewTextHandler(&log, nil))}
			results, err := g.Files(t.Context(), list)
			if tt.failed == nil && err != nil || tt.failed != nil && (!fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || fault.Transient(err) != tt.again) {
				t.Errorf("got %v (%v, transient %v)", err, kind(err), fault.Transient(err))
			}
			var failed []int
			for i, res := range results {
				if res.Err != nil {
					failed = append(failed, i)
				} else if line := "fetched name=" + list[i].Rel + " source=hk1:" + list[i].Source; !strings.Contains(log.String(), line) {
					t.Errorf("the log lacks %q:\n%s", line, log.String())
				}
			}
			if len(results) != 3 || !slices.Equal(failed, tt.failed) {
				t.Errorf("failed: %v, want %v", failed, tt.failed)
			}
		})
	}
}

// TestGetLocalFaults: what stands in the way on this machine.
func TestGetLocalFaults(t *testing.T) {
	long := strings.Repeat("n", 300)
	tests := []struct {
		name   string
		target string
		set    func(t *testing.T, root string)
		kind   fault.Kind
		text   string
		hint   string
		left   map[string]string
	}{
		{"a folder", "x", func(t *testing.T, root string) { mkdir(t, root+"/x") }, fault.LocalDisk, "is a folder", "slash", map[string]string{"x/": ""}},
		{"a file as a folder", "x/y", func(t *testing.T, root string) { write(t, root+"/x", "old") }, fault.LocalDisk, "is a file", "another target", map[string]string{"x": "old"}},
		{"a file as a folder's folder", "x/y/z", func(t *testing.T, root string) { write(t, root+"/x", "old") }, fault.LocalDisk, "", "", map[string]string{"x": "old"}},
		{"too long", long, nil, fault.LocalDisk, "name too long", "shorter", nil},
		{"too long a folder", long + "/x", nil, fault.LocalDisk, "name too long", "shorter", nil},
		{"out of the root", "../x", nil, fault.Config, "place in the tree", "", nil},
		{"absolute", "/tmp/x", nil, fault.Config, "not below", "", nil},
		{"through a link out", "out/x", func(t *testing.T, root string) { symlink(t, "..", root+"/out") }, fault.LocalDisk, "escapes", "symbolic link", map[string]string{"out": ".."}},
		{"through an absolute link", "out/x", func(t *testing.T, root string) { symlink(t, os.TempDir(), root+"/out") }, fault.LocalDisk, "escapes", "symbolic link", map[string]string{"out": os.TempDir()}},
		{"through a dangling link", "out/x", func(t *testing.T, root string) { symlink(t, "none", root+"/out") }, fault.LocalDisk, "", "", map[string]string{"out": "none"}},
		{"through a link below", "in/x", func(t *testing.T, root string) { mkdir(t, root+"/sub"); symlink(t, "sub", root+"/in") }, 0, "", "", map[string]string{"in": "sub", "sub/": "", "sub/x": "new"}},
		{"onto a link", "in", func(t *testing.T, root string) { write(t, root+"/x", "old"); symlink(t, "x", root+"/in") }, 0, "", "", map[string]string{"in": "new", "x": "old"}},
		{"onto a link out", "in", func(t *testing.T, root string) { symlink(t, "/etc/passwd", root+"/in") }, 0, "", "", map[string]string{"in": "new"}},
		{"onto a read-only file", "x", func(t *testing.T, root string) { write(t, root+"/x", "old"); os.Chmod(root+"/x", 0o400) }, 0, "", "", map[string]string{"x": "new"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("the texts and links are those of Unix")
			}
			r := newRemote(map[string]string{"/s/x": "new"})
			checkLeaks(t, r)
			root := t.TempDir()
			if tt.set != nil {
				tt.set(t, root)
			}
			list := place(t, found(t, r, "/s/x"), func(transfer.Item) (string, error) { return tt.target, nil })
			_, err := (&transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1}).Files(t.Context(), list)
			if tt.kind == 0 {
				if err != nil {
					t.Error(err)
				}
			} else if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("got %v (%v), hint %q", err, kind(err), fault.HintOf(err))
			}
			if err != nil && r.requests != 0 {
				t.Error("something was fetched before the target was looked at")
			}
			want(t, root, tt.left)
		})
	}
	t.Run("no root", func(t *testing.T) {
		root := filepath.Join(t.TempDir(), "f")
		write(t, root, "a file")
		if _, err := get(t, t.Context(), newRemote(map[string]string{"/a": "1"}), root, "/a"); !fault.Is(err, fault.LocalDisk) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not a run", func(t *testing.T) {
		for _, id := range []string{"", "../x", "20261123T023001Z-123X7K2Q"} {
			if _, err := (&transfer.Get{Remote: newRemote(nil), Root: t.TempDir(), Run: id, AtOnce: 1}).Files(t.Context(), nil); !fault.Is(err, fault.Internal) {
				t.Errorf("%q: got %v", id, err)
			}
		}
	})
}

func symlink(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// noMore is the rest of a stream of which all is known.
func noMore(func(transfer.Item, error) bool) {}

// TestGetNoRoom: a plan that the disk cannot hold is refused at once.
func TestGetNoRoom(t *testing.T) {
	r := newRemote(map[string]string{"/a": "1", "/b": "2"})
	checkLeaks(t, r)
	r.nodes["/a"].lie, r.nodes["/b"].lie = 1<<62, 1<<62
	list := place(t, found(t, r, "/a", "/b"), func(i transfer.Item) (string, error) { return "none/yet/" + i.Rel, nil })
	root := t.TempDir()
	results, err := (&transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1}).Files(t.Context(), list)
	if !fault.Is(err, fault.LocalDisk) || !strings.Contains(err.Error(), "8.0 EiB needed") || !strings.Contains(err.Error(), "free") {
		t.Errorf("got %v", err)
	}
	if len(results) != 2 || results[0].Err == nil || r.requests != 0 {
		t.Errorf("%d requests, results %+v", r.requests, results)
	}
	want(t, root, nil)
	streaming := transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1}
	err = streaming.Stream(t.Context(), slices.Clone(list), noMore, func(res transfer.Result) { t.Errorf("%+v", res) })
	if !fault.Is(err, fault.LocalDisk) || r.requests != 0 {
		t.Errorf("of a stream: %d requests, %v", r.requests, err)
	}
	g := transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1, SkipSpaceCheck: true}
	if _, err := g.Files(t.Context(), list); !fault.Is(err, fault.RemoteFile) {
		t.Errorf("without the check: got %v", err)
	}
}

// TestGetVerify: the copy is checked before it gets its name.
func TestGetVerify(t *testing.T) {
	for _, wrong := range []bool{false, true} {
		r := newRemote(map[string]string{"/s/x": "new"})
		checkLeaks(t, r)
		root := t.TempDir()
		write(t, filepath.Join(root, "x"), "old")
		g := transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1, Verify: func(_ context.Context, path string, size int64, hash string) (string, error) {
			if path != "/s/x" || size != 3 || hash != sum("new") {
				t.Errorf("asked for %q, %d, %s", path, size, hash)
			}
			if b, err := os.ReadFile(filepath.Join(root, "x")); string(b) != "old" {
				t.Errorf("the target is %q, %v", b, err)
			}
			if wrong {
				return "", errors.New("not the same")
			}
			return "sha256 by test", nil
		}}
		results, err := g.Files(t.Context(), place(t, found(t, r, "/s/x"), byRel))
		if wrong {
			if !fault.Is(err, fault.Verify) {
				t.Errorf("got %v", err)
			}
			want(t, root, map[string]string{"x": "old"})
			continue
		}
		if err != nil || results[0].Verified != "sha256 by test" {
			t.Errorf("%+v, %v", results, err)
		}
		want(t, root, map[string]string{"x": "new"})
	}
}

// TestGetPartRemoved: somebody tidies up temporary files that are in use.
func TestGetPartRemoved(t *testing.T) {
	lab.NotUnderWine(t, "names that go at once when an open file is removed")
	for _, times := range []int{1, 3} {
		r := newRemote(map[string]string{"/s/x": "new"})
		checkLeaks(t, r)
		root := t.TempDir()
		removed := 0
		g := transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1, Verify: func(context.Context, string, int64, string) (string, error) {
			if removed++; removed <= times {
				return "", os.Remove(filepath.Join(root, transfer.PartName("x", run)))
			}
			return "", nil
		}}
		_, err := g.Files(t.Context(), place(t, found(t, r, "/s/x"), byRel))
		if times == 1 {
			if err != nil {
				t.Error(err)
			}
			want(t, root, map[string]string{"x": "new"})
			continue
		}
		if !fault.Is(err, fault.LocalDisk) || !fault.Transient(err) {
			t.Errorf("got %v", err)
		}
		want(t, root, nil)
	}
}

// TestSweep: temporary files of dead runs go, and nothing else does.
func TestSweep(t *testing.T) {
	part := func(name, run string) string { return transfer.PartName(name, run) }
	plant := func(t *testing.T, root string) (live *os.File) {
		mkdir(t, root+"/d/other/"+part("folder", run2))
		mkdir(t, root+"/unrelated")
		for _, p := range []string{
			"d/" + part("x", run), "d/" + part("x", run2), "d/" + part("gone", run2), "d/" + part("live", run2), "unrelated/" + part("x", run2),
			"d/.x.part", "d/x.part", "d/.x." + run2, "d/.x.20261122T023000Z-AAAAAAAA.part", "d/.rsync.XyZ123",
		} {
			write(t, filepath.Join(root, p), "partial")
		}
		if err := os.Chmod(filepath.Join(root, "d", part("x", run2)), 0o440); err != nil {
			t.Fatal(err)
		}
		live, err := os.OpenFile(filepath.Join(root, "d", part("live", run2)), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { live.Close() })
		if ok, err := flock.TryLock(live); !ok || err != nil {
			t.Fatal(ok, err)
		}
		return live
	}
	left := func() map[string]string {
		return map[string]string{
			"d/": "", "d/other/": "", "unrelated/": "", "d/other/" + part("folder", run2) + "/": "", "d/" + part("live", run2): "partial",
			"d/.x.part": "partial", "d/x.part": "partial", "d/.x." + run2: "partial", "d/.x.20261122T023000Z-AAAAAAAA.part": "partial", "d/.rsync.XyZ123": "partial",
		}
	}
	t.Run("by a transfer", func(t *testing.T) {
		r := newRemote(map[string]string{"/d/x": "new"})
		checkLeaks(t, r)
		root := t.TempDir()
		plant(t, root)
		if _, err := get(t, t.Context(), r, root, "/d"); err != nil {
			t.Fatal(err)
		}
		files := left()
		files["d/x"], files["unrelated/"+part("x", run2)] = "new", "partial"
		want(t, root, files)
	})
	t.Run("by Sweep", func(t *testing.T) {
		root := t.TempDir()
		live := plant(t, root)
		if err := transfer.Sweep(t.Context(), root, false, nil); err != nil {
			t.Fatal(err)
		}
		files := left()
		want(t, root, files)
		live.Close()
		if err := transfer.Sweep(t.Context(), root, false, nil); err != nil {
			t.Fatal(err)
		}
		delete(files, "d/"+part("live", run2))
		want(t, root, files)
		if err := transfer.Sweep(t.Context(), root+"/none", false, nil); err != nil {
			t.Errorf("an absent folder: %v", err)
		}
	})
}

// TestTwoAtOnce: two runs that fetch one file do not harm each other.
func TestTwoAtOnce(t *testing.T) {
	r := newRemote(map[string]string{"/d/x": big(), "/d/y": "1"})
	checkLeaks(t, r)
	root := t.TempDir()
	var both sync.WaitGroup
	for _, id := range []string{run, run2, "20261123T023001Z-00000000"} {
		both.Go(func() {
			for range 5 {
				g := transfer.Get{Remote: r, Root: root, Run: id, AtOnce: 1}
				if _, err := g.Files(t.Context(), place(t, found(t, r, "/d/*"), byRel)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	want(t, root, map[string]string{"x": big(), "y": "1"})
}

// watcher counts what it is told.
type watcher struct {
	mu           sync.Mutex
	files        int
	bytes        int64
	moved        []int64
	done, failed int
}

func (w *watcher) Begin(files int, bytes int64)             { w.files, w.bytes = files, bytes }
func (w *watcher) File(transfer.Item) transfer.FileProgress { return w }
func (w *watcher) Moved(n int64)                            { w.mu.Lock(); w.moved = append(w.moved, n); w.mu.Unlock() }
func (w *watcher) Done(err error)                           { w.mu.Lock(); w.count(err); w.mu.Unlock() }
func (w *watcher) count(err error) {
	if err != nil {
		w.failed++
	} else {
		w.done++
	}
}

func TestProgress(t *testing.T) {
	r := newRemote(map[string]string{"/d/big": big(), "/d/e/": ""})
	checkLeaks(t, r)
	w := &watcher{}
	g := transfer.Get{Remote: r, Root: t.TempDir(), Run: run, AtOnce: 1, Progress: w}
	if _, err := g.Files(t.Context(), place(t, found(t, r, "/d"), byRel)); err != nil {
		t.Fatal(err)
	}
	size := int64(len(big()))
	if w.files != 2 || w.bytes != size || w.done != 2 || w.failed != 0 {
		t.Errorf("%+v", w)
	}
	// The folder after the file starts at 0 again.
	if n := len(w.moved); n < 4 || w.moved[0] != 0 || w.moved[n-2] != size || w.moved[n-1] != 0 || !slices.IsSorted(w.moved[:n-1]) {
		t.Errorf("moved %v", w.moved)
	}
}

// BenchmarkPull is the engine alone: memory to memory would measure copying,
// so the target is a real file.
func BenchmarkPull(b *testing.B) {
	text := strings.Repeat(big(), 100)
	for _, sequential := range []bool{false, true} {
		b.Run(fmt.Sprintf("sequential=%v", sequential), func(b *testing.B) {
			r := newRemote(map[string]string{"/big": text})
			r.sequential = sequential
			list, err := transfer.Collect(transfer.Find{}.Remote(b.Context(), r, "/big"))
			if err != nil {
				b.Fatal(err)
			}
			if list, err = transfer.Place(list, false, byRel); err != nil {
				b.Fatal(err)
			}
			g := transfer.Get{Remote: r, Root: b.TempDir(), Run: run, AtOnce: 1}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Files(b.Context(), list); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
