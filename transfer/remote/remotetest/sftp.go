package remotetest

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/pkg/sftp"
)

// handlers serves SFTP requests from a root.
type handlers struct{ root *os.Root }

var (
	_ sftp.FileReader           = handlers{}
	_ sftp.OpenFileWriter       = handlers{}
	_ sftp.PosixRenameFileCmder = handlers{}
	_ sftp.LstatFileLister      = handlers{}
	_ sftp.ReadlinkFileLister   = handlers{}
)

func (h handlers) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	return h.root.Open(rel(r.Filepath))
}

func (h handlers) Filewrite(r *sftp.Request) (io.WriterAt, error) { return h.open(r, os.O_WRONLY) }

func (h handlers) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	return h.open(r, os.O_RDWR)
}

func (h handlers) open(r *sftp.Request, flag int) (*os.File, error) {
	for f, on := range map[int]bool{os.O_CREATE: r.Pflags().Creat, os.O_TRUNC: r.Pflags().Trunc, os.O_EXCL: r.Pflags().Excl} {
		if on {
			flag |= f
		}
	}
	mode := fs.FileMode(0o666)
	if r.AttrFlags().Permissions {
		mode = r.Attributes().FileMode().Perm()
	}
	return h.root.OpenFile(rel(r.Filepath), flag, mode)
}

func (h handlers) Filecmd(r *sftp.Request) error {
	name, target := rel(r.Filepath), rel(r.Target)
	switch r.Method {
	case "Setstat":
		return h.setstat(r, name)
	case "Rename":
		// Version 3 of the draft, section 6.5: a target that exists is an error.
		if _, err := h.root.Lstat(target); err == nil {
			return fs.ErrExist
		}
		return h.root.Rename(name, target)
	case "Rmdir":
		return removeFolder(h.root, name)
	case "Remove":
		return removeFile(h.root, name)
	case "Mkdir":
		return h.root.Mkdir(name, 0o777)
	case "Link":
		return h.root.Link(name, target)
	case "Symlink":
		return h.root.Symlink(r.Filepath, target)
	}
	return sftp.ErrSSHFxOpUnsupported
}

func (h handlers) PosixRename(r *sftp.Request) error {
	return h.root.Rename(rel(r.Filepath), rel(r.Target))
}

func (h handlers) setstat(r *sftp.Request, name string) error {
	flags, attrs := r.AttrFlags(), r.Attributes()
	if flags.Size {
		f, err := h.root.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		err = f.Truncate(int64(attrs.Size)) //nolint:gosec // a size above 2^63 is refused as negative
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if flags.Permissions {
		if err := h.root.Chmod(name, attrs.FileMode().Perm()); err != nil {
			return err
		}
	}
	if flags.Acmodtime {
		return h.root.Chtimes(name, attrs.AccessTime(), attrs.ModTime())
	}
	return nil
}

func (h handlers) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	name := rel(r.Filepath)
	if r.Method != "List" {
		info, err := h.root.Stat(name)
		return infos{info}, err
	}
	return list(h.root, name)
}

func (h handlers) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	info, err := h.root.Lstat(rel(r.Filepath))
	return infos{info}, err
}

func (h handlers) Readlink(p string) (string, error) { return h.root.Readlink(rel(p)) }

// infos is a finished listing.
type infos []fs.FileInfo

func (l infos) ListAt(p []fs.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(p, l[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// list describes the entries of a folder. Those that vanish meanwhile are
// left out.
func list(root *os.Root, name string) (infos, error) {
	dir, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdir(-1)
}

// removeFile removes what is not a folder.
func removeFile(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return errors.New("is a directory")
	}
	return root.Remove(name)
}

// removeFolder removes a folder that is empty.
func removeFolder(root *os.Root, name string) error {
	if info, err := root.Lstat(name); err != nil || !info.IsDir() {
		return errors.Join(err, errors.New("not a folder"))
	}
	return root.Remove(name)
}
