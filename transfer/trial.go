package transfer

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"linehaul/fault"
)

// A FolderState is what is known of a folder of this machine that files may land
// in.
type FolderState struct {
	// At is the folder, or the nearest one above it that exists.
	At    string
	Free  int64 // bytes that this account may use; -1: not known
	Files int64 // how many more files there may be; -1: not known, or any number
}

// TryFolder makes a file in a folder and removes it again, and asks for the room
// there. Of a folder that does not exist yet, it tries the nearest one above.
func TryFolder(folder string) (FolderState, error) {
	s := FolderState{At: folder, Free: -1, Files: -1}
	for {
		info, err := os.Stat(s.At)
		if err == nil && !info.IsDir() {
			return s, fault.New(fault.LocalDisk, "%q is a file, and must be a folder", s.At)
		}
		if err == nil {
			break
		}
		above := filepath.Dir(s.At)
		if !errors.Is(err, fs.ErrNotExist) || above == s.At {
			return s, diskError("look at", s.At, err)
		}
		s.At = above
	}
	f, err := os.CreateTemp(s.At, ".linehaul-check-*")
	if err != nil {
		return s, diskError("write in", s.At, err)
	}
	_, err = f.Write([]byte("linehaul"))
	closeErr := f.Close()
	removeErr := os.Remove(f.Name())
	if err = errors.Join(err, closeErr, removeErr); err != nil {
		return s, diskError("write in", s.At, err)
	}
	dir, err := os.Open(s.At)
	if err != nil {
		return s, diskError("look at", s.At, err)
	}
	defer dir.Close()
	if r := roomIn(dir); r.ok {
		s.Free = int64(min(r.free, math.MaxInt64))
		if r.counted {
			s.Files = int64(min(r.files, math.MaxInt64))
		}
	}
	return s, nil
}

// volumeRoom is the room on a volume.
type volumeRoom struct {
	volume uint64 // which one it is
	free   uint64 // bytes
	ok     bool   // it has a size
	// files is how many more there may be, where the file system counts them.
	files   uint64
	counted bool
}
