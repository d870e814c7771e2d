package logs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"linehaul/fault"
	"linehaul/internal/lab"
	"linehaul/logs"
)

// fullVar names a folder in which the test binary, started again in a mount
// namespace of its own, mounts a small disk and fills it.
const fullVar = "LINEHAUL_TEST_LOG_FULL"

// TestDiskFull: a disk that is full costs the records that find no place, and
// neither the run nor a record that was written, in whole or in part.
func TestDiskFull(t *testing.T) {
	if dir := os.Getenv(fullVar); dir != "" {
		fillDisk(t, dir)
		return
	}
	lab.NeedRoot(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
	cmd.Env = append(os.Environ(), fullVar+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		lab.Missing(t, "this test needs the right to make a mount namespace")
	}
	if err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func fillDisk(t *testing.T, dir string) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	path, filler := filepath.Join(dir, "log.txt"), filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 16<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := logs.Open(path, logs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	line := func(n int) string { return fmt.Sprintf("line p %d %s\n", n, strings.Repeat("x", 1000)) }
	var want strings.Builder
	lost := 0
	for n := range 80 {
		if n == 70 {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		}
		switch written, err := f.Write([]byte(line(n))); {
		case err == nil:
			want.WriteString(line(n))
		case written == 0 && errors.Is(err, syscall.ENOSPC):
			lost++
		default:
			t.Fatalf("line %d: %d bytes, %v", n, written, err)
		}
	}
	if got := content(t, path); got != want.String() || lost == 0 || !strings.HasSuffix(got, line(79)) {
		t.Errorf("%d lines were lost; the log has %d bytes, want %d", lost, len(got), want.Len())
	}
	err = f.Close()
	if !fault.Is(err, fault.LocalDisk) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), fmt.Sprintf("%d records lost", lost)) {
		t.Errorf("close: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("the second close: %v", err)
	}
}
