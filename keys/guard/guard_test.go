package guard

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestCreate: a new file is closed to others, can be written and read, and does
// not take the place of another.
func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("secret"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if f, err := Create(path); !errors.Is(err, os.ErrExist) || f != nil {
		t.Errorf("made it twice: %v", err)
	}
	if f, err := Create(filepath.Join(path+"x", "id")); !errors.Is(err, os.ErrNotExist) || f != nil {
		t.Errorf("in no folder: %v", err)
	}
	again, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := Check(again); err != nil {
		t.Errorf("a file just made: %v", err)
	}
	if text, err := io.ReadAll(again); err != nil || string(text) != "secret" {
		t.Errorf("it holds %q, %v", text, err)
	}
}

// TestKeep: where a file cannot be closed to others, none is left.
func TestKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id")
	f, err := create(path)
	if err != nil {
		t.Fatal(err)
	}
	no := &OpenError{Err: errors.New("everybody may use it")}
	kept, err := keep(f, func(*os.File) error { return no })
	if kept != nil || !errors.Is(err, no) {
		t.Errorf("got %v, %v", kept, err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was left behind: %v", err)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("it was left open: %v", err)
	}
}
