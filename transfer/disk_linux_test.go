package transfer_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/transfer"
)

// smallDisk gives a test a tmpfs of its own, of one megabyte: it runs the same
// test again in a mount namespace, and returns "" where it has done that.
func smallDisk(t *testing.T) string {
	t.Helper()
	const inside = "LINEHAUL_TEST_SMALL_DISK"
	if dir := os.Getenv(inside); dir != "" {
		return dir
	}
	lab.NeedRoot(t)
	lab.Need(t, "unshare", "mount")
	dir := t.TempDir()
	script := `mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"`
	cmd := exec.CommandContext(t.Context(), lab.Path("unshare"), "-m", "--propagation", "private", "sh", "-c", script, "sh", dir,
		os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a namespace of its own: %v\n%s", err, out)
	}
	return ""
}

// TestDiskFull: the disk is full in the middle of the second file. The first
// one stays, as does the old third one, which is not begun.
func TestDiskFull(t *testing.T) {
	root := smallDisk(t)
	if root == "" {
		return
	}
	for _, sequential := range []bool{false, true} {
		r := newRemote(map[string]string{"/a": big(), "/b": strings.Repeat("b", 3<<20), "/c": "new"})
		checkLeaks(t, r)
		r.sequential = sequential
		write(t, root+"/b", "old")
		write(t, root+"/c", "old")
		list := place(t, found(t, r, "/a", "/b", "/c"), byRel)
		g := transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1, SkipSpaceCheck: true}
		results, err := g.Files(t.Context(), list)
		if !fault.Is(err, fault.LocalDisk) || !strings.Contains(err.Error(), "no space left") || !strings.Contains(fault.HintOf(err), "make room") {
			t.Errorf("got %v, hint %q", err, fault.HintOf(err))
		}
		if results[0].Err != nil || results[1].Err == nil || results[2].Err == nil {
			t.Errorf("results %+v", results)
		}
		want(t, root, map[string]string{"a": big(), "b": "old", "c": "old"})
	}
	r := newRemote(map[string]string{"/b": strings.Repeat("b", 3<<20)})
	if _, err := get(t, t.Context(), r, root, "/b"); !fault.Is(err, fault.LocalDisk) || !strings.Contains(err.Error(), "3.0 MiB needed") || r.requests != 0 {
		t.Errorf("with the check: got %v after %d requests", err, r.requests)
	}
}

// TestReadOnlyDisk: also the superuser may not write there.
func TestReadOnlyDisk(t *testing.T) {
	root := smallDisk(t)
	if root == "" {
		return
	}
	write(t, root+"/a", "old")
	if err := syscall.Mount("none", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	r := newRemote(map[string]string{"/a": "new", "/b": "new"})
	checkLeaks(t, r)
	results, err := get(t, t.Context(), r, root, "/a", "/b")
	if !fault.Is(err, fault.LocalDisk) || !strings.Contains(fault.HintOf(err), "read-only") || len(results) != 2 || r.requests != 0 {
		t.Errorf("got %v, hint %q, %d requests", err, fault.HintOf(err), r.requests)
	}
	want(t, root, map[string]string{"a": "old"})
}

// TestOtherVolumeBelow: room is asked for where the files go, and not at the
// root, which may be on a smaller disk.
func TestOtherVolumeBelow(t *testing.T) {
	root := smallDisk(t)
	if root == "" {
		return
	}
	mkdir(t, root+"/mnt")
	if err := syscall.Mount("none", root+"/mnt", "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	r := newRemote(map[string]string{"/b": strings.Repeat("b", 3<<20)})
	if _, err := get(t, t.Context(), r, filepath.Join(root, "mnt/x"), "/b"); err != nil {
		t.Error(err)
	}
	list := place(t, found(t, r, "/b"), func(transfer.Item) (string, error) { return "mnt/y/b", nil })
	_, err := (&transfer.Get{Remote: r, Root: root, Run: run, AtOnce: 1}).Files(t.Context(), list)
	if !fault.Is(err, fault.LocalDisk) || !strings.Contains(err.Error(), root+"/mnt") || !strings.Contains(err.Error(), "1.0 MiB free") {
		t.Errorf("got %v", err)
	}
}

// TestDevice: a target that is a device is never replaced by a file.
func TestDevice(t *testing.T) {
	r := newRemote(map[string]string{"/x": "new"})
	root := t.TempDir()
	if err := syscall.Mkfifo(root+"/x", 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, t.Context(), r, root, "/x"); !fault.Is(err, fault.LocalDisk) || !strings.Contains(err.Error(), "a pipe") {
		t.Errorf("got %v", err)
	}
}
