package transfer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"linehaul/fault"
)

// A Mover is a Remote that can rename without writing over anything.
type Mover interface {
	// Move renames a file. If to exists, whatever it is, it fails with an
	// error that wraps fs.ErrExist, and both stay as they are.
	Move(ctx context.Context, from, to string) error
}

// A LinkStater is a Remote that tells a symbolic link from what it leads to.
type LinkStater interface {
	// Lstat describes what is at path itself.
	Lstat(ctx context.Context, path string) (Entry, error)
}

// A FolderRemover is a Remote that can remove folders.
type FolderRemover interface {
	// RemoveFolder removes a folder that is empty, and fails for any other.
	RemoveFolder(ctx context.Context, path string) error
}

// LstatLocal describes a local file as Find does, and a symbolic link as such.
func LstatLocal(path string) (Entry, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Entry{}, diskError("look at", path, err)
	}
	return localEntry(info), nil
}

// RemoveLocal removes a local file. A file that is not there is no error.
func RemoveLocal(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError("remove", path, err)
	}
	return nil
}

// MoveLocal renames a local file without writing over anything: it is to local
// files what a Mover is to those of a server. The folder of to is made if it
// is absent. It does not move from one volume to another.
func MoveLocal(from, to string) error {
	dir := filepath.Dir(to)
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return diskError("make folder", dir, err)
	}
	if err := renameNew(from, to); err != nil {
		if isOtherVolume(err) {
			return fault.New(fault.LocalDisk, "move %q to %q: %w", from, to, bare(err)).
				WithHint("a source is only moved within its volume: choose a folder on the same one")
		}
		return diskError("move to", to, err)
	}
	return nil
}

// linkNew moves by a second name and without the first: a link is never made
// over a file. Where a file system has no links, there is a moment in which
// another process could make to and lose it.
func linkNew(from, to string) error {
	err := os.Link(from, to)
	switch {
	case err == nil:
		if err := os.Remove(from); err != nil {
			return errors.Join(err, os.Remove(to))
		}
		return nil
	case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist), isOtherVolume(err):
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

// A LocalTree is what is below a local folder, to look for files and remove
// them. No symbolic link leads out of it. Paths have slashes.
type LocalTree struct{ root *os.Root }

// OpenLocalTree opens a folder. One that is not there is an error that wraps
// fs.ErrNotExist. The caller closes it.
func OpenLocalTree(dir string) (*LocalTree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, diskError("open folder", dir, err)
	}
	return &LocalTree{root}, nil
}

// Close closes the tree.
func (t *LocalTree) Close() error { return t.root.Close() }

// List describes the entries of a folder, with links as such.
func (t *LocalTree) List(dir string) ([]Entry, error) {
	f, err := t.root.Open(filepath.FromSlash(dir))
	if err != nil {
		return nil, diskError("open folder", t.path(dir), err)
	}
	defer f.Close()
	infos, err := f.Readdir(-1)
	if err != nil {
		return nil, diskError("list", t.path(dir), err)
	}
	entries := make([]Entry, len(infos))
	for i, info := range infos {
		entries[i] = localEntry(info)
	}
	return entries, nil
}

// listSeq is List piece by piece, with "" for the tree's own folder.
func (t *LocalTree) listSeq(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return readDir(ctx, t.path(dir), func() (*os.File, error) { return t.root.Open(filepath.FromSlash(dot(dir))) })
}

// Lstat describes what is at path itself.
func (t *LocalTree) Lstat(path string) (Entry, error) {
	info, err := t.root.Lstat(filepath.FromSlash(path))
	if err != nil {
		return Entry{}, diskError("look at", t.path(path), err)
	}
	return localEntry(info), nil
}

// Remove removes a file, or a folder that is empty.
func (t *LocalTree) Remove(path string) error {
	if err := t.root.Remove(filepath.FromSlash(path)); err != nil {
		return diskError("remove", t.path(path), err)
	}
	return nil
}

func (t *LocalTree) path(p string) string { return localPath(t.root.Name(), p) }

// SameFile reports whether a file is still what was copied, as far as size and
// modification time tell.
func SameFile(e Entry, size int64, mtime time.Time) bool {
	return e.Mode.IsRegular() && e.Size == size && e.MTime.Equal(mtime)
}
