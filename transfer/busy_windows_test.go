package transfer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"linehaul/fault"
	"linehaul/transfer"
)

// holdAlone opens a file as a program does that shares it with nobody.
func holdAlone(t *testing.T, path string) (closeIt func()) {
	t.Helper()
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		t.Fatal(err)
	}
	closeIt = sync.OnceFunc(func() {
		if err := windows.CloseHandle(h); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closeIt)
	return closeIt
}

// TestGetOverBusyTarget: a target that another program has open, and shares with
// nobody, is replaced if that lets go of it soon, and else stays as it is, with a
// word on why.
func TestGetOverBusyTarget(t *testing.T) {
	for name, soon := range map[string]bool{"closed soon": true, "never closed": false} {
		t.Run(name, func(t *testing.T) {
			r := newRemote(map[string]string{"/s/x": "new"})
			checkLeaks(t, r)
			root := t.TempDir()
			write(t, filepath.Join(root, "x"), "old")
			closeIt := holdAlone(t, filepath.Join(root, "x"))
			closed := make(chan struct{})
			g := transfer.OnDisk(transfer.Get{Remote: r, Root: root, Run: run}, func(f *os.File) error {
				if soon { // in the middle of the tries to rename, which begin now
					time.AfterFunc(300*time.Millisecond, func() { closeIt(); close(closed) })
				}
				return f.Sync()
			}, func(*os.File) error { return nil })
			_, err := g.Files(t.Context(), place(t, found(t, r, "/s/x"), byRel))
			if soon {
				select {
				case <-closed:
				default:
					t.Error("it was replaced while it was open, or given up before it was closed")
				}
				if err != nil {
					t.Error(err)
				}
				want(t, root, map[string]string{"x": "new"})
				return
			}
			said := fmt.Sprintf("replace %q", filepath.Join(root, "x"))
			if !fault.Is(err, fault.LocalDisk) || !strings.Contains(fmt.Sprint(err), said) || !strings.Contains(fault.HintOf(err), "another program holds the file open") {
				t.Errorf("got %v with hint %q", err, fault.HintOf(err))
			}
			closeIt()
			want(t, root, map[string]string{"x": "old"})
		})
	}
}
