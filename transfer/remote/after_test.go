package remote_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"linehaul/fault"
	"linehaul/transfer"
)

// moves is what every server must do by every protocol when a source is moved
// or a folder removed: nothing is ever written over, and no link followed.
func moves(t *testing.T, p place) {
	mover := p.files.(transfer.Mover)
	looker := p.files.(transfer.LinkStater)
	folders := p.files.(transfer.FolderRemover)
	dir := filepath.Join(p.local, "mv")
	if err := os.MkdirAll(filepath.Join(dir, "sub", "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.own(dir, filepath.Join(dir, "sub"), filepath.Join(dir, "sub", "full"))
	p.write(t, "mv/it's $(one)", []byte("one"), 0o600)
	p.write(t, "mv/two", []byte("two"), 0o600)
	p.write(t, "mv/sub/full/x", nil, 0o600)
	if err := errors.Join(os.Symlink("nowhere", filepath.Join(dir, "dangling")), os.Symlink("two", filepath.Join(dir, "link")), os.Symlink("sub", filepath.Join(dir, "dirlink"))); err != nil {
		t.Fatal(err)
	}
	holds := func(name, want string) {
		t.Helper()
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != want {
			t.Errorf("%s holds %q, %v; want %q", name, data, err, want)
		}
	}

	if err := mover.Move(t.Context(), p.at("mv/it's $(one)"), p.at("mv/sub/-it's $(moved)")); err != nil {
		t.Fatal(err)
	}
	holds("sub/-it's $(moved)", "one")
	if _, err := os.Lstat(filepath.Join(dir, "it's $(one)")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still where it was: %v", err)
	}
	for _, taken := range []string{"sub/-it's $(moved)", "sub", "dangling", "link"} {
		err := mover.Move(t.Context(), p.at("mv/two"), p.at("mv/"+taken))
		if !errors.Is(err, fs.ErrExist) || !fault.Is(err, fault.RemoteFile) {
			t.Errorf("moved over %s: %v", taken, err)
		}
		holds("two", "two")
	}
	holds("sub/-it's $(moved)", "one")
	if _, err := os.Lstat(filepath.Join(dir, "sub", "two")); err == nil {
		t.Error("it was moved into a folder")
	}
	if err := mover.Move(t.Context(), p.at("mv/absent"), p.at("mv/new")); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("what is not there was moved: %v", err)
	}
	if err := mover.Move(t.Context(), p.at("mv/two"), p.at("mv/no/folder")); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("moved into a folder that is not there: %v", err)
	}

	for name, want := range map[string]fs.FileMode{"two": 0, "sub": fs.ModeDir, "link": fs.ModeSymlink, "dangling": fs.ModeSymlink, "dirlink": fs.ModeSymlink} {
		if e, err := looker.Lstat(t.Context(), p.at("mv/"+name)); err != nil || e.Mode.Type() != want || e.Name != name {
			t.Errorf("%s: %+v, %v; want the type %v", name, e, err, want)
		}
	}
	if _, err := looker.Lstat(t.Context(), p.at("mv/absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}

	for _, name := range []string{"sub/full", "two", "absent", "dirlink"} {
		if err := folders.RemoveFolder(t.Context(), p.at("mv/"+name)); err == nil || !fault.Is(err, fault.RemoteFile) {
			t.Errorf("%s was removed as an empty folder: %v", name, err)
		}
	}
	holds("sub/full/x", "")
	if err := os.Remove(filepath.Join(dir, "sub", "full", "x")); err != nil {
		t.Fatal(err)
	}
	if err := folders.RemoveFolder(t.Context(), p.at("mv/sub/full")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "sub", "full")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}
