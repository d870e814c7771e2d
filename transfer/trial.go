package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
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

// TrialName is the name of a file that is made only to see whether it can be, by
// a run. It is that of a temporary file: transfers pass it over, and if whoever
// made it is killed, it is removed with what dead runs left.
func TrialName(what, run string) string { return partName("linehaul-"+what, run) }

// tryFile makes a file that nobody else has made. It is of a run that no run is.
func tryFile(folder string) (*os.File, error) {
	const tries, names = 100, 100_000_000
	for n := 1; ; n++ {
		name := TrialName("check", fmt.Sprintf("19700101T000000Z-%08d", rand.IntN(names)))
		f, err := os.OpenFile(filepath.Join(folder, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if n == tries || !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
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
	f, err := tryFile(s.At)
	if err != nil {
		return s, diskError("write in", s.At, err)
	}
	_, err = f.Write([]byte("linehaul"))
	closeErr := f.Close()
	removeErr := os.Remove(f.Name())
	if errors.Is(removeErr, fs.ErrNotExist) { // another run took it for a dead one's
		removeErr = nil
	}
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
