package logs

import (
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"linehaul/internal/flock"
)

// stampLayout is what is put after the name of a file that is put aside.
const stampLayout = "20060102-150405"

const (
	gzSuffix  = ".gz"
	tmpSuffix = ".gz.tmp" // while it is being compressed
)

// rotateLocked puts the file aside under a name that is not in use. It needs
// f.mu and the lock on the file. It reports whether it could; if not, the file
// grows on and the failure is kept for Close.
func (f *File) rotateLocked() bool {
	now := f.o.Now()
	if !f.blocked.IsZero() && now.Sub(f.blocked) < rotatePause {
		return false
	}
	err := putAside(f.path, now.In(f.o.Location).Format(stampLayout))
	if err != nil {
		f.blocked = now
		f.failedLocked(err)
		return false
	}
	f.blocked = time.Time{}
	select {
	case f.wake <- struct{}{}:
	default: // the cleaner has been asked already
	}
	return true
}

func putAside(path, stamp string) error {
	aside := path + "." + stamp
	for n := 2; taken(aside) || taken(aside+gzSuffix); n++ {
		aside = fmt.Sprintf("%s.%s-%d", path, stamp, n)
	}
	return os.Rename(path, aside)
}

func taken(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// cleaner compresses and removes what was put aside, whenever it is woken,
// until Close.
func (f *File) cleaner() {
	defer close(f.done)
	for range f.wake {
		if err := f.clean(); err != nil {
			f.mu.Lock()
			f.failedLocked(err)
			f.mu.Unlock()
		}
	}
}

// aside is a file that was put aside.
type aside struct {
	name string // in its folder
	at   time.Time
	n    int // counts those of one second
	gz   bool
}

// clean removes what is too much or too old, and compresses the rest.
func (f *File) clean() error {
	root, err := os.OpenRoot(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer root.Close()
	all, err := f.listAside(root)
	if err != nil {
		return err
	}
	var errs []error
	for i, a := range all {
		tooMany := f.o.Keep > 0 && i >= f.o.Keep
		tooOld := f.o.MaxAge > 0 && f.o.Now().Sub(a.at) > f.o.MaxAge
		switch {
		case tooMany || tooOld:
			errs = append(errs, remove(root, a.name))
		case f.o.Compress && !a.gz:
			errs = append(errs, compress(root, a.name))
		}
	}
	return errors.Join(errs...)
}

// listAside lists what was put aside for this file, newest first.
func (f *File) listAside(root *os.Root) ([]aside, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []aside
	for _, name := range names {
		if a, ok := parseAside(filepath.Base(f.path), name, f.o.Location); ok {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b aside) int {
		return cmp.Or(b.at.Compare(a.at), cmp.Compare(b.n, a.n), strings.Compare(b.name, a.name))
	})
	return all, nil
}

// parseAside reads BASE.20261123-023001[-N][.gz].
func parseAside(base, name string, loc *time.Location) (aside, bool) {
	rest, ok := strings.CutPrefix(name, base+".")
	if !ok {
		return aside{}, false
	}
	a := aside{name: name, n: 1}
	rest, a.gz = strings.CutSuffix(rest, gzSuffix)
	if len(rest) < len(stampLayout) {
		return aside{}, false
	}
	stamp, number := rest[:len(stampLayout)], rest[len(stampLayout):]
	var err error
	if a.at, err = time.ParseInLocation(stampLayout, stamp, loc); err != nil {
		return aside{}, false
	}
	if number != "" {
		a.n, err = strconv.Atoi(strings.TrimPrefix(number, "-"))
		if err != nil || a.n < 2 || number != "-"+strconv.Itoa(a.n) {
			return aside{}, false
		}
	}
	return a, true
}

// remove removes a log, and what a crash left of compressing it. Another
// process may have removed either already.
func remove(root *os.Root, name string) error {
	for _, name := range []string{name + tmpSuffix, name} {
		if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// compress replaces a file by NAME.gz with the same time and permissions. A
// crash leaves the file, or both, or only NAME.gz, which is always whole.
//
// A writer holds the lock of a file while it appends, and compress holds it
// until the file is gone, so that no line can come in between.
func compress(root *os.Root, name string) (err error) {
	src, err := root.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil // another process was quicker
	}
	if err != nil {
		return err
	}
	defer src.Close()
	if held, err := flock.TryLock(src); err == nil && !held {
		return nil // another process is at it
	}
	defer flock.Unlock(src) //nolint:errcheck // dropped by Close at the latest
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if named, err := root.Lstat(name); err != nil || !os.SameFile(info, named) {
		return nil // it was compressed and removed before we had the lock
	}
	tmp := name + tmpSuffix
	defer func() {
		if err != nil {
			err = fmt.Errorf("compress %q: %w", name, err)
			root.Remove(tmp) //nolint:errcheck // it goes with the log at the latest
		}
	}()
	if err := writeGzip(root, tmp, src, info); err != nil {
		return err
	}
	if err := root.Chtimes(tmp, info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	if err := root.Rename(tmp, name+gzSuffix); err != nil {
		return err
	}
	return remove(root, name)
}

func writeGzip(root *os.Root, tmp string, src io.Reader, info os.FileInfo) error {
	dst, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer dst.Close()
	z := gzip.NewWriter(dst)
	z.Name, z.ModTime = info.Name(), info.ModTime()
	if _, err := io.Copy(z, src); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := dst.Sync(); err != nil {
		return err
	}
	return dst.Close()
}
