package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linehaul/fault"
	"linehaul/transfer"
)

// into names targets below a remote folder.
func into(dir string) func(transfer.Item) (string, error) {
	return func(i transfer.Item) (string, error) { return dir + i.Rel, nil }
}

func put(t *testing.T, ctx context.Context, r *memRemote, dir string, sources ...string) ([]transfer.Result, error) {
	t.Helper()
	items, err := transfer.Collect(transfer.Find{Recursive: true}.Local(t.Context(), sources...))
	if err != nil {
		t.Fatal(err)
	}
	p := transfer.Put{Remote: r, Run: run, AtOnce: 1}
	return p.Files(ctx, place(t, items, into(dir)))
}

// served lists all files and folders of a server.
func served(r *memRemote) map[string]string {
	all := map[string]string{}
	for p, n := range r.nodes {
		if n.mode.IsDir() {
			p += "/"
		}
		all[p] = string(n.data)
	}
	return all
}

func wantServed(t *testing.T, r *memRemote, files map[string]string) {
	t.Helper()
	if got := served(r); !maps.Equal(got, files) {
		t.Errorf("the server holds %.400q\nwant %.400q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(files)))
	}
}

func TestPut(t *testing.T) {
	local := t.TempDir() + "/up"
	files := map[string]string{"one": "1", "sub/big": big(), "sub/zero": "", "exact": strings.Repeat("x", 2*32<<10)}
	for p, text := range files {
		mkdir(t, filepath.Dir(filepath.Join(local, p)))
		write(t, filepath.Join(local, p), text)
	}
	mkdir(t, local+"/leer")
	for _, sequential := range []bool{false, true} {
		r := newRemote(map[string]string{"/in/up/one": "old"})
		checkLeaks(t, r)
		r.sequential = sequential
		results, err := put(t, t.Context(), r, "/in/", local)
		if err != nil {
			t.Fatal(err)
		}
		wantServed(t, r, map[string]string{"//": "", "/in/": "", "/in/up/": "", "/in/up/leer/": "", "/in/up/one": "1", "/in/up/sub/": "",
			"/in/up/sub/big": big(), "/in/up/sub/zero": "", "/in/up/exact": files["exact"]})
		for _, res := range results {
			if res.Item.Entry.Mode.IsDir() {
				continue
			}
			text, n := files[strings.TrimPrefix(res.Item.Rel, "up/")], r.nodes[res.Item.Target]
			if res.Bytes != int64(len(text)) || res.SHA256 != sum(text) || !n.mtime.Equal(epoch()) || n.mode != 0o644 {
				t.Errorf("%s: %d bytes, %s, %v, %v", res.Item.Target, res.Bytes, res.SHA256, n.mtime, n.mode)
			}
		}
	}
}

// TestPutFromLoginFolder: relative targets, with and without a folder.
func TestPutFromLoginFolder(t *testing.T) {
	local := filepath.Join(t.TempDir(), "f")
	write(t, local, "new")
	for target, at := range map[string]string{"f": "/home/f", "a/b": "/home/a/b", "../x": "/x", "/f": "/f", "//f": "/f", "a//b": "/home/a/b"} {
		r := newRemote(map[string]string{"/home/": ""})
		items := place(t, mustLocal(t, local), func(transfer.Item) (string, error) { return target, nil })
		if _, err := (&transfer.Put{Remote: r, Run: run, AtOnce: 1}).Files(t.Context(), items); err != nil || r.nodes[at] == nil {
			t.Errorf("%q: %v, %v", target, err, served(r))
		}
	}
	for _, target := range []string{"a/", "..", "/"} {
		r := newRemote(map[string]string{"/home/": ""})
		items := place(t, mustLocal(t, local), func(transfer.Item) (string, error) { return target, nil })
		if _, err := (&transfer.Put{Remote: r, Run: run, AtOnce: 1}).Files(t.Context(), items); !fault.Is(err, fault.Config) {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func mustLocal(t *testing.T, sources ...string) []transfer.Item {
	t.Helper()
	items, err := transfer.Collect(transfer.Find{}.Local(t.Context(), sources...))
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// absent is what this system says of a file that is not there.
func absent() string {
	_, err := os.Stat("no-file-of-this-name")
	if e := (*fs.PathError)(nil); errors.As(err, &e) && errors.Is(err, fs.ErrNotExist) {
		return e.Err.Error()
	}
	return "no such file"
}

// TestPutFaults: whatever goes wrong, the old target stays as it was, and
// nothing else is left.
func TestPutFaults(t *testing.T) {
	torn := fault.New(fault.TCP, "connection reset")
	denied := failure("x", "/in/big", os.ErrPermission)
	tests := []struct {
		name  string
		set   func(r *memRemote, local string)
		kind  fault.Kind
		text  string
		again bool
	}{
		{"cut at the first request", func(r *memRemote, _ string) { r.before = failAt(1, torn) }, fault.TCP, "reset", true},
		{"cut in the middle", func(r *memRemote, _ string) { r.before = failAt(7, torn) }, fault.TCP, "reset", true},
		{"quota in the middle", func(r *memRemote, _ string) { r.before = failAt(7, errors.New("quota")) }, fault.RemoteFile, "quota", false},
		{"short writes", func(r *memRemote, _ string) { r.shorten = 1000 }, fault.RemoteFile, "short write", false},
		{"cannot create", func(r *memRemote, _ string) { r.fail["Create"] = denied }, fault.RemoteFile, "permission", false},
		{"cannot commit", func(r *memRemote, _ string) { r.fail["Commit"] = denied }, fault.RemoteFile, "permission", false},
		{"cannot replace", func(r *memRemote, _ string) { r.fail["Replace"] = denied }, fault.RemoteFile, "permission", false},
		{"another size on the server", func(r *memRemote, _ string) {
			r.before = func(_ int, n map[string]*node) error { n["/in/"+transfer.PartName("big", run)].lie = 5; return nil }
		}, fault.Verify, "bytes on the server", true},
		{"grows all the time", func(r *memRemote, local string) {
			r.before = func(int, map[string]*node) error { return appendTo(local, "more") }
		}, fault.LocalDisk, "changed while it was read", true},
		{"shrinks all the time", func(r *memRemote, local string) {
			size := int64(8 * len(big()))
			r.before = func(int, map[string]*node) error { size--; return os.Truncate(local, size) }
		}, fault.LocalDisk, "changed while it was read", true},
		{"gone locally", func(_ *memRemote, local string) { os.Remove(local) }, fault.LocalDisk, absent(), false},
		{"a folder by now", func(_ *memRemote, local string) { os.Remove(local); os.Mkdir(local, 0o755) }, fault.LocalDisk, "a folder", false},
	}
	for _, tt := range tests {
		for _, sequential := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sequential=%v", tt.name, sequential), func(t *testing.T) {
				local := filepath.Join(t.TempDir(), "big")
				write(t, local, strings.Repeat(big(), 8))
				r := newRemote(map[string]string{"/in/big": "old"})
				checkLeaks(t, r)
				items := place(t, mustLocal(t, local), into("/in/"))
				tt.set(r, local)
				r.sequential = sequential
				p := &watcher{}
				results, err := (&transfer.Put{Remote: r, Run: run, AtOnce: 1, Progress: p}).Files(t.Context(), items)
				if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || fault.Transient(err) != tt.again {
					t.Errorf("got %v (%v, transient %v)", err, kind(err), fault.Transient(err))
				}
				if len(results) != 1 || results[0].Err == nil || results[0].SHA256 != "" || p.failed != 1 {
					t.Errorf("results %+v, progress %+v", results, p)
				}
				wantServed(t, r, map[string]string{"//": "", "/in/": "", "/in/big": "old"})
			})
		}
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// TestPutTriesAgain: a file that changes once is stored as it then is.
func TestPutTriesAgain(t *testing.T) {
	local := filepath.Join(t.TempDir(), "big")
	write(t, local, big())
	r := newRemote(map[string]string{"/in/": ""})
	checkLeaks(t, r)
	r.before = func(i int, _ map[string]*node) error {
		if i == 3 {
			return appendTo(local, "more")
		}
		return nil
	}
	if _, err := put(t, t.Context(), r, "/in/", local); err != nil {
		t.Fatal(err)
	}
	wantServed(t, r, map[string]string{"//": "", "/in/": "", "/in/big": big() + "more"})
}

// TestPutStops: the temporary file is removed although ctx has ended.
func TestPutStops(t *testing.T) {
	for _, sequential := range []bool{false, true} {
		local := filepath.Join(t.TempDir(), "big")
		write(t, local, big())
		r := newRemote(map[string]string{"/in/big": "old"})
		checkLeaks(t, r)
		r.sequential, r.hang = sequential, true
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		r.before = func(int, map[string]*node) error {
			time.AfterFunc(5*time.Millisecond, func() { cancel(fault.New(fault.Timeout, "the run took too long")) })
			return nil
		}
		if _, err := put(t, ctx, r, "/in/", local); !fault.Is(err, fault.Timeout) {
			t.Errorf("got %v", err)
		}
		wantServed(t, r, map[string]string{"//": "", "/in/": "", "/in/big": "old"})
	}
}

func TestPutRemoteFaults(t *testing.T) {
	local := filepath.Join(t.TempDir(), "x")
	write(t, local, "new")
	for name, tt := range map[string]struct {
		files  map[string]string
		fail   string
		target string
		text   string
	}{
		"a folder":           {map[string]string{"/in/x/": ""}, "", "/in/x", "is a folder"},
		"a file as a folder": {map[string]string{"/in": "old"}, "", "/in/x", "is a file"},
		"cannot make":        {nil, "Mkdir", "/in/x", "permission"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRemote(tt.files)
			checkLeaks(t, r)
			r.fail[tt.fail] = failure("mkdir", "/in", os.ErrPermission)
			before := served(r)
			items := place(t, mustLocal(t, local), func(transfer.Item) (string, error) { return tt.target, nil })
			if _, err := (&transfer.Put{Remote: r, Run: run, AtOnce: 1}).Files(t.Context(), items); !fault.Is(err, fault.RemoteFile) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v", err)
			}
			wantServed(t, r, before)
		})
	}
}

// TestPutVerify: the temporary file is what is checked, before it is renamed.
func TestPutVerify(t *testing.T) {
	local := filepath.Join(t.TempDir(), "x")
	write(t, local, "new")
	r := newRemote(map[string]string{"/in/x": "old"})
	checkLeaks(t, r)
	p := transfer.Put{Remote: r, Run: run, AtOnce: 1, Verify: func(_ context.Context, path string, size int64, hash string) (string, error) {
		if path != "/in/"+transfer.PartName("x", run) || size != 3 || hash != sum("new") || string(r.nodes[path].data) != "new" {
			t.Errorf("asked for %q, %d, %s", path, size, hash)
		}
		return "", fault.New(fault.Verify, "not the same")
	}}
	if _, err := p.Files(t.Context(), place(t, mustLocal(t, local), into("/in/"))); !fault.Is(err, fault.Verify) {
		t.Errorf("got %v", err)
	}
	wantServed(t, r, map[string]string{"//": "", "/in/": "", "/in/x": "old"})
}

// TestPutRemovesDead: only what is old by its run and by its last write, and of
// the same target.
func TestPutRemovesDead(t *testing.T) {
	local := filepath.Join(t.TempDir(), "x")
	write(t, local, "new")
	const recent = "20261123T020000Z-aaaaaaaa" // half an hour before run
	for _, own := range []bool{false, true} {
		r := newRemote(map[string]string{"/in/": ""})
		checkLeaks(t, r)
		day, began := 24*time.Hour, time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC) // of run
		plant := func(name, id string, age time.Duration) string {
			p := "/in/" + transfer.PartName(name, id)
			r.put(p, &node{mode: 0o600, mtime: began.Add(-age)})
			return p
		}
		dead := plant("x", run2, day)
		kept := []string{
			plant("x", "20261122T022959Z-bbbbbbbb", day-time.Minute), // written to not long ago
			plant("x", recent, 365*day),                              // its run may be about to rename it
			plant("y", run2, 10*day), plant("x", "20269999T999999Z-aaaaaaaa", 10*day),
		}
		if own {
			plant("x", run, 0) // an earlier attempt of this run could not clean up
		}
		if _, err := put(t, t.Context(), r, "/in/", local); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{"//": "", "/in/": "", "/in/x": "new"}
		for _, p := range kept {
			files[p] = ""
		}
		wantServed(t, r, files)
		if !slices.Contains(r.log, "remove "+dead) {
			t.Errorf("log %q", r.log)
		}
	}
}

// TestPutUnreadableFolder: a drop box may be written to and not be listed.
func TestPutUnreadableFolder(t *testing.T) {
	local := filepath.Join(t.TempDir(), "x")
	write(t, local, "new")
	r := newRemote(map[string]string{"/in/": ""})
	checkLeaks(t, r)
	r.denied["/in"] = true
	if _, err := put(t, t.Context(), r, "/in/", local); err != nil {
		t.Error(err)
	}
}
