package transfer_test

import (
	"os"
	"path/filepath"
	"testing"

	"linehaul/fault"
	"linehaul/transfer"
)

// TestTryFolder: a trial leaves nothing, and says which folder is meant by one
// that does not exist yet.
func TestTryFolder(t *testing.T) {
	root := t.TempDir()
	s, err := transfer.TryFolder(filepath.Join(root, "not", "yet"))
	if err != nil || s.At != root || s.Free <= 0 {
		t.Errorf("%+v, %v", s, err)
	}
	want(t, root, map[string]string{})
	write(t, filepath.Join(root, "file"), "")
	if _, err := transfer.TryFolder(filepath.Join(root, "file")); !fault.Is(err, fault.LocalDisk) {
		t.Errorf("a file: %v", err)
	}
}

// TestTrialLeft: what a trial leaves that was killed is removed with what dead
// runs leave, and is no file to anybody.
func TestTrialLeft(t *testing.T) {
	root := t.TempDir()
	name := transfer.TrialName("check", "19700101T000000Z-01234567")
	write(t, filepath.Join(root, name), "linehaul")
	if _, _, ours := transfer.ParsePart(name); !ours {
		t.Errorf("%q is not the name of a temporary file", name)
	}
	if err := transfer.Sweep(t.Context(), root, true, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
